"""The wallet's client and a real sandbox process for it, or a door that misbehaves on command."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl

from django.test import Client

from payments import gateways
from payments.gateways.base import Gateway
from payments.gateways.razorpay import Razorpay
from tests.payments.sandbox_process import KEY_ID, KEY_SECRET, WEBHOOK_SECRET, Letter, Merchant


def client(url: str, *, read_seconds: float = 10.0, account_number: str = "2323230000000001") -> Razorpay:
    return Razorpay(
        api_url=f"{url}/v1",
        checkout_url=f"{url}/checkout",
        key_id=KEY_ID,
        key_secret=KEY_SECRET,
        webhook_secrets=[WEBHOOK_SECRET, "older_webhook_secret"],
        connect_seconds=1.0,
        read_seconds=read_seconds,
        account_number=account_number,
    )


@contextmanager
def wallet_speaks_to(gateway: Gateway) -> Iterator[None]:
    """While it lasts, this client is the wallet's for the gateway of its name."""
    before = gateways._known.get(gateway.name)
    gateways._known[gateway.name] = gateway
    try:
        yield
    finally:
        if before is None:
            del gateways._known[gateway.name]
        else:
            gateways._known[gateway.name] = before


# In the place of a status: the request is read, and the connection closed without a word.
HANG_UP: Final = 0


class Door:
    """
    An HTTP server whose next answers a test writes down: (status, body) or a function that makes one.

    Bodies that it is asked with are JSON or forms.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.headers: list[Message] = []
        self.raw: list[bytes] = []
        self.answer: Callable[[str, str, Any], tuple[int, str]] = lambda _method, _path, _body: (200, "{}")
        door = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                is_form = "form" in (self.headers.get("Content-Type") or "")
                body = dict(parse_qsl(raw.decode())) if is_form else json.loads(raw) if raw else None
                door.raw.append(raw)
                door.headers.append(self.headers)
                door.asked.append((self.command, self.path, body))
                status, text = door.answer(self.command, self.path, body)
                if status == HANG_UP:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                # Whoever gave up waiting is gone.
                with suppress(OSError):
                    self.end_headers()
                    self.wfile.write(text.encode())

            do_GET = do_POST = handle_any

            def log_message(self, *_args: Any) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def open_door() -> Iterator[Door]:
    door = Door()
    try:
        yield door
    finally:
        door.close()


def order_document(*, id: str, amount: int, receipt: str) -> str:
    return json.dumps(
        {"id": id, "entity": "order", "amount": amount, "currency": "INR", "receipt": receipt, "status": "created"}
    )


def deliver(letter: Letter, **changes: Any) -> Any:
    """A webhook at the wallet's own door."""
    headers = {"X-Razorpay-Signature": letter.signature, "x-razorpay-event-id": letter.event_id} | changes
    return Client().post(
        "/api/v1/webhooks/razorpay", data=letter.body, content_type="application/json", headers=headers
    )


def letters_about(merchant: Merchant, order_id: str, count: int) -> list[Letter]:
    """Wait for the webhooks of one order; others' come in between."""
    with merchant._news:
        found: list[Letter] = []

        def enough() -> bool:
            found[:] = [letter for letter in merchant.letters if order_id.encode() in letter.body]
            return len(found) >= count

        assert merchant._news.wait_for(enough, timeout=15)
        return found
