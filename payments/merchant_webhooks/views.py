"""Pages of a merchant's webhooks. For everybody else there is nothing here."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.factor_changes import FRESH
from accounts.models import Session
from accounts.page_sessions import session_of
from accounts.signed_in import SignedInRequest, signed_in
from payments.merchant_webhooks import endpoints, log
from payments.merchant_webhooks.forms import AgainForm, EndpointForm, TypesForm
from payments.models import WebhookEndpoint, WebhookMessage
from payments.tasks import send_merchant_webhooks
from payments.views import say_errors
from payments.waking import wake
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other

_FORM: Final = ["GET", "HEAD", "POST"]
_FIELDS_OF_CODES: Final = {"credentials_invalid": "password", "otp_required": "code", "otp_invalid": "code"}

State = WebhookMessage.State


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint or a message stands, as a badge and a sentence say it."""

    badge: str
    tone: str
    sentence: str = ""


@signed_in
@require_safe
def webhooks(request: SignedInRequest) -> HttpResponse:
    """Where this merchant is told."""
    found = endpoints.endpoints_of(user=request.user)
    shown = {
        "endpoints": [(each, _standing(each)) for each in found],
        "is_full": len(found) >= settings.MOST_WEBHOOK_ENDPOINTS,
        "most": settings.MOST_WEBHOOK_ENDPOINTS,
        "here": "webhooks",
    }
    return render(request, "payments/webhooks.html", shown)


@counted_as("sign_in")
@sensitive_post_parameters()
@signed_in
@require_http_methods(_FORM)
def add(request: SignedInRequest) -> HttpResponse:
    """The secret is shown in the answer, this once."""
    endpoints.merchant_wallet_of(user=request.user)
    form = EndpointForm(request.POST or None, with_code=_wants_code(request))
    return _asked_again(request, form, endpoints.add_endpoint, "payments/webhook_add.html", {})


@counted_as("sign_in")
@sensitive_post_parameters()
@signed_in
@require_http_methods(_FORM)
def rotate(request: SignedInRequest, id: str) -> HttpResponse:
    """A new secret, shown in the answer."""
    found = endpoints.find_endpoint(user=request.user, endpoint=id)

    def deed(**given: Any) -> endpoints.WithSecret:
        return endpoints.rotate_secret(endpoint=id, **given)

    form = AgainForm(request.POST or None, with_code=_wants_code(request))
    return _asked_again(request, form, deed, "payments/webhook_rotate.html", {"endpoint": found})


@signed_in
@require_http_methods(_FORM)
def webhook(request: SignedInRequest, id: str) -> HttpResponseBase:
    """One endpoint: how it stands, what it is told of, and what was sent to it."""
    found = endpoints.find_endpoint(user=request.user, endpoint=id)
    # A form without a tick may be sent with nothing in it.
    sent = request.POST if request.method == "POST" else None
    form, status = TypesForm(sent, initial={"types": found.types}), 200
    if form.is_valid():
        types = form.cleaned_data["types"]
        endpoints.choose_types(user=request.user, endpoint=id, types=types, now=timezone.now())
        messages.success(request, "Changed. It holds from now on.")
        return see_other("webhook", id)
    if form.is_bound:
        status = 400
    cursor = request.GET.get("cursor") or None
    try:
        page = log.messages_of(endpoint=found, cursor=cursor)
    except Refusal:
        # A cursor that is none of ours: begin at the top.
        return redirect("webhook", id)
    shown = {
        "endpoint": found,
        "standing": _standing(found),
        "form": form,
        "lines": [(each, _standing_of_message(each, found)) for each in page.messages],
        "older": page.next,
        "paged": cursor is not None,
        "now": timezone.now(),
        "here": "webhooks",
    }
    return render(request, "payments/webhook.html", shown, status=status)


@signed_in
@require_POST
def switch(request: SignedInRequest, id: str) -> HttpResponse:
    """On with `on=1`, else off."""
    on = request.POST.get("on") == "1"
    try:
        changed = endpoints.switch(user=request.user, endpoint=id, on=on, now=timezone.now())
    except Refusal as refusal:
        return _refused(request, refusal, id)
    if on:
        wake(send_merchant_webhooks, endpoint_id=changed.pk)
    messages.success(request, "It is told again." if on else "It is told nothing any more.")
    return see_other("webhook", id)


@signed_in
@require_http_methods(_FORM)
def remove(request: SignedInRequest, id: str) -> HttpResponse:
    """First a page that asks; then the deed."""
    found = endpoints.find_endpoint(user=request.user, endpoint=id)
    if request.method == "POST":
        endpoints.remove_endpoint(user=request.user, endpoint=id, now=timezone.now())
        messages.success(request, "The address is removed.")
        return see_other("webhooks")
    return render(request, "payments/webhook_remove.html", {"endpoint": found, "here": "webhooks"})


@counted_as("deliveries")
@signed_in
@require_POST
def ping(request: SignedInRequest, id: str) -> HttpResponse:
    """A test event; its page shows what becomes of it."""
    try:
        message = log.ping(user=request.user, endpoint=id, now=timezone.now())
    except Refusal as refusal:
        return _refused(request, refusal, id)
    wake(send_merchant_webhooks, endpoint_id=message.endpoint_id)
    return see_other("webhook_delivery", id, message.public_id)


@signed_in
@require_safe
def delivery(request: SignedInRequest, id: str, message: str) -> HttpResponse:
    """One message: what was sent, and each try with what came back."""
    found = endpoints.find_endpoint(user=request.user, endpoint=id)
    row = log.find_message(endpoint=found, message=message)
    shown = {
        "endpoint": found,
        "message": row,
        "standing": _standing_of_message(row, found),
        "attempts": log.attempts_of(message=row),
        "here": "webhooks",
    }
    return render(request, "payments/webhook_delivery.html", shown)


@counted_as("deliveries")
@signed_in
@require_POST
def redeliver(request: SignedInRequest, id: str, message: str) -> HttpResponse:
    """Once more, at once."""
    try:
        row = log.redeliver(user=request.user, endpoint=id, message=message, now=timezone.now())
    except Refusal as refusal:
        return _refused(request, refusal, id)
    wake(send_merchant_webhooks, endpoint_id=row.endpoint_id)
    messages.success(request, "It is sent again. Look at this page once more in a moment.")
    return see_other("webhook_delivery", id, message)


def _asked_again(
    request: SignedInRequest,
    form: AgainForm,
    deed: Callable[..., endpoints.WithSecret],
    template: str,
    shown: dict[str, Any],
) -> HttpResponse:
    """A deed that asks for password and factor once more, and makes a secret."""
    status, wait = 400 if form.is_bound else 200, None
    if form.is_valid():
        shown_at = cast(Session, session_of(request)).factor_at
        try:
            made = deed(user=request.user, now=timezone.now(), shown_at=shown_at, **form.of_deed)
        except Refusal as refusal:
            if refusal.code == "not_found":
                raise
            status, wait = refusal.status, refusal.retry_after_seconds
            field = _FIELDS_OF_CODES.get(refusal.code, "")
            if field in form.fields:
                form.add_error(field, refusal.detail)
            else:
                say_errors(form, refusal)
        else:
            # In the answer to the POST, for nothing keeps it.
            made_now = {"endpoint": made.endpoint, "secret": made.secret, "here": "webhooks"}
            return render(request, "payments/webhook_secret.html", made_now)
    answer = render(request, template, {**shown, "form": form, "here": "webhooks"}, status=status)
    if wait is not None:
        answer["Retry-After"] = str(wait)
    return answer


def _refused(request: SignedInRequest, refusal: Refusal, id: str) -> HttpResponse:
    if refusal.code == "not_found":
        raise refusal
    messages.error(request, refusal.detail)
    return see_other("webhook", id)


def _wants_code(request: SignedInRequest) -> bool:
    """Whoever has no factor, or showed one a moment ago, is asked for the password alone."""
    shown_at = cast(Session, session_of(request)).factor_at
    return request.user.second_factor and (shown_at is None or timezone.now() - shown_at > FRESH)


def _standing(endpoint: WebhookEndpoint) -> Standing:
    if endpoint.state == WebhookEndpoint.State.DISABLED:
        sentence = {
            WebhookEndpoint.Reason.OWNER: "You switched it off.",
            WebhookEndpoint.Reason.GONE: "It answered that it is gone (410), so it was switched off.",
            WebhookEndpoint.Reason.FAILING: "It took nothing for days, so it was switched off.",
        }[WebhookEndpoint.Reason(endpoint.reason)]
        return Standing("Off", "" if endpoint.reason == WebhookEndpoint.Reason.OWNER else "bad", sentence)
    if endpoint.failing_since is not None:
        return Standing("Failing", "wait", f"It has taken nothing since {_when(endpoint.failing_since)}.")
    return Standing("On", "good")


def _standing_of_message(message: WebhookMessage, endpoint: WebhookEndpoint) -> Standing:
    if message.state == State.DELIVERED:
        return Standing("Taken", "good")
    if message.state == State.GIVEN_UP:
        return Standing("Given up", "bad", "It was tried often enough. Send it again when your server is well.")
    if endpoint.state != WebhookEndpoint.State.ACTIVE:
        return Standing("Waits", "wait", "It is sent when the address is switched on again.")
    if message.next_attempt_at is None or not message.tries:
        return Standing("Waits", "wait", "It is sent in a moment.")
    return Standing("Waits", "wait", f"It is sent again at {_when(message.next_attempt_at)}.")


def _when(at: datetime) -> str:
    return f"{timezone.localtime(at):%-d %b, %H:%M}"
