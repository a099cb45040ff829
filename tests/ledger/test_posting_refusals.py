"""Every code that the kernel refuses with, and which one is said when several apply. `preview` says the same."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings

from ledger.models import Transaction
from ledger.movements import Group, Movement
from ledger.posting import post, preview
from ledger.system_wallets import system_wallet
from tests.environment import Database
from tests.ledger.factories import Member, asha, fund, gateway_actor, group, meera, ravi, transfer
from tests.ledger.proofs import assert_books_hold
from wallet_project.kernel.money import BOUND
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

HUGE = Decimal("950000000000000")  # fifteen digits, past what a wallet can hold


@pytest.fixture(scope="module", autouse=True)
def books_hold_at_the_end(database: Database) -> Iterator[None]:
    yield
    assert_books_hold(database.superuser_url)


def judged(asked: Group) -> str:
    """The code of a group, which `preview` must have foretold; a refusal must be recorded with it."""
    (foretold,) = preview([asked])
    (outcome,) = post([asked])
    assert foretold.code == outcome.code
    if outcome.kind == "refused":
        recorded = Transaction.objects.get(pk=outcome.transactions[0])
        assert (recorded.status, recorded.failure_code) == ("FAILED", outcome.code)
        assert not recorded.entries.exists()
    else:
        assert outcome.kind == "posted"
        for pk, balance in foretold.balances.items():
            assert Wallet.objects.get(pk=pk).balance == balance
    return outcome.code


def set_status(whose: Member, status: str) -> None:
    Wallet.objects.filter(pk=whose.wallet.pk).update(status=status)


def test_more_than_there_is_is_refused_and_the_last_paisa_is_not() -> None:
    sender, recipient = asha(balance="10.00"), ravi()
    assert judged(group(sender, transfer(sender, recipient, "10.01"))) == "insufficient_funds"
    assert judged(group(sender, transfer(sender, recipient, "10.00"))) == ""
    assert sender.balance == 0


def test_a_frozen_wallet_receives_and_does_not_pay() -> None:
    frozen, other = asha(balance="10"), ravi(balance="10")
    set_status(frozen, "FROZEN")
    assert judged(group(frozen, transfer(frozen, other, "1"))) == "wallet_frozen"
    assert judged(group(other, transfer(other, frozen, "1"))) == ""
    fund(frozen.wallet, "5")
    assert frozen.balance == 16


def test_a_closed_wallet_neither_pays_nor_receives() -> None:
    closed, other = asha(balance="10"), ravi(balance="10")
    set_status(closed, "CLOSED")
    assert judged(group(closed, transfer(closed, other, "1"))) == "wallet_frozen"
    assert judged(group(other, transfer(other, closed, "1"))) == "recipient_unavailable"
    assert (closed.balance, other.balance) == (10, 10)


def test_nobody_pays_themselves() -> None:
    sender = asha(balance="10")
    assert judged(group(sender, transfer(sender, sender, "1"))) == "same_wallet"


def test_currencies_do_not_mix() -> None:
    rupees, dinars = asha(balance="10"), ravi(currency="KWD", balance="10")
    assert judged(group(rupees, transfer(rupees, dinars, "1"))) == "currency_mismatch"
    assert judged(group(dinars, transfer(dinars, rupees, "1", currency="INR"))) == "currency_mismatch"


def test_a_payee_who_has_no_wallet_is_recorded_with_the_refusal_the_caller_decided() -> None:
    sender = asha(balance="10")
    nobody = replace(transfer(sender, sender, "1"), to_wallet=None, refuse="recipient_unavailable")
    assert judged(group(sender, nobody)) == "recipient_unavailable"
    blocked = transfer(sender, ravi(), "1", refuse="recipient_unavailable")
    assert judged(group(sender, blocked)) == "recipient_unavailable"


@override_settings(LARGEST_MOVEMENT=Decimal(1000))
def test_one_movement_is_at_most_the_largest() -> None:
    sender, recipient = asha(balance="5000"), ravi()
    assert judged(group(sender, transfer(sender, recipient, "1000.01"))) == "limit_exceeded"
    assert judged(group(sender, transfer(sender, recipient, "1000.00"))) == ""


@pytest.mark.parametrize("amount", [BOUND, HUGE, Decimal("999999999999999.99")])
def test_fifteen_digits_past_the_bound_are_refused_and_remembered(amount: Decimal) -> None:
    sender, recipient = asha(balance="1"), ravi()
    asked = group(sender, transfer(sender, recipient, amount))
    assert judged(asked) == "limit_exceeded"
    recorded = Transaction.objects.get(from_wallet=sender.wallet)
    assert recorded.amount == amount


def test_past_the_bound_every_other_reason_to_refuse_is_recorded_too() -> None:
    sender, recipient, foreign = asha(balance="1"), ravi(), asha(currency="KWD")
    for movement in (
        transfer(sender, sender, HUGE),
        transfer(sender, foreign, HUGE),
        transfer(sender, recipient, HUGE, refuse="recipient_unavailable"),
        replace(transfer(sender, recipient, HUGE, refuse="recipient_unavailable"), to_wallet=None),
    ):
        code = judged(group(sender, movement))
        assert code in ("limit_exceeded", movement.refuse or "", "same_wallet", "currency_mismatch")


def test_a_hopeless_amount_does_not_fail_its_neighbours() -> None:
    sender, recipient = asha(balance="5"), ravi()
    outcomes = post(
        [
            group(sender, transfer(sender, sender, HUGE)),
            group(sender, transfer(sender, recipient, "5")),
        ]
    )
    assert [outcome.kind for outcome in outcomes] == ["refused", "posted"]


@override_settings(LARGEST_MOVEMENT=BOUND)
def test_a_balance_stays_within_the_bound_on_both_sides() -> None:
    rich, other = asha(currency="KWD"), ravi(currency="KWD")
    promotions = system_wallet(Wallet.Purpose.PROMOTIONS, "KWD")
    fund(rich.wallet, BOUND - 1000)

    def given(amount: str | Decimal, to: Member) -> Group:
        gift = Movement(
            type="ADJUSTMENT",
            amount=Decimal(amount),
            currency="KWD",
            from_wallet=promotions,
            to_wallet=to.wallet.pk,
        )
        return Group(initiator=gateway_actor().pk, movements=(gift,))

    assert judged(given("1000", rich)) == "limit_exceeded"
    assert judged(given("999.999", rich)) == ""
    assert judged(given(BOUND - Decimal("999.999"), other)) == "limit_exceeded"  # promotions would reach the bound
    assert judged(given("1", other)) == ""


def test_the_least_balance_may_be_a_credit_line() -> None:
    borrower, shop = asha(minimum_balance=Decimal(-100)), meera()
    assert judged(group(borrower, transfer(borrower, shop, "60", type="PAY"))) == ""
    assert judged(group(borrower, transfer(borrower, shop, "40.01", type="PAY"))) == "insufficient_funds"
    assert judged(group(borrower, transfer(borrower, shop, "40", type="PAY"))) == ""
    assert borrower.balance == -100


@pytest.mark.parametrize(("currency", "least"), [("JPY", "1"), ("KWD", "0.001"), ("INR", "0.01")])
def test_each_currency_moves_down_to_its_smallest_coin(currency: str, least: str) -> None:
    sender, recipient = asha(currency=currency, balance="5"), ravi(currency=currency)
    assert judged(group(sender, transfer(sender, recipient, least))) == ""
    assert (sender.balance, recipient.balance) == (Decimal(5) - Decimal(least), Decimal(least))


def test_what_the_caller_already_decided_comes_first_then_the_parties_then_the_amount_then_the_funds() -> None:
    """Broken in every way at once, a movement is told its first fault; that one mended, the next."""
    frozen, closed, foreign = asha(balance="1"), ravi(), ravi(currency="KWD")
    set_status(frozen, "FROZEN")
    set_status(closed, "CLOSED")
    much = Decimal(20_000_000_000)

    def code(**changed: Any) -> str:
        return judged(group(frozen, replace(transfer(frozen, closed, much), **changed)))

    assert code(refuse="recipient_unavailable") == "recipient_unavailable"
    assert code(to_wallet=frozen.wallet.pk, currency="KWD") == "same_wallet"
    assert code(to_wallet=foreign.wallet.pk) == "currency_mismatch"
    assert code() == "limit_exceeded"
    assert code(amount=Decimal(5)) == "wallet_frozen"
    set_status(frozen, "ACTIVE")
    assert code(amount=Decimal(5)) == "recipient_unavailable"
    set_status(closed, "ACTIVE")
    assert code(amount=Decimal(5)) == "insufficient_funds"
    assert code(amount=Decimal(1)) == ""


def test_guards_are_asked_before_the_funds_and_after_the_parties() -> None:
    sender, recipient = asha(), ravi()
    asked = []

    def limit(view: Any) -> str | None:
        asked.append(view)
        return "limit_exceeded"

    assert judged(group(sender, transfer(sender, recipient, "5"), guards=(limit,))) == "limit_exceeded"
    assert asked
    asked.clear()
    set_status(sender, "FROZEN")
    assert judged(group(sender, transfer(sender, recipient, "5"), guards=(limit,))) == "wallet_frozen"
    assert not asked


def test_a_preview_walks_its_list_and_moves_nothing() -> None:
    first, second = asha(balance="10"), ravi()
    asked = [
        group(first, transfer(first, second, "10")),
        group(first, transfer(first, second, "1")),
        group(second, transfer(second, first, "4")),
    ]
    previews = preview(asked)
    assert [seen.code for seen in previews] == ["", "insufficient_funds", ""]
    assert previews[2].balances == {first.wallet.pk: 4, second.wallet.pk: 6}
    assert (first.balance, second.balance) == (10, 0)
    assert not Transaction.objects.filter(from_wallet=first.wallet).exists()
    assert [outcome.code for outcome in post(asked)] == [seen.code for seen in previews]
