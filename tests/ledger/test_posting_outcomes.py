"""What `post` answers: each kind of outcome, groups that are all or nothing, lists whose groups are independent."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from ledger.models import IdempotencyKey, LedgerEntry, Transaction
from ledger.movements import Completion, Group, Key, Movement
from ledger.posting import post, preview
from tests.environment import Database
from tests.ledger.factories import asha, clearing, gateway_actor, group, key, meera, ravi, transfer
from tests.ledger.proofs import assert_books_hold

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module", autouse=True)
def books_hold_at_the_end(database: Database) -> Iterator[None]:
    yield
    assert_books_hold(database.superuser_url)


def test_money_goes_from_asha_to_ravi_and_both_have_an_entry() -> None:
    sender, recipient = asha(balance="500"), ravi()
    (outcome,) = post([group(sender, transfer(sender, recipient, "200.00", note="rent"), key=key())])
    assert (outcome.kind, outcome.code, outcome.http_status, outcome.diverted) == ("posted", "", 201, ())
    assert (sender.balance, recipient.balance) == (300, 200)
    transaction = Transaction.objects.get(pk=outcome.transactions[0])
    assert (transaction.status, transaction.note, transaction.initiator_id) == ("SUCCESS", "rent", sender.actor.pk)
    assert transaction.created_at == transaction.posted_at == transaction.completed_at
    legs = LedgerEntry.objects.filter(transaction=transaction).order_by("-debit")
    assert [(leg.wallet_id, leg.debit, leg.credit, leg.balance_after) for leg in legs] == [
        (sender.wallet.pk, 200, 0, 300),
        (recipient.wallet.pk, 0, 200, 200),
    ]


def test_a_refusal_is_recorded_and_moves_nothing() -> None:
    sender, recipient = asha(balance="100"), ravi()
    (outcome,) = post([group(sender, transfer(sender, recipient, "100.01"), key=key())])
    assert (outcome.kind, outcome.code, outcome.http_status) == ("refused", "insufficient_funds", 422)
    assert (sender.balance, recipient.balance) == (100, 0)
    transaction = Transaction.objects.get(pk=outcome.transactions[0])
    assert (transaction.status, transaction.failure_code, transaction.posted_at) == (
        "FAILED",
        "insufficient_funds",
        None,
    )
    assert not transaction.entries.exists()


def test_the_same_key_and_request_replay_what_happened_the_first_time() -> None:
    sender, recipient = asha(balance="500"), ravi()
    first = group(sender, transfer(sender, recipient, "200"), key=key("k"))
    (posted,) = post([first])
    (replayed,) = post([group(sender, transfer(sender, recipient, "200"), key=key("k"))])
    assert (replayed.kind, replayed.transactions, replayed.http_status) == ("replayed", posted.transactions, 201)
    assert sender.balance == 300


def test_a_refusal_replays_even_when_it_would_go_through_by_now() -> None:
    sender, recipient, giver = asha(), ravi(), asha(balance="1000")
    (refused,) = post([group(sender, transfer(sender, recipient, "50"), key=key("k"))])
    post([group(giver, transfer(giver, sender, "500"))])
    (replayed,) = post([group(sender, transfer(sender, recipient, "50"), key=key("k"))])
    assert (replayed.kind, replayed.code, replayed.http_status) == ("replayed", "insufficient_funds", 422)
    assert replayed.transactions == refused.transactions
    assert sender.balance == 500


def test_a_key_used_for_another_request_is_refused_and_leaves_no_row() -> None:
    sender, recipient = asha(balance="500"), ravi()
    post([group(sender, transfer(sender, recipient, "200"), key=key("k"))])
    before = Transaction.objects.count()
    (outcome,) = post([group(sender, transfer(sender, recipient, "300"), key=key("k", request="another"))])
    assert (outcome.kind, outcome.code, outcome.http_status, outcome.transactions) == (
        "key_reused",
        "idempotency_key_reused",
        422,
        (),
    )
    assert (Transaction.objects.count(), sender.balance) == (before, 300)


def test_a_key_belongs_to_its_initiator_alone() -> None:
    one, other = asha(balance="10"), ravi(balance="10")
    outcomes = post(
        [
            group(one, transfer(one, other, "1"), key=key("shared")),
            group(other, transfer(other, one, "2"), key=key("shared", request="another")),
        ]
    )
    assert [outcome.kind for outcome in outcomes] == ["posted", "posted"]


def test_a_key_may_hold_every_character_that_a_header_may() -> None:
    sender, recipient = asha(balance="10"), ravi()
    text = "".join(chr(code) for code in range(33, 127)) + '{"NULL",\\}'
    for expected in ("posted", "replayed"):
        (outcome,) = post([group(sender, transfer(sender, recipient, "1"), key=key(text))])
        assert outcome.kind == expected
    assert IdempotencyKey.objects.get(initiator=sender.actor).key == text


def test_equal_keys_inside_a_list_are_one_request() -> None:
    sender, recipient = asha(balance="500"), ravi()
    first, again, other = post(
        [
            group(sender, transfer(sender, recipient, "200"), key=key("k")),
            group(sender, transfer(sender, recipient, "200"), key=key("k")),
            group(sender, transfer(sender, recipient, "1"), key=key("k", request="another")),
        ]
    )
    assert [first.kind, again.kind, other.kind] == ["posted", "replayed", "key_reused"]
    assert again.transactions == first.transactions
    assert sender.balance == 300


def test_a_refused_request_replays_inside_its_own_list() -> None:
    sender, recipient = asha(), ravi()
    outcomes = post([group(sender, transfer(sender, recipient, "2"), key=key("k")) for _ in range(2)])
    assert [(outcome.kind, outcome.code) for outcome in outcomes] == [
        ("refused", "insufficient_funds"),
        ("replayed", "insufficient_funds"),
    ]


def test_the_groups_of_a_list_are_independent_and_see_those_before_them() -> None:
    first, second, third = asha(balance="100"), ravi(), meera()
    outcomes = post(
        [
            group(first, transfer(first, second, "60")),
            group(first, transfer(first, second, "60")),  # 40 left
            group(second, transfer(second, third, "60")),  # what the first group brought
            group(first, transfer(first, third, "40")),
        ]
    )
    assert [outcome.code for outcome in outcomes] == ["", "insufficient_funds", "", ""]
    assert (first.balance, second.balance, third.balance) == (0, 0, 100)


def test_a_group_happens_whole_or_not_at_all() -> None:
    sender, shop, tax = asha(balance="100"), meera(), ravi()
    movements = [
        transfer(sender, shop, "90", type="PAY"),
        transfer(sender, tax, "10.01", type="FEE"),
    ]
    (outcome,) = post([group(sender, *movements, key=key())])
    assert (outcome.kind, outcome.code, len(outcome.transactions)) == ("refused", "insufficient_funds", 1)
    assert (sender.balance, shop.balance, tax.balance) == (100, 0, 0)
    assert Transaction.objects.get(pk=outcome.transactions[0]).type == "PAY"
    assert Transaction.objects.filter(from_wallet=sender.wallet).count() == 1


def test_siblings_of_a_group_name_its_first_transaction() -> None:
    sender, shop, tax = asha(balance="100"), meera(), ravi()
    (outcome,) = post(
        [group(sender, transfer(sender, shop, "90", type="PAY"), transfer(shop, tax, "2", type="FEE"), key=key("k"))]
    )
    pay, fee = (Transaction.objects.get(pk=pk) for pk in outcome.transactions)
    assert (pay.type, fee.type) == ("PAY", "FEE")
    assert pay.group == fee.group == pay.pk
    assert (sender.balance, shop.balance, tax.balance) == (10, 88, 2)
    (alone,) = post([group(sender, transfer(sender, shop, "1", type="PAY"))])
    assert Transaction.objects.get(pk=alone.transactions[0]).group is None


def test_money_may_pass_through_a_wallet_within_one_group() -> None:
    first, second, third = asha(balance="10"), ravi(), meera()
    (outcome,) = post([group(first, transfer(first, second, "10"), transfer(second, third, "10"))])
    assert outcome.kind == "posted"
    assert (first.balance, second.balance, third.balance) == (0, 0, 10)


def test_nothing_asked_is_nothing_done() -> None:
    assert post([]) == []


def test_one_group_refers_to_a_wallet_that_does_not_exist_and_nothing_happens() -> None:
    sender = asha(balance="10")
    movement = Movement(
        type="TRANSFER", amount=Decimal(1), currency="INR", from_wallet=sender.wallet.pk, to_wallet=2**40
    )
    with pytest.raises(LookupError, match="wallets"):
        post([group(sender, movement)])
    with pytest.raises(LookupError, match="wallets"):
        preview([group(sender, movement)])
    with pytest.raises(LookupError, match="transaction"):
        post([Group(initiator=sender.actor.pk, movements=(Completion(transaction=2**40, status="SUCCESS"),))])
    assert sender.balance == 10


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"amount": 5}, TypeError),
        ({"amount": 5.0}, TypeError),
        ({"amount": Decimal(0)}, ValueError),
        ({"amount": Decimal(-1)}, ValueError),
        ({"amount": Decimal("NaN")}, ValueError),
        ({"amount": Decimal("Infinity")}, (ValueError, OverflowError)),
        ({"amount": Decimal("1.001")}, ValueError),
        ({"amount": Decimal("0.00001")}, ValueError),
        ({"amount": Decimal(10) ** 15}, ValueError),
        ({"currency": "USD"}, ValueError),
        ({"currency": "JPY", "amount": Decimal("1.5")}, ValueError),
        ({"currency": "KWD", "amount": Decimal("1.0001")}, ValueError),
        ({"to_wallet": None}, ValueError),
        ({"status": "PENDING"}, ValueError),
        ({"fact": True, "refuse": "same_wallet"}, ValueError),
        ({"metadata": {"n": 1}}, TypeError),
    ],
)
def test_a_movement_that_makes_no_sense_cannot_be_written_down(
    wrong: dict[str, object], error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    sound = {"type": "TRANSFER", "amount": Decimal(1), "currency": "INR", "from_wallet": 1, "to_wallet": 2}
    with pytest.raises(error):
        Movement(**{**sound, **wrong})


def test_keys_completions_and_groups_that_make_no_sense_cannot_be_written_down() -> None:
    with pytest.raises(ValueError, match="key"):
        Key(key="", fingerprint=bytes(32))
    with pytest.raises(ValueError, match="key"):
        Key(key="x" * 256, fingerprint=bytes(32))
    with pytest.raises(ValueError, match="key"):
        Key(key="x", fingerprint=b"short")
    with pytest.raises(ValueError, match="code"):
        Completion(transaction=1, status="FAILED")
    with pytest.raises(ValueError, match="code"):
        Completion(transaction=1, status="SUCCESS", failure_code="expired")
    with pytest.raises(ValueError, match="movement"):
        Group(initiator=1, movements=())
    with pytest.raises(ValueError, match="keyed"):
        Group(initiator=1, movements=(Completion(transaction=1, status="SUCCESS"),), key=key())
    with pytest.raises(ValueError, match="once"):
        Group(initiator=1, movements=(Completion(transaction=1, status="SUCCESS"),) * 2)


def test_what_the_gateway_brings_is_started_by_the_system() -> None:
    recipient = asha(balance="12.34")
    transaction = Transaction.objects.get(to_wallet=recipient.wallet)
    assert (transaction.initiator, transaction.from_wallet_id) == (gateway_actor(), clearing())
