"""Which of the webhook secrets signs new events. Events written before keep the signature that they have."""

import sqlite3

_NAME = "webhook_secret"


def secret_in_use(db: sqlite3.Connection) -> int:
    """Its place in RAZORPAY_WEBHOOK_SECRETS, counted from one."""
    row = db.execute("SELECT value FROM switches WHERE name = ?", [_NAME]).fetchone()
    return int(row["value"]) if row else 1


def use_secret(db: sqlite3.Connection, *, place: int) -> None:
    """Sign what is written from now on with that one; the caller has checked that it is there."""
    db.execute(
        "INSERT INTO switches (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [_NAME, str(place)],
    )
