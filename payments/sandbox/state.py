"""
The sandbox's own book on disk: one SQLite file that survives a restart and `kill -9`.

WAL with `synchronous=NORMAL`: what was committed before an answer left is in the operating system's
hands, so the death of the process loses nothing. (A power cut may; this is a sandbox.)
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from payments.sandbox.identifiers import new_id

# Applied in order, each once; `user_version` remembers how many. Append, never edit.
SCHEMA = (
    """
    CREATE TABLE account (id TEXT PRIMARY KEY) STRICT;

    CREATE TABLE orders (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        amount INTEGER NOT NULL CHECK (amount >= 100),
        amount_paid INTEGER NOT NULL DEFAULT 0 CHECK (amount_paid >= 0),
        currency TEXT NOT NULL,
        receipt TEXT UNIQUE,
        status TEXT NOT NULL DEFAULT 'created' CHECK (status IN ('created', 'attempted', 'paid')),
        attempts INTEGER NOT NULL DEFAULT 0,
        capture TEXT NOT NULL CHECK (capture IN ('automatic', 'manual')),
        notes TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE payments (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        order_id TEXT NOT NULL REFERENCES orders (id),
        amount INTEGER NOT NULL CHECK (amount >= 100),
        amount_refunded INTEGER NOT NULL DEFAULT 0 CHECK (amount_refunded BETWEEN 0 AND amount),
        currency TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'created'
            CHECK (status IN ('created', 'authorized', 'captured', 'refunded', 'failed')),
        vpa TEXT NOT NULL,
        fee INTEGER,
        tax INTEGER,
        rrn TEXT,
        error_code TEXT,
        error_description TEXT,
        error_source TEXT,
        error_step TEXT,
        error_reason TEXT,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX payments_of_order ON payments (order_id);

    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        body BLOB NOT NULL,
        signature TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL REFERENCES events (id),
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'exhausted')),
        tries INTEGER NOT NULL DEFAULT 0,
        due_at REAL NOT NULL,
        give_up_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status = 'pending';

    CREATE TABLE delivery_tries (
        delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
        try INTEGER NOT NULL,
        sent_at REAL NOT NULL,
        took_ms INTEGER NOT NULL,
        http_status INTEGER,
        error TEXT NOT NULL,
        PRIMARY KEY (delivery_id, try)
    ) STRICT;
    """,
    """
    CREATE TABLE later (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        deed TEXT NOT NULL,
        subject TEXT NOT NULL,
        due_at REAL NOT NULL,
        broken INTEGER NOT NULL DEFAULT 0 CHECK (broken IN (0, 1))
    ) STRICT;
    CREATE INDEX later_due ON later (due_at) WHERE broken = 0;

    CREATE TABLE switches (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

    CREATE TABLE refunds (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        payment_id TEXT NOT NULL REFERENCES payments (id),
        amount INTEGER NOT NULL CHECK (amount >= 100),
        currency TEXT NOT NULL,
        receipt TEXT,
        speed TEXT NOT NULL CHECK (speed IN ('normal', 'optimum')),
        notes TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processed', 'failed')),
        rrn TEXT,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX refunds_of_payment ON refunds (payment_id);

    CREATE TABLE refund_keys (
        key TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        refund_id TEXT NOT NULL REFERENCES refunds (id)
    ) STRICT;

    CREATE TABLE contacts (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        fingerprint TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        email TEXT,
        contact TEXT,
        type TEXT,
        reference_id TEXT,
        notes TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE fund_accounts (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        fingerprint TEXT NOT NULL UNIQUE,
        contact_id TEXT NOT NULL REFERENCES contacts (id),
        account_type TEXT NOT NULL CHECK (account_type IN ('bank_account', 'vpa')),
        name TEXT,
        ifsc TEXT,
        account_number TEXT,
        address TEXT,
        created_at INTEGER NOT NULL,
        CHECK ((account_type = 'vpa') = (address IS NOT NULL)),
        CHECK ((account_type = 'bank_account') = (account_number IS NOT NULL))
    ) STRICT;

    CREATE TABLE validations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        fund_account_id TEXT NOT NULL REFERENCES fund_accounts (id),
        amount INTEGER NOT NULL,
        notes TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'created' CHECK (status IN ('created', 'completed')),
        account_status TEXT CHECK (account_status IN ('active', 'invalid')),
        registered_name TEXT,
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE payouts (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        fund_account_id TEXT NOT NULL REFERENCES fund_accounts (id),
        amount INTEGER NOT NULL CHECK (amount >= 100),
        currency TEXT NOT NULL,
        fees INTEGER NOT NULL DEFAULT 0,
        tax INTEGER NOT NULL DEFAULT 0,
        mode TEXT NOT NULL CHECK (mode IN ('IMPS', 'NEFT', 'RTGS', 'UPI')),
        purpose TEXT NOT NULL,
        reference_id TEXT,
        narration TEXT,
        notes TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'queued', 'scheduled', 'processing', 'processed',
            'reversed', 'failed', 'rejected', 'cancelled')),
        utr TEXT,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX payouts_by_reference ON payouts (reference_id);

    CREATE TABLE payout_keys (
        key TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        payout_id TEXT NOT NULL REFERENCES payouts (id),
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE payout_stumbles (key TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;

    CREATE TABLE disputes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        payment_id TEXT NOT NULL REFERENCES payments (id),
        amount INTEGER NOT NULL CHECK (amount >= 100),
        amount_deducted INTEGER NOT NULL DEFAULT 0 CHECK (amount_deducted IN (0, amount)),
        currency TEXT NOT NULL,
        reason_code TEXT NOT NULL,
        respond_by INTEGER NOT NULL,
        status TEXT NOT NULL DEFAULT 'open'
            CHECK (status IN ('open', 'under_review', 'action_required', 'won', 'lost', 'closed')),
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX disputes_one_at_a_time ON disputes (payment_id)
        WHERE status IN ('open', 'under_review', 'action_required');

    CREATE TABLE settlements (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        amount INTEGER NOT NULL,
        fees INTEGER NOT NULL,
        tax INTEGER NOT NULL,
        utr TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE settlement_items (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        settlement_id TEXT NOT NULL REFERENCES settlements (id),
        entity_id TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL CHECK (type IN ('payment', 'refund', 'adjustment')),
        debit INTEGER NOT NULL,
        credit INTEGER NOT NULL,
        amount INTEGER NOT NULL,
        fee INTEGER NOT NULL DEFAULT 0,
        tax INTEGER NOT NULL DEFAULT 0,
        payment_id TEXT NOT NULL REFERENCES payments (id),
        dispute_id TEXT UNIQUE REFERENCES disputes (id),
        created_at INTEGER NOT NULL,
        CHECK ((type = 'adjustment') = (dispute_id IS NOT NULL))
    ) STRICT;
    """,
)


class StateUnusable(Exception):
    """The state file cannot be opened, or another sandbox has it open."""


class State:
    """
    The file, behind one connection and one lock.

    Each unit of work is short and touches no network, so taking turns costs less than SQLite's own
    waiting for locks, and makes every unit serial.
    """

    def __init__(self, path: Path) -> None:
        """
        :raises StateUnusable: with a message that names the path.
        """
        self._turn = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
            self._connection.row_factory = sqlite3.Row
            # Two processes on one file would send every webhook twice: the second is refused.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._apply_schema()
        except (OSError, sqlite3.Error) as error:
            raise StateUnusable(f"SANDBOX_STATE {path} cannot be used: {error}.") from error

    def _apply_schema(self) -> None:
        applied = self._connection.execute("PRAGMA user_version").fetchone()[0]
        for version, script in enumerate(SCHEMA[applied:], start=applied + 1):
            self._connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {version}; COMMIT;")
        with self.unit() as db:
            db.execute("INSERT INTO account (id) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM account)", [new_id("acc")])
            self.account_id: str = db.execute("SELECT id FROM account").fetchone()["id"]

    @contextmanager
    def unit(self) -> Iterator[sqlite3.Connection]:
        """One unit of work: committed as a whole before the caller goes on, or not at all."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A failed COMMIT (a full disk) leaves the transaction open, or has ended it already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Finish the unit that is running, then let go of the file."""
        with self._turn:
            self._connection.close()
