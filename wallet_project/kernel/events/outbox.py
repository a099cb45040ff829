"""The outbox as the relay sees it: what waits, what is in flight, and what has been published."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from wallet_project.kernel.events.lanes import Session

Cursor = psycopg.Cursor[tuple[Any, ...]]

# Notified after a posting, so that the relay need not look all the time.
CHANNEL: Final = "outbox"


class Row(NamedTuple):
    """A row that waits: the columns of `_WAITING`, in that order."""

    lane: int
    number: int
    event_id: UUID
    transaction_id: int
    wallet_id: int
    status: str
    sequence: int | None
    created_at: datetime


_WAITING: Final = """
SELECT o.lane, o.number, o.event_id, o.transaction_id, o.wallet_id, o.status, o.sequence, o.created_at
FROM unnest(%s::smallint[]) AS l (lane) CROSS JOIN LATERAL (
    SELECT * FROM kernel_outboxevent w WHERE w.lane = l.lane AND w.published_at IS NULL ORDER BY w.number LIMIT %s
) o
"""
_MARK: Final = """
UPDATE kernel_outboxevent o SET published_at = clock_timestamp(), publications = least(o.publications + 1, 32767)
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS n (transaction_id, wallet_id, status)
WHERE o.transaction_id = n.transaction_id AND o.wallet_id = n.wallet_id AND o.status = n.status
    AND o.published_at IS NULL
"""


def read_waiting(cursor: Cursor, lanes: Set[int], most_of_each: int) -> list[Row]:
    """The oldest rows of each of these lanes that are not published, those of a lane in order."""
    if not lanes:
        return []
    cursor.execute(_WAITING, [sorted(lanes), most_of_each], binary=True)
    return [Row._make(row) for row in cursor]


def mark_published(session: Session, rows: Sequence[Row]) -> None:
    """The broker has them."""
    if rows:
        _, _, _, transactions, wallets, statuses, _, _ = zip(*rows, strict=True)
        session.execute(_MARK, [list(transactions), list(wallets), list(statuses)])


class Flight:
    """What was handed to the producer and is not marked yet."""

    def __init__(self) -> None:
        # By token; tokens grow, so both are in the order of launching.
        self._flying: dict[int, Row] = {}
        self._landed: dict[int, dict[int, Row]] = {}
        self._left: dict[int, int] = {}
        self._launched = 0

    @property
    def busy(self) -> Set[int]:
        """The lanes from which nothing more may be sent yet."""
        return self._left.keys()

    def launch(self, row: Row) -> int:
        """A token by which it lands."""
        self._launched += 1
        self._flying[self._launched] = row
        self._left[row.lane] = self._left.get(row.lane, 0) + 1
        return self._launched

    def land(self, token: int) -> None:
        row = self._flying.pop(token)
        self._landed.setdefault(row.lane, {})[token] = row
        self._left[row.lane] -= 1

    def take_whole_lanes(self) -> list[Row]:
        """The rows of lanes of which everything has landed; those lanes are busy no more."""
        whole = [lane for lane, left in self._left.items() if not left]
        for lane in whole:
            del self._left[lane]
        return [row for lane in whole for row in self._landed.pop(lane).values()]

    def take_landed(self) -> list[Row]:
        """What has landed, of lanes that are still busy too; but nothing of a wallet before which something flies."""
        flying: dict[int, int] = {}
        for token, row in self._flying.items():
            flying.setdefault(row.wallet_id, token)
        landed, self._landed = self._landed, {}
        return [
            row
            for rows in landed.values()
            for token, row in rows.items()
            if token < flying.get(row.wallet_id, self._launched + 1)
        ]
