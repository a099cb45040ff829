"""The sandbox's API says what the gateway's documentation says it says."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.payments.sandbox_process import KEY_ID, KEY_SECRET, Sandbox, merchant_and_sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (_merchant, running):
        yield running


def refusal(answer: requests.Response, *, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "description", "field", "source", "step", "reason", "metadata"}
    assert error["code"] == "BAD_REQUEST_ERROR"
    return error


def test_a_new_order_has_every_field_and_nothing_paid(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=12_345, receipt="asha-1", notes={"who": "Asha"})

    assert re.fullmatch(r"order_[A-Za-z0-9]{14}", order["id"])
    assert abs(order.pop("created_at") - time.time()) < 5
    assert order == {
        "id": order["id"],
        "entity": "order",
        "amount": 12_345,
        "amount_paid": 0,
        "amount_due": 12_345,
        "currency": "INR",
        "receipt": "asha-1",
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": {"who": "Asha"},
    }


@pytest.mark.parametrize("fields", [{}, {"notes": []}, {"notes": {}}, {"notes": None}])
def test_empty_notes_come_back_as_a_list(sandbox: Sandbox, fields: dict[str, Any]) -> None:
    assert sandbox.order(**fields)["notes"] == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"payment_capture": 1}, "captured"),
        ({"payment_capture": 0}, "authorized"),
        ({"payment_capture": False}, "authorized"),
        ({"payment": {"capture": "automatic", "capture_options": {"refund_speed": "normal"}}}, "captured"),
        ({"offer_id": "offer_AAAAAAAAAAAAAA", "customer_details": {"name": "Asha"}, "line_items": []}, "captured"),
    ],
)
def test_what_merchants_may_send_beside_is_borne(sandbox: Sandbox, fields: dict[str, Any], status: str) -> None:
    order = sandbox.order(**fields)
    sandbox.pay(order["id"], "success@razorpay")
    assert [payment["status"] for payment in sandbox.payments(order["id"])] == [status]


def test_a_captured_payment_has_every_field(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=100_000)
    sandbox.pay(order["id"], "success@razorpay")

    [payment] = sandbox.payments(order["id"])
    assert sandbox.call("GET", f"/payments/{payment['id']}").json() == payment
    assert re.fullmatch(r"pay_[A-Za-z0-9]{14}", payment["id"])
    expected = {
        "entity": "payment",
        "amount": 100_000,
        "currency": "INR",
        "order_id": order["id"],
        "status": "captured",
        "captured": True,
        "method": "upi",
        "vpa": "success@razorpay",
        "amount_refunded": 0,
        "refund_status": None,
        "fee": 2_360,
        "tax": 360,
        "notes": [],
        "bank": None,
        "wallet": None,
        "card_id": None,
    }
    assert {name: payment[name] for name in expected} == expected
    assert all(payment[f"error_{part}"] is None for part in ("code", "description", "source", "step", "reason"))
    assert re.fullmatch(r"[0-9]{12}", payment["acquirer_data"]["rrn"])
    assert {"email", "contact", "created_at"} <= set(payment)

    paid = sandbox.call("GET", f"/orders/{order['id']}").json()
    assert (paid["status"], paid["amount_paid"], paid["amount_due"], paid["attempts"]) == ("paid", 100_000, 0, 1)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": None}, "amount"),
        ({"amount": 99}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": -100}, "amount"),
        ({"amount": 100.0}, "amount"),
        ({"amount": "100"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 10**40}, "amount"),
        ({"currency": None}, "currency"),
        ({"currency": "USD"}, "currency"),
        ({"receipt": "r" * 41}, "receipt"),
        ({"receipt": 7}, "receipt"),
        ({"notes": {str(number): "" for number in range(16)}}, "notes"),
        ({"notes": {"long": "x" * 257}}, "notes"),
        ({"notes": {"number": 1}}, "notes"),
        ({"notes": "text"}, "notes"),
        ({"payment": {"capture": "later"}}, "payment.capture"),
        ({"partial_payment": "yes"}, "partial_payment"),
        ({"payment_capture": "later"}, "payment_capture"),
        ({"amout": 500}, None),
    ],
)
def test_a_wrong_field_is_refused_by_name(sandbox: Sandbox, fields: dict[str, Any], field: str | None) -> None:
    body = {"amount": 500, "currency": "INR", **fields}
    assert refusal(sandbox.call("POST", "/orders", json=body))["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"amount": NaN, "currency": "INR"}',
        b'{"amount": 500, "currency": "INR", "receipt": "\\ud800"}',
        b"[" * 20_000,
        b"",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(sandbox: Sandbox, body: bytes) -> None:
    refusal(sandbox.call("POST", "/orders", data=body))


def test_a_body_beyond_the_limit_is_refused(sandbox: Sandbox) -> None:
    refusal(sandbox.call("POST", "/orders", data=b" " * (64 * 1024 + 1)), status=413)


def test_a_reused_receipt_is_refused_even_when_asked_for_at_once(sandbox: Sandbox) -> None:
    body = {"amount": 500, "currency": "INR", "receipt": "once-only"}
    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda _: sandbox.call("POST", "/orders", json=body), range(16)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 15
    refused = next(answer for answer in answers if answer.status_code == 400)
    assert refusal(refused)["description"] == "Order receipt should be unique."
    found = sandbox.call("GET", "/orders", params={"receipt": "once-only"}).json()
    assert found["count"] == 1


def test_an_order_is_found_by_its_receipt_and_only_by_it(sandbox: Sandbox) -> None:
    order = sandbox.order(receipt="find-me")
    sandbox.order(receipt="not-me")

    found = sandbox.call("GET", "/orders", params={"receipt": "find-me"}).json()
    assert (found["entity"], found["count"], found["items"]) == ("collection", 1, [order])
    assert sandbox.call("GET", "/orders", params={"receipt": "FIND-ME"}).json()["items"] == []


def test_lists_are_newest_first_and_cut_by_count_skip_and_time(sandbox: Sandbox) -> None:
    made = [sandbox.order()["id"] for _ in range(12)]
    listed = sandbox.call("GET", "/orders").json()
    assert [order["id"] for order in listed["items"]] == made[:1:-1]
    page = sandbox.call("GET", "/orders", params={"count": 3, "skip": 2}).json()
    assert [order["id"] for order in page["items"]] == made[9:6:-1]
    assert sandbox.call("GET", "/orders", params={"to": int(time.time()) - 3600}).json()["count"] == 0
    assert sandbox.call("GET", "/payments", params={"from": int(time.time()) + 3600}).json()["count"] == 0


@pytest.mark.parametrize("query", [{"count": 0}, {"count": 101}, {"count": "ten"}, {"skip": -1}, {"from": "1e3"}])
def test_a_wrong_filter_is_refused_by_name(sandbox: Sandbox, query: dict[str, Any]) -> None:
    assert refusal(sandbox.call("GET", "/payments", params=query))["field"] == next(iter(query))


@pytest.mark.parametrize(
    "path",
    [
        "/orders/order_AAAAAAAAAAAAAA",
        "/orders/order_AAAAAAAAAAAAAA/payments",
        "/orders/nonsense",
        "/orders/%00",
        "/payments/pay_AAAAAAAAAAAAAA",
        "/payments/order_AAAAAAAAAAAAAA",
    ],
)
def test_an_unknown_id_is_a_bad_request_and_not_a_404(sandbox: Sandbox, path: str) -> None:
    assert refusal(sandbox.call("GET", path))["description"] == "The id provided does not exist"


def test_ids_are_case_sensitive(sandbox: Sandbox) -> None:
    order_id = sandbox.order()["id"]
    refusal(sandbox.call("GET", f"/orders/order_{order_id[6:].swapcase()}"))


def test_an_unknown_address_is_a_bad_request_and_a_wrong_method_a_405(sandbox: Sandbox) -> None:
    refusal(sandbox.call("GET", "/nowhere"))
    refusal(sandbox.call("DELETE", "/orders"), status=405)


@pytest.mark.parametrize(
    "pair", [None, (KEY_ID, "wrong"), ("wrong", KEY_SECRET), ("", ""), (KEY_ID, ""), ("Зоя".encode(), b"\xff")]
)
def test_zoya_without_the_right_keys_is_told_nothing(sandbox: Sandbox, pair: tuple[str, str] | None) -> None:
    order_id = sandbox.order()["id"]
    for path in ("/orders", f"/orders/{order_id}", "/payments"):
        answer = sandbox.call("GET", path, auth=pair)
        assert refusal(answer, status=401)["description"] == "Authentication failed"
        assert order_id not in answer.text


def test_a_manual_order_is_authorized_and_then_captured_once(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=70_000, payment={"capture": "manual"})
    assert sandbox.pay(order["id"], "success@razorpay").status_code == 303
    [payment] = sandbox.payments(order["id"])
    assert (payment["status"], payment["captured"], payment["fee"]) == ("authorized", False, None)
    assert sandbox.call("GET", f"/orders/{order['id']}").json()["status"] == "attempted"

    capture = f"/payments/{payment['id']}/capture"
    short = refusal(sandbox.call("POST", capture, json={"amount": 69_999, "currency": "INR"}))
    assert short["field"] == "amount"
    assert short["metadata"] == {"payment_id": payment["id"], "order_id": order["id"]}
    captured = sandbox.call("POST", capture, json={"amount": 70_000, "currency": "INR"}).json()
    assert (captured["status"], captured["captured"]) == ("captured", True)
    assert sandbox.call("GET", f"/orders/{order['id']}").json()["status"] == "paid"
    again = refusal(sandbox.call("POST", capture, json={"amount": 70_000, "currency": "INR"}))
    assert again["description"] == "This payment has already been captured"


def test_of_two_authorized_payments_only_one_can_be_captured(sandbox: Sandbox) -> None:
    order = sandbox.order(payment={"capture": "manual"})
    for _ in range(2):
        sandbox.pay(order["id"], "success@razorpay")
    payments = sandbox.payments(order["id"])
    assert len(payments) == 2
    with ThreadPoolExecutor(2) as crowd:
        answers = list(
            crowd.map(
                lambda payment: sandbox.call(
                    "POST", f"/payments/{payment['id']}/capture", json={"amount": 50_000, "currency": "INR"}
                ),
                payments,
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200, 400]


def test_a_failed_payment_cannot_be_captured(sandbox: Sandbox) -> None:
    order = sandbox.order(payment={"capture": "manual"})
    sandbox.pay(order["id"], "failure@razorpay")
    [payment] = sandbox.payments(order["id"])
    refusal(sandbox.call("POST", f"/payments/{payment['id']}/capture", json={"amount": 50_000, "currency": "INR"}))
    assert sandbox.payments(order["id"]) == [payment]
