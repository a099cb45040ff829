"""
A large ledger that is true, made without the posting kernel: for measuring what reads the ledger.

Posting two million entries takes ten minutes; here a superuser copies them in with triggers off, chained by
`ledger.chain`. All kinds of rows occur: top-ups, transfers with and without notes and metadata, withdrawals that
fail after their debit, promises of money to come, and refusals.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg
import rfc8785

from ledger import chain

_CHUNK: Final = 5_000
# Beside rows that were posted, and those of other seeds: far above their ids, in a shard that no process uses.
_NUMBERS_OF_A_SEED: Final = 10**12
_FIRST_SHARD: Final = 900
_START: Final = 1_767_225_600_000_000  # 2026-01-01 UTC, in microseconds
_TABLES: Final = {
    "ledger_transaction": ("transactions_have_their_legs_at_birth", "refunds_stay_within"),
    "ledger_ledgerentry": ("entries_balance",),
}
_TRANSACTION_COLUMNS: Final = (
    "id, uuid, from_wallet_id, to_wallet_id, amount, currency, decimals, type, status, failure_code, initiator_id,"
    ' "group", reverses_id, note, metadata, created_at, posted_at, completed_at'
)
_ENTRY_COLUMNS: Final = "id, wallet_id, transaction_id, sequence, debit, credit, balance_after, hash, created_at"


@dataclass(slots=True)
class _Wallet:
    """A wallet as the rows so far leave it. Amounts in 1/10,000."""

    balance: int = 0
    entry_count: int = 0
    head: bytes = bytes(32)
    moved_at: int = 0


@dataclass(slots=True)
class _Made:
    transactions: list[tuple[Any, ...]] = field(default_factory=list)
    entries: list[tuple[Any, ...]] = field(default_factory=list)


class _Ledger:
    """Makes movements one after another and remembers only the wallets."""

    def __init__(self, *, people: list[int], clearing: int, payouts: int, initiator: int, seed: int) -> None:
        self.people = people
        self.clearing = clearing
        self.payouts = payouts
        self.initiator = initiator
        self.wallets = {pk: _Wallet() for pk in (*people, clearing, payouts)}
        self.random = random.Random(seed)
        self.number = seed * _NUMBERS_OF_A_SEED
        self.clock = _START
        self.made = _Made()

    def rows(self, entries: int) -> Iterator[_Made]:
        """Rows in chunks, until at least `entries` entries were made."""
        made = 0
        while made < entries:
            self._movement()
            if len(self.made.entries) >= _CHUNK:
                made += len(self.made.entries)
                yield self.made
                self.made = _Made()
            elif made + len(self.made.entries) >= entries:
                yield self.made
                return

    def _movement(self) -> None:
        payer, payee = self.random.sample(self.people, 2)
        dice = self.random.random()
        units = self.random.randrange(1, 50_000) * 100
        if dice < 0.02:
            self._open(payer, payee, units, type="TRANSFER", status="FAILED", failure_code="insufficient_funds")
        elif dice < 0.03:
            self._open(self.clearing, payee, units, type="ADD", status="PENDING")
        elif dice < 0.15 or self.wallets[payer].balance < units:
            self._open(self.clearing, payer, units * 50, type="ADD")
        elif dice < 0.16:
            self._open(payer, self.payouts, units, type="WITHDRAW", status="PENDING")
        elif dice < 0.17:
            failed = self._open(
                payer, self.payouts, units, type="WITHDRAW", status="FAILED", failure_code="bank_refused"
            )
            self._open(self.payouts, payer, units, type="REVERSAL", reverses=failed)
        elif dice < 0.20:
            self._open(payer, payee, units, type="PAY", metadata={"order_reference": f"order/{self.number}"})
        elif dice < 0.40:
            self._open(payer, payee, units, type="TRANSFER", note=f"for lunch №{self.number % 97}")
        else:
            self._open(payer, payee, units, type="TRANSFER")

    def _open(
        self,
        from_wallet: int,
        to_wallet: int,
        units: int,
        *,
        type: str,
        status: str = "SUCCESS",
        failure_code: str = "",
        reverses: int | None = None,
        note: str = "",
        metadata: dict[str, str] | None = None,
    ) -> int:
        self.number += 1
        self.clock += 1_000
        pk, at, metadata = self.number, self.clock, metadata or {}
        uuid = UUID(int=(at // 1000 << 80) | (7 << 76) | (2 << 62) | pk)
        moves = status == "SUCCESS" or (type == "WITHDRAW" and failure_code in ("", "bank_refused"))
        self.made.transactions.append(
            (
                pk,
                uuid,
                from_wallet,
                to_wallet,
                Decimal(units) / 10_000,
                "INR",
                2,
                type,
                status,
                failure_code,
                self.initiator,
                None,
                reverses,
                note,
                rfc8785.dumps(dict(metadata)).decode(),
                chain.moment(at),
                chain.moment(at) if moves else None,
                None if status == "PENDING" else chain.moment(at),
            )
        )
        if moves:
            digest = chain.digest_of_transaction(
                id=pk,
                uuid=uuid,
                from_wallet=from_wallet,
                to_wallet=to_wallet,
                amount_units=units,
                currency="INR",
                decimals=2,
                type=type,
                initiator=self.initiator,
                group=None,
                reverses=reverses,
                created_at=at,
                note=note,
                metadata=metadata,
            )
            self._enter(2 * pk, from_wallet, pk, units, 0, digest)
            self._enter(2 * pk + 1, to_wallet, pk, 0, units, digest)
        return pk

    def _enter(self, pk: int, wallet: int, transaction: int, debit: int, credit: int, digest: bytes) -> None:
        state = self.wallets[wallet]
        state.balance += credit - debit
        state.entry_count += 1
        state.moved_at = self.clock
        state.head = chain.hash_of_entry(
            previous=state.head,
            wallet=wallet,
            sequence=state.entry_count,
            transaction_digest=digest,
            debit_units=debit,
            credit_units=credit,
            balance_units=state.balance,
            created_at=self.clock,
        )
        self.made.entries.append(
            (
                pk,
                wallet,
                transaction,
                state.entry_count,
                Decimal(debit) / 10_000,
                Decimal(credit) / 10_000,
                Decimal(state.balance) / 10_000,
                state.head,
                chain.moment(self.clock),
            )
        )


def write_synthetic_ledger(*, superuser_url: str, entries: int, people: int, seed: int = 1) -> int:
    """
    Add to a migrated database a true ledger of at least `entries` entries.

    :param seed: another one makes another ledger, which may stand beside the first.
    :returns: how many entries were written.
    """
    with psycopg.connect(superuser_url) as database:
        ledger = _make_wallets(database, people, seed)
        # Rows are checked by whoever reads them later; foreign keys one by one would take longer than the copy.
        database.execute("SET LOCAL session_replication_role = replica")
        for table, triggers in _TABLES.items():
            for trigger in triggers:
                database.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        written = 0
        for made in ledger.rows(entries):
            _copy(database, "ledger_transaction", _TRANSACTION_COLUMNS, made.transactions)
            _copy(database, "ledger_ledgerentry", _ENTRY_COLUMNS, made.entries)
            written += len(made.entries)
        _close_wallets(database, ledger)
        for table, triggers in _TABLES.items():
            for trigger in triggers:
                database.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
    return written


def _make_wallets(database: psycopg.Connection[Any], people: int, seed: int) -> _Ledger:
    users = database.execute(
        """
        INSERT INTO accounts_user (password, is_superuser, uuid, email, full_name, status, email_verified_at, kyc_level,
            token_version, is_staff, second_factor, created_at)
        SELECT '!', false, gen_random_uuid(), 'person' || n || '@synthetic' || %s::int || '.example',
            'Person ' || n, 'ACTIVE', now(), 'MINIMUM', 0, false, false, now()
        FROM generate_series(1, %s) n RETURNING id
        """,
        [seed, people],
    ).fetchall()
    columns = (
        "uuid, owner_id, kind, purpose, shard, label, currency, decimals, balance, held, minimum_balance, status,"
        " entry_count, head, created_at"
    )
    rest = "'', 'INR', 2, 0, 0, 0, 'ACTIVE', 0, decode(repeat('00', 32), 'hex'), now()"
    wallets = database.execute(
        f"INSERT INTO wallets_wallet ({columns}) SELECT gen_random_uuid(), owner, 'USER', '', 0, {rest}"
        " FROM unnest(%s::bigint[]) AS owner RETURNING id",
        [[row[0] for row in users]],
    ).fetchall()
    system = database.execute(
        f"INSERT INTO wallets_wallet ({columns}) SELECT gen_random_uuid(), NULL, 'SYSTEM', purpose,"
        f" {_FIRST_SHARD + seed}, {rest}"
        " FROM unnest(ARRAY['gateway_clearing', 'payout_clearing']) AS purpose RETURNING id",
    ).fetchall()
    actor = database.execute(
        "INSERT INTO accounts_actor (kind, user_id, name) VALUES ('SYSTEM', NULL, 'synthetic ' || %s::int)"
        " RETURNING id",
        [seed],
    ).fetchall()
    return _Ledger(
        people=[row[0] for row in wallets],
        clearing=system[0][0],
        payouts=system[1][0],
        initiator=actor[0][0],
        seed=seed,
    )


def _copy(database: psycopg.Connection[Any], table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    with database.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _close_wallets(database: psycopg.Connection[Any], ledger: _Ledger) -> None:
    moved = [(pk, wallet) for pk, wallet in ledger.wallets.items() if wallet.entry_count]
    database.execute(
        """
        UPDATE wallets_wallet w
        SET balance = n.balance * 0.0001, entry_count = n.entry_count, head = n.head, moved_at = n.moved_at
        FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[], %s::timestamptz[])
            AS n (id, balance, entry_count, head, moved_at)
        WHERE w.id = n.id
        """,
        [
            [pk for pk, _ in moved],
            [wallet.balance for _, wallet in moved],
            [wallet.entry_count for _, wallet in moved],
            [wallet.head for _, wallet in moved],
            [chain.moment(wallet.moved_at) for _, wallet in moved],
        ],
    )
