"""The sandbox's webhooks: signed, at least once, and as late or as often as the gateway would."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.payments.sandbox_process import Letter, Merchant, Sandbox, merchant_and_sandbox


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path) as running:
        yield running


def settled(merchant: Merchant, *, count: int) -> list[Letter]:
    """Exactly that many letters: nothing more comes after them."""
    letters = merchant.wait_for(count)
    # What is written with one payment leaves within milliseconds; a retry would take a second or more.
    time.sleep(0.5)
    assert len(merchant.letters) == count
    return letters


def test_a_capture_is_told_by_two_signed_events(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    order = sandbox.order(amount=20_000, receipt="txn_asha", notes={"who": "आशा"})
    sandbox.pay(order["id"], "success@razorpay")

    letters = {letter.event: letter for letter in settled(merchant, count=2)}
    assert set(letters) == {"payment.captured", "order.paid"}
    assert all(letter.is_genuine for letter in letters.values())
    assert letters["payment.captured"].event_id != letters["order.paid"].event_id
    [payment] = sandbox.payments(order["id"])

    captured = letters["payment.captured"].document
    assert captured["entity"] == "event"
    assert captured["account_id"].startswith("acc_")
    assert captured["contains"] == ["payment"]
    assert captured["payload"] == {"payment": {"entity": payment}}
    assert abs(captured["created_at"] - time.time()) < 10
    paid = letters["order.paid"].document
    assert paid["contains"] == ["payment", "order"]
    assert paid["payload"]["order"]["entity"] == sandbox.call("GET", f"/orders/{order['id']}").json()
    assert paid["payload"]["order"]["entity"]["notes"] == {"who": "आशा"}


def test_a_failure_is_told_by_payment_failed(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    sandbox.pay(sandbox.order()["id"], "failure@razorpay")
    [letter] = settled(merchant, count=1)
    assert letter.is_genuine
    assert letter.event == "payment.failed"
    assert letter.document["payload"]["payment"]["entity"]["status"] == "failed"


def test_a_manual_capture_is_told_when_it_is_authorized_and_when_it_is_captured(
    both: tuple[Merchant, Sandbox],
) -> None:
    merchant, sandbox = both
    order = sandbox.order(payment={"capture": "manual"})
    sandbox.pay(order["id"], "success@razorpay")
    assert [letter.event for letter in settled(merchant, count=1)] == ["payment.authorized"]
    [payment] = sandbox.payments(order["id"])
    sandbox.call("POST", f"/payments/{payment['id']}/capture", json={"amount": 50_000, "currency": "INR"})
    assert {letter.event for letter in settled(merchant, count=3)[1:]} == {"payment.captured", "order.paid"}


def test_duplicate_sends_each_event_five_times_at_once(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    # Answered only when five of one event stand at the door together: sent one after another, none would be.
    together: defaultdict[str, threading.Barrier] = defaultdict(lambda: threading.Barrier(5, timeout=4))
    choosing = threading.Lock()

    def answer(letter: Letter) -> int:
        with choosing:
            barrier = together[letter.event_id]
        barrier.wait()
        return 200

    merchant.answer = answer
    order = sandbox.order()
    assert sandbox.pay(order["id"], "duplicate@razorpay").status_code == 303

    letters = settled(merchant, count=10)
    assert all(letter.is_genuine for letter in letters)
    assert Counter(letter.event for letter in letters) == {"payment.captured": 5, "order.paid": 5}
    assert len({letter.event_id for letter in letters}) == 2
    assert len({letter.body for letter in letters}) == 2
    assert len(sandbox.payments(order["id"])) == 1


def test_forged_is_told_once_as_captured_with_a_wrong_signature(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    merchant.answer = lambda _letter: 400
    order = sandbox.order()
    sandbox.pay(order["id"], "forged@razorpay")

    merchant.wait_for(1)
    # Longer than the first two waits of the back-off together would need to show a second try.
    time.sleep(2.5)
    [letter] = merchant.letters
    assert len(letter.signature) == 64
    assert not letter.is_genuine
    assert letter.event == "payment.captured"
    claimed = letter.document["payload"]["payment"]["entity"]
    assert (claimed["order_id"], claimed["status"], claimed["captured"]) == (order["id"], "captured", True)
    assert sandbox.call("GET", f"/payments/{claimed['id']}").json()["status"] == "created"


@pytest.mark.parametrize("status", [500, 400, 302])
def test_a_refused_webhook_is_tried_again_later_under_the_same_event_id(
    both: tuple[Merchant, Sandbox], status: int
) -> None:
    merchant, sandbox = both
    merchant.answer = lambda _letter: status if len(merchant.letters) < 3 else 200
    sandbox.pay(sandbox.order()["id"], "failure@razorpay")

    first, second, third = settled(merchant, count=3)
    assert first.event_id == second.event_id == third.event_id
    assert first.body == second.body == third.body
    # Back-off: each wait is longer than the one before.
    assert 0.9 < second.arrived_at - first.arrived_at < 1.9
    assert 1.9 < third.arrived_at - second.arrived_at < 3.9


def test_an_answer_after_five_seconds_is_a_failure_and_holds_nobody_up(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    over = threading.Event()

    def answer(letter: Letter) -> int:
        if letter is merchant.letters[0]:
            over.wait(7)
        return 200

    merchant.answer = answer
    sandbox.pay(sandbox.order()["id"], "failure@razorpay")
    merchant.wait_for(1)
    began = time.monotonic()
    sandbox.pay(sandbox.order()["id"], "failure@razorpay")
    slow, other = merchant.wait_for(2)
    assert time.monotonic() - began < 2
    assert other.event_id != slow.event_id
    again = merchant.wait_for(3)[2]
    over.set()
    assert again.event_id == slow.event_id
    assert 5.9 < again.arrived_at - slow.arrived_at < 7.5
