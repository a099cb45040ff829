"""Zoya's own pages and headers against ours: other origins, other hosts, other sites to be led to, hostile bodies."""

import hashlib
import hmac
import re
from typing import Any, Final
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import Client

from tests.accounts.people import PASSWORD, call, deliver, messages_to
from tests.journeys.access_table import API, PAGES
from tests.journeys.browsing import Browser
from tests.journeys.page_rules import faults
from tests.payments.cast import Holder, holder, new_key

pytestmark = pytest.mark.usefixtures("database")

EVIL: Final = "evil.example"
ELSEWHERE: Final = (
    f"https://{EVIL}/",
    f"//{EVIL}/",
    f"/\\{EVIL}/",
    f"\\\\{EVIL}/",
    f"///{EVIL}/",
    f"https:{EVIL}",
    f"http:///{EVIL}/",
    f"https://testserver@{EVIL}/",
    f"\t//{EVIL}/",
    f"/\t/{EVIL}/",
    "javascript:alert(1)",
    "data:text/html,hello",
)
DEEP: Final = {
    "deep objects": b'{"a":' * 3000 + b"1" + b"}" * 3000,
    "deep lists": b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}",
}
HOSTILE: Final = DEEP | {"a doubled name": b'{"a": 1, "a": 2}', "too large": b'{"x": "' + b"y" * 400_000 + b'"}'}


@pytest.fixture(scope="module")
def asha() -> Holder:
    return holder("Asha Rao", rupees=100)


def test_no_other_origin_may_read_an_answer_or_send_what_a_form_cannot(asha: Holder) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(asha.user)
    paths = [f"/{route}" for route in (*API, *PAGES) if "<" not in route] + [
        "/static/js/passkeys.js",
        "/api/v1/nowhere",
    ]
    assert len(paths) > 60
    asks = {"Origin": f"https://{EVIL}", "Authorization": f"Bearer {asha.access}"}
    before = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for path in paths:
        if path == "/health/ready":
            # It waits for a broker that is not there.
            continue
        for answer in (client.options(path, headers=asks | before), client.get(path, headers=asks)):
            allowed = [name for name in answer.headers if name.startswith("Access-Control-")]
            assert not allowed, (path, allowed)


@pytest.mark.parametrize("path", ["/sign-in", "/nowhere", "/api/v1/me", "/api/v1/nowhere", "/static/favicon.svg"])
def test_refusals_carry_what_the_pages_do(path: str, asha: Holder) -> None:
    client = Client(raise_request_exception=False)
    for host in (EVIL, "testserver"):
        answer = client.get(path, headers={"Host": host})
        wrong = [one for one in faults(answer) if not (path.startswith("/static/") and one.startswith("Cache-Control"))]
        assert not wrong, (path, host)


def test_a_crash_and_a_body_too_large_carry_them_too(asha: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(asha.user)
    large = client.post("/send", {"note": "x" * 400_000})
    assert (large.status_code, faults(large)) == (413, [])
    monkeypatch.setattr("payments.history_views.history_of", lambda **_: 1 / 0)
    crash = client.get("/history")
    assert (crash.status_code, faults(crash)) == (500, [])


def test_a_host_that_is_not_ours_is_refused_and_no_message_names_any(asha: Holder) -> None:
    body = {"email": asha.email}
    refused = call("POST", "/auth/password/reset", body, Host=EVIL)
    assert refused.status_code == 400
    deliver()
    told = len(messages_to(asha.email))
    forged = {
        "X-Forwarded-Host": EVIL,
        "X-Host": EVIL,
        "X-Original-URL": f"https://{EVIL}/",
        "Forwarded": f"host={EVIL}",
        "X-Forwarded-Server": EVIL,
    }
    assert call("POST", "/auth/password/reset", body, **forged).status_code == 202
    deliver()
    (message,) = messages_to(asha.email)[: len(messages_to(asha.email)) - told]
    assert "evil" not in message.text
    links = re.findall(r"(?:https?:|www\.)\S*", message.text)
    assert [link.partition("?")[0] for link in links] == [f"{settings.PUBLIC_URL}/password/reset/link"]


def test_every_redirect_stays_on_this_site_whatever_host_a_header_names(asha: Holder) -> None:
    browsers = [Client(raise_request_exception=False), Client(raise_request_exception=False)]
    browsers[1].force_login(asha.user)
    led = 0
    for browser in browsers:
        for route, access in PAGES.items():
            if "GET" in access.rules and "<" not in route and not route.startswith("health/"):
                answer = browser.get(f"/{route}", headers={"X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "https"})
                place = answer.headers.get("Location", "/")
                assert re.match(r"/(?![/\\])", place), (route, place)
                led += "Location" in answer.headers
    assert led > 20


@pytest.mark.parametrize("wanted", ["foo", "session_end", "account", "http://testserver/account", "wallet/../x"])
def test_the_name_of_a_route_is_no_place_to_go_to(wanted: str, asha: Holder) -> None:
    stranger = Client(raise_request_exception=False)
    sent = stranger.post("/sign-in", {"address": asha.email, "password": PASSWORD, "next": wanted})
    agreed = stranger.post("/consent", {"next": wanted})
    assert [(answer.status_code, answer["Location"]) for answer in (sent, agreed)] == [(303, "/")] * 2


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_led_to_another_site(wanted: str, asha: Holder) -> None:
    asked = quote(wanted, safe="")
    stranger = Browser()
    form = stranger.open(f"/sign-in?next={asked}").form
    sent = stranger.send(form, address=asha.email, password=PASSWORD, next=wanted)
    assert (sent.status, sent.location) == (303, "/")
    for path in (f"/consent?next={asked}", f"/sign-in?next={asked}", f"/add?next={asked}", f"/?next={asked}"):
        assert EVIL not in stranger.open(path).location, path
    # On to where everybody signs in, which judges it again.
    assert stranger.open(f"/admin/login/?next={asked}").location.startswith("/sign-in?next=")


def test_where_one_wanted_to_go_is_where_one_comes(asha: Holder) -> None:
    browser = Browser()
    form = browser.open("/sign-in?next=/history").form
    assert browser.send(form, address=asha.email, password=PASSWORD).location == "/history"


@pytest.mark.parametrize("name", HOSTILE)
def test_no_call_breaks_on_a_deep_a_doubled_or_a_large_body(name: str, asha: Holder) -> None:
    client, body = Client(raise_request_exception=False), HOSTILE[name]
    headers = {"Authorization": f"Bearer {asha.access}", "Idempotency-Key": new_key()}
    expected, asked = 413 if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE else 400, 0
    for route, access in API.items():
        for method in {"POST", "PUT", "PATCH"} & set(access.rules):
            path = "/" + re.sub(r"<[^>]+>", "PAY", route)
            status = client.generic(method, path, body, "application/json", headers=headers).status_code
            # Or it is not there for her, or takes forms.
            assert status in (expected, 404, 415), (method, path, status)
            asked += status == expected
    assert asked > 18


@pytest.mark.parametrize("name", DEEP)
def test_a_deep_webhook_is_taken_and_means_nothing(name: str) -> None:
    body = DEEP[name]
    signature = hmac.new(b"webhook_secret", body, hashlib.sha256).hexdigest()
    headers = {"X-Razorpay-Signature": signature, "X-Razorpay-Event-Id": f"evt_{len(body)}"}
    client = Client(raise_request_exception=False)
    answer = client.post("/api/v1/webhooks/razorpay", body, content_type="application/json", headers=headers)
    assert answer.status_code == 200


def test_a_page_bears_deep_json_where_a_form_carries_some(asha: Holder) -> None:
    browser = Browser(asha.user)
    failure = quote("[" * 1900)
    callback = browser.open(f"/payments/razorpay/callback?error[metadata]={failure}")
    assert (callback.status, callback.location) == (303, "/add")


def test_a_signed_in_page_is_never_kept_and_its_cookies_are_for_no_script(asha: Holder) -> None:
    stranger: Any = Browser()
    form = stranger.open("/sign-in").form
    answer = stranger.send(form, address=asha.email, password=PASSWORD).response
    assert set(answer.cookies) >= {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME}
    assert faults(answer) == []
