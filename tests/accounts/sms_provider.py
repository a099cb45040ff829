"""An SMS provider on this machine."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone


@dataclass
class Provider:
    """Twilio's Messages resource on this machine, as its documentation has it; keeps what it was sent."""

    port: int = 0
    # What a POST is answered; 0: it is taken, and the connection is cut.
    status: int = 201
    code: int | None = None
    listing: int = 200
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"twilio://AC1:to%2Fken@127.0.0.1:{self.port}/?from=%2B15005550006"

    @property
    def bodies(self) -> list[str]:
        return [body["Body"][0] for _, _, body in self.asked]

    def take(self, body: dict[str, list[str]]) -> str:
        sid = f"SM{len(self.messages):032x}"
        self.messages.insert(
            0,
            {
                "sid": sid,
                "to": body["To"][0],
                "body": body["Body"][0],
                "status": "queued",
                "date_created": format_datetime(timezone.now()),
            },
        )
        return sid


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    played = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            played.asked.append((self.path, self.headers["Authorization"], body))
            if played.status in (0, 201):
                sid = played.take(body)
            if played.status == 0:
                return
            self.answer(played.status, {"sid": sid} if played.status == 201 else {"code": played.code})

        def do_GET(self) -> None:
            to = parse_qs(urlsplit(self.path).query)["To"][0]
            self.answer(played.listing, {"messages": [each for each in played.messages if each["to"] == to]})

        def answer(self, status: int, document: dict[str, Any]) -> None:
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        played.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        settings.SMS_URL = played.url
        yield played
        server.shutdown()
        thread.join()
