"""The sandbox's hosted checkout: what each test address does to an order, its payer and the book."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from payments.sandbox.checkout import rupees
from payments.sandbox.signatures import return_signature
from tests.payments.sandbox_process import KEY_SECRET, Sandbox, merchant_and_sandbox, returned


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path) as (_merchant, running):
        yield running


def page(sandbox: Sandbox, order_id: str) -> requests.Response:
    return requests.get(f"{sandbox.url}/checkout/{order_id}", timeout=20)


def test_the_return_is_signed_as_the_gateway_documents_it() -> None:
    signature = return_signature(key_secret="key_secret", order_id="fake_order_id", payment_id="fake_payment_id")
    assert signature == "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89"


def test_success_is_captured_before_the_payer_is_sent_back(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=20_000)
    answer = sandbox.pay(order["id"], "success@razorpay")

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{sandbox.environment['SANDBOX_CALLBACK_URL']}?")
    [payment] = sandbox.payments(order["id"])
    assert payment["status"] == "captured"
    message = f"{order['id']}|{payment['id']}".encode()
    assert returned(answer) == {
        "razorpay_payment_id": payment["id"],
        "razorpay_order_id": order["id"],
        "razorpay_signature": hmac.new(KEY_SECRET.encode(), message, hashlib.sha256).hexdigest(),
    }
    assert sandbox.book() == {"payments": {"captured": {"count": 1, "total": 20_000}}, "refunds": {}, "payouts": {}}


def test_failure_is_told_without_a_signature_and_the_order_can_still_be_paid(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=20_000)
    answer = sandbox.pay(order["id"], "failure@razorpay")

    assert answer.status_code == 303
    told = returned(answer)
    assert told["error[code]"] == "BAD_REQUEST_ERROR"
    assert "declined" in told["error[description]"]
    assert not any(name.startswith("razorpay_") for name in told)
    [failed] = sandbox.payments(order["id"])
    assert json.loads(told["error[metadata]"]) == {"payment_id": failed["id"], "order_id": order["id"]}
    assert (failed["status"], failed["captured"], failed["error_reason"]) == ("failed", False, "payment_failed")
    assert sandbox.call("GET", f"/orders/{order['id']}").json()["status"] == "attempted"

    assert sandbox.pay(order["id"], "success@razorpay").status_code == 303
    assert [payment["status"] for payment in sandbox.payments(order["id"])] == ["captured", "failed"]
    assert sandbox.call("GET", f"/orders/{order['id']}").json()["attempts"] == 2
    assert sandbox.book()["payments"] == {
        "captured": {"count": 1, "total": 20_000},
        "failed": {"count": 1, "total": 20_000},
    }


def test_forged_takes_nothing_and_sends_nobody_back(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=20_000)
    answer = sandbox.pay(order["id"], "forged@razorpay")

    assert answer.status_code == 200
    assert "Location" not in answer.headers
    assert "not confirmed" in answer.text
    [payment] = sandbox.payments(order["id"])
    assert (payment["status"], payment["captured"]) == ("created", False)
    assert sandbox.call("GET", f"/orders/{order['id']}").json()["amount_paid"] == 0
    assert sandbox.book()["payments"] == {"created": {"count": 1, "total": 20_000}}


def test_a_paid_order_says_so_and_takes_nothing_twice(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=20_000)
    assert "Pay ₹200.00" in page(sandbox, order["id"]).text
    sandbox.pay(order["id"], "success@razorpay")

    for vpa in ("success@razorpay", "failure@razorpay", "duplicate@razorpay", "forged@razorpay"):
        again = sandbox.pay(order["id"], vpa)
        assert again.status_code == 409
        assert "already paid" in again.text
    shown = page(sandbox, order["id"])
    assert shown.status_code == 200
    assert "already paid" in shown.text
    assert "<form" not in shown.text
    assert len(sandbox.payments(order["id"])) == 1


def test_thirty_two_payers_of_one_order_make_one_capture(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=20_000)
    with ThreadPoolExecutor(32) as crowd:
        answers = list(crowd.map(lambda _: sandbox.pay(order["id"], "success@razorpay"), range(32)))

    assert sorted(answer.status_code for answer in answers) == [303] + [409] * 31
    assert len(sandbox.payments(order["id"])) == 1
    assert sandbox.book()["payments"] == {"captured": {"count": 1, "total": 20_000}}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"vpa": ""}, "Choose a UPI ID"),
        ({"vpa": "asha"}, "not a UPI ID"),
        ({"vpa": "asha@two@ats"}, "not a UPI ID"),
        ({"vpa": "a" * 5_000 + "@upi"}, "not a UPI ID"),
        ({"vpa": "asha@okbank"}, "does not know that UPI ID"),
        ({"vpa": "\x00@razorpay"}, "not a UPI ID"),
        ({"vpa": "success@razorpay", "method": "card"}, "Only UPI"),
    ],
)
def test_a_payer_who_errs_reads_what_to_put_right(sandbox: Sandbox, fields: dict[str, str], says: str) -> None:
    order = sandbox.order()
    answer = requests.post(
        f"{sandbox.url}/checkout/{order['id']}", data={"method": "upi", **fields}, allow_redirects=False, timeout=20
    )
    assert answer.status_code == 400
    assert says in answer.text
    assert "<form" in answer.text
    assert sandbox.payments(order["id"]) == []


def test_a_vpa_is_read_without_regard_to_case_and_spaces(sandbox: Sandbox) -> None:
    assert sandbox.pay(sandbox.order()["id"], " Success@Razorpay ").status_code == 303


def test_an_unknown_order_is_a_page_that_says_so(sandbox: Sandbox) -> None:
    for order_id in ("order_AAAAAAAAAAAAAA", "nonsense", "<script>alert(1)"):
        shown = page(sandbox, order_id)
        assert shown.status_code == 404
        assert "Order not found" in shown.text
        assert "<script>alert" not in shown.text
        assert sandbox.pay(order_id, "success@razorpay").status_code == 404


def test_the_page_states_amount_and_merchant_and_offers_each_test_address(sandbox: Sandbox) -> None:
    shown = page(sandbox, sandbox.order(amount=12_345_678_90)["id"])
    assert shown.status_code == 200
    assert "₹1,23,45,678.90" in shown.text
    assert "Paying" in shown.text
    assert "Wallet" in shown.text
    for vpa in ("success", "failure", "duplicate", "forged"):
        assert f'value="{vpa}@razorpay"' in shown.text


def test_what_a_payer_typed_is_never_markup_and_the_policy_forbids_strangers(sandbox: Sandbox) -> None:
    order = sandbox.order()
    answer = sandbox.pay(order["id"], '"><img src=x onerror=alert(1)>@x')
    assert "<img" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    origin = sandbox.environment["SANDBOX_CALLBACK_URL"].removesuffix("/payments/razorpay/callback")
    assert f"form-action 'self' {origin};" in policy
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("paise", "text"),
    [
        (100, "₹1.00"),
        (5, "₹0.05"),
        (99_999, "₹999.99"),
        (1_00_000, "₹1,000.00"),
        (1_00_00_000, "₹1,00,000.00"),
        (1_00_00_00_000_05, "₹1,00,00,00,000.05"),
    ],
)
def test_amounts_are_written_as_indians_write_them(paise: int, text: str) -> None:
    assert rupees(paise) == text
