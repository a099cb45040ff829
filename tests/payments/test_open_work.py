"""The indexes of what is still open are built beside the writers, and once more after a try that failed."""

import pytest
from django.db import connections

from tests.cut_short import cut_short_and_run_again
from tests.environment import Database

pytestmark = pytest.mark.usefixtures("database")


def test_a_migration_that_failed_halfway_is_run_again_and_waits_for_writers(database: Database) -> None:
    cut_short_and_run_again(
        database,
        app="payments",
        before="0011_forget_holders",
        migration="0012_open_work",
        written="payments_payout",
        halfway={"dispute_undecided": True, "order_open": True, "refund_open": True, "payout_open": False},
    )
    with connections["owner"].cursor() as owner:
        owner.execute("SHOW lock_timeout")
        assert owner.fetchone() == ("30s",)
