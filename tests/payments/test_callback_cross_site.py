"""
The gateway's own page posts the result from another site, in a real browser: our session cookie stays at home.

The page is served from `localhost` and its form goes to `127.0.0.1`: to a browser two sites, whatever their address.
"""

import html
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.servers.basehttp import get_internal_wsgi_application
from django.test import Client
from playwright.sync_api import Request, sync_playwright
from werkzeug.serving import make_server

from tests.payments.adding import add, assert_two_books_agree
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, returned

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CALLBACK = "/payments/razorpay/callback"
pytestmark = [
    pytest.mark.usefixtures("database"),
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox], superuser_url: str) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]
        assert_two_books_agree(both[1], superuser_url)


@pytest.fixture(scope="module")
def wallet(database: object) -> Iterator[str]:
    """The wallet itself, listening."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, get_internal_wsgi_application(), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def gateway_page() -> Iterator[Callable[[str, dict[str, str]], str]]:
    """Serves a form from `localhost`, as a gateway's checkout does when it is done; answers its address."""
    pages: list[bytes] = []

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(pages[-1])

        def log_message(self, *_args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def serve(action: str, fields: dict[str, str]) -> str:
        inputs = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in fields.items()
        )
        form = f'<form method="post" action="{html.escape(action)}">{inputs}<button>Back to the shop</button></form>'
        pages.append(f'<!doctype html><link rel="icon" href="data:,"><title>Gateway</title>{form}'.encode())
        return f"http://localhost:{server.server_address[1]}/done"

    yield serve
    server.shutdown()
    server.server_close()


@dataclass(frozen=True)
class Seen:
    """What the browser sent to the callback, and where it ended."""

    cookies: list[str]
    origin: str
    path: str
    text: str


def come_back(page_url: str, wallet: str, session: str) -> Seen:
    """In a thread of its own: Playwright's loop and Django's database do not share one."""

    def browse() -> Seen:
        sent: list[Request] = []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            context = browser.new_context(java_script_enabled=False)
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": wallet, "sameSite": "Lax"}]
            )
            page = context.new_page()
            page.on("request", lambda request: sent.append(request) if CALLBACK in request.url else None)
            page.goto(page_url)
            page.get_by_role("button", name="Back to the shop").click()
            page.wait_for_url(f"{wallet}/**")
            page.wait_for_load_state()
            headers = [request.all_headers() for request in sent]
            assert [request.method for request in sent] == ["POST"]
            seen = Seen(
                cookies=[header["cookie"] for header in headers if "cookie" in header],
                origin=headers[0].get("origin", ""),
                path=urlsplit(page.url).path,
                text=page.inner_text("body"),
            )
            browser.close()
        return seen

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(browse).result()


def session_of(person: Holder) -> str:
    browser = Client()
    browser.force_login(person.user)
    return str(browser.cookies[settings.SESSION_COOKIE_NAME].value)


def test_a_form_posted_from_another_site_credits_without_a_cookie_and_its_payer_sees_it(
    sandbox: Sandbox, wallet: str, gateway_page: Callable[[str, dict[str, str]], str]
) -> None:
    asha = holder()
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    assert asha.balance == 0
    seen = come_back(gateway_page(wallet + CALLBACK, fields), wallet, session_of(asha))
    assert seen.cookies == []
    assert seen.origin.startswith("http://localhost:")
    assert asha.balance == 250
    # Back on our own site the cookie comes along again.
    assert seen.path == f"/receipts/{begun['transaction']['id']}"
    assert "Added to your wallet" in seen.text
    assert "₹250.00" in seen.text


def test_a_forged_form_from_another_site_credits_nothing_and_shows_no_receipt(
    sandbox: Sandbox, wallet: str, gateway_page: Callable[[str, dict[str, str]], str]
) -> None:
    asha = holder()
    begun = add(asha)
    order_id = begun["checkout"]["order_id"]
    sandbox.pay(order_id, "forged@razorpay")
    forged = {
        "razorpay_order_id": order_id,
        "razorpay_payment_id": "pay_Forged00000000",
        "razorpay_signature": "0" * 64,
    }
    seen = come_back(gateway_page(wallet + CALLBACK, forged), wallet, session_of(asha))
    assert seen.cookies == []
    assert asha.balance == 0
    assert seen.path == "/add"
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["status"] == "PENDING"
