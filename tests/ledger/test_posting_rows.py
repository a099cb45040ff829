"""The rows behind an outcome: events for whoever may know, times that never run backwards, bytes that are hashed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from ledger.models import LedgerEntry, Transaction
from ledger.movements import Completion, Group, Movement
from ledger.posting import post
from tests.environment import Database
from tests.ledger.factories import Member, asha, clearing, fund, gateway_actor, group, key, meera, ravi, transfer
from tests.ledger.proofs import assert_books_hold
from wallet_project.kernel.models import OutboxEvent
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module", autouse=True)
def books_hold_at_the_end(database: Database) -> Iterator[None]:
    yield
    assert_books_hold(database.superuser_url)


def told(transaction: int) -> set[tuple[int, str, int | None]]:
    """(wallet, status, sequence) of each event of a transaction."""
    events = list(OutboxEvent.objects.filter(transaction_id=transaction))
    assert all(event.lane == event.wallet_id % 16 and event.published_at is None for event in events)
    found = {(event.wallet_id, event.status, event.sequence) for event in events}
    assert len(found) == len(events)
    return found


def last_sequence(whom: Member) -> int:
    return Wallet.objects.get(pk=whom.wallet.pk).entry_count


def test_both_sides_of_a_transfer_are_told_with_their_own_sequence() -> None:
    sender, recipient = asha(balance="10"), ravi()
    (outcome,) = post([group(sender, transfer(sender, recipient, "1"))])
    assert told(outcome.transactions[0]) == {
        (sender.wallet.pk, "SUCCESS", 2),
        (recipient.wallet.pk, "SUCCESS", 1),
    }


def test_a_payee_never_hears_of_an_attempt_that_failed() -> None:
    sender, recipient = asha(), ravi()
    (outcome,) = post([group(sender, transfer(sender, recipient, "1"))])
    assert told(outcome.transactions[0]) == {(sender.wallet.pk, "FAILED", None)}
    (outcome,) = post([group(sender, transfer(sender, sender, "1"))])
    assert told(outcome.transactions[0]) == {(sender.wallet.pk, "FAILED", None)}


def test_no_event_is_for_a_system_wallet() -> None:
    person = asha()
    assert told(fund(person.wallet, "5")) == {(person.wallet.pk, "SUCCESS", 1)}


def test_a_top_up_tells_of_each_status_it_reaches_its_failure_included() -> None:
    person = asha()
    promised = [
        Movement(
            type="ADD",
            amount=Decimal(5),
            currency="INR",
            from_wallet=clearing(),
            to_wallet=person.wallet.pk,
            status="PENDING",
        )
    ]
    (good,), (bad,) = (post([group(person, *promised)])[0].transactions for _ in range(2))
    ends = (
        Completion(transaction=good, status="SUCCESS"),
        Completion(transaction=bad, status="FAILED", failure_code="expired"),
    )
    post([Group(initiator=gateway_actor().pk, movements=(end,)) for end in ends])
    assert told(good) == {(person.wallet.pk, "PENDING", None), (person.wallet.pk, "SUCCESS", 1)}
    assert told(bad) == {(person.wallet.pk, "PENDING", None), (person.wallet.pk, "FAILED", None)}


def test_a_replay_tells_nobody_again() -> None:
    sender, recipient = asha(balance="10"), ravi()
    asked = [group(sender, transfer(sender, recipient, "1"), key=key())]
    (first,) = post(asked)
    before = OutboxEvent.objects.count()
    assert post(asked)[0].transactions == first.transactions
    assert OutboxEvent.objects.count() == before


def test_entries_of_one_wallet_count_from_one_without_a_gap() -> None:
    sender, recipient, shop = asha(balance="10"), ravi(), meera()
    post(
        [group(sender, transfer(sender, recipient, "1")), group(sender, transfer(sender, recipient, "100"))]
        + [group(recipient, transfer(recipient, shop, "0.5")) for _ in range(2)]
    )
    found = LedgerEntry.objects.filter(wallet=recipient.wallet).order_by("sequence")
    assert [(entry.sequence, entry.balance_after) for entry in found] == [
        (1, Decimal(1)),
        (2, Decimal("0.5")),
        (3, Decimal(0)),
    ]
    assert last_sequence(recipient) == 3


def test_an_entrys_time_is_the_databases_clock(database: Database) -> None:
    sender, recipient = asha(balance="10"), ravi()
    with psycopg.connect(database.app_url, autocommit=True) as server:
        before = server.execute("SELECT clock_timestamp()").fetchone()
        (outcome,) = post([group(sender, transfer(sender, recipient, "1"))])
        after = server.execute("SELECT clock_timestamp()").fetchone()
    transaction = Transaction.objects.get(pk=outcome.transactions[0])
    assert before is not None
    assert after is not None
    assert before[0] < transaction.created_at < after[0]
    assert {entry.created_at for entry in transaction.entries.all()} == {transaction.created_at}


def test_a_clock_that_went_back_does_not_take_the_chain_with_it(superuser_url: str) -> None:
    """The later of the two wallets' last movements holds, to the microsecond, for both sides."""
    sender, recipient = asha(balance="10"), ravi(balance="10")
    future = datetime.now(UTC).replace(microsecond=123457) + timedelta(days=40)
    with psycopg.connect(superuser_url) as server:
        server.execute("UPDATE wallets_wallet SET moved_at = %s WHERE id = %s", [future, recipient.wallet.pk])
    (outcome,) = post([group(sender, transfer(sender, recipient, "1"))])
    transaction = Transaction.objects.get(pk=outcome.transactions[0])
    assert (transaction.created_at, transaction.posted_at, transaction.completed_at) == (future,) * 3
    assert [entry.created_at for entry in transaction.entries.all()] == [future, future]
    assert Wallet.objects.get(pk=sender.wallet.pk).moved_at == future
    (later,) = post([group(sender, transfer(sender, meera(), "1"))])
    assert Transaction.objects.get(pk=later.transactions[0]).created_at == future


def test_a_note_and_metadata_are_kept_and_hashed_as_given() -> None:
    """`books_hold_at_the_end` hashes them again, with its own reading of the form."""
    sender, recipient = asha(balance="10"), ravi()
    note = 'café 💸 "quoted" \\ {1,2} NULL किराया'
    metadata = {"reference": "A\u00e9\u20ac", "b": "", "a": '"\\\n\u2028'}
    (outcome,) = post([group(sender, transfer(sender, recipient, "1", note=note, metadata=metadata))])
    found = Transaction.objects.get(pk=outcome.transactions[0])
    assert (found.note, found.metadata) == (note, metadata)


def test_each_part_of_a_transaction_is_part_of_its_hash() -> None:
    """Equal movements with one thing changed never share a digest."""
    sender, recipient = asha(balance="10"), ravi()
    outcomes = post(
        [
            group(sender, transfer(sender, recipient, "1")),
            group(sender, transfer(sender, recipient, "1", note="x")),
            group(sender, transfer(sender, recipient, "1", metadata={"x": "y"})),
            group(recipient, transfer(sender, recipient, "1")),
        ]
    )
    hashes = {bytes(entry.hash) for entry in LedgerEntry.objects.filter(wallet=sender.wallet)}
    assert (len(hashes), {outcome.kind for outcome in outcomes}) == (5, {"posted"})
