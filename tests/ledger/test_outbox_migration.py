"""The outbox's indexes on a wallet in use: a build that was cut short is begun anew, and waits for who writes."""

import pytest

from tests.cut_short import cut_short_and_run_again
from tests.environment import Database

pytestmark = pytest.mark.usefixtures("database")


def test_indexes_that_failed_halfway_are_built_again_beside_whoever_moves_money(database: Database) -> None:
    cut_short_and_run_again(
        database,
        app="kernel",
        before="0004_events",
        migration="0005_outbox_indexes",
        written="kernel_outboxevent",
        halfway={"outbox_unsettled": False, "outbox_settled": None},
    )
