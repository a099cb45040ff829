"""The sandbox's own book: what it did with whose money, to hold the wallet's books against."""

import sqlite3
from typing import Any


def totals(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """
    Count and paise by kind and status.

    All three kinds are always there: a reader need not know which of them this sandbox has dealt in.
    """
    payments = db.execute("SELECT status, count(*) AS count, sum(amount) AS total FROM payments GROUP BY status")
    return {
        "payments": {row["status"]: {"count": row["count"], "total": row["total"]} for row in payments},
        "refunds": {},
        "payouts": {},
    }
