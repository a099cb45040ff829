"""Whose pages they are, what browsers may keep of them, and what the pages themselves load."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts.blocking import block
from tests.accounts.people import superuser
from tests.journeys.browsing import Browser, Page
from tests.payments.cast import holder

pytestmark = pytest.mark.usefixtures("database")

MONEY = ["/add", "/send", "/pay", "/withdraw", "/bank-accounts", "/bank-accounts/add"]
PRIVATE = [*MONEY, "/history", "/send/confirm", "/pay/confirm", "/withdraw/confirm", "/receipts/txn_1"]
PUBLIC = ["/", "/sign-in", "/register", "/verify"]


@pytest.mark.parametrize("path", PRIVATE)
def test_a_stranger_is_asked_to_sign_in_and_comes_back_to_where_they_were_going(path: str) -> None:
    page = Browser().open(path)
    assert page.status == 302
    assert page.location == f"/sign-in?next={path}"


@pytest.mark.parametrize("path", ["/", *PRIVATE, "/sign-in", "/register", "/verify"])
def test_no_browser_and_no_proxy_keeps_a_private_page(path: str) -> None:
    for browser in (Browser(holder("Asha Rao", rupees=5).user), Browser()):
        kept = browser.open(path).response.headers.get("Cache-Control", "")
        assert "no-store" in kept or path == "/receipts/txn_1", (path, kept)
        assert "private" in kept or path == "/receipts/txn_1"


def test_who_is_blocked_is_signed_out_by_the_next_page() -> None:
    asha = holder("Asha Rao", rupees=500)
    browser = Browser(asha.user)
    assert "Hello, Asha Rao" in browser.open("/").text
    form = browser.open("/send").form
    block(user=asha.user, by=superuser(), reason="Lost phone", now=timezone.now())
    for page in (browser.open("/history"), browser.send(form, to="x@example.com", amount="1"), browser.open("/add")):
        assert page.status == 302
        assert page.location.startswith("/sign-in")
    assert "Hello" not in browser.open("/").text


@pytest.mark.parametrize("path", ["/", "/history", *MONEY, "/nowhere", *PUBLIC[1:]])
def test_pages_load_only_from_this_site_and_have_nothing_inline(path: str) -> None:
    for browser in (Browser(holder("Asha Rao", rupees=5).user), Browser()):
        page = browser.open(path)
        if page.status in (302, 303):
            continue
        assert page.loads
        assert all(address.startswith("/static/") for address in page.loads), page.loads
        assert not page.inline


@pytest.mark.parametrize("name", ["css/wallet.css", "js/waiting.js", "icons.svg", "favicon.svg"])
def test_assets_are_served_by_us_and_ask_for_nothing_else(name: str) -> None:
    response = Client().get(f"/static/{name}")
    assert response.status_code == 200
    text = b"".join(response.streaming_content if response.streaming else [response.content]).decode()
    assert "url(" not in text
    assert "http" not in text.replace("http://www.w3.org/", "")


def test_a_page_that_is_not_there_says_so_in_our_own_words() -> None:
    for browser in (Browser(), Browser(holder("Asha Rao").user)):
        page = browser.open("/nowhere")
        assert page.status == 404
        assert "There is no such page" in page.text


def test_a_crash_tells_people_where_to_look_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(**_: object) -> None:
        raise RuntimeError("secret detail")

    browser = Browser(holder("Asha Rao").user)
    monkeypatch.setattr("payments.history_views.history_of", crash)
    page = browser.open("/history")
    assert page.status == 500
    assert "look in your history first" in page.text
    assert "secret detail" not in page.response.content.decode()


def test_a_body_past_the_limit_is_answered_with_a_page() -> None:
    browser = Browser(holder("Asha Rao").user)
    page = browser.send(browser.open("/send").form, note="x" * 400_000)
    assert page.status == 413
    assert "makes no sense" in page.text


def test_a_large_file_is_answered_so_too_and_never_written_to_disk() -> None:
    """Django bounds the fields of a form, and not its files; nobody needs to have signed in to send one."""
    answer = Client().post("/sign-in", {"address": SimpleUploadedFile("a.bin", b"x" * 400_000), "password": "x"})
    assert answer.status_code == 413
    assert "makes no sense" in answer.content.decode()


def test_a_page_is_only_asked_for_in_its_own_ways() -> None:
    client = Client()
    client.force_login(holder("Asha Rao").user)
    for method, path in (("put", "/send"), ("delete", "/receipts/txn_1"), ("post", "/history"), ("post", "/")):
        assert getattr(client, method)(path).status_code == 405


def test_staff_without_a_wallet_are_told_so() -> None:
    root = superuser()
    page = Browser(root).open("/")
    assert page.status == 200
    assert "holds no wallet" in page.text
    for path in ("/history", "/send"):
        assert Browser(root).open(path).status == 404
    assert isinstance(page, Page)
