"""Holds: promised, captured once, released, expired; and what may be spent beside them."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from ledger import store
from ledger.holds import release_expired_holds
from ledger.models import Hold, Transaction
from ledger.movements import Group, Key, Movement, Outcome, PlaceHold, ReleaseHold
from ledger.posting import post, preview
from ledger.system_wallets import Purpose, system_wallet
from tests.environment import Database
from tests.ledger.factories import Member, asha, clearing, fund, gateway_actor, group, key, meera, ravi, transfer
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


def place(holder: Member, amount: str, reference: str = "", **more: Any) -> PlaceHold:
    return PlaceHold(
        wallet=holder.wallet.pk,
        amount=Decimal(amount),
        currency=holder.wallet.currency,
        reason="test",
        reference=reference or f"test:{holder.wallet.pk}",
        **more,
    )


def placed(holder: Member, amount: str, **more: Any) -> int:
    (outcome,) = post([group(holder, place(holder, amount, **more))])
    assert outcome.kind == "posted", outcome
    return outcome.holds[0]


def do(holder: Member, *acts: Any) -> Outcome:
    (outcome,) = post([group(holder, *acts)])
    return outcome


def standing(holder: Member) -> tuple[Decimal, Decimal]:
    """Balance and what is held of it, by the database."""
    found = Wallet.objects.get(pk=holder.wallet.pk)
    return found.balance, found.held


def test_what_is_held_cannot_be_spent_and_the_rest_can() -> None:
    a, r = asha(balance="100"), ravi()
    placed(a, "60")
    assert do(a, transfer(a, r, "40.01")).code == "insufficient_funds"
    assert do(a, transfer(a, r, "40")).kind == "posted"
    assert standing(a) == (60, 60)
    assert do(a, place(a, "0.01", "another")).code == "insufficient_funds"
    assert Hold.objects.filter(wallet=a.wallet).count() == 1


def test_a_capture_moves_its_part_and_frees_the_rest() -> None:
    a, r = asha(balance="100"), ravi()
    hold = placed(a, "60")
    taken = do(a, transfer(a, r, "45", captures=hold))
    assert (taken.kind, standing(a), r.balance) == ("posted", (55, 0), 45)
    row = Hold.objects.get(pk=hold)
    assert (row.status, row.captured_by_id) == ("CAPTURED", taken.transactions[0])
    # Captured once, and ended once.
    for again in (transfer(a, r, "1", captures=hold), ReleaseHold(hold=hold)):
        outcome = do(a, again)
        assert (outcome.kind, outcome.code, outcome.holds) == ("unchanged", "CAPTURED", (hold,))
    assert standing(a) == (55, 0)


def test_a_release_gives_it_back_once() -> None:
    a, r = asha(balance="10"), ravi()
    hold = placed(a, "10")
    assert do(a, ReleaseHold(hold=hold)).kind == "posted"
    assert standing(a) == (10, 0)
    assert do(a, transfer(a, r, "10", captures=hold)).code == "RELEASED"
    assert do(a, transfer(a, r, "10")).kind == "posted"


def test_the_same_promise_is_made_once() -> None:
    a = asha(balance="10")
    first = do(a, place(a, "6", "dispute:1"))
    again = do(a, place(a, "6", "dispute:1"))
    assert (again.kind, again.code, again.holds) == ("unchanged", "OPEN", first.holds)
    assert standing(a) == (10, 6)


def test_a_demand_holds_what_there_is_down_to_nothing() -> None:
    a = asha(balance="10")
    (some,) = do(a, place(a, "25", "dispute:2", fact=True)).holds
    assert Hold.objects.get(pk=some).amount == 10
    nothing = do(a, place(a, "25", "dispute:3", fact=True))
    assert (nothing.kind, nothing.holds, nothing.transactions) == ("posted", (), ())
    assert standing(a) == (10, 10)


def test_a_frozen_wallet_can_be_held_only_by_demand() -> None:
    a = asha(balance="10")
    Wallet.objects.filter(pk=a.wallet.pk).update(status="FROZEN")
    assert do(a, place(a, "1")).code == "wallet_frozen"
    assert do(a, place(a, "1", fact=True)).kind == "posted"


def test_a_hold_that_is_over_is_not_captured_and_only_then_expires() -> None:
    a, r = asha(balance="10"), ravi()
    lasting = placed(a, "3", reference="long", expires_at=timezone.now() + timedelta(hours=1))
    early = do(a, ReleaseHold(hold=lasting, expired=True))
    assert (early.kind, early.code) == ("unchanged", "OPEN")
    over = placed(a, "4", reference="short", expires_at=timezone.now() - timedelta(microseconds=1))
    refused = do(a, transfer(a, r, "4", captures=over))
    assert (refused.kind, refused.code) == ("refused", "hold_expired")
    assert Transaction.objects.get(pk=refused.transactions[0]).failure_code == "hold_expired"
    assert standing(a) == (10, 7)
    assert do(a, ReleaseHold(hold=over, expired=True)).kind == "posted"
    assert (Hold.objects.get(pk=over).status, standing(a)) == ("EXPIRED", (10, 3))


def test_the_sweep_ends_what_is_over_and_nothing_else() -> None:
    a = asha(balance="10")
    placed(a, "1", reference="lasting")
    placed(a, "2", reference="for an hour", expires_at=timezone.now() + timedelta(hours=1))
    for number in range(3):
        placed(a, "1", reference=f"over {number}", expires_at=timezone.now() - timedelta(seconds=1))
    assert release_expired_holds(initiator=gateway_actor().pk) == 3
    assert release_expired_holds(initiator=gateway_actor().pk) == 0
    assert standing(a) == (10, 3)


def test_a_lost_dispute_takes_what_was_held_and_owes_the_rest() -> None:
    a = asha(balance="60")
    (hold,) = do(a, place(a, "100", fact=True)).holds
    receivable = system_wallet(Purpose.CHARGEBACKS, "INR")
    before = Wallet.objects.get(pk=receivable).balance
    movement: dict[str, Any] = {"type": "CHARGEBACK", "currency": "INR", "fact": True}
    outcome = do(
        a,
        Movement(**movement, amount=Decimal(60), from_wallet=a.wallet.pk, to_wallet=receivable, captures=hold),
        Movement(**movement, amount=Decimal(100), from_wallet=receivable, to_wallet=clearing()),
    )
    assert (outcome.kind, outcome.diverted, standing(a)) == ("posted", (), (0, 0))
    assert Wallet.objects.get(pk=receivable).balance == before - 40


def test_a_fact_that_its_wallet_cannot_pay_is_owed_by_chargebacks() -> None:
    a = asha(balance="5")
    receivable = system_wallet(Purpose.CHARGEBACKS, "INR")
    before = Wallet.objects.get(pk=receivable).balance
    outcome = do(a, Movement(type="ADJUSTMENT", amount=Decimal(6), currency="INR", from_wallet=a.wallet.pk,
                             to_wallet=clearing(), fact=True))  # fmt: skip
    assert outcome.diverted == outcome.transactions
    assert (a.balance, Wallet.objects.get(pk=receivable).balance) == (5, before - 6)
    row = Transaction.objects.get(pk=outcome.transactions[0])
    assert (row.from_wallet_id, row.metadata) == (receivable, {"owing_wallet": str(a.wallet.pk)})


def refund_of(add: int, holder: Member, amount: str, **more: Any) -> Movement:
    return Movement(type="REFUND", amount=Decimal(amount), currency="INR", from_wallet=holder.wallet.pk,
                    to_wallet=clearing(), reverses=add, **more)  # fmt: skip


def reversal_of(transaction: int, holder: Member, amount: str) -> Movement:
    return Movement(type="REVERSAL", amount=Decimal(amount), currency="INR", from_wallet=clearing(),
                    to_wallet=holder.wallet.pk, reverses=transaction, fact=True)  # fmt: skip


def test_refunds_past_what_is_left_are_refused_beside_their_neighbours() -> None:
    a = asha()
    add = fund(a.wallet, "10")
    fund(a.wallet, "90")
    acts = ["6", "5", "4", "0.01"]
    outcomes = post([group(a, refund_of(add, a, amount), key=key()) for amount in acts])
    assert [outcome.code for outcome in outcomes] == ["", "refund_exceeds", "", "refund_exceeds"]
    assert a.balance == 90
    with pytest.raises(ValueError, match="larger than what is left"):
        do(a, refund_of(add, a, "1", fact=True))


def test_a_reversed_refund_leaves_its_money_to_be_refunded_again() -> None:
    a = asha()
    add = fund(a.wallet, "10")
    (first,) = do(a, refund_of(add, a, "10")).transactions
    undone = do(a, reversal_of(first, a, "10"))
    assert (undone.kind, a.balance) == ("posted", 10)
    again = do(a, reversal_of(first, a, "10"))
    assert (again.kind, again.code, again.transactions) == ("unchanged", "REVERSED", undone.transactions)
    assert do(a, refund_of(add, a, "10")).kind == "posted"
    assert a.balance == 0
    assert do(a, refund_of(add, a, "0.01")).code == "refund_exceeds"


def test_a_reversed_transaction_is_neither_refunded_nor_reversed_in_one_list() -> None:
    a = asha()
    add = fund(a.wallet, "10")
    back = Movement(type="REVERSAL", amount=Decimal(10), currency="INR", from_wallet=a.wallet.pk,
                    to_wallet=clearing(), reverses=add, fact=True)  # fmt: skip
    outcomes = post([group(a, back), group(a, back), group(a, refund_of(add, a, "1"))])
    assert [(outcome.kind, outcome.code) for outcome in outcomes] == [
        ("posted", ""),
        ("unchanged", "REVERSED"),
        ("refused", "refund_exceeds"),
    ]


@pytest.mark.parametrize(
    ("acts", "sentence"),
    [
        (lambda a, hold: [transfer(a, ravi(), "7", captures=hold)], "at most what is held"),
        (lambda a, hold: [transfer(ravi(balance="9"), a, "1", captures=hold)], "the wallet that holds it"),
        (lambda _, hold: [ReleaseHold(hold=hold), ReleaseHold(hold=hold)], "ends once"),
    ],
)
def test_what_no_caller_may_ask_is_a_bug(acts: Any, sentence: str) -> None:
    a = asha(balance="10")
    hold = placed(a, "6")
    with pytest.raises(ValueError, match=sentence):
        do(a, *acts(a, hold))
    assert standing(a) == (10, 6)


def test_nothing_is_held_in_a_system_wallet_and_a_key_stands_for_a_movement() -> None:
    a = asha()
    with pytest.raises(ValueError, match="system wallet"):
        post([Group(initiator=gateway_actor().pk, movements=(PlaceHold(
            wallet=clearing(), amount=Decimal(1), currency="INR", reason="test", reference="no"),))])  # fmt: skip
    with pytest.raises(ValueError, match="key stands for a movement"):
        group(a, place(a, "1"), key=Key(key="k", fingerprint=bytes(32)))
    with pytest.raises(LookupError):
        do(a, ReleaseHold(hold=1))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE wallets_wallet SET held = held + 1 WHERE id = {wallet}",
        "UPDATE ledger_hold SET status = 'RELEASED', ended_at = now() WHERE id = {hold}",
        "UPDATE ledger_hold SET status = 'CAPTURED', captured_by_id = 1, ended_at = now() WHERE id = {hold}",
        "UPDATE ledger_hold SET amount = amount - 1 WHERE id = {hold}",
        "INSERT INTO ledger_hold (id, uuid, wallet_id, amount, currency, reason, reference, status, created_at)"
        " VALUES (1, gen_random_uuid(), {wallet}, 1, 'INR', 'x', 'x', 'OPEN', now())",
        "DELETE FROM ledger_hold",
        "TRUNCATE ledger_hold CASCADE",
    ],
)
def test_the_database_itself_refuses_a_hold_that_does_not_add_up(database: Database, statement: str) -> None:
    a = asha(balance="10")
    hold = placed(a, "6")
    refusals = (psycopg.errors.RestrictViolation, psycopg.errors.CheckViolation, psycopg.errors.InsufficientPrivilege)
    for url in (database.app_url, database.owner_url):
        with pytest.raises(refusals), psycopg.connect(url) as server:  # at COMMIT, too
            server.execute(statement.format(wallet=a.wallet.pk, hold=hold))
    assert standing(a) == (10, 6)


def fact(payer: Member, payee: Member, amount: str) -> Movement:
    return transfer(payer, payee, amount, fact=True)


def test_what_facts_and_demands_take_is_not_there_for_what_follows_in_their_group() -> None:
    a, r, shop = asha(balance="100"), ravi(), asha(balance="5")
    acts: list[tuple[Any, ...]] = [
        (fact(a, r, "80"), transfer(a, r, "50")),
        (place(a, "80", "demand", fact=True), transfer(a, r, "50")),
        (fact(a, shop, "80"), place(a, "30", "promise"), transfer(shop, r, "1")),
        (transfer(a, r, "90"), fact(shop, a, "5"), transfer(a, r, "15")),
    ]
    outcomes = post([group(a, *each) for each in acts])
    assert [(outcome.kind, outcome.code) for outcome in outcomes] == [
        ("refused", "insufficient_funds"),
        ("refused", "insufficient_funds"),
        ("refused", "insufficient_funds"),
        ("posted", ""),
    ]
    assert (standing(a), r.balance, shop.balance) == ((0, 0), 105, 0)


def test_a_preview_judges_holds_as_the_posting_does() -> None:
    a, r, shop = asha(balance="100"), ravi(), meera(balance="50")
    hold = placed(a, "60")
    add = fund(a.wallet, "0.5")
    stories = [
        [group(a, place(a, "30", "more")), group(a, transfer(a, r, "20"))],
        [group(a, transfer(a, r, "45", captures=hold)), group(a, transfer(a, r, "55"))],
        [group(a, ReleaseHold(hold=hold)), group(a, transfer(a, r, "100"))],
        [group(a, place(a, "1000", "all", fact=True)), group(a, transfer(a, r, "0.01"))],
        [group(shop, fact(shop, a, "50")), group(a, transfer(a, r, "90"))],
        [group(a, refund_of(add, a, "0.4")), group(a, refund_of(add, a, "0.2"))],
    ]
    expected = ["insufficient_funds", "", "", "insufficient_funds", "", "refund_exceeds"]
    assert [preview(story)[1].code for story in stories] == expected
    assert standing(a) == (Decimal("100.5"), 60)
    # And the same of a posting, for the one story whose end depends on a demand.
    assert [outcome.code for outcome in post(stories[3])] == ["", "insufficient_funds"]


def test_what_a_wallet_has_not_got_is_not_taken_to_where_it_is_owed_already() -> None:
    a = asha()
    with pytest.raises(ValueError, match="owed there already"):
        do(a, Movement(type="CHARGEBACK", amount=Decimal(1), currency="INR", from_wallet=a.wallet.pk,
                       to_wallet=system_wallet(Purpose.CHARGEBACKS, "INR"), fact=True))  # fmt: skip


def test_two_equal_promises_that_slip_past_the_look_up_are_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    a = asha(balance="10")
    first = placed(a, "6", reference="slips past")
    looked = iter([{}])
    real = store.read_holds
    monkeypatch.setattr(store, "read_holds", lambda *given: next(looked, None) or real(*given))
    again = do(a, place(a, "4", "slips past"))
    assert (again.kind, again.holds, standing(a)) == ("unchanged", (first,), (10, 6))
