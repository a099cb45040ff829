"""Adding money while the gateway is away, slow, or says no."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from payments.expiry import sweep_orders
from tests.payments.adding import add, order_named, seen
from tests.payments.cast import holder, new_key
from tests.payments.gateway import client, open_door, order_document, wallet_speaks_to
from tests.payments.sandbox_process import Sandbox

pytestmark = pytest.mark.usefixtures("database")


def test_without_the_gateway_the_add_waits_and_the_same_key_goes_on_by_its_receipt(sandbox: Sandbox) -> None:
    asha, key = holder(), new_key()
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        answer = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (503, "gateway_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    (waiting,) = asha.get("/transactions").json()["results"]
    assert waiting["status"] == "PENDING"
    resumed = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert resumed.status_code == 201
    assert "Idempotent-Replayed" not in resumed.headers
    assert resumed.json()["transaction"]["id"] == waiting["id"]
    again = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", resumed.json())


def test_an_order_whose_answer_was_lost_is_found_by_its_receipt_and_not_made_again() -> None:
    asha, key = holder(), new_key()
    made: list[str] = []

    def lose_the_answer(method: str, path: str, body: Any) -> tuple[int, str]:
        if method == "POST":
            made.append(body["receipt"])
            return 502, "<html>Bad gateway</html>"
        items = [json.loads(order_document(id="order_Lost0000000000", amount=25000, receipt=made[0]))]
        return 200, json.dumps({"entity": "collection", "count": 1, "items": items})

    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = lose_the_answer
        assert asha.post("/wallet/add", {"amount": "250"}, key=key).status_code == 503
        resumed = add(asha, key=key)
    assert resumed["checkout"]["order_id"] == "order_Lost0000000000"
    assert [method for method, _, _ in door.asked] == ["POST", "GET"]


def test_a_slow_gateway_is_asked_by_one_of_two_equal_requests_and_the_other_is_told_to_come_again() -> None:
    asha, key = holder(), new_key()
    arrived, go_on = threading.Event(), threading.Event()

    def slowly(method: str, path: str, body: Any) -> tuple[int, str]:
        arrived.set()
        assert go_on.wait(30)
        return 200, order_document(id="order_Slow0000000000", amount=25000, receipt=body["receipt"])

    def first() -> Any:
        try:
            return asha.post("/wallet/add", {"amount": "250"}, key=key)
        finally:
            connections.close_all()

    with open_door() as door, wallet_speaks_to(client(door.url, read_seconds=30)), ThreadPoolExecutor(1) as pool:
        door.answer = slowly
        running = pool.submit(first)
        assert arrived.wait(10)
        second = asha.post("/wallet/add", {"amount": "250"}, key=key)
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_in_progress")
        assert int(second.headers["Retry-After"]) > 0
        go_on.set()
        assert running.result().status_code == 201
        third = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert (third.status_code, third.headers["Idempotent-Replayed"]) == (201, "true")
    assert third.json() == running.result().json()
    assert len(door.asked) == 1


def test_an_order_that_the_gateway_will_not_take_fails_and_replays_so() -> None:
    asha, key = holder(), new_key()
    error = {"code": "BAD_REQUEST_ERROR", "description": "Amount exceeds maximum amount allowed.", "reason": "NA"}

    def refuse(method: str, path: str, body: Any) -> tuple[int, str]:
        return (400, json.dumps({"error": error})) if method == "POST" else (200, '{"items": []}')

    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = refuse
        first = add(asha, key=key)
        again = add(asha, key=key)
    assert (first["checkout"], first["transaction"]["status"]) == (None, "FAILED")
    assert first["transaction"]["failure"]["code"] == "gateway_refused"
    assert again == first


def test_an_order_that_the_gateway_made_after_it_was_given_up_stays_so_and_a_late_payment_of_it_is_found() -> None:
    asha = holder()
    payment: dict[str, Any] = {
        "id": "pay_Late0000000000",
        "entity": "payment",
        "order_id": "order_Late0000000000",
        "amount": 25000,
        "currency": "INR",
        "status": "captured",
        "captured": True,
        "method": "upi",
        "amount_refunded": 0,
    }
    paid: list[dict[str, Any]] = []

    def so_slowly_that_it_expires(method: str, path: str, body: Any) -> tuple[int, str]:
        if method == "POST":
            try:
                sweep_orders(now=timezone.now() + timedelta(days=1))
            finally:
                connections.close_all()
            return 200, order_document(id="order_Late0000000000", amount=25000, receipt=body["receipt"])
        return 200, json.dumps({"entity": "collection", "count": len(paid), "items": paid})

    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = so_slowly_that_it_expires
        begun = add(asha)
        order = order_named("order_Late0000000000")
        assert (order.state, order.transaction.status, begun["checkout"]) == ("EXPIRED", "FAILED", None)
        assert order.check_at is not None
        paid.append(payment)
        sweep_orders(now=timezone.now() + timedelta(days=1))
    assert order_named("order_Late0000000000").state == "PAID"
    assert sorted(seen(asha)) == [("ADD", "FAILED", "250.00"), ("ADD", "SUCCESS", "250.00")]
    assert asha.balance == 250
