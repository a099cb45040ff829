"""
The statements of the posting kernel: lock, look up, write. Nothing here decides.

One statement writes every row of a posting, whatever the length of its list: arrays, unnested on the
server. Numbers travel as array literals, for joining strings is far cheaper than adapting each element;
free text always goes through the driver's own adaptation.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from uuid import UUID

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, F, Field, Lookup
from django.db.models.functions import Cast

from ledger.chain import microseconds
from ledger.movements import LockedWallet
from wallet_project.kernel.database import POSTING
from wallet_project.kernel.money import SCALE
from wallets.models import Wallet

Cursor = psycopg.Cursor[tuple[Any, ...]]

if TYPE_CHECKING:
    _Lookup = Lookup[Any]  # generic only for the type checker
else:
    _Lookup = Lookup


def cursor_of(connection: BaseDatabaseWrapper) -> Cursor:
    """
    The driver's own cursor on Django's connection: it binds on the server and prepares.

    Django's merges parameters into the text, so that PostgreSQL would parse and plan each posting anew.
    """
    return psycopg.Cursor(connection.connection)


class _AnyOf(_Lookup):
    """`id = ANY(array)`: one parameter for any number of ids, so that one prepared statement serves all."""

    lookup_name = "any_of"

    def get_prep_lookup(self) -> Any:
        return list(self.rhs)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, parameters = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", [*parameters, self.rhs]


Field.register_lookup(_AnyOf)


def pass_turnstile(cursor: Cursor, *, alone: bool) -> None:
    """
    Wait here, before the snapshot, for whoever would otherwise make us wait behind a row lock.

    Under REPEATABLE READ a wait behind a row lock ends in 40001. LOCK TABLE takes no snapshot, and COMMIT or
    death releases it. Alone: lists, hot wallets, re-runs. Together: ordinary pairs.
    """
    cursor.execute(_TURNSTILE_ALONE if alone else _TURNSTILE_TOGETHER)


_TURNSTILE_ALONE: Final = "LOCK TABLE ledger_turnstile IN EXCLUSIVE MODE"
_TURNSTILE_TOGETHER: Final = "LOCK TABLE ledger_turnstile IN ROW EXCLUSIVE MODE"


@cache
def _wallet_statement(*, locking: bool) -> str:
    """The ORM's own statement, compiled once. Amounts come as integers of 1/10,000."""
    wallets = Wallet.objects.using(POSTING).filter(pk__any_of=[0]).order_by("pk")
    # Opposite transfers take the same locks in the same order, so neither waits on the other. NO KEY: the
    # foreign keys of entries and transactions take KEY SHARE on these rows, and must not fight with us.
    if locking:
        wallets = wallets.select_for_update(no_key=True)
    columns = wallets.values_list(
        "pk",
        "owner_id",
        "kind",
        "currency",
        "decimals",
        "status",
        _units("balance"),
        _units("held"),
        _units("minimum_balance"),
        "entry_count",
        "head",
        "moved_at",
    )
    compiler = columns.query.get_compiler(connection=connections[POSTING])
    statement, parameters = compiler.as_sql()
    # Only the list of ids varies; the scale is written out.
    return str(statement % tuple("%s" if value == [0] else value for value in parameters))


def _units(column: str) -> Cast:
    return Cast(F(column) * SCALE, BigIntegerField())


def lock_wallets(cursor: Cursor, ids: Iterable[int]) -> dict[int, LockedWallet]:
    """Every wallet of the list, locked in order of its id and read under that lock."""
    # Binary: the driver then reads times in C.
    cursor.execute(_wallet_statement(locking=True), [array(sorted(ids))], prepare=True, binary=True)
    return {row[0]: LockedWallet._make(row) for row in cursor}


def read_wallets(cursor: Cursor, ids: Iterable[int]) -> dict[int, LockedWallet]:
    """The same, without locks: for a preview, which promises nothing."""
    cursor.execute(_wallet_statement(locking=False), [array(sorted(ids))])
    return {row[0]: LockedWallet._make(row) for row in cursor}


class KnownKey(NamedTuple):
    """A key as first used."""

    fingerprint: bytes
    transaction: int
    http_status: int
    failure_code: str


class KnownTransaction(NamedTuple):
    """A transaction to be completed. Times in microseconds."""

    id: int
    uuid: UUID
    from_wallet: int
    to_wallet: int
    amount_units: int
    currency: str
    decimals: int
    type: str
    status: str
    failure_code: str
    initiator: int
    group: int | None
    reverses: int | None
    created_at: int
    note: str
    metadata: dict[str, str]

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Self:
        """From a row of `_TRANSACTION_COLUMNS`: times become microseconds; Django's connections leave JSON as text."""
        return cls._make((*row[:13], microseconds(row[13]), row[14], json.loads(row[15])))


_CLOCK_AND_KEYS: Final = """
SELECT clock.now, k.initiator_id, k.key, k.fingerprint, k.transaction_id, k.http_status, t.failure_code
FROM (SELECT clock_timestamp() AS now) clock
LEFT JOIN (
    unnest(%s::bigint[], %s::text[]) AS wanted (initiator_id, key)
    CROSS JOIN LATERAL (
        SELECT * FROM ledger_idempotencykey k WHERE k.initiator_id = wanted.initiator_id AND k.key = wanted.key LIMIT 1
    ) k
    CROSS JOIN LATERAL (SELECT t.failure_code FROM ledger_transaction t WHERE t.id = k.transaction_id LIMIT 1) t
) ON true
"""


def read_clock_and_keys(
    cursor: Cursor, keys: Sequence[tuple[int, str]]
) -> tuple[datetime, dict[tuple[int, str], KnownKey]]:
    """
    The database's clock, now that the locks are held, and which of these (initiator, key) pairs have been used.

    The clock is PostgreSQL's alone, never the web process's own.
    """
    parameters = [array(pair[0] for pair in keys), _keys(pair[1] for pair in keys)]
    rows = cursor.execute(_CLOCK_AND_KEYS, parameters, prepare=True).fetchall()
    return rows[0][0], {(row[1], row[2]): KnownKey(bytes(row[3]), *row[4:]) for row in rows if row[1] is not None}


_TRANSACTION_COLUMNS: Final = """
SELECT id, uuid, from_wallet_id, to_wallet_id, (least(amount, 900000000000000) * 10000)::bigint, currency, decimals,
       type, status, failure_code, initiator_id, "group", reverses_id, created_at, note, metadata
FROM ledger_transaction
"""
_BY_ID: Final = _TRANSACTION_COLUMNS + "WHERE id = ANY(%s::bigint[])"


def read_transactions(cursor: Cursor, ids: Iterable[int]) -> dict[int, KnownTransaction]:
    """Transactions by primary key. While their wallets are locked nobody else completes them."""
    cursor.execute(_BY_ID, [array(ids)], prepare=True)
    return {row[0]: KnownTransaction.of(row) for row in cursor}


class KnownHold(NamedTuple):
    """A hold that is to end, or that has been placed under a wanted reference."""

    id: int
    wallet: int
    units: int
    reference: str
    status: str
    expires_at: datetime | None

    def is_over(self, now: datetime) -> bool:
        """By the database's clock, under the wallet's lock: a capture and an expiry at one moment cannot both be."""
        return self.expires_at is not None and self.expires_at <= now


_HOLDS: Final = """
SELECT id, wallet_id, (amount * 10000)::bigint, reference, status, expires_at FROM ledger_hold
WHERE id = ANY(%s::bigint[]) OR reference = ANY(%s)
"""


def read_holds(cursor: Cursor, ids: Iterable[int], references: Sequence[str]) -> dict[int, KnownHold]:
    """Holds by primary key or reference. While their wallets are locked nobody else ends them."""
    cursor.execute(_HOLDS, [array(ids), list(references)], prepare=True)
    return {row[0]: KnownHold._make(row) for row in cursor}


class KnownGivenBack(NamedTuple):
    """
    A transaction that is to be given back.

    :ivar left_units: what refunds may still take of it; nothing unless it succeeded and has not been reversed.
    :ivar reversal: the primary key of its REVERSAL.
    """

    id: int
    left_units: int
    reversal: int | None


# A refund that was itself reversed (the gateway could not make it) does not count.
_GIVEN_BACK: Final = """
SELECT o.id,
    CASE WHEN o.status = 'SUCCESS' AND v.id IS NULL
        THEN (o.amount * 10000)::bigint - coalesce(refunded.units, 0) ELSE 0 END,
    v.id
FROM ledger_transaction o
LEFT JOIN ledger_transaction v ON v.reverses_id = o.id AND v.type = 'REVERSAL' AND v.status <> 'FAILED'
LEFT JOIN LATERAL (
    SELECT (sum(r.amount) * 10000)::bigint AS units FROM ledger_transaction r
    WHERE r.reverses_id = o.id AND r.type = 'REFUND' AND r.status <> 'FAILED'
        AND NOT EXISTS (SELECT FROM ledger_transaction u
            WHERE u.reverses_id = r.id AND u.type = 'REVERSAL' AND u.status <> 'FAILED')
) refunded ON true
WHERE o.id = ANY(%s::bigint[])
"""


def read_given_back(cursor: Cursor, ids: Iterable[int]) -> dict[int, KnownGivenBack]:
    """How much has been given back. While the wallets of these transactions are locked nobody gives back more."""
    cursor.execute(_GIVEN_BACK, [array(ids)], prepare=True)
    return {row[0]: KnownGivenBack._make(row) for row in cursor}


def find_left_behind(cursor: Cursor, uuids: Sequence[UUID]) -> set[int]:
    """Primary keys of what a posting whose COMMIT was never answered did write."""
    cursor.execute("SELECT id FROM ledger_transaction WHERE uuid = ANY(%s)", [list(uuids)])
    return {row[0] for row in cursor}


def require_unbroken(connection: BaseDatabaseWrapper) -> None:
    """
    PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error, and Django rolls back in silence:
    who hides a database error would be told that money moved which did not.

    :raises RuntimeError: before COMMIT.
    """
    driver = connection.connection
    intact = driver is not None and driver.pgconn.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    if connection.needs_rollback or not intact:
        raise RuntimeError("A guard or a companion hid a database error: all of this posting is rolled back.")


@dataclass(slots=True)
class Rows:
    """What one posting writes: a tuple for each row, in the order of the columns in `_WRITE`."""

    wallets: list[tuple[Any, ...]] = field(default_factory=list)
    transactions: list[tuple[Any, ...]] = field(default_factory=list)
    completions: list[tuple[Any, ...]] = field(default_factory=list)
    keys: list[tuple[Any, ...]] = field(default_factory=list)
    entries: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    holds: list[tuple[Any, ...]] = field(default_factory=list)
    ended: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.transactions or self.completions or self.holds or self.ended)


class LostUpdate(Exception):
    """A row was not as it had been read under its lock. Cannot happen; asserted all the same."""


_WRITE: Final = """
WITH moved AS (
    UPDATE wallets_wallet w
    SET balance = n.balance * 0.0001, held = n.held * 0.0001, entry_count = n.entry_count, head = n.head,
        moved_at = ledger_time(n.moved_at)
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[],
        %s::bigint[])
        AS n (id, was, balance, held_was, held, entry_count, head, moved_at)
    WHERE w.id = n.id AND w.balance = n.was * 0.0001 AND w.held = n.held_was * 0.0001
    RETURNING 1
), opened AS (
    INSERT INTO ledger_transaction (id, uuid, from_wallet_id, to_wallet_id, amount, currency, decimals, type, status,
        failure_code, initiator_id, "group", reverses_id, note, metadata, created_at, posted_at, completed_at)
    SELECT n.id, n.uuid, n.from_wallet, n.to_wallet, n.amount, n.currency, n.decimals, n.type, n.status,
        n.failure_code, n.initiator, n.sibling, n.reverses, n.note, n.metadata,
        ledger_time(n.created_at), ledger_time(n.posted_at), ledger_time(n.completed_at)
    FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::bigint[], %s::numeric[], %s::text[], %s::smallint[],
        %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::jsonb[],
        %s::bigint[], %s::bigint[], %s::bigint[])
        AS n (id, uuid, from_wallet, to_wallet, amount, currency, decimals, type, status, failure_code, initiator,
            sibling, reverses, note, metadata, created_at, posted_at, completed_at)
), keyed AS (
    INSERT INTO ledger_idempotencykey (initiator_id, key, fingerprint, transaction_id, http_status, created_at)
    SELECT n.initiator, n.key, n.fingerprint, n.transaction, n.http_status, ledger_time(n.created_at)
    FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::bigint[], %s::smallint[], %s::bigint[])
        AS n (initiator, key, fingerprint, transaction, http_status, created_at)
), entered AS (
    INSERT INTO ledger_ledgerentry
        (id, wallet_id, transaction_id, sequence, debit, credit, balance_after, hash, created_at)
    SELECT n.id, n.wallet, n.transaction, n.sequence, n.debit * 0.0001, n.credit * 0.0001, n.balance * 0.0001, n.hash,
        ledger_time(n.created_at)
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::bytea[], %s::bigint[])
        AS n (id, wallet, transaction, sequence, debit, credit, balance, hash, created_at)
), told AS (
    INSERT INTO kernel_outboxevent (number, event_id, transaction_id, wallet_id, lane, status, sequence, created_at)
    SELECT nextval('outbox_numbers'), n.event_id, n.transaction, n.wallet, n.wallet %% 16, n.status, n.sequence,
        ledger_time(n.created_at)
    FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[])
        AS n (event_id, transaction, wallet, status, sequence, created_at)
)
SELECT count(*) FROM moved
"""
_COMPLETE: Final = """
UPDATE ledger_transaction t
SET status = n.status, failure_code = n.failure_code, completed_at = ledger_time(n.completed_at),
    posted_at = coalesce(t.posted_at, ledger_time(n.posted_at))
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])
    AS n (id, status, failure_code, posted_at, completed_at)
WHERE t.id = n.id AND t.status = 'PENDING'
"""


def array(values: Iterable[object]) -> str:
    """A PostgreSQL array literal of numbers, UUIDs, or words of ours that hold no special character."""
    return "{" + ",".join(map(str, values)) + "}"


def _sparse(values: Iterable[object]) -> str:
    """The same where some are missing."""
    return array("NULL" if value is None else value for value in values)


def _bytes(values: Iterable[bytes]) -> str:
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


def _texts(values: Iterable[str]) -> object:
    """Free text: empty strings are common and cheap to write, all else is left to the driver."""
    found = list(values)
    return found if any(found) else "{" + ",".join(['""'] * len(found)) + "}"


def _keys(values: Iterable[str]) -> str:
    """Idempotency keys, which hold visible ASCII only: quoted, and the two letters escaped that mean something."""
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return "{" + ",".join([f'"{value}"' for value in quoted]) + "}"


def _documents(values: Iterable[str]) -> object:
    """Metadata as JSON text; almost always empty."""
    found = list(values)
    return found if any(value != "{}" for value in found) else "{" + ",".join(['"{}"'] * len(found)) + "}"


_AS_IS: Final = array
# How each column of `_WRITE` travels, table by table.
_COLUMNS: Final = (
    ("wallets", (_AS_IS,) * 6 + (_bytes, _sparse)),
    (
        "transactions",
        (_AS_IS, _AS_IS, _AS_IS, _sparse)  # id, uuid, from, to
        + (_AS_IS,) * 5  # amount, currency, decimals, type, status
        + (_texts, _AS_IS, _sparse, _sparse)  # failure_code, initiator, group, reverses
        + (_texts, _documents, _AS_IS, _sparse, _sparse),  # note, metadata, created_at, posted_at, completed_at
    ),
    ("keys", (_AS_IS, _keys, _bytes, _AS_IS, _AS_IS, _AS_IS)),
    ("entries", (_AS_IS,) * 7 + (_bytes, _AS_IS)),
    ("events", (_AS_IS,) * 4 + (_sparse, _AS_IS)),
)
_COMPLETION_COLUMNS: Final = (_AS_IS, _AS_IS, _texts, _sparse, _AS_IS)
_PLACE: Final = """
INSERT INTO ledger_hold (id, uuid, wallet_id, amount, currency, reason, reference, status, created_at, expires_at)
SELECT n.id, n.uuid, n.wallet, n.units * 0.0001, n.currency, n.reason, n.reference, 'OPEN',
    ledger_time(n.created_at), ledger_time(n.expires_at)
FROM unnest(%s::bigint[], %s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[],
    %s::bigint[]) AS n (id, uuid, wallet, units, currency, reason, reference, created_at, expires_at)
"""
_HOLD_COLUMNS: Final = (_AS_IS,) * 5 + (list, list, _AS_IS, _sparse)
_END: Final = """
UPDATE ledger_hold h SET status = n.status, captured_by_id = n.captured_by, ended_at = ledger_time(n.ended_at)
FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[]) AS n (id, status, captured_by, ended_at)
WHERE h.id = n.id AND h.status = 'OPEN'
"""
_ENDED_COLUMNS: Final = (_AS_IS, _AS_IS, _sparse, _AS_IS)


def write(cursor: Cursor, rows: Rows) -> None:
    """
    Write everything in one statement; completions, which need their entries to be there, in a second.

    Entries arrive together with their new transactions, so the statement triggers see both legs.

    :raises LostUpdate: a balance or a status was not what had been read under the lock.
    """
    parameters: list[object] = []
    for table, adapters in _COLUMNS:
        parameters += _adapted(getattr(rows, table), adapters)
    moved = cursor.execute(_WRITE, parameters, prepare=True).fetchone()
    if moved != (len(rows.wallets),):
        raise LostUpdate(f"{moved} balances were as read, of {len(rows.wallets)}")
    if rows.holds:
        cursor.execute(_PLACE, _adapted(rows.holds, _HOLD_COLUMNS), prepare=True)
    if rows.ended:
        cursor.execute(_END, _adapted(rows.ended, _ENDED_COLUMNS), prepare=True)
        if cursor.rowcount != len(rows.ended):
            raise LostUpdate(f"{cursor.rowcount} holds were OPEN, of {len(rows.ended)}")
    if rows.completions:
        cursor.execute(_COMPLETE, _adapted(rows.completions, _COMPLETION_COLUMNS), prepare=True)
        if cursor.rowcount != len(rows.completions):
            raise LostUpdate(f"{cursor.rowcount} transactions were PENDING, of {len(rows.completions)}")


def _adapted(rows: Sequence[tuple[Any, ...]], adapters: Sequence[Callable[[Iterable[Any]], object]]) -> list[object]:
    columns = zip(*rows, strict=True) if rows else [()] * len(adapters)
    return [adapt(column) for adapt, column in zip(adapters, columns, strict=True)]


def in_microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)
