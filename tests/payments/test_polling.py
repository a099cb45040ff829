"""What the sweep finds of itself: payments that nobody told of, orders whose time is over, and second payments."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from payments import expiry
from payments.captures import settle_order
from payments.expiry import sweep_orders
from payments.models import Case, GatewayOrder, PaymentAttempt
from tests.payments.adding import add, confirm
from tests.payments.cast import holder, new_key
from tests.payments.gateway import client, open_door, order_document, wallet_speaks_to
from tests.payments.sandbox_process import Sandbox, returned

pytestmark = pytest.mark.usefixtures("database")


def test_the_sweep_finds_a_payment_that_nobody_told_us_about(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    sweep_orders(now=timezone.now())
    assert asha.balance == 0
    sweep_orders(now=timezone.now() + timedelta(seconds=90))
    assert asha.balance == 250
    order = GatewayOrder.objects.get(order_id=order_id)
    assert order.state == "PAID"
    # Somebody may pay it twice.
    assert order.check_at is not None


def test_an_order_not_paid_in_time_fails_and_a_payment_after_that_is_a_new_add(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id, old = begun["checkout"]["order_id"], begun["transaction"]["id"]
    sweep_orders(now=timezone.now() + timedelta(seconds=1801))
    shown = asha.get(f"/transactions/{old}").json()
    assert (shown["status"], shown["failure"]["code"]) == ("FAILED", "order_expired")
    assert shown["completed_at"] is not None
    fields = returned(sandbox.pay(order_id, "success@razorpay"))
    for _ in range(2):
        answer = confirm(asha, fields).json()
        assert (answer["status"], answer["type"]) == ("SUCCESS", "ADD")
        assert answer["id"] != old
    assert asha.balance == 250
    late = PaymentAttempt.objects.get(order__order_id=order_id).credited_by
    assert late is not None
    assert late.metadata == {"order": order_id, "instead_of": old}
    assert asha.get(f"/transactions/{old}").json()["status"] == "FAILED"


def test_an_order_is_asked_about_until_it_is_decided_and_then_four_days_long(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order = GatewayOrder.objects.get(order_id=begun["checkout"]["order_id"])
    long_after = order.created_at + timedelta(days=5)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        sweep_orders(now=long_after)
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["status"] == "PENDING"
    waiting = Case.objects.get(kind="UNKNOWN_OUTCOME", subject=begun["transaction"]["id"])
    assert (waiting.state, waiting.transaction_id) == ("OPEN", order.transaction_id)
    sweep_orders(now=long_after + timedelta(hours=6, seconds=1))
    waiting.refresh_from_db()
    assert waiting.state == "RESOLVED"
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["failure"]["code"] == "order_expired"
    sweep_orders(now=long_after + timedelta(hours=13))
    order.refresh_from_db()
    assert (order.state, order.check_at) == ("EXPIRED", None)


def test_one_order_that_cannot_be_worked_on_does_not_stop_the_sweep(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, ravi = holder(), holder("Ravi Iyer")
    broken, sound = (add(person)["checkout"]["order_id"] for person in (asha, ravi))
    for order_id in (broken, sound):
        sandbox.pay(order_id, "silent@razorpay")

    def trip_over_one(*, order: GatewayOrder, now: datetime) -> None:
        if order.order_id == broken:
            raise ZeroDivisionError
        settle_order(order=order, now=now)

    later = timezone.now() + timedelta(seconds=90)
    with monkeypatch.context() as patch:
        patch.setattr(expiry, "settle_order", trip_over_one)
        sweep_orders(now=later)
    assert (asha.balance, ravi.balance) == (Decimal(0), Decimal(250))
    # It was put off, and comes again.
    sweep_orders(now=later + timedelta(seconds=90))
    assert asha.balance == 250


def test_an_order_that_a_sweep_found_is_answered_by_the_next_request_at_once() -> None:
    asha, key = holder(), new_key()
    made: list[str] = []

    def answer(method: str, path: str, body: Any) -> tuple[int, str]:
        if method == "POST":
            made.append(body["receipt"])
        if method == "POST" or path.endswith("/payments"):
            return 502, "<html>Bad gateway</html>"
        items = [json.loads(order_document(id="order_Found000000000", amount=25000, receipt=made[0]))]
        return 200, json.dumps({"entity": "collection", "count": 1, "items": items})

    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = answer
        assert asha.post("/wallet/add", {"amount": "250"}, key=key).status_code == 503
        order = GatewayOrder.objects.get(transaction__to_wallet=asha.wallet)
        sweep_orders(now=order.expires_at + timedelta(seconds=1))
        # The sweep noted the order's id, and then could not ask about its payments.
        first = add(asha, key=key)
        assert (first["transaction"]["status"], first["checkout"]["order_id"]) == ("PENDING", "order_Found000000000")
        assert add(asha, key=key) == first
