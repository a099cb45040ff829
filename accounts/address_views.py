"""The pages by which people add, change and remove their e-mail and phone; and the one that undoes it for them."""

from typing import Any, Final, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts import address_changes, address_undo
from accounts.account_forms import AddressForm, ConfirmAddressForm, RemovalForm
from accounts.form_refusals import say, waiting
from accounts.models import Channel, Session
from accounts.page_sessions import session_of
from accounts.second_factor import is_on
from accounts.signed_in import SignedInRequest, signed_in
from accounts.tasks import wake_sender
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other

# In the page session: the change that waits for its codes.
CHANGING: Final = "changing_address"
_BESIDE: Final = {"credentials_invalid": "password", "otp_required": "otp", "otp_invalid": "otp"}


@counted_as("codes")
@sensitive_post_parameters()
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: SignedInRequest) -> HttpResponse:
    """Ask for the new address, and once more for who asks. Whether it is somebody else's is not shown."""

    def begin(form: AddressForm, **given: Any) -> address_changes.Begun:
        return address_changes.begin(address=form.cleaned_data["address"], **given)

    form = AddressForm(request.POST or None, with_factor=is_on(request.user))
    return _begin(request, form, begin, {"title": "Add or change an address", "submit": "Send the code"})


@counted_as("codes")
@sensitive_post_parameters()
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: SignedInRequest, channel: str) -> HttpResponse:
    """Ask once more who asks, then remove the address."""
    if channel not in Channel.values:
        raise Http404("There is no such address.")

    def begin(_form: RemovalForm, **given: Any) -> address_changes.Begun:
        return address_changes.begin_removal(channel=Channel(channel), keep=_session(request).uuid, **given)

    form = RemovalForm(request.POST or None, with_factor=is_on(request.user))
    word = "e-mail address" if channel == Channel.EMAIL else "phone number"
    return _begin(request, form, begin, {"title": f"Remove your {word}", "submit": "Remove"})


@counted_as("codes")
@sensitive_post_parameters()
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: SignedInRequest) -> HttpResponse:
    """The codes; with them the change is made."""
    now = timezone.now()
    change = address_changes.waiting_change(user=request.user, change=request.session.get(CHANGING, ""), now=now)
    if change is None:
        return see_other("account")
    form = ConfirmAddressForm(
        request.POST or None, wants_code=change.new_value != "", wants_own=change.proven_at is None
    )
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        try:
            confirmed = address_changes.confirm(
                user=request.user,
                change=change.public_id,
                code=form.cleaned_data.get("code", ""),
                own_code=form.cleaned_data.get("own_code", ""),
                keep=_session(request).uuid,
                now=now,
            )
        except Refusal as refusal:
            status, wait = say(form, refusal), refusal.retry_after_seconds
        else:
            wake_sender(confirmed.messages)
            return _done(request)
    shown = {"form": form, "here": "account", "change": change}
    return waiting(render(request, "accounts/address_confirm.html", shown, status=status), wait)


@counted_as("codes")
@sensitive_post_parameters()
@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest) -> HttpResponse:
    """
    Where the link in a message leads: for whoever has it, signed in or not. Only pressing the button undoes anything,
    for mail servers open links, too.
    """
    asked = request.POST if request.method == "POST" else request.GET
    token, now, refused, change = asked.get(address_undo.PARAMETER, ""), timezone.now(), None, None
    try:
        change = address_undo.change_of(token=token, now=now)
        if request.method == "POST":
            wake_sender(address_undo.undo(token=token, now=now).messages)
            messages.success(request, "It is undone, and everybody was signed out. Choose a new password now.")
            return see_other("password_reset")
    except Refusal as refusal:
        refused = refusal
    words = address_changes.words_of(change) if change else ""
    shown = {"token": token, "parameter": address_undo.PARAMETER, "refused": refused, "change": change, "words": words}
    return render(request, "accounts/address_undo.html", shown, status=refused.status if refused else 200)


def _begin(
    request: SignedInRequest, form: AddressForm | RemovalForm, begin: Any, words: dict[str, str]
) -> HttpResponse:
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        try:
            begun: address_changes.Begun = begin(
                form,
                user=request.user,
                password=form.cleaned_data["password"],
                code=form.cleaned_data.get("otp", ""),
                shown_at=_session(request).factor_at,
                now=timezone.now(),
            )
        except Refusal as refusal:
            if refusal.code == "not_found":
                return see_other("account")
            status, wait = say(form, refusal, **_BESIDE), refusal.retry_after_seconds
        else:
            wake_sender(begun.messages)
            if begun.is_done:
                return _done(request)
            request.session[CHANGING] = begun.change.public_id
            return see_other("address_confirm")
    shown = {"form": form, "here": "account", **words}
    return waiting(render(request, "accounts/address_change.html", shown, status=status), wait)


def _done(request: SignedInRequest) -> HttpResponse:
    request.session.pop(CHANGING, None)
    # From here on what proves who this is has changed.
    request.session.cycle_key()
    messages.success(request, "Your addresses are changed. You are signed out everywhere else.")
    return see_other("account")


def _session(request: HttpRequest) -> Session:
    """Whoever is signed in has one."""
    return cast(Session, session_of(request))
