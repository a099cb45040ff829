"""
Who publishes which part of the outbox: sixteen lanes, each owned by at most one relay, shared fairly.

A lane is a session-level advisory lock, and so is being counted among the relays. All of them are held by one
connection that does nothing but the relay's work: reads and marks of the outbox run on it too. So a relay that lost
its locks, however that came about, cannot read on (fencing), and PostgreSQL frees the lanes of one that died. It does
not work behind a pooler that hands out connections for each transaction.
"""

from collections.abc import Set
from typing import Any, Final

import psycopg
import structlog
from django.conf import settings

log = structlog.get_logger("kernel.lanes")

LANES: Final = 16
Session = psycopg.Connection[tuple[Any, ...]]

# First halves of our advisory locks' keys, of no meaning ("outb", "outr"); the second half is the lane.
_LANE_LOCKS: Final = 0x6F757462
_ROLE_LOCKS: Final = 0x6F757472
_ON_DUTY: Final = 0
_SWEEPING: Final = 1

# A relay says something twice a second at least. One that is frozen, or whose machine is gone, is thrown out.
FROZEN_AFTER_SECONDS: Final = 15
_CONNECT_SECONDS: Final = 5
_OPTIONS: Final = {
    "idle_session_timeout": f"{FROZEN_AFTER_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{FROZEN_AFTER_SECONDS}s",
    "lock_timeout": "3s",
    "statement_timeout": "30s",
    # A mark that a crash undoes is a publication more, and every consumer knows an event that it has had.
    "synchronous_commit": "off",
    # Only ever a few rows by their keys, or the first of an index, and the planner does not know how few.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


def open_session() -> Session:
    """
    A connection of the relay's own, which is in no pool: all of its work is done on it, each statement for itself.

    :raises psycopg.OperationalError: the database is out of reach.
    """
    found = settings.DATABASES["default"]
    return psycopg.connect(
        host=found["HOST"],
        port=found["PORT"] or None,
        user=found["USER"],
        password=found["PASSWORD"],
        dbname=found["NAME"],
        connect_timeout=_CONNECT_SECONDS,
        application_name="wallet relay",
        options=" ".join(f"-c {name}={value}" for name, value in _OPTIONS.items()),
        autocommit=True,
        prepare_threshold=1,
    )


class Lanes:
    """
    The lanes of one relay.

    :ivar owned: those it may publish.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held: set[int] = set()
        self._leaving: set[int] = set()
        self._is_sweeping = False
        self._execute("SELECT pg_advisory_lock_shared(%s, %s)", _ROLE_LOCKS, _ON_DUTY)

    @property
    def owned(self) -> Set[int]:
        return self._held - self._leaving

    def balance(self, busy: Set[int]) -> None:
        """
        Take lanes that nobody has, or make ready to leave some, so that every relay on duty has its share.

        :param busy: lanes with something in flight: one that is left goes when nothing of it is.
        """
        share = self._share()
        before = self.owned
        surplus = len(self._held) - share
        # What is already on its way out goes first.
        self._leaving = set(sorted(self._held, key=lambda lane: (lane not in self._leaving, lane))[: max(0, surplus)])
        self.release(busy)
        for lane in range(LANES):
            if len(self._held) >= share:
                break
            # Each begins its round elsewhere, so that relays that start together do not ask for the same.
            place = (lane + self._session.info.backend_pid) % LANES
            if place not in self._held and self._try("SELECT pg_try_advisory_lock(%s, %s)", _LANE_LOCKS, place):
                self._held.add(place)
        if self.owned != before:
            log.info("relay.lanes", lanes=sorted(self.owned))

    def release(self, busy: Set[int]) -> None:
        """Hand over what is being left and has nothing in flight."""
        for lane in self._leaving - busy:
            self._execute("SELECT pg_advisory_unlock(%s, %s)", _LANE_LOCKS, lane)
            self._leaving.discard(lane)
            self._held.discard(lane)

    def leave_all(self) -> None:
        """From now on nothing is owned; `release` hands over what is no longer in flight."""
        self._leaving = set(self._held)

    def may_sweep(self) -> bool:
        """Whether this relay is the one that sweeps; whoever is stays it until it ends."""
        if not self._is_sweeping:
            self._is_sweeping = self._try("SELECT pg_try_advisory_lock(%s, %s)", _ROLE_LOCKS, _SWEEPING)
        return self._is_sweeping

    def _share(self) -> int:
        """How many lanes are this relay's: sixteen among those on duty, the ones left over to the first of them."""
        rows = self._session.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted ORDER BY pid",
            [_ROLE_LOCKS, _ON_DUTY],
        ).fetchall()
        on_duty = [row[0] for row in rows]
        whole, left_over = divmod(LANES, len(on_duty))
        return whole + (on_duty.index(self._session.info.backend_pid) < left_over)

    def _try(self, statement: str, *key: int) -> bool:
        row = self._session.execute(statement.encode(), key).fetchone()
        return bool(row and row[0])

    def _execute(self, statement: str, *key: int) -> None:
        self._session.execute(statement.encode(), key)
