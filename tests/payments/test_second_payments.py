"""Captured payments that credit nobody, and payments that were refunded before anybody here had heard of them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from payments.captures import settle_order
from payments.expiry import sweep_orders
from payments.gateways.base import GatewayUnavailable, RemoteRefund
from payments.models import Case, GatewayRefund, ParkedPayment, PaymentAttempt
from payments.refunds import sweep_refunds
from tests.payments.adding import (
    add,
    assert_two_books_agree,
    confirm,
    order_named,
    refunds_settle,
    seen,
    settle,
    suspense,
)
from tests.payments.cast import holder, new_key
from tests.payments.gateway import client, open_door, order_document, wallet_speaks_to
from tests.payments.operating import operate
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, returned, until

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox], superuser_url: str) -> Iterator[Sandbox]:
    """After each test both books agree, and nothing is left in suspense that is not a case."""
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]
        assert_two_books_agree(both[1], superuser_url)
        failed = Case.objects.filter(kind=Case.Kind.REFUND_FAILED, state=Case.State.OPEN)
        assert suspense() * 100 == sum(case.amount_here_minor or 0 for case in failed)


def test_of_two_payments_of_one_order_one_credits_and_the_other_goes_back(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id = begun["checkout"]["order_id"]
    fields = returned(sandbox.pay(order_id, "twice@razorpay"))
    assert confirm(asha, fields).json()["status"] == "SUCCESS"
    for _ in range(2):
        settle(order_id)
    assert asha.balance == 250
    assert ParkedPayment.objects.get(attempt__order__order_id=order_id).reason == "SECOND"
    refunds_settle(sandbox)
    assert sorted(payment["status"] for payment in sandbox.payments(order_id)) == ["captured", "refunded"]
    refund = GatewayRefund.objects.get(attempt__order__order_id=order_id)
    assert refund.state == "PROCESSED"
    assert refund.transaction.amount == 250
    assert refund.reference
    # Whichever of the two they come back with, they see the one ADD.
    assert confirm(asha, fields).json()["id"] == begun["transaction"]["id"]
    assert seen(asha) == [("ADD", "SUCCESS", "250.00")]


def test_a_payment_of_a_rupee_less_is_never_credited_and_the_order_can_still_be_paid(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id = begun["checkout"]["order_id"]
    assert confirm(asha, returned(sandbox.pay(order_id, "short@razorpay"))).json()["status"] == "PENDING"
    assert asha.balance == 0
    refunds_settle(sandbox)
    parked = ParkedPayment.objects.get(attempt__order__order_id=order_id)
    assert parked.reason == "AMOUNT"
    assert parked.transaction.amount == 249
    assert confirm(asha, returned(sandbox.pay(order_id, "success@razorpay"))).json()["status"] == "SUCCESS"
    assert asha.balance == 250
    assert seen(asha) == [("ADD", "SUCCESS", "250.00")]


def test_a_second_capture_that_nobody_told_of_is_found_by_the_sweep(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "late@razorpay")
    assert confirm(asha, returned(sandbox.pay(order_id, "success@razorpay"))).json()["status"] == "SUCCESS"
    until(
        lambda: [payment["status"] for payment in sandbox.payments(order_id)],
        lambda statuses: statuses == ["captured", "captured"],
    )
    assert not ParkedPayment.objects.filter(attempt__order__order_id=order_id).exists()
    sweep_orders(now=timezone.now() + timedelta(seconds=90))
    # The earlier payment is the later capture: what has credited stays.
    refunds_settle(sandbox)
    assert sorted(payment["status"] for payment in sandbox.payments(order_id)) == ["captured", "refunded"]
    assert asha.balance == 250
    assert seen(asha) == [("ADD", "SUCCESS", "250.00")]


def test_a_second_payment_that_cannot_be_given_back_waits_in_suspense_with_a_case(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    operate(sandbox, "refund-course", course="fail")
    try:
        confirm(asha, returned(sandbox.pay(order_id, "twice@razorpay")))
        refunds_settle(sandbox)
        # It is not tried again: a person must find another way.
        settle(order_id)
        refunds_settle(sandbox)
    finally:
        operate(sandbox, "refund-course", course="process")
    refund = GatewayRefund.objects.get(attempt__order__order_id=order_id)
    assert refund.state == "FAILED"
    assert suspense() == asha.balance == 250
    case = Case.objects.get(kind=Case.Kind.REFUND_FAILED, subject=refund.key)
    assert (case.state, case.amount_here_minor) == ("OPEN", 25000)


def silently_paid(sandbox: Sandbox, order_id: str) -> dict[str, Any]:
    """Nobody here is told of it."""
    sandbox.pay(order_id, "silent@razorpay")
    (payment,) = sandbox.payments(order_id)
    return payment


def refunded_there(sandbox: Sandbox, payment: dict[str, Any], paise: int) -> None:
    answer = sandbox.call("POST", f"/payments/{payment['id']}/refund", json={"amount": paise})
    assert answer.status_code == 200, answer.text


def test_a_payment_refunded_in_part_before_anybody_heard_of_it_shows_capture_and_refund_both(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    payment = silently_paid(sandbox, order_id)
    refunded_there(sandbox, payment, 10_000)
    for _ in range(2):
        settle(order_id)
    refunds_settle(sandbox)
    assert seen(asha) == [("ADD", "SUCCESS", "250.00"), ("REFUND", "SUCCESS", "100.00")]
    assert asha.balance == 150
    attempt = PaymentAttempt.objects.get(payment_id=payment["id"])
    assert attempt.reference == payment["acquirer_data"]["rrn"]
    assert (attempt.fee_minor, attempt.tax_minor) == (payment["fee"], payment["tax"])


def test_a_payment_that_had_all_gone_back_before_anybody_heard_of_it_reaches_nobody(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    refunded_there(sandbox, silently_paid(sandbox, order_id), 25_000)
    for _ in range(2):
        settle(order_id)
    refunds_settle(sandbox)
    assert seen(asha) == [("ADD", "PENDING", "250.00")]
    assert asha.balance == 0
    parked = ParkedPayment.objects.get(attempt__order__order_id=order_id)
    refund = GatewayRefund.objects.get(attempt=parked.attempt)
    assert (parked.reason, refund.transaction.reverses_id) == ("GONE", parked.transaction_id)
    # It went back without us, and nothing of it is sent once more.
    assert (refund.key, refund.sends) == ("", 0)


@pytest.mark.parametrize("refunded", [10_000, 25_000])
def test_while_the_gateway_does_not_say_what_went_back_nothing_is_posted(sandbox: Sandbox, refunded: int) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    refunded_there(sandbox, silently_paid(sandbox, order_id), refunded)
    silent, waiting = client(sandbox.url), suspense()

    def say_nothing(*, payment_id: str) -> list[RemoteRefund]:
        raise GatewayUnavailable(f"No answer about {payment_id}.")

    silent.refunds_of = say_nothing  # type: ignore[method-assign]
    with wallet_speaks_to(silent), pytest.raises(GatewayUnavailable):
        settle(order_id)
    assert seen(asha) == [("ADD", "PENDING", "250.00")]
    assert asha.balance == 0
    assert suspense() == waiting
    settle(order_id)
    assert asha.balance * 100 == 25_000 - refunded


@pytest.mark.parametrize("is_credited", [False, True])
def test_an_answer_from_before_the_refund_and_one_from_after_it_post_the_payment_once(
    sandbox: Sandbox, is_credited: bool
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    payment = silently_paid(sandbox, order_id)
    fresh, stale, slow = (client(sandbox.url) for _ in range(3))
    before = fresh.payments_of(order_id=order_id)
    stale.payments_of = lambda **_: before  # type: ignore[method-assign]
    refunded_there(sandbox, payment, 25_000)

    def let_the_other_first(*, payment_id: str) -> list[RemoteRefund]:
        there = fresh.refunds_of(payment_id=payment_id)
        with wallet_speaks_to(stale):
            settle(order_id)
        return there

    slow.refunds_of = let_the_other_first  # type: ignore[method-assign]
    for speaker in (slow,) if is_credited else (fresh, stale):
        with wallet_speaks_to(speaker):
            settle(order_id)
    refunds_settle(sandbox)
    assert asha.balance == 0
    attempt = PaymentAttempt.objects.get(payment_id=payment["id"])
    assert (attempt.credited_by is not None, ParkedPayment.objects.filter(attempt=attempt).exists()) == (
        is_credited,
        not is_credited,
    )
    assert GatewayRefund.objects.get(attempt=attempt).transaction.amount == 250


def test_an_authorized_payment_is_captured_while_its_order_waits(sandbox: Sandbox) -> None:
    asha, key = holder(), new_key()
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        assert asha.post("/wallet/add", {"amount": "250"}, key=key).status_code == 503
    (waiting,) = asha.get("/transactions").json()["results"]
    order = sandbox.order(amount=25000, receipt=waiting["id"], payment={"capture": "manual"})
    assert add(asha, key=key)["checkout"]["order_id"] == order["id"]
    answer = sandbox.pay(order["id"], "success@razorpay")
    assert [payment["status"] for payment in sandbox.payments(order["id"])] == ["authorized"]
    assert confirm(asha, returned(answer)).json()["status"] == "SUCCESS"
    assert [payment["status"] for payment in sandbox.payments(order["id"])] == ["captured"]
    assert seen(asha) == [("ADD", "SUCCESS", "250.00")]


def test_a_payment_in_another_currency_is_only_a_case() -> None:
    asha = holder()
    payment: dict[str, Any] = {
        "id": "pay_Dollars0000000",
        "entity": "payment",
        "order_id": "order_Dollars0000000",
        "amount": 25000,
        "currency": "JPY",
        "status": "captured",
        "captured": True,
        "method": "card",
        "amount_refunded": 0,
    }

    def answer(method: str, path: str, body: Any) -> tuple[int, str]:
        if method == "POST":
            return 200, order_document(id="order_Dollars0000000", amount=25000, receipt=body["receipt"])
        return 200, json.dumps({"entity": "collection", "count": 1, "items": [payment]})

    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = answer
        add(asha)
        for _ in range(2):
            settle_order(order=order_named("order_Dollars0000000"), now=timezone.now())
        sweep_refunds(now=timezone.now())
        assert [method for method, _, _ in door.asked] == ["POST", "GET", "GET"]
    case = Case.objects.get(subject="pay_Dollars0000000")
    assert (case.kind, case.state, case.times) == ("AMOUNT", "OPEN", 2)
    assert seen(asha) == [("ADD", "PENDING", "250.00")]
