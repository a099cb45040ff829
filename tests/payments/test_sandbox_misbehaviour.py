"""The sandbox's misbehaviour: each fault by its switch, for so many calls or at random with a seed, across restarts."""

import selectors
import signal
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.payments.sandbox_process import KEY_ID, KEY_SECRET, Merchant, Sandbox, merchant_and_sandbox

HELD_MOST = 64


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as both:
        yield both


@pytest.fixture
def both(running: tuple[Merchant, Sandbox]) -> Iterator[tuple[Merchant, Sandbox]]:
    _, sandbox = running
    yield running
    requests.delete(f"{sandbox.url}/operator/api/misbehaviour", timeout=10)


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Sandbox:
    return both[1]


def switch(sandbox: Sandbox, fault: str, **particulars: Any) -> dict[str, Any]:
    """Switch a fault on, and see it on."""
    answer = requests.post(f"{sandbox.url}/operator/api/misbehaviour", json={"fault": fault, **particulars}, timeout=10)
    assert answer.status_code == 200, answer.text
    [on] = [each for each in answer.json()["on"] if each["fault"] == fault]
    return dict(on)


def switched_on(sandbox: Sandbox) -> list[dict[str, Any]]:
    on: list[dict[str, Any]] = requests.get(f"{sandbox.url}/operator/api/misbehaviour", timeout=10).json()["on"]
    return on


def orders_with(sandbox: Sandbox, receipt: str) -> int:
    return int(sandbox.call("GET", f"/orders?receipt={receipt}").json()["count"])


def connect(sandbox: Sandbox, *, receipt: str = "") -> socket.socket:
    """A request for a list, or for an order, sent by hand: only so can be seen what comes back byte for byte."""
    connection = socket.create_connection(("127.0.0.1", sandbox.port), timeout=20)
    pair = b64encode(f"{KEY_ID}:{KEY_SECRET}".encode()).decode()
    body = f'{{"amount":50000,"currency":"INR","receipt":"{receipt}"}}' if receipt else ""
    head = f"{'POST' if receipt else 'GET'} /v1/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {pair}\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return connection


def everything_from(connection: socket.socket) -> bytes:
    """Whatever comes until the connection is closed. A reset would raise: a proxy's close is orderly."""
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def is_held(connection: socket.socket) -> bool:
    """Whether nothing at all comes for a while, not even the end."""
    connection.settimeout(0.5)
    try:
        return everything_from(connection) != b""
    except TimeoutError:
        return True


def test_a_bad_gateway_answers_with_a_page_and_the_call_has_no_effect(sandbox: Sandbox) -> None:
    switch(sandbox, "bad_gateway", calls=1)

    answer = sandbox.call("POST", "/orders", json={"amount": 50_000, "currency": "INR", "receipt": "asha-502"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")
    assert answer.text.startswith("<html>")
    assert orders_with(sandbox, "asha-502") == 0
    assert switched_on(sandbox) == []


def test_too_many_requests_comes_without_a_hint_of_when_to_come_back(sandbox: Sandbox) -> None:
    switch(sandbox, "too_many_requests", calls=2, methods=["POST"])

    assert sandbox.call("GET", "/orders").status_code == 200
    for _ in range(2):
        answer = sandbox.call("POST", "/orders", json={"amount": 50_000, "currency": "INR", "receipt": "asha-429"})
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "BAD_REQUEST_ERROR"
        assert "Retry-After" not in answer.headers
    assert orders_with(sandbox, "asha-429") == 0
    sandbox.order(receipt="asha-429")


def test_a_dropped_reply_closes_without_a_byte_after_the_call_took_effect(sandbox: Sandbox) -> None:
    switch(sandbox, "dropped_reply", calls=1, routes=["orders"], methods=["POST"])
    assert sandbox.call("GET", "/payments").status_code == 200

    assert everything_from(connect(sandbox, receipt="ravi-dropped")) == b""

    assert orders_with(sandbox, "ravi-dropped") == 1


def test_a_late_reply_has_taken_effect_when_the_client_gives_up_and_comes_to_the_patient(sandbox: Sandbox) -> None:
    switch(sandbox, "late_reply", calls=2, seconds=2)
    order = {"amount": 50_000, "currency": "INR"}

    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{sandbox.url}/v1/orders", json=order | {"receipt": "late"}, auth=(KEY_ID, KEY_SECRET), timeout=0.5
        )
    began = time.monotonic()
    patient = sandbox.call("POST", "/orders", json=order | {"receipt": "patient"})

    assert patient.json()["receipt"] == "patient"
    assert 1.9 < time.monotonic() - began < 6
    assert orders_with(sandbox, "late") == 1


def test_no_answer_holds_the_connection_and_closes_it_without_effect(sandbox: Sandbox) -> None:
    switch(sandbox, "no_answer", calls=1, seconds=1)
    began = time.monotonic()

    assert everything_from(connect(sandbox, receipt="ravi-held")) == b""

    assert 0.9 < time.monotonic() - began < 5
    assert orders_with(sandbox, "ravi-held") == 0


def test_no_more_are_held_than_there_are_places_and_a_place_is_free_when_its_caller_goes(sandbox: Sandbox) -> None:
    switch(sandbox, "no_answer", probability=1, seconds=60, methods=["GET"])
    callers = [connect(sandbox) for _ in range(HELD_MOST + 6)]
    with selectors.DefaultSelector() as selector:
        for caller in callers:
            selector.register(caller, selectors.EVENT_READ)
        turned_away: set[socket.socket] = set()
        while len(turned_away) < 6 and (ended := selector.select(timeout=10)):
            for key, _ in ended:
                selector.unregister(key.fileobj)
                turned_away |= {caller for caller in callers if caller is key.fileobj}
    assert len(turned_away) == 6
    assert [caller.recv(1) for caller in turned_away] == [b""] * 6
    # Whoever is not held up is served as ever.
    assert sandbox.book()["payouts"] == {}

    for caller in callers:
        caller.close()
    deadline = time.monotonic() + 10
    while not is_held(connect(sandbox)):
        assert time.monotonic() < deadline


def test_what_happens_at_random_happens_again_with_the_same_seed(sandbox: Sandbox) -> None:
    def fall(seed: int) -> list[int]:
        switch(sandbox, "bad_gateway", probability=0.3, seed=seed)
        return [sandbox.call("GET", "/orders").status_code for _ in range(40)]

    first = fall(7)
    [after] = switched_on(sandbox)

    assert set(first) == {200, 502}
    assert (after["met"], after["struck"]) == (40, first.count(502))
    assert fall(7) == first
    assert fall(8) != first


def test_a_switch_outlives_kill_and_goes_on_where_it_was(sandbox: Sandbox) -> None:
    switch(sandbox, "dropped_reply", calls=3)
    assert everything_from(connect(sandbox)) == b""
    before = switched_on(sandbox)
    assert before[0]["calls"] == 2

    sandbox.end(signal.SIGKILL)
    sandbox.start()

    assert switched_on(sandbox) == before
    assert [everything_from(connect(sandbox)) == b"" for _ in range(3)] == [True, True, False]


def test_under_many_calls_at_once_exactly_so_many_are_struck(sandbox: Sandbox) -> None:
    switch(sandbox, "bad_gateway", calls=10)
    with ThreadPoolExecutor(8) as crowd:
        answers = list(crowd.map(lambda _: sandbox.call("GET", "/orders").status_code, range(40)))
    assert (answers.count(502), answers.count(200)) == (10, 30)


def test_a_refund_is_a_refund_under_whichever_path_and_only_the_api_misbehaves(sandbox: Sandbox) -> None:
    switch(sandbox, "bad_gateway", probability=1, routes=["refunds"])
    assert sandbox.call("POST", "/payments/pay_AAAAAAAAAAAAAA/refund", json={}).status_code == 502
    assert sandbox.call("GET", "/refunds/rfnd_AAAAAAAAAAAAAA").status_code == 502
    assert sandbox.call("GET", "/payments").status_code == 200

    order = sandbox.order()
    switch(sandbox, "bad_gateway", probability=1)
    assert sandbox.call("GET", "/orders").status_code == 502
    assert sandbox.pay(order["id"], "failure@razorpay").status_code == 303
    for page in ("/book", "/operator", f"/checkout/{order['id']}"):
        assert requests.get(f"{sandbox.url}{page}", timeout=10).status_code == 200


def test_a_delayed_webhook_is_overtaken_by_what_happened_after_it(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    seen = len(merchant.letters)
    switch(sandbox, "delayed_webhooks", calls=1, seconds=3)
    late, soon = sandbox.order()["id"], sandbox.order()["id"]
    began = time.monotonic()
    sandbox.pay(late, "failure@razorpay")
    sandbox.pay(soon, "failure@razorpay")

    first, second = merchant.wait_for(seen + 2)[seen:]

    assert [each.document["payload"]["payment"]["entity"]["order_id"] for each in (first, second)] == [soon, late]
    # The sandbox counts from the whole second in which it happened.
    assert second.arrived_at - began > 1.9
    assert second.is_genuine


def test_reordered_webhooks_come_last_first(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    seen = len(merchant.letters)
    switch(sandbox, "reordered_webhooks", calls=4, seconds=2)
    order = sandbox.order()["id"]
    for _ in range(2):
        sandbox.pay(order, "failure@razorpay")
    sandbox.pay(order, "success@razorpay")

    letters = merchant.wait_for(seen + 4)[seen:]

    assert [each.event for each in letters] == ["order.paid", "payment.captured", "payment.failed", "payment.failed"]
    payments = [each.document["payload"]["payment"]["entity"]["id"] for each in letters]
    assert payments[1:] == [each["id"] for each in sandbox.payments(order)]
    assert all(each.is_genuine for each in letters)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "fault"),
        ({"fault": "earthquake", "calls": 1}, "fault"),
        ({"fault": "bad_gateway"}, "calls"),
        ({"fault": "bad_gateway", "calls": 1, "probability": 0.5, "seed": 1}, "calls"),
        ({"fault": "bad_gateway", "calls": 0}, "calls"),
        ({"fault": "bad_gateway", "calls": True}, "calls"),
        ({"fault": "bad_gateway", "probability": 0.5}, "seed"),
        ({"fault": "bad_gateway", "probability": 1.5, "seed": 1}, "probability"),
        ({"fault": "bad_gateway", "calls": 1, "routes": ["wallets"]}, "routes"),
        ({"fault": "bad_gateway", "calls": 1, "methods": "POST"}, "methods"),
        ({"fault": "bad_gateway", "calls": 1, "seconds": 5}, "seconds"),
        ({"fault": "no_answer", "calls": 1, "seconds": 121}, "seconds"),
        ({"fault": "delayed_webhooks", "calls": 1, "routes": ["orders"]}, "routes"),
        ({"fault": "bad_gateway", "calls": 1, "loudly": True}, "loudly"),
    ],
)
def test_a_switch_that_makes_no_sense_is_refused_by_the_field(
    sandbox: Sandbox, body: dict[str, Any], field: str
) -> None:
    answer = requests.post(f"{sandbox.url}/operator/api/misbehaviour", json=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == field
    assert switched_on(sandbox) == []
