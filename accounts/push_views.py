"""Switching web push on and off for a browser, and the worker that shows what was pushed."""

from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from accounts import push
from accounts.known_devices import label_of
from accounts.models import Session
from accounts.page_sessions import session_of
from accounts.push_forms import PushForm
from accounts.signed_in import SignedInRequest, signed_in
from wallet_project.kernel.clients import client
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other


def push_card(request: SignedInRequest) -> dict[str, Any] | None:
    """What `accounts/push.html` shows; None where nobody can be woken."""
    if not push.is_on():
        return None
    return {"public_key": push.public_key(), "browsers": push.subscriptions_of(user=request.user), "form": PushForm()}


@require_safe
def worker(_: HttpRequest) -> HttpResponse:
    """At the root, so that it may speak for all our pages."""
    if not push.is_on():
        raise Http404
    return HttpResponse(_worker(), content_type="text/javascript; charset=utf-8")


@counted_as("pages")
@require_POST
@signed_in
def push_on(request: SignedInRequest) -> HttpResponse:
    """What the browser's script filled in; without it nobody gets here."""
    if not push.is_on():
        raise Http404
    form = PushForm(request.POST)
    try:
        if not form.is_valid():
            raise Refusal("invalid", "Your browser gave no address that it is reached at. Try again.")
        push.subscribe(
            user=request.user,
            session=cast(Session, session_of(request)),
            label=label_of(client.get().agent),
            now=timezone.now(),
            **form.cleaned_data,
        )
    except Refusal as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, "This browser is told what happens.")
    return see_other("notification_preferences")


@counted_as("pages")
@require_POST
@signed_in
def push_off(request: SignedInRequest, id: str) -> HttpResponse:
    push.unsubscribe(user=request.user, subscription=id, now=timezone.now())
    messages.success(request, "That browser is told nothing any more.")
    return see_other("notification_preferences")


@lru_cache(maxsize=1)
def _worker() -> bytes:
    return (settings.BASE_DIR / "static" / "js" / "push-worker.js").read_bytes()
