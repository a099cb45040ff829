"""Money that comes and goes in two steps: top-ups, withdrawals, refunds, reversals, and facts nobody can refuse."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import structlog
from django.db import DatabaseError

from accounts.models import Actor
from ledger import judging
from ledger.models import LedgerEntry, Transaction
from ledger.movements import Completion, Group, Movement, Outcome
from ledger.posting import post
from ledger.system_wallets import system_wallet
from ledger.walk import Walk
from tests.environment import Database
from tests.ledger.factories import Member, asha, clearing, fund, gateway_actor, group, meera, ravi, transfer
from tests.ledger.proofs import assert_books_hold
from wallet_project.kernel.ids import public_id
from wallet_project.kernel.money import BOUND
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module", autouse=True)
def books_hold_at_the_end(database: Database) -> Iterator[None]:
    yield
    assert_books_hold(database.superuser_url)


def promise(whom: Member, amount: str) -> int:
    """A top-up that waits for the gateway: its primary key."""
    movement = Movement(
        type="ADD",
        amount=Decimal(amount),
        currency=whom.wallet.currency,
        from_wallet=clearing(whom.wallet.currency),
        to_wallet=whom.wallet.pk,
        status="PENDING",
    )
    (outcome,) = post([group(whom, movement)])
    assert outcome.kind == "posted"
    return outcome.transactions[0]


def complete(transaction: int, status: str = "SUCCESS", code: str = "") -> Outcome:
    completion = Completion(transaction=transaction, status=status, failure_code=code)  # type: ignore[arg-type]
    (outcome,) = post([Group(initiator=gateway_actor().pk, movements=(completion,))])
    return outcome


def payouts() -> int:
    return system_wallet(Wallet.Purpose.PAYOUT_CLEARING, "INR")


def withdraw(whom: Member, amount: str) -> int:
    movement = transfer(whom, whom, amount, type="WITHDRAW", status="PENDING", to_wallet=payouts())
    (outcome,) = post([group(whom, movement)])
    assert outcome.kind == "posted"
    return outcome.transactions[0]


def given_back(whom: Member, amount: str, of: int) -> Movement:
    return Movement(
        type="REVERSAL",
        amount=Decimal(amount),
        currency="INR",
        from_wallet=payouts(),
        to_wallet=whom.wallet.pk,
        reverses=of,
        fact=True,
    )


def status_of(transaction: int) -> tuple[str, str]:
    found = Transaction.objects.get(pk=transaction)
    return found.status, found.failure_code


def test_a_promised_top_up_moves_nothing_until_it_is_completed_once() -> None:
    person = asha()
    pending = promise(person, "250")
    assert person.balance == 0
    assert not LedgerEntry.objects.filter(transaction=pending).exists()
    assert complete(pending).kind == "posted"
    for _ in range(2):
        again = complete(pending)
        assert (again.kind, again.transactions, again.code) == ("unchanged", (pending,), "SUCCESS")
    assert person.balance == 250
    assert LedgerEntry.objects.filter(transaction=pending).count() == 2
    found = Transaction.objects.get(pk=pending)
    assert found.created_at < found.posted_at == found.completed_at


def test_a_top_up_that_failed_stays_failed_and_says_so_to_a_late_success() -> None:
    person = asha()
    pending = promise(person, "250")
    assert complete(pending, "FAILED", "expired").kind == "posted"
    late = complete(pending)
    assert (late.kind, late.code) == ("unchanged", "FAILED")
    assert (status_of(pending), person.balance) == (("FAILED", "expired"), 0)
    pending = promise(person, "10")
    assert complete(pending).kind == "posted"
    assert complete(pending, "FAILED", "expired").code == "SUCCESS"
    assert person.balance == 10


def test_completed_twice_in_one_list_it_happens_once() -> None:
    person = asha()
    pending = promise(person, "5")
    groups = [
        Group(initiator=gateway_actor().pk, movements=(Completion(transaction=pending, status="SUCCESS"),))
        for _ in range(3)
    ]
    assert [outcome.kind for outcome in post(groups)] == ["posted", "unchanged", "unchanged"]
    assert person.balance == 5


def test_money_that_a_completion_brings_can_be_spent_by_the_next_group() -> None:
    person, shop = asha(), meera()
    pending = promise(person, "5")
    outcomes = post(
        [
            Group(initiator=gateway_actor().pk, movements=(Completion(transaction=pending, status="SUCCESS"),)),
            group(person, transfer(person, shop, "5", type="PAY")),
        ]
    )
    assert [outcome.kind for outcome in outcomes] == ["posted", "posted"]
    assert (person.balance, shop.balance) == (0, 5)


def test_a_frozen_wallet_still_gets_its_top_up() -> None:
    person = asha()
    pending = promise(person, "5")
    Wallet.objects.filter(pk=person.wallet.pk).update(status="FROZEN")
    assert complete(pending).diverted == ()
    assert person.balance == 5


def test_a_top_up_for_a_wallet_closed_meanwhile_goes_to_suspense_and_is_logged() -> None:
    person = asha()
    pending = promise(person, "75")
    Wallet.objects.filter(pk=person.wallet.pk).update(status="CLOSED")
    suspense = system_wallet(Wallet.Purpose.SUSPENSE, "INR")
    before = Wallet.objects.get(pk=suspense).balance
    with structlog.testing.capture_logs() as lines:
        outcome = complete(pending)
    assert outcome.kind == "posted"
    assert (person.balance, Wallet.objects.get(pk=suspense).balance) == (0, before + 75)
    assert status_of(pending) == ("FAILED", "recipient_unavailable")
    (diverted,) = outcome.diverted
    instead = Transaction.objects.get(pk=diverted)
    assert (instead.type, instead.status, instead.to_wallet_id) == ("ADD", "SUCCESS", suspense)
    assert instead.metadata == {
        "instead_of": public_id("txn", Transaction.objects.get(pk=pending).uuid),
        "intended_wallet": str(person.wallet.pk),
    }
    (line,) = [line for line in lines if line["event"] == "posting.diverted"]
    assert (line["log_level"], line["transactions"]) == ("warning", [diverted])
    assert complete(pending).kind == "unchanged"
    assert Wallet.objects.get(pk=suspense).balance == before + 75


def test_a_fact_for_a_closed_wallet_goes_to_suspense_and_is_logged() -> None:
    person = asha()
    Wallet.objects.filter(pk=person.wallet.pk).update(status="CLOSED")
    suspense = system_wallet(Wallet.Purpose.SUSPENSE, "INR")
    before = Wallet.objects.get(pk=suspense).balance
    with structlog.testing.capture_logs() as lines:
        transaction = fund(person.wallet, "30")
    assert (person.balance, Wallet.objects.get(pk=suspense).balance) == (0, before + 30)
    found = Transaction.objects.get(pk=transaction)
    assert (found.to_wallet_id, found.metadata) == (suspense, {"intended_wallet": str(person.wallet.pk)})
    assert [line["transactions"] for line in lines if line["event"] == "posting.diverted"] == [[found.pk]]


def test_a_fact_that_would_take_a_balance_past_the_bound_goes_to_suspense() -> None:
    rich = asha(currency="JPY")
    fund(rich.wallet, BOUND - 1000)
    promotions = system_wallet(Wallet.Purpose.PROMOTIONS, "JPY")

    def given(amount: int) -> Outcome:
        gift = Movement(
            type="ADJUSTMENT",
            amount=Decimal(amount),
            currency="JPY",
            from_wallet=promotions,
            to_wallet=rich.wallet.pk,
            fact=True,
        )
        return post([Group(initiator=gateway_actor().pk, movements=(gift,))])[0]

    assert (given(999).diverted, rich.balance) == ((), BOUND - 1)
    over = given(1)
    assert (over.kind, over.diverted, rich.balance) == ("posted", over.transactions, BOUND - 1)
    assert Wallet.objects.get(pk=system_wallet(Wallet.Purpose.SUSPENSE, "JPY")).balance == 1


def test_only_the_fact_that_cannot_land_is_diverted_from_its_list() -> None:
    closed, open_ = asha(), ravi()
    Wallet.objects.filter(pk=closed.wallet.pk).update(status="CLOSED")
    outcomes = post(
        [
            Group(
                initiator=gateway_actor().pk,
                movements=(
                    Movement(
                        type="ADD",
                        amount=Decimal(7),
                        currency="INR",
                        from_wallet=clearing(),
                        to_wallet=whom.wallet.pk,
                        fact=True,
                    ),
                ),
            )
            for whom in (closed, open_)
        ]
    )
    assert [bool(outcome.diverted) for outcome in outcomes] == [True, False]
    assert (closed.balance, open_.balance) == (0, 7)


def test_a_withdrawal_is_debited_at_once_and_ends_well() -> None:
    person = asha(balance="100")
    pending = withdraw(person, "40")
    posted_at = Transaction.objects.get(pk=pending).posted_at
    assert (person.balance, status_of(pending), posted_at is None) == (60, ("PENDING", ""), False)
    assert complete(pending).kind == "posted"
    assert complete(pending).kind == "unchanged"
    found = Transaction.objects.get(pk=pending)
    assert (found.status, found.posted_at, person.balance) == ("SUCCESS", posted_at, 60)


def test_a_failed_withdrawal_is_given_back_in_the_same_breath_and_once() -> None:
    person = asha(balance="100")
    pending = withdraw(person, "40")
    ending = Group(
        initiator=gateway_actor().pk,
        movements=(
            Completion(transaction=pending, status="FAILED", failure_code="rejected"),
            given_back(person, "40", pending),
        ),
    )
    assert [outcome.kind for outcome in post([ending, ending])] == ["posted", "unchanged"]
    assert post([ending])[0].kind == "unchanged"
    assert (person.balance, status_of(pending)) == (100, ("FAILED", "rejected"))
    assert Transaction.objects.filter(reverses=pending).count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"amount": Decimal("39.99")},
        {"to_wallet": "another wallet"},
        {"from_wallet": "clearing"},
        {"reverses": "another"},
        {"type": "REFUND"},
        {"fact": False},
    ],
)
def test_a_withdrawal_cannot_fail_without_all_of_its_money_coming_back(wrong: dict[str, Any]) -> None:
    person, other = asha(balance="100"), ravi(balance="100")
    pending, another = withdraw(person, "40"), withdraw(other, "40")
    meant = {"another wallet": other.wallet.pk, "another": another, "clearing": clearing()}
    wrong = {name: meant.get(value, value) for name, value in wrong.items()}
    back = (replace(given_back(person, "40", pending), **wrong),) if wrong else ()
    completion = Completion(transaction=pending, status="FAILED", failure_code="rejected")
    with pytest.raises(ValueError, match="REVERSAL"):
        post([Group(initiator=gateway_actor().pk, movements=(completion, *back))])
    assert (person.balance, status_of(pending)[0]) == (60, "PENDING")


def test_a_failed_withdrawal_of_a_wallet_closed_meanwhile_goes_to_suspense() -> None:
    person = asha(balance="40")
    pending = withdraw(person, "40")
    Wallet.objects.filter(pk=person.wallet.pk).update(status="CLOSED")
    completion = Completion(transaction=pending, status="FAILED", failure_code="rejected")
    (outcome,) = post([Group(initiator=gateway_actor().pk, movements=(completion, given_back(person, "40", pending)))])
    assert (outcome.kind, len(outcome.diverted), person.balance) == ("posted", 1, 0)
    assert status_of(pending) == ("FAILED", "rejected")


def test_a_bank_may_return_a_withdrawal_days_after_it_succeeded() -> None:
    person = asha(balance="100")
    pending = withdraw(person, "40")
    complete(pending)
    back = Group(initiator=gateway_actor().pk, movements=(given_back(person, "40", pending),))
    assert post([back])[0].kind == "posted"
    assert (person.balance, status_of(pending)) == (100, ("SUCCESS", ""))
    (again,) = post([back])
    assert (again.kind, again.code) == ("unchanged", "REVERSED")
    assert person.balance == 100


def test_a_second_reversal_is_refused_by_the_database_too(monkeypatch: pytest.MonkeyPatch) -> None:
    person = asha(balance="100")
    pending = withdraw(person, "40")
    complete(pending)
    back = Group(initiator=gateway_actor().pk, movements=(given_back(person, "40", pending),))
    post([back])
    monkeypatch.setattr(Walk, "_already", lambda *_: None)
    with pytest.raises((DatabaseError, psycopg.Error), match="transaction_one_reversal"):
        post([back])
    assert person.balance == 100


def test_refunds_of_a_payment_never_exceed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    payer, shop = asha(balance="100"), meera(balance="100")
    (paid,) = post([group(payer, transfer(payer, shop, "60", type="PAY"))])

    def refund(amount: str) -> Outcome:
        back = transfer(shop, payer, amount, type="REFUND", reverses=paid.transactions[0])
        return post([group(shop, back)])[0]

    assert refund("20").kind == "posted"
    assert refund("40").kind == "posted"
    assert payer.balance == 100
    assert refund("0.01").code == "refund_exceeds"
    # The database refuses by itself, whatever the kernel thinks.
    monkeypatch.setattr(judging, "_judge_origin", lambda *_: "")
    with pytest.raises((DatabaseError, psycopg.Error), match="refunds"):
        refund("0.01")
    assert (payer.balance, shop.balance) == (100, 100)


def test_who_completes_is_not_who_started() -> None:
    person = asha()
    pending = promise(person, "5")
    complete(pending)
    assert Transaction.objects.get(pk=pending).initiator == Actor.objects.get(user=person.user)
