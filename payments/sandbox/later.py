"""
Later: what the sandbox has to do by itself after a while, such as a bank that answers in a second.

What is due stands in the state file, so a killed sandbox goes on where it was. Each deed runs in the unit of
work that strikes it off the list: it happens once, or is still due.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from payments.sandbox.courier import Courier
from payments.sandbox.errors import GatewayError
from payments.sandbox.events import Letterhead
from payments.sandbox.state import State

# Looking costs some 50 µs, and every delay counts in whole seconds: no bell is worth its wiring.
LOOK_EVERY_SECONDS = 0.1
AT_ONCE_MOST = 100

logger = logging.getLogger("sandbox.later")


class TimedDeed(Protocol):
    """What can be put off. It is given the id of what it is about."""

    def __call__(self, db: sqlite3.Connection, *, subject: str, letterhead: Letterhead, now: int) -> None: ...


def put_off(db: sqlite3.Connection, *, deed: str, subject: str, seconds: int) -> None:
    """
    Have a deed of the timetable done after that many seconds.

    The database's clock counts them, in fractions: a deed's `now` is in whole seconds and would cut one short.
    """
    db.execute(
        "INSERT INTO later (deed, subject, due_at) VALUES (?, ?, (julianday('now') - 2440587.5) * 86400.0 + ?)",
        [deed, subject, seconds],
    )


class Later:
    """One thread that does what is due."""

    def __init__(
        self, *, state: State, letterhead: Letterhead, courier: Courier, timetable: Mapping[str, TimedDeed]
    ) -> None:
        self._state = state
        self._letterhead = letterhead
        self._courier = courier
        self._timetable = timetable
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="later", daemon=True)

    def start(self) -> None:
        """Begin with whatever an earlier process left undone, late as it may be."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stop.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_EVERY_SECONDS):
            try:
                due = self._due()
                for row in due:
                    self._do(row)
            except Exception:
                # The state file itself: a full disk, say. What is due stays due.
                if not self._stop.is_set():
                    logger.exception("sandbox.later.blocked")
                continue
            if due:
                self._courier.ring()

    def _due(self) -> list[sqlite3.Row]:
        with self._state.unit() as db:
            return db.execute(
                "SELECT id, deed, subject FROM later WHERE broken = 0 AND due_at <= ? ORDER BY due_at, id LIMIT ?",
                [time.time(), AT_ONCE_MOST],
            ).fetchall()

    def _do(self, row: sqlite3.Row) -> None:
        try:
            with self._state.unit() as db:
                db.execute("DELETE FROM later WHERE id = ?", [row["id"]])
                try:
                    self._timetable[row["deed"]](
                        db, subject=row["subject"], letterhead=self._letterhead, now=int(time.time())
                    )
                except GatewayError as overtaken:
                    # Somebody at the operator's page was faster. Deeds refuse before they write.
                    logger.info("sandbox.later.overtaken deed=%s subject=%s %s", row["deed"], row["subject"], overtaken)
                    return
        except Exception:
            # A bug, not a bank. It is put aside, lest it be tried ten times a second for ever.
            logger.exception("sandbox.later.broken deed=%s subject=%s", row["deed"], row["subject"])
            with self._state.unit() as db:
                db.execute("UPDATE later SET broken = 1 WHERE id = ?", [row["id"]])
            return
        logger.info("sandbox.later deed=%s subject=%s", row["deed"], row["subject"])
