"""
Whether the books hold, asked of the tables in plain SQL and a few lines of Python that share nothing with the project.

The verifier proves more, and faster; this is for tests that have just moved money and want a second opinion.
The bytes that are hashed are written down here anew, after the prose at the head of `ledger/chain.py`.
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LIES = {
    "the balances of a currency do not sum to zero": (
        "SELECT currency, sum(balance) FROM wallets_wallet GROUP BY currency HAVING sum(balance) <> 0"
    ),
    "a balance is not what its entries say": """
        SELECT w.id, w.balance, coalesce(sum(e.credit - e.debit), 0), w.entry_count, count(e.id)
        FROM wallets_wallet w LEFT JOIN ledger_ledgerentry e ON e.wallet_id = w.id
        GROUP BY w.id HAVING w.balance <> coalesce(sum(e.credit - e.debit), 0) OR w.entry_count <> count(e.id)
    """,
    "somebody owes what nobody lent": (
        "SELECT id, balance FROM wallets_wallet WHERE kind <> 'SYSTEM' AND balance < minimum_balance"
    ),
    "a transaction has not the entries of its status": """
        SELECT t.id, t.type, t.status, count(e.id) FROM ledger_transaction t
        LEFT JOIN ledger_ledgerentry e ON e.transaction_id = t.id
        GROUP BY t.id
        HAVING count(e.id) <> CASE
            WHEN t.status = 'SUCCESS' OR (t.type = 'WITHDRAW' AND t.posted_at IS NOT NULL) THEN 2 ELSE 0 END
    """,
    "the legs of a transaction are not its amount between its wallets": """
        SELECT t.id FROM ledger_transaction t JOIN ledger_ledgerentry e ON e.transaction_id = t.id
        WHERE NOT (e.debit = t.amount AND e.credit = 0 AND e.wallet_id = t.from_wallet_id
                OR e.credit = t.amount AND e.debit = 0 AND e.wallet_id = t.to_wallet_id)
    """,
    "a failed withdrawal was not given back once": """
        SELECT t.id FROM ledger_transaction t
        LEFT JOIN ledger_transaction r ON r.reverses_id = t.id AND r.type = 'REVERSAL' AND r.status = 'SUCCESS'
            AND r.amount = t.amount
        WHERE t.type = 'WITHDRAW' AND t.status = 'FAILED' AND t.posted_at IS NOT NULL
        GROUP BY t.id HAVING count(r.id) <> 1
    """,
    "an event is missing, or one too many": """
        WITH due AS (
            SELECT t.id, w.id AS wallet, s.status
            FROM ledger_transaction t
            CROSS JOIN LATERAL (
                SELECT t.status UNION SELECT 'PENDING' WHERE t.completed_at IS NOT NULL AND EXISTS (
                    SELECT FROM kernel_outboxevent p WHERE p.transaction_id = t.id AND p.status = 'PENDING')
            ) s (status)
            JOIN wallets_wallet w ON w.kind <> 'SYSTEM' AND (
                w.id = t.from_wallet_id OR (w.id = t.to_wallet_id AND (s.status <> 'FAILED' OR t.type = 'ADD')))
        )
        SELECT due.*, e.transaction_id, e.wallet_id, e.status FROM due FULL JOIN kernel_outboxevent e
            ON e.transaction_id = due.id AND e.wallet_id = due.wallet AND e.status = due.status
        WHERE e.number IS NULL OR due.id IS NULL
    """,
}

_CHAIN = """
SELECT e.wallet_id, e.sequence, e.debit, e.credit, e.balance_after, e.hash, e.created_at, w.head, w.entry_count,
       t.id, t.uuid, t.from_wallet_id, t.to_wallet_id, t.amount, t.currency, t.decimals, t.type, t.initiator_id,
       t."group", t.reverses_id, t.created_at, t.note, t.metadata
FROM ledger_ledgerentry e
JOIN wallets_wallet w ON w.id = e.wallet_id
JOIN ledger_transaction t ON t.id = e.transaction_id
ORDER BY e.wallet_id, e.sequence
"""


def assert_books_hold(superuser_url: str) -> None:
    """Every promise about rows that plain SQL can ask, and each wallet's chain of hashes from its first entry."""
    with psycopg.connect(superuser_url) as server:
        server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for lie, question in LIES.items():
            found = server.execute(question).fetchmany(5)
            assert not found, f"{lie}: {found}"
        _assert_chains_hold(server)


def _assert_chains_hold(server: psycopg.Connection[tuple[Any, ...]]) -> None:
    wallet, sequence, balance, head, at = 0, 0, Decimal(0), bytes(32), EPOCH
    for row in server.execute(_CHAIN).fetchall():
        if row[0] != wallet:
            wallet, sequence, balance, head, at = row[0], 0, Decimal(0), bytes(32), EPOCH
        sequence, balance = sequence + 1, balance + row[3] - row[2]
        assert row[1] == sequence, f"wallet {wallet} has entry {row[1]} where {sequence} was due"
        assert row[4] == balance, f"wallet {wallet} stands at {row[4]} after entry {sequence}, and not at {balance}"
        assert row[6] >= at, f"entry {sequence} of wallet {wallet} is older than the one before it"
        head, at = _hash(head, row), row[6]
        assert row[5] == head, f"entry {sequence} of wallet {wallet} has another hash"
        if sequence == row[8]:
            assert row[7] == head, f"the head of wallet {wallet} is not its last entry's hash"


def _hash(previous: bytes, row: tuple[Any, ...]) -> bytes:
    transaction = b"".join(
        [
            _number(1, 2),
            _number(row[9]),
            row[10].bytes,
            _number(row[11]),
            _number(row[12]),
            _money(row[13]),
            row[14].encode(),
            _number(row[15], 2),
            row[16].encode().ljust(12, b"\0"),
            _number(row[17]),
            _number(row[18] or 0),
            _number(row[19] or 0),
            _time(row[20]),
            hashlib.sha256(row[21].encode()).digest(),
            # Strings in an object of ASCII keys: for these, RFC 8785 is sorted and compact.
            hashlib.sha256(
                json.dumps(row[22], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            ).digest(),
        ]
    )
    entry = b"".join(
        [
            _number(1, 2),
            previous,
            _number(row[0]),
            _number(row[1]),
            hashlib.sha256(transaction).digest(),
            _money(row[2]),
            _money(row[3]),
            _money(row[4]),
            _time(row[6]),
        ]
    )
    return hashlib.sha256(entry).digest()


def _number(value: int, width: int = 8) -> bytes:
    return value.to_bytes(width, "big", signed=True)


def _money(amount: Decimal) -> bytes:
    units = amount * 10_000
    assert units == int(units)
    return _number(int(units))


def _time(moment: datetime) -> bytes:
    return _number((moment - EPOCH) // timedelta(microseconds=1))
