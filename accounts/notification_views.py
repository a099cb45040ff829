"""Pages of what a person was told and where they want to hear of it; and the bell, on every page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import SimpleLazyObject
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import notifications
from accounts.models import Notification, User
from accounts.notification_choices import Choice, choose
from accounts.notification_preferences import CHANNELS, ROWS, preferences_of
from accounts.push_views import push_card
from accounts.signed_in import SignedInRequest, signed_in
from accounts.tasks import wake_sender
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.page_limits import counted_as
from wallet_project.kernel.redirects import see_other

# They tell that everything is stopped already.
_NOTHING_TO_STOP: Final = frozenset({"not_me", "wallet_frozen", "blocked", "account_closed"})


@dataclass(frozen=True, slots=True)
class Shown:
    """
    A notification as the page shows it.

    :ivar receipt: where its transaction is shown; `not_me`, where a reader goes who did not do this. Either may be "".
    """

    row: Notification
    receipt: str
    not_me: str


@dataclass(frozen=True, slots=True)
class Day:
    name: str
    shown: list[Shown]


def bell(request: HttpRequest) -> dict[str, Any]:
    """Context of every template: what the bell shows. Asked for when it is drawn, and so only for who is signed in."""
    if not hasattr(request, "user"):
        return {}
    return {"bell": SimpleLazyObject(lambda: notifications.bell_of(user=cast(User, request.user)))}


@require_safe
@signed_in
def notification_list(request: SignedInRequest) -> HttpResponse:
    """Newest first, page by page, under the days on which it happened."""
    cursor = request.GET.get("cursor") or None
    try:
        page = notifications.notifications_of(user=request.user, cursor=cursor)
    except Refusal:
        # No place in the list: it begins at the top.
        return redirect("notifications")
    shown = {
        "days": _by_day(page.rows, timezone.now()),
        "next": page.next,
        "paged": cursor is not None,
        "here": "notifications",
    }
    return render(request, "accounts/notifications.html", shown)


@counted_as("pages")
@require_POST
@signed_in
def notification_read(request: SignedInRequest, id: str) -> HttpResponse:
    notifications.read(user=request.user, notification=id, now=timezone.now())
    return see_other("notifications")


@counted_as("pages")
@require_POST
@signed_in
def notifications_read(request: SignedInRequest) -> HttpResponse:
    notifications.read_all(user=request.user, now=timezone.now())
    return see_other("notifications")


@counted_as("pages")
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def preferences(request: SignedInRequest) -> HttpResponse:
    """A box for each channel of each row. A box that is not sent is off; those of a locked row are not looked at."""
    if request.method == "POST":
        choices = [_choice(request, row.name) for row in ROWS if not row.is_locked]
        wake_sender(choose(user=request.user, choices=choices, now=timezone.now()))
        messages.success(request, "Your notification settings are saved.")
        return see_other("notification_preferences")
    shown = {"preferences": preferences_of(user=request.user), "push": push_card(request), "here": "account"}
    return render(request, "accounts/notification_preferences.html", shown)


def _choice(request: HttpRequest, name: str) -> Choice:
    return Choice(kind=name, **{channel.value: f"{name}.{channel.value}" in request.POST for channel in CHANNELS})


def _by_day(rows: Iterable[Notification], now: datetime) -> list[Day]:
    today = timezone.localdate(now)
    return [
        Day(_name_of(day, today), [_shown(row) for row in of_day])
        for day, of_day in groupby(rows, key=lambda row: timezone.localdate(row.created_at))
    ]


def _name_of(day: date, today: date) -> str:
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return date_format(day, "j F Y")


def _shown(row: Notification) -> Shown:
    return Shown(
        row=row,
        receipt="" if row.transaction_id is None else reverse("receipt", args=[row.transaction_id]),
        not_me="" if row.kind in _NOTHING_TO_STOP else reverse("not_me_notification", args=[row.public_id]),
    )
