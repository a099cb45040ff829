"""
Database plumbing that knows no app: which connection, which role, which lock.

`posting` is the one connection of a process that moves money. While it is in use, every ORM read and
write of that thread goes through it, so that a companion row cannot commit elsewhere.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.operations import RunSQL
from django.db.models import Model

POSTING = "posting"

_state = threading.local()


def is_posting() -> bool:
    """True while this thread is inside the posting transaction."""
    return getattr(_state, "posting", False)


@contextmanager
def routed_to_posting() -> Iterator[None]:
    """Send every ORM read and write of this thread to `posting`. Not re-entrant."""
    if is_posting():
        raise RuntimeError("Already posting: post() never nests.")
    _state.posting = True
    try:
        yield
    finally:
        _state.posting = False


class WalletRouter:
    """Chooses the connection: `posting` inside `post`, otherwise `default`; migrations only as owner."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return self.db_for_write(model, **hints)

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return POSTING if is_posting() else "default"

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        # All aliases are the same database seen by different roles.
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "owner"


def require_no_transaction() -> None:
    """
    Refuse to start inside an atomic block of any alias.

    A wrapping transaction would let acknowledged money roll back, or hold a lock across the posting.

    :raises RuntimeError: named after the alias.
    """
    for alias in connections:
        wrapper = getattr(connections._connections, alias, None)  # type: ignore[attr-defined]
        if wrapper is not None and wrapper.in_atomic_block:
            raise RuntimeError(f"post() must not run inside an atomic block (of {alias!r}).")


def require_transaction(alias: str) -> None:
    """
    A helper that locks demands a transaction; it never opens its own.

    :raises RuntimeError: outside an atomic block.
    """
    if not transaction.get_connection(alias).in_atomic_block:
        raise RuntimeError("This needs a surrounding transaction.")


def application_role() -> str:
    """The role in `DATABASE_URL`, quoted for SQL."""
    return _quoted(settings.DATABASES["default"]["USER"])


def auditor_role() -> str:
    """The role in `DATABASE_AUDITOR_URL`, quoted for SQL."""
    return _quoted(settings.DATABASES["auditor"]["USER"])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def grant_only(table: str, privileges: str) -> RunSQL:
    """
    A migration step: on `table` the application role has exactly `privileges`.

    Default privileges give a new table everything but TRUNCATE; what holds money is narrowed here.
    """
    role = application_role()
    return RunSQL(
        f'REVOKE ALL ON TABLE "{table}" FROM {role}; GRANT {privileges} ON TABLE "{table}" TO {role};',
        reverse_sql=f'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "{table}" TO {role};',
    )


def append_only(table: str, why: str) -> RunSQL:
    """
    A migration step: rows of `table` are added and read, and nobody changes or removes one, whatever their role.

    Needs `kernel.0003_refuse_change`. ENABLE ALWAYS, because `session_replication_role = replica` skips plain triggers.
    """
    role, trigger = application_role(), f"{table}_only_grows"
    return RunSQL(
        f"""
        REVOKE ALL ON TABLE "{table}" FROM {role};
        GRANT SELECT, INSERT ON TABLE "{table}" TO {role};
        CREATE TRIGGER "{trigger}" BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}"
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('{why}');
        ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER "{trigger}";
        """,
        reverse_sql=f"""
        DROP TRIGGER "{trigger}" ON "{table}";
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "{table}" TO {role};
        """,
    )


def read_prepared(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """
    The rows of a read that almost every request makes, planned once for each connection; while `post` runs, on its own.

    The driver's own cursor binds on the server and prepares; Django's merges parameters into the text, so that
    PostgreSQL plans each request's joins anew.
    """
    with _prepared(statement, parameters) as cursor:
        return cursor.fetchall()


def write_prepared(statement: str, parameters: Mapping[str, Any]) -> int:
    """The same for a write within a posting. Returns how many rows it touched."""
    with _prepared(statement, parameters) as cursor:
        return cursor.rowcount


def _prepared(statement: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[tuple[Any, ...]]:
    connection = connections[POSTING if is_posting() else "default"]
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection).execute(statement, parameters, prepare=True)


def give_back_connection() -> None:
    """
    Before waiting for the network or for somebody else: a connection held idle is one that others wait for.

    :raises RuntimeError: inside an atomic block, which would be lost.
    """
    connection = connections["default"]
    if connection.in_atomic_block:
        raise RuntimeError("Nobody waits for the network inside a transaction.")
    connection.close()


_inherited: list[object] = []


def _forget_inherited_connections() -> None:
    """
    A forked child speaks on none of its parent's connections: two would share one session and its transaction.

    Nor may it close them, so they are kept, unused, until it ends.
    """
    pools = DatabaseWrapper._connection_pools  # type: ignore[attr-defined]  # by alias
    _inherited.extend(pools.values())
    pools.clear()
    for wrapper in connections.all(initialized_only=True):
        _inherited.append(wrapper.connection)
        wrapper.connection = None


os.register_at_fork(after_in_child=_forget_inherited_connections)
