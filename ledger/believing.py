"""
Consumers believe the ledger, and of what a broker says no more than where to look.

Whoever can write to the broker could else have a merchant told, in our name, that somebody paid. So each event is found
in the outbox again, by its id, and rendered from the ledger once more: what is handed on is what was told here.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from django.db import connection
from django.utils import timezone

from ledger.events import TYPE_OF, render
from ledger.models import Transaction
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.outbox import Row
from wallet_project.kernel.events.recording import NotGenuine, settled_long_ago
from wallet_project.kernel.ids import parse_public_id
from wallets.models import Wallet

_STATUS_OF: Final = {type_: status for status, type_ in TYPE_OF.items()}
_NOBODYS: Final = UUID(int=0)

_FIND: Final = """
SELECT t.id, w.id, t.status, o.event_id, o.sequence, o.created_at
FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) WITH ORDINALITY AS n (transaction, wallet, status, place)
LEFT JOIN ledger_transaction t ON t.uuid = n.transaction
LEFT JOIN wallets_wallet w ON w.uuid = n.wallet AND w.id IN (t.from_wallet_id, t.to_wallet_id)
LEFT JOIN kernel_outboxevent o ON o.transaction_id = t.id AND o.wallet_id = w.id AND o.status = n.status
ORDER BY n.place
"""


class NeverTold(NotGenuine, LookupError):
    """The ledger told nothing of the kind: a lie, or a broker that serves another ledger."""


class _Found(NamedTuple):
    transaction_id: int | None
    wallet_id: int | None
    status: str | None
    event_id: UUID | None
    sequence: int | None
    created_at: Any


def as_told(events: Sequence[Event]) -> list[Event]:
    """
    These events as the ledger tells them, in their order, with two queries whatever their number. Types that are none
    of the ledger's stay as they are.

    :raises NeverTold: one of them is not what the ledger told.
    """
    of_ledger = [event for event in events if event.type in _STATUS_OF]
    if not of_ledger:
        return list(events)
    connection.ensure_connection()
    # Django's own merges parameters into the text.
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(
            _FIND,
            [
                [parse_public_id(Transaction.PREFIX, event.data.get("transaction")) or _NOBODYS for event in of_ledger],
                [parse_public_id(Wallet.PREFIX, event.subject) or _NOBODYS for event in of_ledger],
                [_STATUS_OF[event.type] for event in of_ledger],
            ],
        )
        found = [_Found._make(row) for row in cursor.fetchall()]
        told = render(cursor, [_row(event, each) for event, each in zip(of_ledger, found, strict=True)])
    by_id = {event.id: event for event in told}
    return [by_id.get(event.id, event) for event in events]


def _row(event: Event, found: _Found) -> Row:
    if found.transaction_id is None or found.wallet_id is None:
        raise NeverTold(f"Event {event.id} tells of what is not in the ledger.")
    status = _STATUS_OF[event.type]
    if found.event_id is None:
        return _pruned(event, found, status)
    if found.event_id != event.id:
        raise NeverTold(f"Event {event.id} is not the one that the ledger told.")
    return _row_of(event.id, found, status, found.sequence, found.created_at)


def _pruned(event: Event, found: _Found, status: str) -> Row:
    """
    Its row went long ago, so it was recorded, and only a dead letter that is replayed so late comes here: younger ones
    have their row, and of older ones `recording` lets none pass but those still owed, whose row is there and not this
    one's. The ledger itself still knows whether it is true.
    """
    is_old = event.id in settled_long_ago([event], now=timezone.now())
    if not is_old or status not in (found.status, Transaction.Status.PENDING):
        raise NeverTold(f"Event {event.id} is not what the ledger told.")
    sequence = event.data.get("sequence")
    return _row_of(event.id, found, status, sequence if isinstance(sequence, int) else None, event.time)


def _row_of(event_id: UUID, found: _Found, status: str, sequence: int | None, created_at: Any) -> Row:
    return Row(
        lane=0,
        number=0,
        event_id=event_id,
        transaction_id=found.transaction_id or 0,
        wallet_id=found.wallet_id or 0,
        status=status,
        sequence=sequence,
        created_at=created_at,
    )
