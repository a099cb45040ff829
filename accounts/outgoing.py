"""
From notifications to the messages that leave: one row for each address and each browser, in few queries for thousands.

Somebody to whom much happens is not sent a message for all of it: past some an hour the rest is folded into one that
says that there is more, and the app shows all. What touches the account's safety is never folded.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import router
from django.db.models import Count, Q

from accounts import senders
from accounts.delivery_times import FIRST_WAIT
from accounts.messages import MORE, NOTICES
from accounts.models import Notification, NotificationPreference, OutgoingMessage, PushSubscription, User
from wallet_project.kernel.database import require_transaction

By = OutgoingMessage.By
Channel = NotificationPreference.Channel

WINDOW: Final = timedelta(hours=1)
# Of one person, in the window. An SMS interrupts, and costs money.
MOST_IN_A_WINDOW: Final = {By.EMAIL: 30, By.PHONE: 10, By.PUSH: 30}
# What is folded waits so long for its like.
FOLDED_FOR: Final = timedelta(minutes=15)
_BY: Final = {Channel.EMAIL: By.EMAIL, Channel.SMS: By.PHONE, Channel.PUSH: By.PUSH}
_Place = tuple[int, By]


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    A notification that is to reach its person outside the app as well; whether they want that was judged.

    :ivar notification: as it was saved.
    :ivar user: with their addresses.
    """

    notification: Notification
    user: User
    channel: NotificationPreference.Channel


def queue(*, deliveries: Sequence[Delivery], now: datetime) -> list[int]:
    """
    Note in the caller's transaction that these must go out. Who has no such address or browser is passed over.

    :returns: ids of the messages that now wait, for `wake_sender` after the commit; what is folded waits for a sweep.
    """
    if not deliveries:
        return []
    require_transaction(router.db_for_write(OutgoingMessage))
    browsers = browsers_of(each.user.pk for each in deliveries if each.channel == Channel.PUSH)
    lately = _sent_lately({each.user.pk for each in deliveries}, now)
    rows: list[OutgoingMessage] = []
    folded: dict[_Place, list[str]] = {}
    for each in deliveries:
        by = _BY[each.channel]
        place, addresses = (each.user.pk, by), _addresses(each.user, by, browsers)
        if not addresses:
            continue
        if each.notification.kind not in NOTICES and lately[place] >= MOST_IN_A_WINDOW[by]:
            folded[place] = addresses
            continue
        lately[place] += 1
        rows += [
            row_of(user=each.user, by=by, address=address, notification=each.notification, now=now)
            for address in addresses
        ]
    OutgoingMessage.objects.bulk_create(rows)
    fold(places=folded, now=now)
    return [row.pk for row in rows]


def row_of(
    *, user: User, by: OutgoingMessage.By, address: str, notification: Notification | None, now: datetime
) -> OutgoingMessage:
    """A message that tells of a notification; not saved."""
    return OutgoingMessage(
        user=user,
        purpose=OutgoingMessage.Purpose.NOTICE,
        channel=by,
        address=address,
        notification=notification,
        requested_at=now,
        next_at=now + FIRST_WAIT,
    )


def fold(*, places: dict[_Place, list[str]], now: datetime) -> None:
    """One message to each of these addresses says that there is more, unless one waits to say so already."""
    if not places:
        return
    waiting = OutgoingMessage.objects.filter(
        user__in={user for user, _ in places}, details__kind=MORE, sent_at=None, given_up_at=None
    )
    # By its address too: whose address was changed is told at the one of before as well.
    waits = set(waiting.values_list("user", "channel", "address"))
    OutgoingMessage.objects.bulk_create(
        OutgoingMessage(
            user_id=user,
            purpose=OutgoingMessage.Purpose.NOTICE,
            channel=by,
            address=address,
            details={"kind": MORE},
            requested_at=now,
            next_at=now + FOLDED_FOR,
        )
        for (user, by), addresses in places.items()
        for address in addresses
        if (user, by, address) not in waits
    )


def browsers_of(users: Iterable[int]) -> dict[int, list[str]]:
    """The browsers that may be woken, by their public ids; whose session was ended is none of theirs any more."""
    wanted = set(users)
    if not wanted or not settings.VAPID_PRIVATE_KEY:
        return {}
    found: dict[int, list[str]] = {}
    live = PushSubscription.objects.filter(user__in=wanted).filter(Q(session=None) | Q(session__revoked_at=None))
    for subscription in live.only("user", "uuid").order_by("pk"):
        found.setdefault(subscription.user_id, []).append(subscription.public_id)
    return found


def _addresses(user: User, by: OutgoingMessage.By, browsers: dict[int, list[str]]) -> list[str]:
    if by == By.PUSH:
        return browsers.get(user.pk, [])
    value = getattr(user, by.value)
    is_theirs = value is not None and getattr(user, f"{by.value}_verified_at") is not None
    return [value] if is_theirs and senders.can_reach(by) else []


def _sent_lately(users: set[int], now: datetime) -> Counter[_Place]:
    rows = OutgoingMessage.objects.filter(user__in=users, requested_at__gt=now - WINDOW, notification__isnull=False)
    counted = rows.values_list("user", "channel").annotate(Count("notification", distinct=True))
    return Counter({(user, By(by)): many for user, by, many in counted})
