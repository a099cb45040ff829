"""The gateway's client against a door that misbehaves, and the documented signature's vector."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from payments.gateways import gateway_named
from payments.gateways.base import GatewayRefused, GatewayUnavailable
from tests.payments.gateway import Door, client, open_door, order_document


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as opened:
        yield opened


def answers(door: Door, *script: tuple[int, str]) -> None:
    """One after another; the last goes on for ever."""
    left = list(script)
    door.answer = lambda _method, _path, _body: left.pop(0) if len(left) > 1 else left[0]


def create(door: Door) -> Any:
    return client(door.url).create_order(amount_minor=500, currency="INR", receipt="txn_1")


def test_the_documented_vector_of_a_checkouts_signature_fits() -> None:
    speaker = gateway_named("razorpay")
    good = "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89"
    assert speaker.is_genuine_return(order_id="fake_order_id", payment_id="fake_payment_id", signature=good)
    for order_id, payment_id, signature in (
        ("fake_order_id", "fake_payment_id", good.upper()),
        ("fake_order_id", "fake_payment_id", ""),
        ("fake_order_id", "fake_payment_id", "é" * 64),
        ("other_order_id", "fake_payment_id", good),
        ("fake_order_id", "other", good),
    ):
        assert not speaker.is_genuine_return(order_id=order_id, payment_id=payment_id, signature=signature)


def test_an_order_is_created_with_its_receipt_and_read_back(door: Door) -> None:
    answers(door, (200, order_document(id="order_1", amount=500, receipt="txn_1")))
    order = create(door)
    assert (order.id, order.amount_minor, order.currency, order.receipt) == ("order_1", 500, "INR", "txn_1")
    ((method, path, body),) = door.asked
    assert (method, path) == ("POST", "/v1/orders")
    assert (body["amount"], body["receipt"], body["payment"]) == (500, "txn_1", {"capture": "automatic"})


def test_a_refusal_keeps_code_reason_and_status_and_is_not_asked_again(door: Door) -> None:
    error = {"code": "BAD_REQUEST_ERROR", "description": "Too much.", "reason": "null", "field": None}
    answers(door, (400, json.dumps({"error": error})))
    with pytest.raises(GatewayRefused) as refused:
        create(door)
    assert (refused.value.code, refused.value.reason, refused.value.http_status) == ("BAD_REQUEST_ERROR", "", 400)
    assert not refused.value.may_have_happened
    assert len(door.asked) == 1


def test_a_page_of_html_is_no_answer_and_a_write_is_not_sent_again_after_it(door: Door) -> None:
    answers(door, (502, "<html>Bad Gateway</html>"))
    with pytest.raises(GatewayUnavailable) as lost:
        create(door)
    assert (lost.value.http_status, lost.value.may_have_happened) == (502, True)
    assert len(door.asked) == 1


def test_a_success_that_cannot_be_read_may_have_happened(door: Door) -> None:
    for text in ("<html>", "[]", "{}", '{"id": "order_1", "amount": "many", "currency": "INR"}'):
        answers(door, (200, text))
        with pytest.raises(GatewayUnavailable) as lost:
            create(door)
        assert lost.value.may_have_happened, text


def test_reads_are_asked_again_after_502_and_429(door: Door) -> None:
    answers(door, (502, "<html>"), (429, "{}"), (200, '{"items": []}'))
    assert client(door.url).payments_of(order_id="order_1") == []
    assert len(door.asked) == 3


def test_a_write_turned_away_with_429_is_sent_again_and_given_up_in_the_end(door: Door) -> None:
    answers(door, (429, "{}"), (200, order_document(id="order_1", amount=500, receipt="txn_1")))
    assert create(door).id == "order_1"
    answers(door, (429, "{}"))
    with pytest.raises(GatewayUnavailable) as lost:
        create(door)
    assert (lost.value.http_status, lost.value.may_have_happened) == (429, False)


def test_nobody_there_certainly_did_not_happen() -> None:
    with pytest.raises(GatewayUnavailable) as lost:
        client("http://127.0.0.1:9").create_order(amount_minor=500, currency="INR", receipt="txn_1")
    assert (lost.value.http_status, lost.value.may_have_happened) == (None, False)


def test_a_gateway_that_hangs_is_given_up_in_time_and_may_have_acted(door: Door) -> None:
    def hang(_method: str, _path: str, _body: Any) -> tuple[int, str]:
        time.sleep(1.5)
        return 200, "{}"

    door.answer = hang
    began = time.monotonic()
    with pytest.raises(GatewayUnavailable) as lost:
        client(door.url, read_seconds=0.2).create_order(amount_minor=500, currency="INR", receipt="txn_1")
    assert time.monotonic() - began < 1.4
    assert lost.value.may_have_happened
    assert len(door.asked) == 1


def test_only_an_order_with_that_very_receipt_is_found(door: Door) -> None:
    item = json.loads(order_document(id="order_1", amount=500, receipt="txn_1"))
    answers(door, (200, json.dumps({"items": [item]})))
    found = client(door.url).find_order(receipt="txn_1")
    assert found is not None
    assert found.id == "order_1"
    assert client(door.url).find_order(receipt="txn_2") is None


def test_a_payment_is_read_with_its_warts(door: Door) -> None:
    payment = {"id": "pay_1", "amount": 500, "currency": "INR", "status": "captured", "order_id": "order_1"}
    warts = {"error_code": "NA", "error_reason": "null", "method": None, "amount_refunded": None}
    answers(door, (200, json.dumps({"items": [payment | warts, payment | {"amount_refunded": 1}]})))
    whole, refunded = client(door.url).payments_of(order_id="order_1")
    assert (whole.is_captured, whole.error_code, whole.error_reason, whole.method) == (True, "", "", "")
    assert not refunded.is_captured


_CAPTURED = {"event": "payment.captured", "payload": {"payment": {"entity": {"order_id": "order_1"}}}}
_PAID = {"event": "order.paid", "payload": {"order": {"entity": {"id": "order_2"}}}}
_ODD = {"event": 5, "payload": {"order": {"entity": {"id": 7}}}}


@pytest.mark.parametrize(
    ("body", "name", "order_id"),
    [
        (json.dumps(_CAPTURED).encode(), "payment.captured", "order_1"),
        (json.dumps(_PAID).encode(), "order.paid", "order_2"),
        (b'{"event": "settlement.processed", "payload": {}}', "settlement.processed", ""),
        (json.dumps(_ODD).encode(), "", ""),
        (b'{"event": "order.paid", "payload": []}', "", ""),
        (b"[]", "", ""),
        (b"\xff", "", ""),
        (b"[" * 100_000, "", ""),
    ],
)
def test_a_webhook_says_what_it_is_about_and_bears_anything(body: bytes, name: str, order_id: str) -> None:
    news = gateway_named("razorpay").read_webhook(body)
    assert (news.name, news.order_id) == (name, order_id)
