"""The page /account: a person's name, where everything about the account is, and their password."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts import notices, reset_links
from accounts.account_forms import AskResetForm, NameForm, NewPasswordForm, PasswordForm, ResetForm
from accounts.address_changes import held_until
from accounts.addresses import Address
from accounts.device_cookies import keep, shown_by
from accounts.form_refusals import say, waiting
from accounts.models import Channel
from accounts.page_sessions import close_page_session
from accounts.password_change import change_password
from accounts.password_reset import Reset, ask_for_reset, reset_password, reset_password_by_link
from accounts.profile import rename
from accounts.signed_in import SignedInRequest, signed_in
from accounts.tasks import wake_sender
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other

# In the page session: where the code for a new password went, as it was asked for.
RESETTING = "resetting"


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: SignedInRequest) -> HttpResponse:
    """The name to change, the addresses, and the ways to all the rest."""
    form = NameForm(request.POST or None, initial={"full_name": request.user.full_name})
    status = 400 if form.is_bound else 200
    if form.is_valid():
        try:
            rename(user=request.user, full_name=form.cleaned_data["full_name"], now=timezone.now())
        except Refusal as refusal:
            status = say(form, refusal)
        else:
            messages.success(request, "Your name is changed.")
            return see_other("account")
    verified = {address.channel.value: address.value for address in notices.verified_addresses(request.user)}
    shown = {
        "form": form,
        "here": "account",
        "addresses": [(channel.value, verified.get(channel.value)) for channel in Channel],
        "has_two": len(verified) > 1,
        "held_until": held_until(user=request.user, now=timezone.now()),
    }
    return render(request, "accounts/account.html", shown, status=status)


@counted_as("codes")
@sensitive_post_parameters()
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: SignedInRequest) -> HttpResponse:
    """Another password; then everybody signs in anew, here too."""
    form, wait = PasswordForm(request.POST or None), None
    status = 400 if form.is_bound else 200
    if form.is_valid():
        try:
            wake_sender(change_password(user=request.user, **form.cleaned_data, now=timezone.now()))
        except Refusal as refusal:
            status, wait = say(form, refusal, credentials_invalid="old_password"), refusal.retry_after_seconds
        else:
            close_page_session(request)
            messages.success(request, "Your password is changed. Sign in with the new one.")
            return see_other("sign_in")
    shown = {"form": form, "here": "account"}
    return waiting(render(request, "accounts/account_password.html", shown, status=status), wait)


@counted_as("codes")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reset(request: HttpRequest) -> HttpResponse:
    """For whoever forgot their password: where should the code go? The answer is the same for every address."""
    form = AskResetForm(request.POST or None)
    if form.is_valid():
        address: Address = form.cleaned_data["address"]
        wake_sender(ask_for_reset(address=address, device_tokens=shown_by(request), now=timezone.now()))
        request.session[RESETTING] = address.value
        return see_other("password_reset_confirm")
    shown = {"form": form, "here": "sign_in"}
    return render(request, "accounts/password_reset.html", shown, status=400 if form.is_bound else 200)


@counted_as("codes")
@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reset_confirm(request: HttpRequest) -> HttpResponse:
    """The code and a new password."""
    form = ResetForm(request.POST or None, initial={"address": request.session.get(RESETTING, "")})
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        try:
            done = reset_password(**form.cleaned_data, device_tokens=shown_by(request), now=timezone.now())
        except Refusal as refusal:
            status, wait = say(form, refusal, code_invalid="code"), refusal.retry_after_seconds
        else:
            return _has_new_password(request, done)
    shown = {"form": form, "here": "sign_in"}
    return waiting(render(request, "accounts/password_reset_confirm.html", shown, status=status), wait)


@counted_as("codes")
@sensitive_post_parameters()
@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def reset_by_link(request: HttpRequest) -> HttpResponse:
    """Where the link in the message leads. Looking changes nothing, for mail servers open links, too."""
    form = NewPasswordForm(request.POST or None, initial={"token": request.GET.get(reset_links.PARAMETER, "")})
    token, now = form["token"].value() or "", timezone.now()
    status = 400 if form.is_bound else 200
    try:
        reset_links.message_of(token=token, now=now)
        if form.is_valid():
            done = reset_password_by_link(**form.cleaned_data, device_tokens=shown_by(request), now=now)
            return _has_new_password(request, done)
    except Refusal as refusal:
        if refusal.code != "invalid":
            shown = {"refused": refusal, "here": "sign_in"}
            return render(request, "accounts/password_reset_link.html", shown, status=refusal.status)
        status = say(form, refusal)
    return render(request, "accounts/password_reset_link.html", {"form": form, "here": "sign_in"}, status=status)


def _has_new_password(request: HttpRequest, done: Reset) -> HttpResponse:
    """Whoever is signed in here was signed out with the rest; strangers' wrong tries keep nobody out here."""
    wake_sender(done.messages)
    close_page_session(request)
    messages.success(request, "You have a new password. Sign in with it.")
    response = see_other("sign_in")
    keep(response, tokens=done.device_tokens)
    return response
