"""
Telling people what happened: a row that the app shows, and from it the messages that leave by e-mail, SMS and push.

The row is written in the transaction of what it tells of, or of the event that it was heard from, and once for each
event. What a person prefers decides only about the messages.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import router

from accounts import outgoing
from accounts.models import Notification, NotificationPreference, User
from accounts.notification_preferences import channels_for
from accounts.notification_texts import words_of
from wallet_project.kernel.database import read_prepared, require_transaction
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id, public_id
from wallet_project.kernel.newest_first import cut, place_of

MOST_ROWS: Final = 100
USUAL_ROWS: Final = 20
# What a page counts to; past it the number says nothing more.
MOST_COUNTED: Final = 100
# An event that is heard so late is no news: it stands in the list and in an e-mail, and rings nobody up.
NEWS_FOR: Final = timedelta(days=1)

Channel = NotificationPreference.Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """
    One thing to tell one person.

    :ivar kind, details: see `accounts.notification_texts`.
    :ivar transaction: the ledger transaction's uuid.
    :ivar event_id: of the event that it was heard from: told once, however often that comes.
    :ivar happened_at: where that was before now.
    """

    user_id: int
    kind: str
    details: Mapping[str, str] = field(default_factory=dict)
    transaction: UUID | None = None
    event_id: UUID | None = None
    happened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotificationsPage:
    rows: list[Notification]
    next: str | None


@dataclass(frozen=True, slots=True)
class Bell:
    """
    What every page shows of them.

    :ivar unread: how many nobody has read, counted to `MOST_COUNTED` and no further.
    :ivar newest: the last one told, by its public id; "" before the first.
    """

    unread: int
    newest: str

    @property
    def text(self) -> str:
        return f"{MOST_COUNTED - 1}+" if self.unread >= MOST_COUNTED else str(self.unread)


_BELL: Final = """
SELECT (SELECT count(*) FROM (SELECT FROM accounts_notification
                              WHERE user_id = %(user)s AND read_at IS NULL LIMIT %(most)s) unread),
       (SELECT uuid FROM accounts_notification WHERE user_id = %(user)s ORDER BY created_at DESC, id DESC LIMIT 1)
"""


def add(*, new: Sequence[New], now: datetime) -> list[int]:
    """
    Tell people, in the caller's transaction and with a few queries whatever their number. People whose account is
    closed are told nothing, nor is anybody told of an event a second time.

    :returns: ids of the outgoing messages that now wait; the caller wakes the sender after its commit.
    """
    # Within a posting, that is the posting's own.
    require_transaction(router.db_for_write(Notification))
    people = {
        user.pk: user
        for user in User.objects.filter(pk__in={each.user_id for each in new}).exclude(status=User.Status.CLOSED)
    }
    rows = _written([_row(each, now) for each in new if each.user_id in people])
    told = [(people[row.user_id], row) for row in rows]
    return outgoing.queue(
        deliveries=[
            outgoing.Delivery(notification=row, user=user, channel=channel)
            for (user, row), channels in zip(
                told, channels_for(wanted=[(user, row.kind) for user, row in told]), strict=True
            )
            for channel in sorted(channels)
            if channel == Channel.EMAIL or row.created_at > now - NEWS_FOR
        ],
        now=now,
    )


def note(*, user: User, kind: str, details: Mapping[str, str], now: datetime) -> Notification:
    """What the app shows of a notice (`accounts.notices`), which sends its own messages."""
    row = _row(New(user_id=user.pk, kind=kind, details=details), now)
    row.save(force_insert=True)
    return row


def notifications_of(*, user: User, cursor: str | None = None, limit: int = USUAL_ROWS) -> NotificationsPage:
    """
    One page of what a person was told, newest first; stable while more comes in.

    :raises Refusal: `cursor_invalid`.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"A page has 1 to {MOST_ROWS} rows.")
    theirs = Notification.objects.filter(user=user)
    wanted = theirs
    if cursor is not None:
        last = place_of(cursor, theirs)
        # The first bounds the index; of equal times only those go that were shown.
        wanted = wanted.filter(created_at__lte=last.created_at).exclude(created_at=last.created_at, pk__gte=last.pk)
    return NotificationsPage(*cut(list(wanted.order_by("-created_at", "-pk")[: limit + 1]), limit))


def unread_of(*, user: User, at_most: int | None = None) -> int:
    """
    How many nobody has read yet.

    :param at_most: count no further.
    """
    unread = Notification.objects.filter(user=user, read_at=None)
    return unread.count() if at_most is None else unread[:at_most].count()


def bell_of(*, user: User) -> Bell:
    """One cheap query, for it is asked on every page, and every other second while one is looked at."""
    ((unread, newest),) = read_prepared(_BELL, {"user": user.pk, "most": MOST_COUNTED})
    return Bell(unread, "" if newest is None else public_id(Notification.PREFIX, newest))


def told_after(*, user: User, seen: str, at_most: int) -> list[Notification]:
    """
    What a person was told since they saw that one, oldest first, and of many the newest; nothing after one that is not
    theirs.

    :param seen: its public id; "" for who had none.
    """
    theirs = Notification.objects.filter(user=user)
    newer = theirs
    if seen:
        uuid = parse_public_id(Notification.PREFIX, seen)
        last = None if uuid is None else theirs.filter(uuid=uuid).first()
        if last is None:
            return []
        newer = theirs.filter(created_at__gte=last.created_at).exclude(created_at=last.created_at, pk__lte=last.pk)
    return list(newer.order_by("-created_at", "-pk")[:at_most])[::-1]


def read(*, user: User, notification: str, now: datetime) -> Notification:
    """
    It was read; twice is as good as once, and keeps the first time.

    :param notification: its public id.
    :raises Refusal: `not_found`, for unknown ids and other people's alike.
    """
    uuid = parse_public_id(Notification.PREFIX, notification)
    theirs = Notification.objects.none() if uuid is None else Notification.objects.filter(user=user, uuid=uuid)
    theirs.filter(read_at=None).update(read_at=now)
    found = theirs.first()
    if found is None:
        raise Refusal("not_found", "There is no such notification.")
    return found


def read_all(*, user: User, now: datetime) -> int:
    """All that were told until now. Returns how many were not read before."""
    return Notification.objects.filter(user=user, read_at=None).update(read_at=now)


def _row(new: New, now: datetime) -> Notification:
    words = words_of(kind=new.kind, details=new.details)
    return Notification(
        user_id=new.user_id,
        kind=new.kind,
        title=words.title,
        text=words.text,
        transaction=new.transaction,
        event_id=new.event_id,
        created_at=new.happened_at or now,
    )


def _written(rows: Iterable[Notification]) -> list[Notification]:
    """Those that were not told before, with their keys: a conflict is passed over, and gives no key back."""
    given = {row.uuid: row for row in rows}
    Notification.objects.bulk_create(given.values(), ignore_conflicts=True)
    found = Notification.objects.filter(uuid__in=given).order_by("pk")
    return list(found)
