"""The sandbox as a process: what it keeps, what it refuses, and what it leaves alone."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.payments.sandbox_process import ROOT, Merchant, Sandbox, free_port, merchant_and_sandbox, returned


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path) as running:
        yield running


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python that is expected to end by itself; the environment's other values are this process's."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_starts_within_two_seconds_and_ends_cleanly(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    assert sandbox.end() == 0
    # The best of a few: other tests run beside this one.
    took = []
    for _ in range(4):
        took.append(sandbox.start())
        assert sandbox.end(signal.SIGINT) == 0
    assert min(took) < 2


def test_manage_py_runs_it(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    order = sandbox.order()
    sandbox.end()
    sandbox.environment = dict(os.environ) | sandbox.environment
    sandbox.start(command=("manage.py", "sandbox"))
    assert sandbox.call("GET", f"/orders/{order['id']}").json() == order
    assert sandbox.end() == 0


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_orders_payments_and_the_book(both: tuple[Merchant, Sandbox], ending: int) -> None:
    _, sandbox = both
    orders = [sandbox.order(receipt=f"asha-{number}") for number in range(3)]
    sandbox.pay(orders[0]["id"], "success@razorpay")
    sandbox.pay(orders[1]["id"], "failure@razorpay")
    before = [sandbox.call("GET", "/orders").json(), sandbox.call("GET", "/payments").json(), sandbox.book()]

    sandbox.end(ending)
    sandbox.start()

    after = [sandbox.call("GET", "/orders").json(), sandbox.call("GET", "/payments").json(), sandbox.book()]
    assert after == before
    again = sandbox.call("POST", "/orders", json={"amount": 500, "currency": "INR", "receipt": "asha-0"})
    assert again.status_code == 400


def test_kill_in_the_midst_of_paying_keeps_everything_that_was_answered(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    orders = [sandbox.order(amount=20_000)["id"] for _ in range(400)]
    answered: dict[str, str] = {}
    enough = threading.Event()

    def pay(order_id: str) -> None:
        try:
            answer = sandbox.pay(order_id, "success@razorpay")
        except requests.RequestException:
            return
        answered[order_id] = returned(answer)["razorpay_payment_id"]
        if len(answered) >= 40:
            enough.set()

    with ThreadPoolExecutor(8) as crowd:
        for order_id in orders:
            crowd.submit(pay, order_id)
        assert enough.wait(20)
        sandbox.end(signal.SIGKILL)
    assert 40 <= len(answered) < len(orders)

    sandbox.start()
    for order_id, payment_id in answered.items():
        assert [(one["id"], one["status"]) for one in sandbox.payments(order_id)] == [(payment_id, "captured")]
    captured = sandbox.book()["payments"]["captured"]
    # Eight were in flight at most; each was captured as a whole or not at all.
    assert len(answered) <= captured["count"] <= len(answered) + 8
    assert captured["total"] == 20_000 * captured["count"]
    paid = [sandbox.call("GET", f"/orders/{order_id}").json()["status"] for order_id in orders].count("paid")
    assert paid == captured["count"]


def test_webhooks_not_yet_delivered_go_on_after_a_kill(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    merchant.answer = lambda _letter: 503
    sandbox.pay(sandbox.order()["id"], "success@razorpay")
    before = {letter.event_id: letter.body for letter in merchant.wait_for(2)}
    sandbox.end(signal.SIGKILL)
    seen = len(merchant.letters)

    merchant.answer = lambda _letter: 200
    sandbox.start()
    after = merchant.wait_for(seen + 2)[seen:]
    assert {letter.event_id: letter.body for letter in after} == before
    assert all(letter.is_genuine for letter in after)


def test_the_state_holds_a_log_of_every_try(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    merchant.answer = lambda _letter: 503 if len(merchant.letters) < 2 else 200
    sandbox.pay(sandbox.order()["id"], "failure@razorpay")
    merchant.wait_for(2)
    time.sleep(0.5)
    sandbox.end()

    with closing(sqlite3.connect(sandbox.state)) as state:
        tries = state.execute("SELECT try, http_status, error FROM delivery_tries ORDER BY try").fetchall()
        deliveries = state.execute("SELECT status, tries FROM deliveries").fetchall()
    assert tries == [(1, 503, "refused"), (2, 200, "")]
    assert deliveries == [("delivered", 2)]


def test_sixty_four_connections_at_once_are_all_served(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    orders = [sandbox.order()["id"] for _ in range(64)]
    # Beside sixty-four more that connect and say nothing.
    silent = [socket.create_connection(("127.0.0.1", sandbox.port)) for _ in range(64)]
    try:
        with ThreadPoolExecutor(64) as crowd:
            answers = list(crowd.map(lambda order_id: sandbox.pay(order_id, "success@razorpay"), orders))
    finally:
        for connection in silent:
            connection.close()
    assert [answer.status_code for answer in answers] == [303] * 64
    assert sandbox.book()["payments"]["captured"]["count"] == 64


def test_it_listens_on_loopback_only(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    # Every address of 127/8 is this machine's; a socket bound to all of them would answer here.
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", sandbox.port), timeout=2):
        pass


def test_a_second_sandbox_on_the_same_state_or_port_is_refused_by_name(both: tuple[Merchant, Sandbox]) -> None:
    _, sandbox = both
    state = run("-m", "payments.sandbox", **sandbox.environment | {"SANDBOX_PORT": str(free_port())})
    assert state.returncode == 1
    assert f"SANDBOX_STATE {sandbox.state} cannot be used" in state.stderr
    other = str(sandbox.state.with_name("other.sqlite3"))
    port = run("-m", "payments.sandbox", **sandbox.environment | {"SANDBOX_STATE": other})
    assert port.returncode == 1
    assert f"SANDBOX_PORT {sandbox.port} cannot be used" in port.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WALLET_ENV", "production"),
        ("RAZORPAY_KEY_ID", ""),
        ("RAZORPAY_KEY_SECRET", " "),
        ("RAZORPAY_WEBHOOK_SECRETS", "one,,two"),
        ("SANDBOX_PORT", "70000"),
        ("SANDBOX_PORT", "eighty"),
        ("SANDBOX_WEBHOOK_URL", "ftp://127.0.0.1/"),
        ("SANDBOX_CALLBACK_URL", "http://127.0.0.1:9/; script-src *"),
        ("SANDBOX_STATE", ""),
        ("RAZORPAYX_ACCOUNT_NUMBER", "2323-2300"),
    ],
)
def test_a_missing_or_malformed_variable_stops_the_start_with_its_name(
    both: tuple[Merchant, Sandbox], name: str, value: str
) -> None:
    _, sandbox = both
    ended = run("-m", "payments.sandbox", **sandbox.environment | {name: value})
    assert ended.returncode == 1
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_command_is_refused_in_production() -> None:
    production = {"WALLET_ENV": "production", "WALLET_DEMO": "0", "PUBLIC_URL": "https://wallet.example"}
    mail = {"EMAIL_URL": "smtp://localhost:25", "SMS_URL": ""}
    ended = run("manage.py", "sandbox", **production, **mail, WALLET_PASSWORD_HASH_KIB="19456")
    assert ended.returncode == 1
    assert "refused while WALLET_ENV is production" in ended.stderr


def test_importing_the_command_asks_for_no_flask() -> None:
    ended = run(
        "-c",
        "import django, sys; django.setup(); import payments.management.commands.sandbox;"
        "sys.exit('flask' in sys.modules or 'werkzeug' in sys.modules)",
    )
    assert ended.returncode == 0, ended.stderr


def test_the_sandbox_is_a_stranger_to_django_and_to_the_wallet() -> None:
    ended = run(
        "-c",
        "import sys, payments.sandbox.server;"
        "rooms = ('django', 'accounts', 'wallets', 'ledger', 'wallet_project', 'payments');"
        "print(*(name for name in sys.modules if name.split('.')[0] in rooms))",
    )
    loaded = {name for name in ended.stdout.split() if not name.startswith("payments.sandbox")}
    assert loaded == {"payments"}, ended.stderr
