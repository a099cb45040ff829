"""The outbox's indexes on a wallet in use: a build that was cut short is begun anew, and waits for who writes."""

from threading import Timer

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connections

from tests.environment import Database

pytestmark = pytest.mark.usefixtures("database")

BEFORE, AFTER = "0004_events", "0005_outbox_indexes"
BUILT = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indexrelid::regclass::text = ANY (%s)"
INDEXES = ["outbox_settled", "outbox_unsettled"]


def test_indexes_that_failed_halfway_are_built_again_beside_whoever_moves_money(database: Database) -> None:
    def migrate(to: str) -> None:
        call_command("migrate", "kernel", to, database="owner", verbosity=0, interactive=False)

    def built() -> dict[str, bool]:
        owner.execute(BUILT, [INDEXES])
        return dict(owner.fetchall())

    migrate(BEFORE)
    with connections["owner"].cursor() as owner, psycopg.connect(database.superuser_url) as writer:
        assert built() == {}
        writer.execute("LOCK TABLE kernel_outboxevent IN ROW EXCLUSIVE MODE")
        owner.execute("SET statement_timeout = '300ms'")
        with pytest.raises(OperationalError):
            migrate(AFTER)
        assert built() == {"outbox_unsettled": False}

        owner.execute("SET statement_timeout = 0")
        owner.execute("SET lock_timeout = '50ms'")
        Timer(0.3, writer.rollback).start()
        migrate(AFTER)
        assert built() == dict.fromkeys(INDEXES, True)
