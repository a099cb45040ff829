"""The test addresses that make a payment go wrong in the ways real ones do: late, silent, twice and short."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, returned, until


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def told(merchant: Merchant, order_id: str) -> Counter[str]:
    """Events by name that are about payments of one order."""
    payments = [(letter.event, letter.document["payload"]["payment"]["entity"]) for letter in list(merchant.letters)]
    return Counter(event for event, payment in payments if payment["order_id"] == order_id)


def status_of(sandbox: Sandbox, order_id: str) -> str:
    return str(sandbox.call("GET", f"/orders/{order_id}").json()["status"])


@pytest.fixture(scope="module")
def late(both: tuple[Merchant, Sandbox]) -> dict[str, dict[str, Any]]:
    """Payments that failed a moment ago: of a plain order, of one that is paid again at once, of a manual one."""
    _, sandbox = both
    failed = {}
    for case, fields in (("plain", {}), ("again", {}), ("manual", {"payment": {"capture": "manual"}})):
        order = sandbox.order(amount=20_000, **fields)
        assert "error[code]" in returned(sandbox.pay(order["id"], "late@razorpay"))
        [failed[case]] = sandbox.payments(order["id"])
    assert sandbox.pay(failed["again"]["order_id"], "success@razorpay").status_code == 303
    # The sandbox dies meanwhile, and keeps its appointments all the same.
    sandbox.end(signal.SIGKILL)
    sandbox.start()
    return failed


def test_late_fails_at_once_and_is_captured_five_seconds_later(
    both: tuple[Merchant, Sandbox], late: dict[str, dict[str, Any]]
) -> None:
    merchant, sandbox = both
    failed = late["plain"]
    assert (failed["status"], failed["error_code"], failed["fee"]) == ("failed", "BAD_REQUEST_ERROR", None)
    [captured] = until(lambda: sandbox.payments(failed["order_id"]), lambda found: found[0]["status"] == "captured")

    assert time.time() - failed["created_at"] >= 5
    assert captured["id"] == failed["id"]
    assert captured["captured"] is True
    assert captured["error_code"] is captured["error_description"] is captured["error_reason"] is None
    assert (captured["fee"], captured["tax"]) == (472, 72)
    assert status_of(sandbox, failed["order_id"]) == "paid"
    until(
        lambda: told(merchant, failed["order_id"]),
        lambda events: set(events) == {"payment.failed", "payment.authorized", "payment.captured", "order.paid"},
    )


def test_whoever_pays_again_before_the_late_one_comes_has_paid_twice(
    both: tuple[Merchant, Sandbox], late: dict[str, dict[str, Any]]
) -> None:
    _, sandbox = both
    order_id = late["again"]["order_id"]
    payments = until(
        lambda: sandbox.payments(order_id), lambda found: all(one["status"] == "captured" for one in found)
    )
    assert len(payments) == 2
    paid = sandbox.call("GET", f"/orders/{order_id}").json()
    assert (paid["status"], paid["amount_paid"], paid["amount_due"], paid["attempts"]) == ("paid", 20_000, 0, 2)


def test_a_late_payment_of_a_manual_order_waits_to_be_captured(
    both: tuple[Merchant, Sandbox], late: dict[str, dict[str, Any]]
) -> None:
    _, sandbox = both
    order_id = late["manual"]["order_id"]
    [payment] = until(lambda: sandbox.payments(order_id), lambda found: found[0]["status"] != "failed")
    assert payment["status"] == "authorized"
    capture = f"/payments/{payment['id']}/capture"
    assert sandbox.call("POST", capture, json={"amount": 20_000, "currency": "INR"}).json()["status"] == "captured"


def test_silent_is_captured_and_nobody_hears_of_it(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    order = sandbox.order()
    answer = sandbox.pay(order["id"], "silent@razorpay")

    assert answer.status_code == 200
    assert "Location" not in answer.headers
    assert "text/html" in answer.headers["Content-Type"]
    assert [payment["status"] for payment in sandbox.payments(order["id"])] == ["captured"]
    assert status_of(sandbox, order["id"]) == "paid"
    # One that is told, paid afterwards: when its news is here, the silent one's would be, too.
    loud = sandbox.captured()
    until(lambda: told(merchant, loud["order_id"]), lambda events: events.total() == 2)
    assert told(merchant, order["id"]) == Counter()


def test_twice_captures_two_payments_on_one_order(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    order = sandbox.order(amount=20_000)
    before = sandbox.book()["payments"].get("captured", {"count": 0, "total": 0})
    answer = sandbox.pay(order["id"], "twice@razorpay")

    payments = sandbox.payments(order["id"])
    assert [(one["status"], one["amount"]) for one in payments] == [("captured", 20_000)] * 2
    assert returned(answer)["razorpay_payment_id"] == payments[-1]["id"]
    events = until(lambda: told(merchant, order["id"]), lambda events: events.total() == 3)
    assert events == {"payment.captured": 2, "order.paid": 1}
    assert sandbox.call("GET", f"/orders/{order['id']}").json()["amount_paid"] == 20_000
    after = sandbox.book()["payments"]["captured"]
    assert (after["count"] - before["count"], after["total"] - before["total"]) == (2, 40_000)


def test_short_captures_one_rupee_less_and_leaves_the_order_open(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    order = sandbox.order(amount=20_000)
    assert "razorpay_signature" in returned(sandbox.pay(order["id"], "short@razorpay"))

    [payment] = sandbox.payments(order["id"])
    assert (payment["status"], payment["amount"]) == ("captured", 19_900)
    short = sandbox.call("GET", f"/orders/{order['id']}").json()
    assert (short["status"], short["amount_paid"], short["amount_due"]) == ("attempted", 19_900, 100)
    assert until(lambda: told(merchant, order["id"]), bool) == {"payment.captured": 1}

    sandbox.pay(order["id"], "success@razorpay")
    paid = sandbox.call("GET", f"/orders/{order['id']}").json()
    assert (paid["status"], paid["amount_paid"], paid["amount_due"]) == ("paid", 20_000, 0)


def test_an_order_too_small_to_be_paid_short_is_not(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    order = sandbox.order(amount=199)
    assert sandbox.pay(order["id"], "short@razorpay").status_code == 400
    assert sandbox.payments(order["id"]) == []


def test_the_page_offers_every_address_of_the_table(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    page = requests.get(f"{sandbox.url}/checkout/{sandbox.order()['id']}", timeout=20).text
    names = ("success", "failure", "late", "duplicate", "silent", "forged", "twice", "short")
    assert [name for name in names if f'value="{name}@razorpay"' not in page] == []
