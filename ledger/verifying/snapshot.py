"""
The one snapshot that every check reads: REPEATABLE READ, READ ONLY, on a connection of its own.

It takes no row lock and waits for nobody, so it runs beside live traffic and sees one moment of it. Memory on
the server is bounded by `work_mem`: what does not fit goes to temporary files.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from django.db import connections
from psycopg import sql

from wallet_project.kernel.ids import public_id

# As the application and the owner see the ledger; the auditor sees the same columns through views.
_TABLES: Final = {
    "transactions": "public.ledger_transaction",
    "entries": "public.ledger_ledgerentry",
    "keys": "public.ledger_idempotencykey",
    "holds": "public.ledger_hold",
    "wallets": "public.wallets_wallet",
    "currencies": "public.wallets_currency",
    "actors": "public.accounts_actor",
}
_AUDITORS_VIEWS: Final = {name: f"public.auditor_{name}" for name in _TABLES}

_MENTION: Final = re.compile(r"<(wallet|transaction) (\d+)>")
_KINDS: Final = {"wallet": ("wallets", "wal"), "transaction": ("transactions", "txn")}

_LONGEST_STATEMENT: Final = "12h"
_SETTINGS: Final = {
    # Whatever a tampered database defines, these names mean PostgreSQL's own functions.
    "search_path": "pg_catalog",
    "statement_timeout": _LONGEST_STATEMENT,
    "idle_in_transaction_session_timeout": "30min",
    "work_mem": "160MB",
    "hash_mem_multiplier": "1",
    # One core is asked for, and the rest is left to the traffic.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
}


class Snapshot:
    """One moment of the ledger. Queries name tables in braces: `{entries}`."""

    def __init__(self, connection: psycopg.Connection[Any], relations: Mapping[str, str]) -> None:
        self._connection = connection
        self._relations = {name: sql.SQL(relation) for name, relation in relations.items()}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The whole answer; for queries that give few rows."""
        return self._connection.execute(self._named(query)).fetchall()

    def copy(self, query: str) -> Generator[memoryview, None, None]:
        """
        The answer as PostgreSQL's binary COPY, block by block, at most one row in memory.

        Closing the iterator early cancels the statement and keeps the snapshot.
        """
        # A cancelled statement spoils its transaction; inside a savepoint it spoils only that.
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(self._named(query))
        with self._connection.transaction(), self._connection.cursor().copy(statement) as copy:
            for block in copy:
                yield memoryview(block)

    def stream(self, query: str, *, at_once: int) -> Iterator[tuple[Any, ...]]:
        """The answer row by row through a cursor of the server's; `at_once` rows are in memory."""
        with self._connection.cursor(name="stream") as cursor:
            cursor.itersize = at_once
            yield from cursor.execute(self._named(query))

    def named(self, text: str) -> str:
        """`<wallet 7>` and `<transaction 9>` become public ids; a row that is not there keeps its number."""
        return _MENTION.sub(lambda mention: self._name_of(mention[1], int(mention[2])), text)

    def _name_of(self, kind: str, pk: int) -> str:
        relation, prefix = _KINDS[kind]
        found = self._connection.execute(
            sql.SQL("SELECT uuid FROM {} WHERE id = %s").format(self._relations[relation]), [pk]
        ).fetchone()
        return public_id(prefix, found[0]) if found else f"{kind} #{pk}"

    def _named(self, query: str) -> sql.Composed:
        return sql.SQL(query).format(**self._relations)


@contextmanager
def snapshot_of(alias: str, **more: str) -> Iterator[Snapshot]:
    """
    A snapshot of the database behind `alias`, as that alias's role sees it.

    :param more: further settings of PostgreSQL for this connection.
    :raises psycopg.OperationalError: there is no such server, or it does not let us in.
    """
    settings = connections.settings[alias]
    parameters = connections[alias].get_connection_params()
    parameters["options"] = " ".join(
        [parameters.get("options") or "", *(f"-c {name}={value}" for name, value in {**_SETTINGS, **more}.items())]
    )
    parameters.pop("cursor_factory", None)
    relations = _AUDITORS_VIEWS if settings["USER"] == connections.settings["auditor"]["USER"] else _TABLES
    with psycopg.connect(**parameters) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield Snapshot(connection, relations)
        connection.rollback()
