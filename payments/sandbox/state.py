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
