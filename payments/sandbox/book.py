"""The sandbox's own book: what it did with whose money, to hold the wallet's books against."""

import sqlite3
from typing import Any

_KINDS = ("payments", "refunds", "payouts")


def totals(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """
    Count and paise by kind and status.

    All three kinds are always there: a reader need not know which of them this sandbox has dealt in. Amounts are
    as they were made: what was refunded or reversed stays counted under its status.
    """
    return {kind: _by_status(db, kind) for kind in _KINDS}


def _by_status(db: sqlite3.Connection, kind: str) -> dict[str, Any]:
    rows = db.execute(
        f"SELECT status, count(*) AS count, sum(amount) AS total FROM {kind} GROUP BY status"  # noqa: S608
    )
    return {row["status"]: {"count": row["count"], "total": row["total"]} for row in rows}
