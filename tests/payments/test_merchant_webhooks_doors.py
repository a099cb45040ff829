"""Merchants' webhooks at the pages and the API: for merchants, who show once more that it is them."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import SecurityEvent
from payments.closing import close_account
from payments.merchant_webhooks.event_types import TYPES
from payments.merchant_webhooks.sending import send_next
from payments.models import WebhookEndpoint, WebhookMessage
from tests.accounts.factors import code_of as app_code_of
from tests.accounts.factors import enrolled, no_code_of
from tests.accounts.people import PASSWORD, call
from tests.payments.cast import Holder, access_of, holder, merchant
from tests.payments.merchant_receiver import Receiver, endpoint_at, receiving, send_all, take_in_all
from wallet_project.kernel import public_addresses
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database", "public")
BASE = "/webhook-endpoints"
URL = "https://shop.example/hook"


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is somewhere on the internet, but for those below `.internal`."""

    def look_up(host: str, _port: int) -> list[str]:
        return ["10.0.0.7"] if host.endswith(".internal") else ["93.184.216.34"]

    monkeypatch.setattr(public_addresses, "look_up", look_up)
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", False)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", True)
    monkeypatch.setattr(public_addresses, "look_up", lambda host, _: [host])
    with receiving() as receiver:
        yield receiver


def signed_in(person: Holder) -> Client:
    browser = Client(raise_request_exception=False)
    browser.force_login(person.user)
    return browser


def add(meera: Holder, url: str = URL, **fields: Any) -> Any:
    return meera.post(BASE, {"url": url, "password": PASSWORD, **fields})


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_an_endpoint_from_its_first_day_to_its_last_by_the_api(shop: Receiver) -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    added = add(meera, shop.url, types=["payment.succeeded"])
    assert added.status_code == 201, added.content
    document = added.json()
    secret = document.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert document == {
        "id": document["id"],
        "url": shop.url,
        "types": ["payment.succeeded"],
        "active": True,
        "disabled_because": None,
        "failing_since": None,
        "previous_secret_until": None,
        "created_at": document["created_at"],
    }
    own = f"{BASE}/{document['id']}"
    assert meera.get(BASE).json() == {"results": [document], "next": None}
    assert meera.get(own).json() == document

    asha.post("/wallet/pay", {"merchant": books.handle, "amount": "40"})
    (message,) = take_in_all(books.wallet)
    send_all(WebhookEndpoint.objects.get(pk=message.endpoint_id))
    (row,) = meera.get(f"{own}/deliveries").json()["results"]
    assert (row["id"], row["type"], row["state"], row["tries"]) == (
        message.public_id,
        "payment.succeeded",
        "DELIVERED",
        1,
    )
    whole = meera.get(f"{own}/deliveries/{row['id']}").json()
    assert whole["body"].encode() == shop.letters[0].body
    (tried,) = whole["attempts"]
    assert (tried["status"], tried["url"], tried["error"]) == (204, shop.url, "")
    assert tried["request_headers"]["webhook-id"] == row["id"]
    assert secret.removeprefix("whsec_") not in str(whole)

    again = meera.post(f"{own}/deliveries/{row['id']}/redeliver")
    assert (again.status_code, again.json()["state"]) == (202, "WAITING")
    pinged = meera.post(f"{own}/ping")
    assert (pinged.status_code, pinged.json()["type"]) == (202, "ping")
    send_all(WebhookEndpoint.objects.get(pk=message.endpoint_id))
    assert [letter.verified(secret)["type"] for letter in shop.letters] == ["payment.succeeded"] * 2 + ["ping"]

    rotated = meera.post(f"{own}/rotate", {"password": PASSWORD}).json()
    assert rotated["secret"] != secret
    assert rotated["previous_secret_until"] is not None

    off = call("PATCH", own, {"active": False, "types": list(TYPES)}, access=meera.access).json()
    assert (off["active"], off["disabled_because"], off["types"]) == (False, "OWNER", list(TYPES))
    assert code_of(meera.post(f"{own}/ping")) == (409, "webhook_disabled")
    assert call("PATCH", own, {"active": True}, access=meera.access).json()["active"] is True
    assert meera.delete(own).status_code == 204
    for answer in (meera.get(own), meera.delete(own), meera.get(f"{own}/deliveries"), meera.post(f"{own}/ping")):
        assert code_of(answer) == (404, "not_found")
    assert meera.get(BASE).json()["results"] == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://shop.example/hook", "not_https"),
        ("https://127.0.0.1/hook", "malformed"),
        ("http://127.0.0.1:8000/hook", "not_https"),
        ("https://[::ffff:10.0.0.1]/", "malformed"),
        ("https://user:pass@shop.example/", "malformed"),
        ("https://shop.example:5432/", "port_refused"),
        ("https://ledger.internal/", "no_public_address"),
        ("", "blank"),
        (["https://shop.example"], "invalid"),
        (7, "invalid"),
        (None, "null"),
    ],
)
def test_an_address_that_is_not_on_the_public_internet_is_refused(url: Any, code: str) -> None:
    meera, _ = merchant()
    answer = add(meera, url)
    assert code_of(answer) == (400, "invalid")
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("url", code)
    assert "10.0" not in answer.content.decode()
    assert not WebhookEndpoint.objects.filter(wallet__owner=meera.user).exists()


def test_it_is_judged_again_when_it_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    meera, _ = merchant()
    own = f"{BASE}/{add(meera).json()['id']}"
    call("PATCH", own, {"active": False}, access=meera.access)
    monkeypatch.setattr(public_addresses, "look_up", lambda *_: ["192.168.1.1"])
    assert code_of(call("PATCH", own, {"active": True}, access=meera.access)) == (400, "invalid")
    assert meera.get(own).json()["active"] is False


def test_nobody_asks_about_a_host_for_whoever_does_not_know_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    meera, _ = merchant()
    asked: list[str] = []
    monkeypatch.setattr(public_addresses, "look_up", lambda host, _: asked.append(host) or [])
    assert code_of(add(meera, password="not-it-at-all")) == (401, "credentials_invalid")
    assert asked == []


def test_adding_and_rotating_ask_for_password_and_factor_and_are_on_record() -> None:
    meera, _ = merchant()
    own = f"{BASE}/{add(meera).json()['id']}"
    secret, _ = enrolled(meera.user)
    meera = Holder(meera.user, meera.wallet, access_of(meera.user))
    for path, fields in ((BASE, {"url": f"{URL}/2"}), (f"{own}/rotate", {})):
        assert code_of(meera.post(path, {**fields, "password": "not-it-at-all"})) == (401, "credentials_invalid")
        assert code_of(meera.post(path, {**fields, "password": PASSWORD})) == (401, "otp_required")
        assert code_of(meera.post(path, {**fields, "password": PASSWORD, "otp": no_code_of(secret)})) == (
            401,
            "otp_invalid",
        )
    assert meera.post(f"{own}/rotate", {"password": PASSWORD, "otp": app_code_of(secret, steps=1)}).status_code == 200
    kinds = SecurityEvent.objects.filter(subject=meera.user, kind__startswith="webhook_endpoint.")
    assert {(event.kind, event.result) for event in kinds} >= {
        ("webhook_endpoint.added", "DONE"),
        ("webhook_endpoint.added", "REFUSED"),
        ("webhook_endpoint.rotated", "DONE"),
        ("webhook_endpoint.rotated", "REFUSED"),
    }


def test_a_merchant_keeps_so_many_addresses_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MOST_WEBHOOK_ENDPOINTS", 2)
    meera, _ = merchant()
    first = add(meera).json()["id"]
    again = add(meera)
    assert code_of(again) == (400, "invalid")
    assert again.json()["errors"][0]["code"] == "taken"
    assert add(meera, f"{URL}/2").status_code == 201
    assert code_of(add(meera, f"{URL}/3")) == (422, "limit_exceeded")
    meera.delete(f"{BASE}/{first}")
    assert add(meera, f"{URL}/3").status_code == 201


@pytest.mark.parametrize("types", [["payment.failed"], ["ping"], "payment.succeeded", [7], [["payment.succeeded"]], {}])
def test_only_types_that_there_are_can_be_chosen(types: Any) -> None:
    meera, _ = merchant()
    assert code_of(add(meera, types=types)) == (400, "invalid")


def test_fields_that_are_not_a_callers_are_passed_over() -> None:
    meera, books = merchant()
    other = merchant("Ravi Kumar", display_name="Ravi Radios")[1]
    kept = add(meera, state="DISABLED", wallet=other.wallet.public_id, secret="whsec_AAAA", active=False).json()
    row = WebhookEndpoint.objects.get(wallet=books.wallet)
    assert (row.public_id, row.state) == (kept["id"], "ACTIVE")
    assert kept["secret"] != "whsec_AAAA"


def test_deliveries_come_page_by_page() -> None:
    meera, _ = merchant()
    own = f"{BASE}/{add(meera).json()['id']}"
    ids = [meera.post(f"{own}/ping").json()["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = meera.get(f"{own}/deliveries?limit=2{cursor}").json()
        seen += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ids[::-1]
    assert code_of(meera.get(f"{own}/deliveries?cursor=nonsense")) == (400, "cursor_invalid")


def test_what_is_sent_by_hand_is_counted_apart_wherever_it_is_asked_for(
    shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a request of ours to whatever host they named, and takes the place of what others are to be told."""
    monkeypatch.setattr(settings, "RATE_LIMITS", {**settings.RATE_LIMITS, "deliveries": (3, 60)})
    meera, _ = merchant()
    endpoint = endpoint_at(meera, shop.url).endpoint
    browser, own = signed_in(meera), f"/webhooks/{endpoint.public_id}"
    pinged = meera.post(f"{BASE}/{endpoint.public_id}/ping")
    again = f"deliveries/{pinged.json()['id']}/redeliver"
    assert meera.post(f"{BASE}/{endpoint.public_id}/{again}").status_code == 202
    assert browser.post(f"{own}/ping").status_code == 303
    assert browser.post(f"{own}/{again}").status_code == 429
    assert code_of(meera.post(f"{BASE}/{endpoint.public_id}/ping")) == (429, "too_many_requests")
    assert browser.get(own).status_code == 200


def test_closing_the_account_takes_the_endpoints_along(shop: Receiver) -> None:
    meera, _ = merchant()
    endpoint = endpoint_at(meera, shop.url).endpoint
    meera.post(f"{BASE}/{endpoint.public_id}/ping")
    close_account(user=meera.user, password=PASSWORD, otp="", now=timezone.now())
    row = WebhookEndpoint.objects.get(pk=endpoint.pk)
    assert (row.state, row.url, bytes(row.secret_sealed)) == ("REMOVED", "", b"")
    assert send_next(endpoint_id=endpoint.pk, now=timezone.now() + timedelta(hours=1)) is None
    assert shop.letters == []


def test_a_merchants_own_data_names_the_addresses_and_no_secret() -> None:
    meera, books = merchant()
    secret = add(meera).json()["secret"]
    text = b"".join(meera.get("/me/data").streaming_content).decode()
    assert URL in text
    assert secret.removeprefix("whsec_") not in text
    assert Wallet.objects.get(pk=books.wallet_id).public_id in text


def test_the_pages_from_the_first_address_to_its_removal(shop: Receiver) -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    browser = signed_in(meera)
    assert b"Nobody is told yet" in browser.get("/webhooks").content
    wrong = browser.post("/webhooks/add", {"url": "http://10.0.0.1/", "types": list(TYPES), "password": PASSWORD})
    assert (wrong.status_code, b"must begin with https" in wrong.content) == (400, True)
    denied = browser.post("/webhooks/add", {"url": shop.url, "types": list(TYPES), "password": "not-it-at-all"})
    assert denied.status_code == 401
    added = browser.post("/webhooks/add", {"url": shop.url, "types": ["payment.succeeded"], "password": PASSWORD})
    (secret,) = set(re.findall(r"whsec_[A-Za-z0-9+/=]+", added.content.decode()))
    assert "no-store" in added["Cache-Control"]
    endpoint = WebhookEndpoint.objects.get(wallet=books.wallet)
    own = f"/webhooks/{endpoint.public_id}"
    # Shown this once.
    for path in ("/webhooks", own):
        assert b"whsec_" not in browser.get(path).content
    asha.post("/wallet/pay", {"merchant": books.handle, "amount": "40", "order_reference": "<b>INV</b>"})
    (message,) = take_in_all(books.wallet)
    shop.answers(500, b"<script>alert(1)</script>")
    send_all(endpoint)
    page = browser.get(f"{own}/deliveries/{message.public_id}").content.decode()
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;INV" in page
    assert "<script>alert" not in page
    assert "Failing" in browser.get("/webhooks").content.decode()
    shop.answers(204)
    again = browser.post(f"{own}/deliveries/{message.public_id}/redeliver")
    assert (again.status_code, again["Location"]) == (303, f"{own}/deliveries/{message.public_id}")
    send_all(endpoint)
    assert shop.letters[-1].verified(secret)["type"] == "payment.succeeded"
    tested = browser.post(f"{own}/ping")
    assert tested.status_code == 303
    assert browser.get(tested["Location"]).status_code == 200
    assert browser.post(own, {"types": ["payout.failed"]}).status_code == 303
    endpoint.refresh_from_db()
    assert endpoint.types == ["payout.failed"]
    assert browser.post(own, {"types": []}).status_code == 400
    rotated = browser.post(f"{own}/rotate", {"password": PASSWORD})
    assert secret not in rotated.content.decode()
    assert b"whsec_" in rotated.content
    browser.post(f"{own}/switch")
    assert b"You switched it off" in browser.get(own).content
    assert browser.post(f"{own}/ping", follow=True).status_code == 200
    browser.post(f"{own}/switch", {"on": "1"})
    assert browser.get(f"{own}/remove").status_code == 200
    assert browser.post(f"{own}/remove").status_code == 303
    assert browser.get(own).status_code == 404
    assert not WebhookMessage.objects.filter(endpoint=endpoint, state="WAITING").exclude(type="ping").exists()


def test_for_people_without_a_shop_there_is_nothing_here() -> None:
    asha, (meera, _) = holder("Asha Rao"), merchant()
    theirs = add(meera).json()["id"]
    browser = signed_in(asha)
    for path in ("/webhooks", "/webhooks/add", f"/webhooks/{theirs}"):
        assert browser.get(path).status_code == 404
    assert code_of(asha.get(BASE)) == (404, "not_found")
    assert code_of(add(asha)) == (404, "not_found")
    assert code_of(asha.get(f"{BASE}/{theirs}")) == (404, "not_found")
