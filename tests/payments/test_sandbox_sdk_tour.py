"""The gateway's own SDK, unmodified and independent of our client, on a tour of the sandbox."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import razorpay
from razorpay.errors import BadRequestError, SignatureVerificationError

from payments.sandbox.signatures import return_signature
from tests.payments.gateway import letters_about
from tests.payments.sandbox_process import (
    KEY_ID,
    KEY_SECRET,
    WEBHOOK_SECRET,
    Merchant,
    Sandbox,
    merchant_and_sandbox,
    returned,
)

# gateway.md's vector.
VECTOR_ORDER, VECTOR_PAYMENT = "fake_order_id", "fake_payment_id"
VECTOR = "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Sandbox:
    return both[1]


@pytest.fixture
def sdk(sandbox: Sandbox) -> Any:
    return razorpay.Client(auth=(KEY_ID, KEY_SECRET), base_url=sandbox.url)


def paid(sandbox: Sandbox, sdk: Any, *, amount: int = 50_000, **fields: Any) -> tuple[str, str]:
    """A new order and its one payment."""
    order = sdk.order.create(data={"amount": amount, "currency": "INR", **fields})
    sandbox.pay(order["id"], "success@razorpay")
    [payment] = sdk.order.payments(order["id"])["items"]
    return order["id"], payment["id"]


def test_orders_are_created_fetched_and_listed(sandbox: Sandbox, sdk: Any) -> None:
    order = sdk.order.create(
        data={"amount": 50_000, "currency": "INR", "receipt": "asha-tour", "notes": {"for": "wallet"}}
    )
    assert (order["status"], order["amount_due"], order["notes"]) == ("created", 50_000, {"for": "wallet"})
    assert sdk.order.fetch(order["id"]) == order
    assert sdk.order.all({"receipt": "asha-tour"})["items"] == [order]

    sandbox.pay(order["id"], "failure@razorpay")
    sandbox.pay(order["id"], "success@razorpay")
    attempts = sdk.order.payments(order["id"])
    assert [each["status"] for each in attempts["items"]] == ["captured", "failed"]
    assert sdk.order.fetch(order["id"])["status"] == "paid"
    assert sdk.order.all({"count": 1})["items"] == [sdk.order.fetch(order["id"])]


def test_a_payment_is_captured_by_hand_once(sandbox: Sandbox, sdk: Any) -> None:
    order_id, payment_id = paid(sandbox, sdk, payment={"capture": "manual"})
    assert sdk.payment.fetch(payment_id)["status"] == "authorized"
    with pytest.raises(BadRequestError, match="equal to the amount authorized"):
        sdk.payment.capture(payment_id, 49_999, {"currency": "INR"})

    captured = sdk.payment.capture(payment_id, 50_000, {"currency": "INR"})

    assert (captured["status"], captured["captured"], captured["order_id"]) == ("captured", True, order_id)
    assert captured in sdk.payment.all({"count": 100})["items"]
    with pytest.raises(BadRequestError, match="already been captured"):
        sdk.payment.capture(payment_id, 50_000, {"currency": "INR"})


def test_refunds_in_part_then_in_full_are_fetched_and_listed(sandbox: Sandbox, sdk: Any) -> None:
    _, payment_id = paid(sandbox, sdk)
    part = sdk.payment.refund(payment_id, {"amount": 20_000, "speed": "normal", "notes": {"why": "half"}})
    assert (part["entity"], part["amount"], part["payment_id"]) == ("refund", 20_000, payment_id)
    assert sdk.payment.fetch(payment_id)["refund_status"] == "partial"

    rest = sdk.payment.refund(payment_id, {})

    assert rest["amount"] == 30_000
    payment = sdk.payment.fetch(payment_id)
    assert (payment["status"], payment["amount_refunded"], payment["refund_status"]) == ("refunded", 50_000, "full")
    listed = sdk.payment.fetch_multiple_refund(payment_id)["items"]
    assert [each["id"] for each in listed] == [rest["id"], part["id"]]
    assert sdk.payment.fetch_refund_id(payment_id, part["id"])["amount"] == 20_000
    assert {part["id"], rest["id"]} <= {each["id"] for each in sdk.refund.all({"count": 100})["items"]}
    deadline = time.monotonic() + 10
    while sdk.refund.fetch(rest["id"])["status"] != "processed":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(BadRequestError, match="fully refunded"):
        sdk.payment.refund(payment_id, {"amount": 100})


def test_the_return_from_checkout_bears_the_sdks_inspection(sandbox: Sandbox, sdk: Any) -> None:
    order = sdk.order.create(data={"amount": 50_000, "currency": "INR"})
    result = returned(sandbox.pay(order["id"], "success@razorpay"))
    assert sdk.utility.verify_payment_signature(result)
    with pytest.raises(SignatureVerificationError):
        sdk.utility.verify_payment_signature(result | {"razorpay_order_id": "order_AAAAAAAAAAAAAA"})


def test_a_webhook_bears_the_sdks_inspection_and_a_changed_one_does_not(
    both: tuple[Merchant, Sandbox], sdk: Any
) -> None:
    merchant, sandbox = both
    order = sandbox.order()["id"]
    sandbox.pay(order, "failure@razorpay")
    (letter,) = letters_about(merchant, order, 1)
    assert letter.event == "payment.failed"
    body = letter.body.decode()
    assert sdk.utility.verify_webhook_signature(body, letter.signature, WEBHOOK_SECRET)
    for changed, secret in ((json.dumps(letter.document), WEBHOOK_SECRET), (body, "older_webhook_secret")):
        with pytest.raises(SignatureVerificationError):
            sdk.utility.verify_webhook_signature(changed, letter.signature, secret)


def test_the_documented_vector_is_signed_alike_by_the_sdk_and_by_the_sandbox(sdk: Any) -> None:
    signed = {
        "razorpay_order_id": VECTOR_ORDER,
        "razorpay_payment_id": VECTOR_PAYMENT,
        "razorpay_signature": return_signature(
            key_secret="key_secret", order_id=VECTOR_ORDER, payment_id=VECTOR_PAYMENT
        ),
    }
    assert signed["razorpay_signature"] == VECTOR
    assert KEY_SECRET == "key_secret"
    assert sdk.utility.verify_payment_signature(signed)


def test_refusals_arrive_as_the_sdks_own_errors(sandbox: Sandbox, sdk: Any) -> None:
    with pytest.raises(BadRequestError, match="The id provided does not exist"):
        sdk.payment.fetch("pay_AAAAAAAAAAAAAA")
    with pytest.raises(BadRequestError, match="minimum amount"):
        sdk.order.create(data={"amount": 99, "currency": "INR"})
    sdk.order.create(data={"amount": 100, "currency": "INR", "receipt": "once"})
    with pytest.raises(BadRequestError, match="Order receipt should be unique"):
        sdk.order.create(data={"amount": 100, "currency": "INR", "receipt": "once"})
    stranger = razorpay.Client(auth=(KEY_ID, "wrong"), base_url=sandbox.url)
    with pytest.raises(BadRequestError, match="Authentication failed"):
        stranger.order.all()
