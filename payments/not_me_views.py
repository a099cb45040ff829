"""The page where people say of a notification that it was not them. Looking at it does nothing: mail servers do."""

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from accounts.models import Notification, Session, User
from accounts.page_sessions import close_page_session, session_of
from accounts.signed_in import SignedInRequest, signed_in
from accounts.tasks import wake_sender
from payments.models import Case
from payments.not_me import case_of, is_stopped, notification_of_link, own_notification, stop
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other


@sensitive_variables("token")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def by_link(request: HttpRequest, token: str) -> HttpResponse:
    """
    Where the link in a message leads: for whoever has it, signed in or not. Counted as any page, and not as what guards
    a code: nobody guesses it, and whoever stops a thief waits neither for Redis nor for others of their network.
    """
    try:
        notification = notification_of_link(token=token, now=timezone.now())
    except Refusal as refusal:
        return render(request, "payments/not_me.html", {"refused": refusal}, status=refusal.status)
    if request.method == "POST":
        wake_sender(stop(notification=notification, keep=None, now=timezone.now()).messages)
        if request.user.pk == notification.user_id:
            close_page_session(request)
        return see_other("not_me", token)
    return _page(request, notification, notification.user, action=reverse("not_me", args=[token]), stays=False)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def signed_in_page(request: SignedInRequest, id: str) -> HttpResponse:
    """The same from the list of notifications; whoever says it there stays signed in."""
    notification = own_notification(user=request.user, notification=id)
    if request.method == "POST":
        keep = cast(Session, session_of(request)).uuid
        wake_sender(stop(notification=notification, keep=keep, now=timezone.now()).messages)
        return see_other("not_me_notification", id)
    return _page(request, notification, request.user, action=reverse("not_me_notification", args=[id]), stays=True)


def _page(request: HttpRequest, notification: Notification, user: User, *, action: str, stays: bool) -> HttpResponse:
    """:param stays: whether this browser stays signed in."""
    case = case_of(notification=notification)
    said = case is not None and case.state == Case.State.OPEN and is_stopped(user=user)
    shown: dict[str, Any] = {
        "notification": notification,
        "action": action,
        "stays": stays,
        "said": said,
        "said_before": case is not None and not said,
        "is_closed": user.status == User.Status.CLOSED,
        "is_blocked": user.status == User.Status.BLOCKED,
        "here": "notifications",
    }
    return render(request, "payments/not_me.html", shown)
