"""
Deliveries as an operator deals with them: one sent again, an endpoint given up and taken up again.

The gateway tries for 24 hours and then disables the endpoint: nothing is sent any more, events wait.
"""

import sqlite3

from payments.sandbox.errors import GatewayError
from payments.sandbox.events import RETRIED_FOR_SECONDS

# A sandbox that was switched off for a day has not tried for a day: the 24 hours count only with so many tries.
TRIES_LEAST = 100
_DISABLED = "webhook_endpoint_disabled_at"


def gives_up(*, tries: int, next_due_at: float, give_up_at: float, written_at: int) -> bool:
    """Whether a letter that was refused once more is not tried again. A forger's never is."""
    return next_due_at > give_up_at and (tries >= TRIES_LEAST or is_forgers(give_up_at, written_at))


def is_forgers(give_up_at: float, written_at: int) -> bool:
    """Whether a letter has no time to be tried again, as only a forger's has none."""
    return give_up_at <= written_at


def endpoint_disabled_at(db: sqlite3.Connection) -> int | None:
    """Since when nothing is sent, in Unix seconds; None while the endpoint is enabled."""
    row = db.execute("SELECT value FROM switches WHERE name = ?", [_DISABLED]).fetchone()
    return int(row["value"]) if row else None


def disable_endpoint(db: sqlite3.Connection, *, now: int) -> None:
    """Send nothing from now on."""
    db.execute("INSERT INTO switches (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", [_DISABLED, str(now)])


def enable_endpoint(db: sqlite3.Connection, *, now: int) -> None:
    """Go on sending what waits, each with 24 hours anew."""
    db.execute("DELETE FROM switches WHERE name = ?", [_DISABLED])
    db.execute(
        """
        UPDATE deliveries SET give_up_at = :until, due_at = CASE WHEN tries > 0 THEN :now ELSE due_at END
        WHERE status = 'pending'
            AND give_up_at > (SELECT created_at FROM events WHERE events.id = deliveries.event_id)
        """,
        {"now": now, "until": now + RETRIED_FOR_SECONDS},
    )


def redeliver(db: sqlite3.Connection, *, delivery_id: int, now: int) -> None:
    """
    Send a letter once more, now, whatever became of it before: the same event id, body and signature.

    :raises GatewayError: no such delivery; the endpoint is disabled.
    """
    if endpoint_disabled_at(db) is not None:
        raise GatewayError("The webhook endpoint is disabled: enable it first.", step="redelivery")
    changed = db.execute(
        """
        UPDATE deliveries SET status = 'pending', due_at = :now, give_up_at =
            CASE WHEN give_up_at > (SELECT created_at FROM events WHERE events.id = deliveries.event_id)
            THEN :until ELSE give_up_at END
        WHERE id = :id
        """,
        {"id": delivery_id, "now": now, "until": now + RETRIED_FOR_SECONDS},
    )
    if changed.rowcount != 1:
        raise GatewayError("There is no such delivery.", field="id", step="redelivery")
