"""The indexes of what is still open are built beside the writers, and once more after a try that failed."""

from threading import Timer

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connections

from tests.environment import Database

pytestmark = pytest.mark.usefixtures("database")

BEFORE, AFTER = "0011_forget_holders", "0012_open_work"
BUILT = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indexrelid::regclass::text = ANY (%s)"
INDEXES = ["dispute_undecided", "order_open", "payout_open", "refund_open"]


def test_a_migration_that_failed_halfway_is_run_again_and_waits_for_writers(database: Database) -> None:
    def migrate(to: str) -> None:
        call_command("migrate", "payments", to, database="owner", verbosity=0, interactive=False)

    def built() -> dict[str, bool]:
        owner.execute(BUILT, [INDEXES])
        return dict(owner.fetchall())

    migrate(BEFORE)
    with connections["owner"].cursor() as owner, psycopg.connect(database.superuser_url) as writer:
        assert built() == {}
        writer.execute("LOCK TABLE payments_payout IN ROW EXCLUSIVE MODE")
        owner.execute("SET statement_timeout = '500ms'")
        with pytest.raises(OperationalError):
            migrate(AFTER)
        assert built() == {"dispute_undecided": True, "order_open": True, "refund_open": True, "payout_open": False}

        owner.execute("SET statement_timeout = 0")
        owner.execute("SET lock_timeout = '50ms'")
        Timer(0.5, writer.rollback).start()
        migrate(AFTER)
        assert built() == dict.fromkeys(INDEXES, True)
        owner.execute("SHOW lock_timeout")
        assert owner.fetchone() == ("30s",)
