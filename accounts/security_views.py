"""The page /security: what proves that it is you beside your password, switched on and off."""

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import passkey_challenges, passkeys, recovery_codes, totp
from accounts.factor_changes import FRESH, make_codes_anew
from accounts.factor_forms import AgainForm, AgainSoonForm, ConfirmForm, PasskeyForm
from accounts.models import Session, TotpDevice
from accounts.page_sessions import session_of
from accounts.signed_in import SignedInRequest, signed_in
from accounts.tasks import wake_sender
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other


@require_safe
@signed_in
def security(request: SignedInRequest) -> HttpResponse:
    """What is on, and where to change it."""
    return _overview(request, PasskeyForm(with_code=_wants_code(request)), 200)


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def totp_begin(request: SignedInRequest) -> HttpResponse:
    """Ask for the password, and for a factor that is on; then a new secret. Nothing is on before it is confirmed."""
    if TotpDevice.objects.filter(user=request.user, confirmed=True).exists():
        return see_other("security")

    def begin(keep: UUID, **given: Any) -> HttpResponse:
        totp.begin(session=keep, **given)
        return see_other("totp")

    return _asked_again(request, begin, "Set up an authenticator app", "Go on", signs_out=False)


@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def totp_confirm(request: SignedInRequest) -> HttpResponse:
    """The secret to scan or type; the app's code switches it on."""
    enrolment = totp.begun(user=request.user, session=_session(request).uuid, now=timezone.now())
    if enrolment is None:
        return see_other("security")
    form = ConfirmForm(request.POST or None)
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        try:
            confirmed = totp.confirm(
                user=request.user,
                code=form.cleaned_data["code"],
                keep=_session(request).uuid,
                now=timezone.now(),
            )
        except Refusal as refusal:
            form.add_error("code", refusal.detail)
            status, wait = refusal.status, refusal.retry_after_seconds
        else:
            return _changed(request, confirmed.recovery_codes, confirmed.messages)
    context = {"form": form, "here": "security", "enrolment": enrolment}
    return _waiting(render(request, "accounts/factor_totp.html", context, status=status), wait)


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def totp_remove(request: SignedInRequest) -> HttpResponse:
    """Ask for password and code once more, then switch the app off."""
    if not TotpDevice.objects.filter(user=request.user, confirmed=True).exists():
        return see_other("security")

    def remove(**given: Any) -> HttpResponse:
        wake_sender(totp.remove(**given))
        return _removed(request, "Your authenticator app is no longer asked for.")

    return _asked_again(request, remove, "Remove the authenticator app", "Remove")


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def recovery_codes_new(request: SignedInRequest) -> HttpResponse:
    """Ask once more, then show ten new codes; the old ones are good for nothing."""
    if not request.user.second_factor:
        return see_other("security")

    def make(**given: Any) -> HttpResponse:
        anew = make_codes_anew(**given)
        return _changed(request, anew.recovery_codes, anew.messages)

    return _asked_again(request, make, "Make new recovery codes", "Make ten new ones")


@sensitive_post_parameters("password", "code")
@require_POST
@signed_in
def passkey_register_options(request: SignedInRequest) -> HttpResponse:
    """For the browser's script: a challenge, once the password was right, and the factor of whoever has one."""
    now = timezone.now()
    try:
        asked = passkeys.ask_to_register(
            user=request.user,
            site=passkeys.site(host=request.get_host()),
            password=request.POST.get("password", ""),
            code=request.POST.get("code", ""),
            shown_at=_session(request).factor_at,
            now=now,
        )
    except Refusal as refusal:
        return _waiting(JsonResponse({"detail": refusal.detail}, status=refusal.status), refusal.retry_after_seconds)
    passkey_challenges.keep(request.session, challenge=asked.challenge, purpose=passkey_challenges.REGISTER, now=now)
    return HttpResponse(asked.options, content_type="application/json")


@sensitive_post_parameters("password", "code", "credential")
@require_POST
@signed_in
def passkey_register(request: SignedInRequest) -> HttpResponse:
    """Keep the passkey that the browser made for that challenge."""
    form = PasskeyForm(request.POST, with_code=_wants_code(request))
    if not form.is_valid():
        return _overview(request, form, 400)
    now = timezone.now()
    try:
        registered = passkeys.register(
            user=request.user,
            site=passkeys.site(host=request.get_host()),
            challenge=passkey_challenges.take(request.session, purpose=passkey_challenges.REGISTER, now=now),
            answer=form.cleaned_data["credential"],
            name=form.cleaned_data["name"],
            keep=_session(request).uuid,
            now=now,
        )
    except Refusal as refusal:
        form.add_error(None, refusal.detail)
        return _overview(request, form, refusal.status)
    if registered.recovery_codes:
        return _changed(request, registered.recovery_codes, registered.messages)
    wake_sender(registered.messages)
    request.session.cycle_key()
    messages.success(request, "Your passkey is added. You are signed out everywhere else.")
    return see_other("security")


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def passkey_remove(request: SignedInRequest, pk: int) -> HttpResponse:
    """Ask once more, then forget the passkey."""
    passkey = passkeys.passkey_of(user=request.user, pk=pk)

    def remove(**given: Any) -> HttpResponse:
        wake_sender(passkeys.remove(pk=pk, **given))
        return _removed(request, "That passkey opens nothing any more.")

    return _asked_again(request, remove, f"Remove “{passkey.name}”", "Remove")


def _overview(request: SignedInRequest, passkey_form: PasskeyForm, status: int) -> HttpResponse:
    user = request.user
    theirs = passkeys.passkeys_of(user=user)
    context = {
        "here": "security",
        "has_app": TotpDevice.objects.filter(user=user, confirmed=True).exists(),
        "codes_left": recovery_codes.left(user=user),
        "passkeys": theirs,
        "passkey_form": passkey_form,
        "can_have_passkeys": passkeys.site(host=request.get_host()).can_have_passkeys,
        "has_room": len(theirs) < passkeys.MOST,
    }
    return render(request, "accounts/security.html", context, status=status)


def _wants_code(request: SignedInRequest) -> bool:
    """Whoever has no factor, or showed one a moment ago, and be it a passkey, is asked for the password alone."""
    shown_at = _session(request).factor_at
    return request.user.second_factor and (shown_at is None or timezone.now() - shown_at > FRESH)


def _asked_again(
    request: SignedInRequest, act: Any, title: str, submit: str, *, signs_out: bool = True
) -> HttpResponse:
    """The page that asks for password and factor once more, before `act`."""
    now = timezone.now()
    form: Form = (AgainForm if _wants_code(request) else AgainSoonForm)(request.POST or None)
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        try:
            answer: HttpResponse = act(
                user=request.user,
                password=form.cleaned_data["password"],
                code=form.cleaned_data.get("code", ""),
                keep=_session(request).uuid,
                now=now,
                shown_at=_session(request).factor_at,
            )
        except Refusal as refusal:
            form.add_error("password" if refusal.code == "credentials_invalid" else None, refusal.detail)
            status, wait = refusal.status, refusal.retry_after_seconds
        else:
            return answer
    context = {"form": form, "here": "security", "title": title, "submit": submit, "signs_out": signs_out}
    return _waiting(render(request, "accounts/factor_again.html", context, status=status), wait)


def _changed(request: HttpRequest, codes: list[str], waiting: list[int]) -> HttpResponse:
    """
    New recovery codes, shown this once. From here on this session has shown a factor: it gets a new id, as after any
    other sign-in.
    """
    wake_sender(waiting)
    # It was asked for when less was asked for it.
    passkey_challenges.forget(request.session)
    request.session.cycle_key()
    # In the answer to the POST, for nothing keeps them.
    return render(request, "accounts/factor_recovery_codes.html", {"codes": codes, "here": "security"})


def _removed(request: HttpRequest, said: str) -> HttpResponse:
    messages.success(request, f"{said} You are signed out everywhere else.")
    return see_other("security")


def _waiting(response: HttpResponse, seconds: int | None) -> HttpResponse:
    if seconds is not None:
        response["Retry-After"] = str(seconds)
    return response


def _session(request: HttpRequest) -> Session:
    """Whoever is signed in has one."""
    return cast(Session, session_of(request))
