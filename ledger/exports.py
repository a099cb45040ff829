"""
All entries as CSV (RFC 4180), for auditors: read through their own role, in one snapshot, a few rows in memory.

Every entry is a line, in the order of its primary key, which never changes. Amounts carry no sign: whether a
balance is ours to pay (`credit`) or owed to us (`debit`, as in system wallets) stands in a column of its own. Times
are UTC.
"""

import csv
from collections.abc import Generator, Iterable
from decimal import Decimal
from functools import lru_cache
from io import StringIO
from itertools import islice
from typing import Any, Final
from uuid import UUID

from ledger.verifying.snapshot import snapshot_of
from wallet_project.kernel.ids import public_id

ROWS_AT_ONCE: Final = 1_000

HEADER: Final = (
    "created_at",
    "wallet",
    "sequence",
    "wallet_kind",
    "wallet_label",
    "owner_name",
    "transaction",
    "type",
    "status",
    "debit",
    "credit",
    "balance_after",
    "balance_side",
    "currency",
    "counterparty_wallet",
    "note",
    "hash",
)

# A nested loop follows the primary key and its first rows leave at once; no sort, no hash table of everything.
_ENTRIES: Final = """
SELECT e.created_at, w.uuid, e.sequence, w.kind, w.label, w.owner_name, t.uuid, t.type, t.status,
    round(e.debit, w.decimals), round(e.credit, w.decimals), round(e.balance_after, w.decimals), w.currency,
    other.uuid, t.note, e.hash
FROM {entries} e
JOIN {wallets} w ON w.id = e.wallet_id
JOIN {transactions} t ON t.id = e.transaction_id
JOIN {wallets} other ON other.id = CASE WHEN e.debit > 0 THEN t.to_wallet_id ELSE t.from_wallet_id END
ORDER BY e.id
"""
_SETTINGS: Final = {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_sort": "off"}

# How a spreadsheet recognises a formula, those of full width as East Asian editions do (OWASP, CSV Injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def entries_as_csv() -> Generator[str, None, None]:
    """
    The header, then every entry, in pieces of up to `ROWS_AT_ONCE` lines.

    The snapshot is taken when the first piece is asked for; closing the iterator ends it.

    :raises psycopg.Error: the auditor's database cannot be read.
    """
    with snapshot_of("auditor", **_SETTINGS) as snapshot:
        rows = snapshot.stream(_ENTRIES, at_once=ROWS_AT_ONCE)
        # Before the header leaves: now the moment is fixed, and it is known that the views can be read.
        some = _lines(rows)
        yield _text([HEADER])
        while some:
            yield _text(some)
            some = _lines(rows)


def _lines(rows: Iterable[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    return [_line(row) for row in islice(rows, ROWS_AT_ONCE)]


def _text(lines: Iterable[tuple[str, ...]]) -> str:
    piece = StringIO()
    csv.writer(piece).writerows(lines)
    return piece.getvalue()


def _line(row: tuple[Any, ...]) -> tuple[str, ...]:
    at, wallet, sequence, kind, label, owner, transaction, type, status, debit, credit, after, *rest = row
    currency, other, note, hash = rest
    return (
        at.isoformat(timespec="microseconds"),
        _wallet_id(wallet),
        str(sequence),
        kind,
        neutral(label),
        neutral(owner or ""),
        public_id("txn", transaction),
        type,
        status,
        _amount(debit),
        _amount(credit),
        _amount(abs(after)),
        "debit" if after < 0 else "credit",
        currency,
        _wallet_id(other),
        neutral(note),
        hash.hex(),
    )


@lru_cache(maxsize=4_096)
def _wallet_id(uuid: UUID) -> str:
    """The same wallets come again and again."""
    return public_id("wal", uuid)


def _amount(amount: Decimal) -> str:
    return f"{amount:f}"


def neutral(cell: str) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe before it, which makes it text."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
