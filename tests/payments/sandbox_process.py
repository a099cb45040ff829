"""
A real sandbox process on a free port, and a real merchant's door that it writes to.

Nothing of the sandbox is imported here: it is spoken to as the wallet speaks to it, over HTTP.
"""

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import requests

ROOT = Path(__file__).resolve().parent.parent.parent
KEY_ID = "rzp_test_sandbox"
KEY_SECRET = "key_secret"
WEBHOOK_SECRET = "webhook_secret"
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One webhook as it came in at the merchant's door."""

    body: bytes
    signature: str
    event_id: str
    arrived_at: float

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document

    @property
    def event(self) -> str:
        return str(self.document["event"])

    @property
    def is_genuine(self) -> bool:
        expected = hmac.new(WEBHOOK_SECRET.encode(), self.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, self.signature)


class Merchant:
    """Whoever receives webhooks. `answer` is called for each, in that connection's own thread."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.answer: Callable[[Letter], int] = lambda _letter: 200
        self._news = threading.Condition()
        merchant = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                letter = Letter(
                    body=body,
                    signature=self.headers["X-Razorpay-Signature"],
                    event_id=self.headers["x-razorpay-event-id"],
                    arrived_at=time.monotonic(),
                )
                merchant._receive(letter)
                self.send_response(merchant.answer(letter))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                """Where payers come back to."""
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(b'<!doctype html><link rel="icon" href="data:,"><title>The merchant</title>')

            def log_message(self, *_args: Any) -> None:
                """Silence: pytest shows what the test asserts."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.webhook_url = f"{self.origin}/webhooks/razorpay"
        self.callback_url = f"{self.origin}/payments/razorpay/callback"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _receive(self, letter: Letter) -> None:
        with self._news:
            self.letters.append(letter)
            self._news.notify_all()

    def wait_for(self, count: int, *, within_seconds: float = 10.0) -> list[Letter]:
        """The first letters, once at least `count` have come."""
        with self._news:
            arrived = self._news.wait_for(lambda: len(self.letters) >= count, timeout=within_seconds)
            assert arrived, f"{len(self.letters)} of {count} webhooks came within {within_seconds} s"
            return list(self.letters)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Sandbox:
    """The sandbox's process, and a client of it."""

    def __init__(self, *, state: Path, webhook_url: str, callback_url: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = state
        self.environment = {
            "PATH": os.environ["PATH"],
            "WALLET_ENV": "local",
            "RAZORPAY_KEY_ID": KEY_ID,
            "RAZORPAY_KEY_SECRET": KEY_SECRET,
            "RAZORPAY_WEBHOOK_SECRETS": f"{WEBHOOK_SECRET},older_webhook_secret",
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_WEBHOOK_URL": webhook_url,
            "SANDBOX_CALLBACK_URL": callback_url,
            "SANDBOX_STATE": str(state),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, command: tuple[str, ...] = ("-m", "payments.sandbox")) -> float:
        """Seconds until it answered."""
        began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self.environment, stderr=subprocess.DEVNULL
        )
        while time.monotonic() - began < 20:
            assert self.process.poll() is None, "the sandbox ended instead of starting"
            # A try by `requests` costs fifty times as much, and there are many.
            with socket.socket() as knock:
                is_there = knock.connect_ex(("127.0.0.1", self.port)) == 0
            if is_there:
                requests.get(f"{self.url}/book", timeout=20)
                return time.monotonic() - began
            time.sleep(0.02)
        raise AssertionError("the sandbox did not answer")

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        """Its exit status, negative for the signal that killed it."""
        assert self.process is not None
        self.process.send_signal(signal_number)
        return self.process.wait(timeout=10)

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        arguments.setdefault("auth", (KEY_ID, KEY_SECRET))
        return requests.request(method, f"{self.url}/v1{path}", timeout=20, **arguments)

    def order(self, *, amount: int = 50_000, **fields: Any) -> dict[str, Any]:
        answer = self.call("POST", "/orders", json={"amount": amount, "currency": "INR", **fields})
        assert answer.status_code == 200, answer.text
        order: dict[str, Any] = answer.json()
        return order

    def pay(self, order_id: str, vpa: str, **fields: str) -> requests.Response:
        return requests.post(
            f"{self.url}/checkout/{order_id}",
            data={"method": "upi", "vpa": vpa, **fields},
            allow_redirects=False,
            timeout=20,
        )

    def payments(self, order_id: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.call("GET", f"/orders/{order_id}/payments").json()["items"]
        return items

    def captured(self, *, amount: int = 50_000, vpa: str = "success@razorpay") -> dict[str, Any]:
        """A new payment of a new order."""
        order = self.order(amount=amount)
        self.pay(order["id"], vpa)
        return self.payments(order["id"])[-1]

    def fund_account(self, account_number: str, *, name: str = "Asha Rao") -> str:
        """The id of a bank account to pay out to."""
        contact = self.call("POST", "/contacts", json={"name": name}).json()
        bank = {"name": name, "ifsc": "HDFC0000001", "account_number": account_number}
        body = {"contact_id": contact["id"], "account_type": "bank_account", "bank_account": bank}
        answer = self.call("POST", "/fund_accounts", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def operate(self, path: str, **fields: Any) -> requests.Response:
        """What a person does on the operator's page."""
        return requests.post(f"{self.url}/operator/api/{path}", json=fields, timeout=20)

    def book(self) -> dict[str, Any]:
        book: dict[str, Any] = requests.get(f"{self.url}/book", timeout=20).json()
        return book


def until(read: Callable[[], T], is_so: Callable[[T], bool], *, within_seconds: float = 12.0) -> T:
    """Ask again and again until the answer is so."""
    began = time.monotonic()
    while not is_so(answer := read()):
        assert time.monotonic() - began < within_seconds, f"after {within_seconds} s it is still {answer}"
        time.sleep(0.05)
    return answer


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def returned(answer: requests.Response) -> dict[str, str]:
    """What the query of a redirect carries."""
    return query_of(answer.headers["Location"])


@contextmanager
def merchant_and_sandbox(directory: Path) -> Iterator[tuple[Merchant, Sandbox]]:
    """Both of them running; the sandbox's process is gone afterwards."""
    merchant = Merchant()
    sandbox = Sandbox(
        state=directory / "sandbox.sqlite3", webhook_url=merchant.webhook_url, callback_url=merchant.callback_url
    )
    try:
        sandbox.start()
        yield merchant, sandbox
    finally:
        if sandbox.process is not None and sandbox.process.poll() is None:
            sandbox.end(signal.SIGKILL)
        merchant.close()
