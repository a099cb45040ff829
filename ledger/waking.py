"""Tells the relay, after a posting, that there is something to publish; what is not told it finds by itself."""

import time
from typing import Final

import psycopg
import structlog

from ledger.store import Cursor
from wallet_project.kernel.events.outbox import CHANNEL

log = structlog.get_logger("ledger.waking")

# A relay that was woken looks again for longer than that, so nothing is gained by saying it more often.
QUIET_SECONDS: Final = 0.1
# What failed may have been waited for as long as `lock_timeout` allows, and the next would be too: one posting of many
# pays for it, and the relay looks by itself meanwhile.
QUIET_AFTER_FAILURE_SECONDS: Final = 30.0

_told_at, _failed_at = -QUIET_SECONDS, -QUIET_AFTER_FAILURE_SECONDS


def wake_relay(cursor: Cursor) -> None:
    """
    Only after COMMIT, in no transaction: inside one, NOTIFY takes a lock that lets one commit follow the other (a
    quarter of the commits a second with sixteen at once, against four fifths here). Never fails: the money has moved.
    """
    global _told_at, _failed_at  # whoever posts holds the process's one connection, so no two threads are here at once
    now = time.monotonic()
    if now - _told_at < QUIET_SECONDS or now - _failed_at < QUIET_AFTER_FAILURE_SECONDS:
        return
    _told_at = now
    try:
        cursor.execute(f"NOTIFY {CHANNEL}".encode())
    except psycopg.Error as error:
        _failed_at = time.monotonic()
        log.info("relay.not_woken", reason=type(error).__name__)
