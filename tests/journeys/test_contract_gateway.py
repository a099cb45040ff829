"""Adding money: checkout, confirm, callback and webhook, honest, repeated and forged."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.journeys.contract import Api, Person, fresh_key, inr, problem, signed, transaction
from tests.running import Run

pytestmark = pytest.mark.runner


def started(person: Person, amount: str = "50") -> tuple[str, str]:
    """A new ADD: its transaction's id and its order's."""
    answer = person.add(amount)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert set(body) == {"transaction", "checkout"}
    return str(transaction(body["transaction"])["id"]), str(body["checkout"]["order_id"])


def status(person: Person, add: str) -> str:
    return str(person.get(f"/transactions/{add}").json()["status"])


def wait_for(person: Person, balance: str) -> None:
    deadline = time.monotonic() + 30
    while person.balance != balance:
        assert time.monotonic() < deadline, person.balance
        time.sleep(0.1)


@pytest.fixture(scope="session")
def sign(running_wallet: Run) -> Callable[[str, str], str]:
    """The checkout's signature, made with the gateway's own secret."""
    secret = running_wallet.env["RAZORPAY_KEY_SECRET"].encode()
    return lambda order, payment: hmac.new(secret, f"{order}|{payment}".encode(), hashlib.sha256).hexdigest()


@pytest.fixture(scope="session")
def webhook(running_wallet: Run, api: Api) -> Callable[..., requests.Response]:
    """Posts an event as the gateway would, rightly signed unless another signature is given."""
    secret = running_wallet.env["RAZORPAY_WEBHOOK_SECRETS"].split(",")[0].encode()

    def post(body: bytes, event: str | None = None, signature: str | None = None) -> requests.Response:
        right = hmac.new(secret, body, hashlib.sha256).hexdigest()
        headers = {"X-Razorpay-Signature": right if signature is None else signature}
        if event is not None:
            headers["x-razorpay-event-id"] = event
        return api.call("POST", "/webhooks/razorpay", data=body, headers=headers)

    return post


def captured(order: str, amount: int = 5000, payment: str = "pay_AAAAAAAAAAAAAA") -> bytes:
    entity = {"id": payment, "entity": "payment", "order_id": order, "amount": amount, "currency": "INR",
              "status": "captured", "captured": True}  # fmt: skip
    event = {"entity": "event", "event": "payment.captured", "contains": ["payment"],
             "payload": {"payment": {"entity": entity}}}  # fmt: skip
    return json.dumps(event).encode()


def test_adding_money_is_pending_until_the_gateway_has_it(asha: Person, running_wallet: Run) -> None:
    answer = asha.add("50.5")
    checkout, add = answer.json()["checkout"], transaction(answer.json()["transaction"])
    assert checkout == {
        "provider": "razorpay",
        "order_id": checkout["order_id"],
        "key_id": running_wallet.env["RAZORPAY_KEY_ID"],
        "amount_minor": 5050,
        "currency": "INR",
        "url": f"{running_wallet.sandbox_url}/checkout/{checkout['order_id']}",
    }
    assert (add["type"], add["status"], add["direction"], add["amount"]) == ("ADD", "PENDING", "in", inr("50.50"))
    assert asha.balance == "0.00"
    redirect = asha.api.checkout(checkout["order_id"], "success@razorpay")
    fields = signed(redirect)
    assert set(fields) == {"razorpay_order_id", "razorpay_payment_id", "razorpay_signature"}
    assert redirect.headers["Location"].startswith(f"{running_wallet.base_url}/payments/razorpay/callback?")
    confirmed = asha.confirm(fields)
    assert confirmed.status_code == 200
    assert (confirmed.json()["id"], confirmed.json()["status"]) == (add["id"], "SUCCESS")
    assert transaction(confirmed.json())["balance_after"] == inr("50.50")
    # The payment is the key: again is the same, and moves nothing.
    assert asha.confirm(fields).json() == confirmed.json()
    assert asha.balance == "50.50"


def test_a_failed_payment_leaves_the_add_pending_and_the_order_can_still_be_paid(asha: Person) -> None:
    add, order = started(asha)
    failed = asha.api.checkout(order, "failure@razorpay")
    assert failed.status_code == 303
    landed = asha.api.http.get(failed.headers["Location"], allow_redirects=False, timeout=30)
    assert landed.status_code == 303
    assert (status(asha, add), asha.balance) == ("PENDING", "0.00")
    assert asha.confirm(signed(asha.api.checkout(order, "success@razorpay"))).status_code == 200
    assert (status(asha, add), asha.balance) == ("SUCCESS", "50.00")


def test_news_that_comes_five_times_at_once_credits_once(asha: Person) -> None:
    add, order = started(asha)
    asha.api.checkout(order, "duplicate@razorpay")
    wait_for(asha, "50.00")
    assert status(asha, add) == "SUCCESS"
    assert len(asha.history()) == 1


def test_a_forged_webhook_credits_nothing(asha: Person, webhook: Callable[..., requests.Response]) -> None:
    add, order = started(asha)
    page = asha.api.checkout(order, "forged@razorpay")
    assert page.status_code == 200
    for signature in ("", "x", "0" * 64, "é".encode()):
        problem(webhook(captured(order), "evt_1", signature), 400, "signature_invalid")
    assert (status(asha, add), asha.balance) == ("PENDING", "0.00")


def test_a_signed_webhook_is_not_believed_but_the_gateway_asked(
    asha: Person, webhook: Callable[..., requests.Response]
) -> None:
    add, order = started(asha)
    event = f"evt_{secrets.token_hex(8)}"
    for _ in range(3):
        assert webhook(captured(order), event).status_code == 200
    other_add, other_order = started(asha, "7")
    asha.api.checkout(other_order, "duplicate@razorpay")
    # By the time that later news was worked on, the lie had been too.
    wait_for(asha, "7.00")
    assert (status(asha, add), status(asha, other_add)) == ("PENDING", "SUCCESS")


def test_whatever_is_rightly_signed_is_taken_and_does_no_harm(webhook: Callable[..., requests.Response]) -> None:
    bodies = (
        b"", b"{garbage", b"\xff\xfe\x00", b"[]", b"null", b"5", b"[" * 50_000, b'{"event": 5, "payload": []}',
        b'{"event": "payment.captured", "payload": {"payment": 5}}', b'{"event": "\\u0000", "payload": {}}',
        b'{"event": "\\ud800", "payload": {}}', captured("order_zzzzzzzzzzzzzz"), captured("order_\0"),
        captured("\ud800"), json.dumps({"event": "x" * 5000, "payload": {}}).encode(), captured("o" * 5000),
    )  # fmt: skip
    for body in bodies:
        for event in (f"evt_{secrets.token_hex(8)}", None, "e" * 5000, "a b"):
            assert webhook(body, event).status_code == 200, body[:60]


def test_confirming_needs_the_right_signature_over_an_order_of_ones_own(
    asha: Person, ravi: Person, sign: Callable[[str, str], str]
) -> None:
    add, order = started(asha)
    good = {
        "razorpay_order_id": order,
        "razorpay_payment_id": "pay_AAAAAAAAAAAAAA",
    }
    for bad in ("0" * 64, "x", sign(order, "pay_BBBBBBBBBBBBBB"), sign(order, "pay_AAAAAAAAAAAAAA").upper() + "0"):
        problem(asha.confirm({**good, "razorpay_signature": bad}), 400, "signature_invalid")
    unknown = {**good, "razorpay_order_id": "order_AAAAAAAAAAAAAA"}
    for signature in ("0" * 64, sign("order_AAAAAAAAAAAAAA", "pay_AAAAAAAAAAAAAA")):
        problem(asha.confirm({**unknown, "razorpay_signature": signature}), 404, "not_found")
    rightly_signed = {**good, "razorpay_signature": sign(order, "pay_AAAAAAAAAAAAAA")}
    problem(ravi.confirm(rightly_signed), 404, "not_found")
    # Rightly signed, and still no such payment: the gateway was asked.
    answer = asha.confirm(rightly_signed)
    assert answer.status_code < 500
    assert (status(asha, add), asha.balance, ravi.balance) == ("PENDING", "0.00", "0.00")
    for name in rightly_signed:
        for value in (None, "", 5, [], {}, "x" * 5000):
            body: dict[str, Any] = {**rightly_signed, name: value}
            refused = asha.confirm(body)
            assert refused.status_code in {400, 404}, (name, value, refused.text)
            problem(refused, refused.status_code, refused.json()["code"])
    assert asha.balance == "0.00"


def test_another_orders_payment_pays_no_second_order(asha: Person, sign: Callable[[str, str], str]) -> None:
    _, paid = started(asha)
    fields = signed(asha.api.checkout(paid, "success@razorpay"))
    asha.confirm(fields)
    add, order = started(asha, "500")
    payment = fields["razorpay_payment_id"]
    stolen = {"razorpay_order_id": order, "razorpay_payment_id": payment, "razorpay_signature": sign(order, payment)}
    assert asha.confirm(stolen).status_code < 500
    assert (status(asha, add), asha.balance) == ("PENDING", "50.00")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_browsers_callback_trusts_only_its_signature(method: str, asha: Person) -> None:
    _, order = started(asha)
    fields = signed(asha.api.checkout(order, "success@razorpay"))

    def call(given: dict[str, str]) -> requests.Response:
        sent = {"params": given} if method == "GET" else {"data": given}
        # From another site, without a cookie of ours.
        headers = {"Origin": "https://api.razorpay.com", "Referer": "https://api.razorpay.com/", "Cookie": ""}
        url = f"{asha.api.root}/payments/razorpay/callback"
        return requests.request(method, url, headers=headers, allow_redirects=False, timeout=30, **sent)  # type: ignore[arg-type]

    for bad in (
        {}, {**fields, "razorpay_signature": "0" * 64}, {**fields, "razorpay_order_id": "order_AAAAAAAAAAAAAA"},
        {**fields, "razorpay_order_id": "\0"}, {"error[code]": "BAD_REQUEST_ERROR", "error[description]": "<b>no</b>"},
    ):  # fmt: skip
        answer = call(bad)
        assert answer.status_code in {303, 400, 404}, answer.text
        assert "<b>no</b>" not in answer.text
    for _ in range(2):
        answer = call(fields)
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith(("/", asha.api.root))
    assert asha.balance == "50.00"
    # Somebody without a session sees nobody's receipt.
    receipt = asha.api.http.get(requests.compat.urljoin(asha.api.root, answer.headers["Location"]), timeout=30)
    assert receipt.status_code in {200, 404}
    assert asha.address not in receipt.text


def test_a_paid_order_cannot_be_paid_again_and_an_unknown_one_not_at_all(asha: Person) -> None:
    _, order = started(asha)
    asha.confirm(signed(asha.api.checkout(order, "success@razorpay")))
    assert 400 <= asha.api.checkout(order, "success@razorpay").status_code < 500
    assert 400 <= asha.api.checkout("order_AAAAAAAAAAAAAA", "success@razorpay").status_code < 500
    assert asha.balance == "50.00"


def test_adding_needs_at_least_what_the_gateway_takes(asha: Person) -> None:
    answer = asha.add("0.99", key=fresh_key())
    assert 400 <= answer.status_code < 500, answer.text
    problem(answer, answer.status_code, answer.json()["code"])
    assert asha.add("1.00").status_code == 201
