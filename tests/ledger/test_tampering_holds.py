"""Holds that a superuser tampered with, found and named by `verify_ledger`."""

import pytest

from ledger.movements import ReleaseHold
from ledger.posting import post
from tests.environment import Database
from tests.ledger.factories import Member, asha, group, ravi, transfer
from tests.ledger.test_holds import placed
from tests.ledger.verifier import first_lie, holds, tampering


@pytest.fixture
def holder(own_database: Database) -> Member:
    """With one hold of each kind; the open one is of 4."""
    a = asha(balance="10")
    post([group(a, transfer(a, ravi(), "1", captures=placed(a, "2", reference="taken")))])
    post([group(a, ReleaseHold(hold=placed(a, "3", reference="freed")))])
    placed(a, "4", reference="open")
    assert "The ledger holds" in holds()
    return a


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE wallets_wallet SET held = 5 WHERE held > 0", "held: expected 4.0000, the sum of its open holds"),
        ("UPDATE ledger_hold SET amount = 5 WHERE reference = 'open'", "held: expected 5.0000"),
        ("DELETE FROM ledger_hold WHERE reference = 'open'", "held: expected 0, the sum of its open holds"),
        ("UPDATE ledger_hold SET amount = 0.5 WHERE reference = 'taken'", "captured: transaction"),
        (
            "UPDATE ledger_hold SET captured_by_id = (SELECT min(id) FROM ledger_transaction)"
            " WHERE reference = 'taken'",
            "captured: transaction",
        ),
        ("UPDATE ledger_hold SET captured_by_id = 1 WHERE reference = 'taken'", "captured: transaction 1 "),
    ],
)
def test_a_hold_that_lies_is_found(own_database: Database, holder: Member, change: str, says: str) -> None:
    with tampering(own_database.superuser_url) as server:
        assert server.execute(change).rowcount == 1
    assert says in first_lie()
    assert holder.wallet.public_id in first_lie()
