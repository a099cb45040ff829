"""
The relay: takes what waits in the outbox to the broker, lane by lane and in order.

Of each lane it owns it reads the oldest rows that wait, sends them, and marks them once the broker has acknowledged
every one: only then does it read on in that lane. So nothing overtakes what has not been delivered, and what was in
flight when anything at all went wrong is read again from the oldest on. Never by a number after the last one seen:
rows become visible in another order than they are numbered in, except those of one wallet.

It knows no app. What a row says is rendered by whoever starts it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import psycopg
import structlog

from wallet_project.kernel.events.envelope import CONTENT_TYPE, Event
from wallet_project.kernel.events.lanes import Lanes, Session, open_session
from wallet_project.kernel.events.outbox import CHANNEL, Cursor, Flight, Row, mark_published, read_waiting
from wallet_project.kernel.events.producing import BrokerAway, Publisher
from wallet_project.kernel.events.reach import Reach

log = structlog.get_logger("kernel.relaying")

# An event for each row, in their order; reads with the relay's own cursor, so that it too is fenced.
Render = Callable[[Cursor, Sequence[Row]], Sequence[Event]]
# Does a bounded piece of work beside the publishing, and returns whether there is more of it.
Chore = Callable[[Session], bool]

# What is read of one lane at a time.
BATCH: Final = 250
# Whoever posts says so, but not every time: after each wake-up the relay looks again a few times, soon after another.
SOON_SECONDS: Final = 0.05
BRISK_SECONDS: Final = 0.25
SWEEP_SECONDS: Final = 0.5
BALANCE_SECONDS: Final = 1.0
CHORES_SECONDS: Final = 2.0
# How long a relay that is stopped waits for what is in flight: whoever stops it waits for two seconds in all.
STOP_SECONDS: Final = 1.0
ALIVE_SECONDS: Final = 3.0
# A lane whose oldest rows cannot be rendered is a bug; it is tried again so much later.
UNREADABLE_SECONDS: Final = 10.0
_HEADERS: Final = (("content-type", CONTENT_TYPE.encode()),)


class Relay:
    """One relay. `run` returns once it was told to stop and has handed its lanes over."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        render: Render,
        chores: Sequence[Chore] = (),
        after_amnesia: Callable[[Session], None] = lambda _session: None,
        alive_file: Path | None = None,
    ) -> None:
        """
        :param chores: done by one relay of all, every few seconds, and at once while there is more.
        :param after_amnesia: done once by the relay that found the broker without the topic of events.
        :param alive_file: touched every few seconds while the relay goes on, whatever it waits for.
        """
        self._publisher = publisher
        self._render = render
        self._chores = chores
        self._after_amnesia = after_amnesia
        self._alive_file = alive_file
        self._flight = Flight()
        self._database = Reach("database")
        self._broker = Reach("broker")
        self._unreadable: dict[int, float] = {}
        self._is_stopping = False
        self._brisk_until = self._balance_at = self._chores_at = self._alive_until = 0.0

    def stop(self) -> None:
        """Safe to call from a signal's handler."""
        self._is_stopping = True

    def run(self) -> None:
        """Publish until `stop`; what is out of reach meanwhile is waited for, and said once."""
        while not self._is_stopping:
            try:
                with open_session() as session:
                    self._work(session)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # The locks are gone, and somebody else may have the lanes already.
                self._forget_flight()
                self._database.is_lost(type(error).__name__)
                self._rest_until(self._database.next_try)
        self._publisher.abandon()

    def _work(self, session: Session) -> None:
        """Until `stop`, or until the session ends."""
        session.execute(f"LISTEN {CHANNEL}".encode())
        lanes = Lanes(session)
        self._balance_at = 0.0
        self._database.is_back()
        while not self._is_stopping:
            self._say_alive()
            if time.monotonic() >= self._balance_at:
                lanes.balance(self._flight.busy)
                self._balance_at = time.monotonic() + BALANCE_SECONDS
            self._send_waiting(session, lanes)
            self._collect(session, SOON_SECONDS if self._flight.busy else 0)
            lanes.release(self._flight.busy)
            has_more = self._do_chores(session, lanes)
            if not self._flight.busy and not has_more:
                self._wait(session)
        self._hand_over(session, lanes)

    def _send_waiting(self, session: Session, lanes: Lanes) -> None:
        """Send the oldest of every owned lane that has nothing in flight."""
        now = time.monotonic()
        if now < self._broker.next_try:
            return
        idle = lanes.owned - self._flight.busy - {lane for lane, until in self._unreadable.items() if until > now}
        try:
            if self._publisher.open():
                self._after_amnesia(session)
            self._broker.is_back()
            cursor = session.cursor()
            for row, event in self._rendered(cursor, read_waiting(cursor, idle, BATCH)):
                self._publisher.send(self._flight.launch(row), key=event.key, value=event.as_bytes(), headers=_HEADERS)
                self._brisk_until = now + BRISK_SECONDS
        except BrokerAway as error:
            self._broker_is_lost(error, session)

    def _rendered(self, cursor: Cursor, rows: Sequence[Row]) -> Iterable[tuple[Row, Event]]:
        """Each row with its event. A lane that cannot be rendered waits, says so, and holds no other back."""
        if not rows:
            return []
        try:
            return list(zip(rows, self._render(cursor, rows), strict=True))
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except Exception:
            lanes = {row.lane for row in rows}
            if len(lanes) > 1:
                one_by_one = (self._rendered(cursor, [row for row in rows if row.lane == lane]) for lane in lanes)
                return [pair for pairs in one_by_one for pair in pairs]
            log.exception("relay.unreadable", lane=rows[0].lane, event_id=str(rows[0].event_id))
            self._unreadable[rows[0].lane] = time.monotonic() + UNREADABLE_SECONDS
            return []

    def _collect(self, session: Session, wait_seconds: float) -> None:
        """Take in what was delivered, and mark the lanes of which everything was."""
        if not self._publisher.is_open:
            return
        try:
            for token in self._publisher.collect(wait_seconds):
                self._flight.land(token)
        except BrokerAway as error:
            self._broker_is_lost(error, session)
        else:
            mark_published(session, self._flight.take_whole_lanes())

    def _broker_is_lost(self, error: BrokerAway, session: Session) -> None:
        """What was delivered is marked, even if the rest of its lane was not; that is read again, and sent in order."""
        landed = self._flight.take_landed()
        self._flight = Flight()
        self._broker.is_lost(str(error))
        mark_published(session, landed)

    def _do_chores(self, session: Session, lanes: Lanes) -> bool:
        if time.monotonic() < self._chores_at:
            return False
        has_more = False
        if lanes.may_sweep():
            for chore in self._chores:
                has_more = chore(session) or has_more
        self._chores_at = time.monotonic() + (0 if has_more else CHORES_SECONDS)
        return has_more

    def _wait(self, session: Session) -> None:
        """Until somebody says that there is more, or it is time to look."""
        brisk = time.monotonic() < self._brisk_until
        for _ in session.notifies(timeout=SOON_SECONDS if brisk else SWEEP_SECONDS, stop_after=1):
            self._brisk_until = time.monotonic() + BRISK_SECONDS

    def _hand_over(self, session: Session, lanes: Lanes) -> None:
        """Give each lane up as soon as what is in flight of it has arrived; for a while, and then all of them."""
        lanes.leave_all()
        lanes.release(self._flight.busy)
        until = time.monotonic() + STOP_SECONDS
        while self._flight.busy and time.monotonic() < until:
            self._collect(session, SOON_SECONDS)
            lanes.release(self._flight.busy)
        mark_published(session, self._flight.take_landed())
        self._forget_flight()
        lanes.release(set())

    def _rest_until(self, moment: float) -> None:
        while time.monotonic() < moment and not self._is_stopping:
            self._say_alive()
            time.sleep(SOON_SECONDS)

    def _say_alive(self) -> None:
        if self._alive_file is not None and time.monotonic() >= self._alive_until:
            self._alive_file.touch()
            self._alive_until = time.monotonic() + ALIVE_SECONDS

    def _forget_flight(self) -> None:
        self._publisher.abandon()
        self._flight = Flight()
