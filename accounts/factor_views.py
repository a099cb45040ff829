"""
The second step of signing in at the pages: after the right password, a code or a passkey.

Until it is passed nobody is signed in: the page session only remembers whose password was right, for a few minutes.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import audit, passkey_challenges, passkeys
from accounts.device_cookies import shown_by
from accounts.factor_forms import SecondStepForm, ShownPasskeyForm
from accounts.models import User
from accounts.page_sessions import open_page_session
from accounts.sign_in import check_second_factor
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other

# In the page session: who has shown their password and not yet their factor.
PENDING: Final = "second_step"
LIFETIME: Final = timedelta(minutes=5)


def begin(request: HttpRequest, *, user: User, next: str) -> HttpResponse:
    """
    Their password was right: on to the second step, under a new session id.

    :param next: where to go in the end; judged already, never another site.
    """
    request.session.cycle_key()
    request.session[PENDING] = {
        "user": user.public_id,
        # Of password and `token_version`: a change of either in another place ends this too.
        "hash": user.get_session_auth_hash(),
        "until": (timezone.now() + LIFETIME).timestamp(),
        "next": next,
    }
    return see_other("second_step")


def _pending(request: HttpRequest, now: datetime) -> tuple[User, str] | None:
    """Whose second step this is and where they want to go; None where nobody's, any more."""
    kept: dict[str, Any] | None = request.session.get(PENDING)
    if kept is None:
        return None
    place = parse_public_id(User.PREFIX, kept["user"])
    user = None if place is None else User.objects.filter(uuid=place).first()
    good = (
        user is not None
        and kept["until"] > now.timestamp()
        and user.is_active
        and constant_time_compare(kept["hash"], user.get_session_auth_hash())
    )
    if user is None or not good:
        del request.session[PENDING]
        return None
    return user, kept["next"]


def for_whoever_waits(
    view: Callable[[HttpRequest, User, str, datetime], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Others begin with the password."""

    @wraps(view)
    def checked(request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        pending = _pending(request, now)
        return see_other("sign_in") if pending is None else view(request, *pending, now)

    return never_cache(checked)


@counted_as("sign_in")
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@for_whoever_waits
def second_step(request: HttpRequest, user: User, next: str, now: datetime) -> HttpResponse:
    """Ask for the code; the right one signs in."""
    form = SecondStepForm(request.POST or None)
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        try:
            check_second_factor(user=user, code=form.cleaned_data["code"], device_tokens=shown_by(request), now=now)
        except Refusal as refusal:
            form.add_error(None, refusal.detail)
            status, wait = refusal.status, refusal.retry_after_seconds
        else:
            return _passed(request, user, next, now)
    return _page(request, user, form, status, wait)


@counted_as("sign_in")
@require_POST
@for_whoever_waits
def passkey_options(request: HttpRequest, user: User, next: str, now: datetime) -> HttpResponse:  # noqa: ARG001
    """For the browser: a new challenge, and which passkeys may answer it."""
    asked = passkeys.ask_to_show(user=user, site=passkeys.site(host=request.get_host()))
    passkey_challenges.keep(request.session, challenge=asked.challenge, purpose=passkey_challenges.SIGN_IN, now=now)
    return HttpResponse(asked.options, content_type="application/json")


@counted_as("sign_in")
@sensitive_post_parameters("credential")
@require_POST
@for_whoever_waits
def show_passkey(request: HttpRequest, user: User, next: str, now: datetime) -> HttpResponse:
    """The browser's answer signs in."""
    form = ShownPasskeyForm(request.POST)
    status = 400
    if form.is_valid():
        try:
            passkeys.check(
                user=user,
                site=passkeys.site(host=request.get_host()),
                challenge=passkey_challenges.take(request.session, purpose=passkey_challenges.SIGN_IN, now=now),
                answer=form.cleaned_data["credential"],
                now=now,
            )
        except Refusal as refusal:
            # The password was right, so it is worth knowing.
            audit.record("sign_in", now=now, subject=user, refused=refusal.code)
            form.add_error(None, refusal.detail)
            status = refusal.status
        else:
            return _passed(request, user, next, now)
    return _page(request, user, SecondStepForm(), status, passkey_form=form)


def _passed(request: HttpRequest, user: User, next: str, now: datetime) -> HttpResponse:
    del request.session[PENDING]
    try:
        open_page_session(request, user=user, factor=True, now=now)
    except Refusal as refusal:
        # Blocked, or with another password, this very moment.
        messages.error(request, refusal.detail)
        return see_other("sign_in")
    return see_other(next)


def _page(
    request: HttpRequest,
    user: User,
    form: SecondStepForm,
    status: int,
    wait: int | None = None,
    passkey_form: ShownPasskeyForm | None = None,
) -> HttpResponse:
    context = {
        "form": form,
        "here": "sign_in",
        "has_passkeys": bool(passkeys.passkeys_of(user=user)),
        "passkey_form": passkey_form or ShownPasskeyForm(),
    }
    response = render(request, "accounts/factor_second_step.html", context, status=status)
    if wait is not None:
        response["Retry-After"] = str(wait)
    return response
