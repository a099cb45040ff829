"""
Taking events in: their effect and the mark that they had it, in one transaction, so that each has it once.

A broker delivers at least once: after a rebalance, a crash between COMMIT and the offset's commit, or a sweep that
publishes again. The mark's primary key is what makes that harmless.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import django.db
import psycopg
from django.conf import settings
from django.db import connection

from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.events.envelope import TYPES, Event
from wallet_project.kernel.models import ConsumerGroup

# Called in a transaction on `default`, with events that this group has not taken in before, a wallet's in their order.
# Whatever it raises undoes its effect and the marks.
Handler = Callable[[Sequence[Event]], None]

# The clock that dated an event and the one that prunes need not agree to the second.
_CLOCKS_DIFFER: Final = timedelta(hours=1)
# What the database refuses because of the statement itself: it took too long, or is too large. Django calls these
# operational as well, and yet the next attempt would end like the first.
_OF_THE_STATEMENT: Final = ("57014", "54")
# While a standby takes over, it is asked too early.
_READ_ONLY: Final = "25006"


class NotGenuine(Exception):
    """
    What a handler says of a message that is not what was told, though it bears an event's id.

    It is done with, and the event of that id is not: that one is still owed.
    """


def register(*, group: str, now: datetime) -> int:
    """The group's primary key; from its first start on it is owed every event."""
    found, _ = ConsumerGroup.objects.get_or_create(name=group, defaults={"registered_at": now})
    return found.pk


def take_in(*, group_id: int, handler: Handler, events: Sequence[Event], now: datetime) -> None:
    """
    Call the handler with those of `events` that the group has no mark of, and mark them. What happened before the group
    registered is none of its business, though the broker may still have it, or get it only now: the first group to run
    finds all of a wallet's history waiting.

    Types that nobody knows are passed over without a mark: a later release that knows one is still owed it, and whoever
    writes such a message with the id of an event settles nothing of that event.

    Another member may hold the same events for a moment, after a rebalance: whoever marks second waits for the first,
    and finds nothing left to do.
    """
    require_transaction("default")
    known: dict[UUID, Event] = {}
    for event in events:
        if event.type in TYPES:
            known.setdefault(event.id, event)
    for old in settled_long_ago(events, now=now) | _of_before(group_id, events, now=now):
        known.pop(old, None)
    new = _mark(group_id, known, now=now)
    owed = [event for event_id, event in known.items() if event_id in new]
    if owed:
        handler(owed)


def _mark(group_id: int, ids: Collection[UUID], *, now: datetime) -> set[UUID]:
    """
    Those of `ids` that had no mark yet.

    Two members with the same events insert them in the same order, so that neither waits for the other in a circle.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO kernel_consumedevent (group_id, event_id, is_dead, recorded_at)"
            " SELECT %s, event_id, false, %s FROM unnest(%s::uuid[]) AS event_id ORDER BY event_id"
            " ON CONFLICT DO NOTHING RETURNING event_id",
            [group_id, now, list(ids)],
        )
        return {event_id for (event_id,) in cursor.fetchall()}


def settled_long_ago(events: Sequence[Event], *, now: datetime) -> set[UUID]:
    """
    Events so old that their marks may have been pruned, and that no group is owed any more.

    A mark goes with its outbox row, once every group has recorded it and days have passed. So an old event is still
    owed exactly where its row is not settled; those rows are few, and have partial indexes of their own.
    """
    age = timedelta(days=settings.OUTBOX_KEEP_DAYS) - _CLOCKS_DIFFER
    old = {event.id for event in events if now - event.time > age}
    if not old:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id FROM kernel_outboxevent WHERE published_at IS NULL AND event_id = ANY(%(ids)s)"
            " UNION ALL SELECT event_id FROM kernel_outboxevent"
            " WHERE published_at IS NOT NULL AND settled_at IS NULL AND event_id = ANY(%(ids)s)",
            {"ids": list(old)},
        )
        return old - {event_id for (event_id,) in cursor.fetchall()}


def _of_before(group_id: int, events: Sequence[Event], *, now: datetime) -> set[UUID]:
    """Events of before the group registered; what came in its first hour is worth no question."""
    aged = [event for event in events if now - event.time > _CLOCKS_DIFFER]
    if not aged:
        return set()
    registered_at = ConsumerGroup.objects.values_list("registered_at", flat=True).get(pk=group_id)
    return {event.id for event in aged if event.time < registered_at - _CLOCKS_DIFFER}


def is_database_away(error: BaseException) -> bool:
    """
    Whether the database was out of reach or busy: no event's fault, and nothing to do but wait.

    Django's errors carry the driver's as their cause; the pool's time-out is one of the driver's.
    """
    driver: Any = error if isinstance(error, psycopg.Error) else error.__cause__
    if isinstance(driver, psycopg.Error):
        state = driver.sqlstate or ""
        away = isinstance(driver, psycopg.OperationalError | psycopg.InterfaceError) or state == _READ_ONLY
        return away and not state.startswith(_OF_THE_STATEMENT)
    return isinstance(error, django.db.OperationalError | django.db.InterfaceError)
