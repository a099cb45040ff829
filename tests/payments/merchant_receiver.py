"""A merchant's own server, which verifies by the specification's own package; and events as the relay sends them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks import Webhook

from ledger.events import render
from payments.merchant_webhooks.endpoints import WithSecret, add_endpoint
from payments.merchant_webhooks.sending import send_next
from payments.merchant_webhooks.taking_in import register
from payments.models import WebhookEndpoint, WebhookMessage
from tests.accounts.people import PASSWORD
from tests.payments.cast import Holder
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.outbox import Row
from wallet_project.kernel.models import OutboxEvent
from wallets.models import Wallet


@dataclass(frozen=True)
class Letter:
    """What arrived: the body's very bytes, and the headers with small letters."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """
        :raises WebhookVerificationError:
        """
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Answers each letter with what a test wrote down: a status, headers and a body."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.answer: Callable[[Letter], tuple[int, dict[str, str], bytes]] = lambda _: (204, {}, b"")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                letter = Letter(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver.letters.append(letter)
                status, headers, content = receiver.answer(letter)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.answer = lambda _: (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def endpoint_at(meera: Holder, url: str, *types: str) -> WithSecret:
    return add_endpoint(user=meera.user, url=url, types=types, password=PASSWORD, code="", now=timezone.now())


def events_of(wallet: Wallet) -> list[Event]:
    """All that the outbox tells of this wallet, in order, as the relay renders it."""
    rows = OutboxEvent.objects.filter(wallet_id=wallet.pk).order_by("number")
    waiting = [
        Row(
            lane=row.lane,
            number=row.number,
            event_id=row.event_id,
            transaction_id=row.transaction_id,
            wallet_id=row.wallet_id,
            status=row.status,
            sequence=row.sequence,
            created_at=row.created_at,
        )
        for row in rows
    ]
    connection.ensure_connection()
    # As the relay's: Django's own merges parameters into the text.
    with psycopg.Cursor(connection.connection) as cursor:
        return render(cursor, waiting)


def take_in_all(wallet: Wallet) -> list[WebhookMessage]:
    """The consumer's part, as it stands now; the messages that there are after it, oldest first."""
    with transaction.atomic():
        register(events=events_of(wallet), now=timezone.now())
    return list(WebhookMessage.objects.filter(endpoint__wallet=wallet).order_by("pk"))


def send_all(endpoint: WebhookEndpoint) -> None:
    """The worker's part."""
    while send_next(endpoint_id=endpoint.pk, now=timezone.now()) is not None:
        """One more."""
