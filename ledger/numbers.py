"""
Primary keys for the ledger's rows, drawn from one sequence in blocks.

Knowing every id before writing spares RETURNING and a second statement. Gaps mean nothing.
"""

import os
from collections.abc import Iterator
from typing import Any, Final

import psycopg

BLOCK: Final = 4096  # the sequence's INCREMENT BY

_left: dict[str, Iterator[int]] = {}


def next_number(cursor: psycopg.Cursor[tuple[Any, ...]]) -> int:
    """A fresh id. Only the thread that holds the posting connection calls this, so no lock is needed."""
    database = cursor.connection.pgconn.db.decode()
    number = next(_left.get(database, iter(())), None)
    if number is None:
        row = cursor.execute("SELECT nextval('ledger_numbers')").fetchone()
        assert row is not None  # noqa: S101  (a SELECT without FROM has one row)
        _left[database] = iter(range(row[0], row[0] + BLOCK))
        number = next(_left[database])
    return number


# A forked child must not draw from its parent's block.
os.register_at_fork(after_in_child=_left.clear)
