"""A migration that builds indexes beside writers, cut short and run once more."""

from collections.abc import Mapping
from threading import Timer

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connections

from tests.environment import Database

_BUILT = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indexrelid::regclass::text = ANY (%s)"


def cut_short_and_run_again(
    database: Database, *, app: str, before: str, migration: str, written: str, halfway: Mapping[str, bool | None]
) -> None:
    """
    :param before: the migration that comes before it.
    :param written: the table that somebody writes to all the while.
    :param halfway: its indexes, and what is there of each once it was cut short: whole, not valid, or nothing.
    """

    def migrate(to: str) -> None:
        call_command("migrate", app, to, database="owner", verbosity=0, interactive=False)

    def built() -> dict[str, bool]:
        owner.execute(_BUILT, [list(halfway)])
        return dict(owner.fetchall())

    migrate(before)
    with connections["owner"].cursor() as owner, psycopg.connect(database.superuser_url) as writer:
        assert built() == {}
        writer.execute(f"LOCK TABLE {written} IN ROW EXCLUSIVE MODE")
        owner.execute("SET statement_timeout = '500ms'")
        with pytest.raises(OperationalError):
            migrate(migration)
        assert built() == {index: valid for index, valid in halfway.items() if valid is not None}

        owner.execute("SET statement_timeout = 0")
        owner.execute("SET lock_timeout = '50ms'")
        Timer(0.5, writer.rollback).start()
        migrate(migration)
        assert built() == dict.fromkeys(halfway, True)
