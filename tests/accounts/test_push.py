"""Web push: only browsers whose people asked for it, only at push services that are known, readable by them alone."""

import base64
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import http_ece
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import outgoing, push
from accounts.blocking import block
from accounts.models import (
    Notification,
    NotificationPreference,
    OutgoingMessage,
    PushSubscription,
    SecurityEvent,
    Session,
    User,
)
from accounts.notices import notify
from accounts.outgoing import Delivery
from accounts.password_change import end_every_sign_in
from accounts.purging import purge
from accounts.sending import send_message
from accounts.sessions import end_others
from tests.accounts.people import PASSWORD, person, superuser
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid, public_id

pytestmark = pytest.mark.usefixtures("database")
KEY = b"\x11" * 32


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Browser:
    """What a browser keeps of its subscription."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def keys(self) -> dict[str, str]:
        point = self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return {"p256dh": encoded(point), "auth": encoded(self.secret)}

    def read(self, body: bytes) -> dict[str, str]:
        text = http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm")
        return dict(json.loads(text))


@dataclass
class Service:
    """A push service on this machine (RFC 8030): answers `status`, and keeps what it was handed."""

    port: int = 0
    status: int = 201
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{self.origin}/push/{os.urandom(8).hex()}"


@pytest.fixture
def service(settings: Any) -> Iterator[Service]:
    played = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            played.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(played.status)
            self.send_header("Location", f"{played.origin}/message/one" if played.status == 201 else "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        played.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        settings.PUSH_SERVICES = ["127.0.0.1", "fcm.googleapis.com", ".push.apple.com"]
        settings.VAPID_PRIVATE_KEY = KEY
        yield played
        server.shutdown()
        thread.join()


def session_of(user: User) -> Session:
    now = timezone.now()
    return Session.objects.create(
        user=user, kind=Session.Kind.PAGES, created_at=now, last_used_at=now, expires_at=now + timedelta(hours=12)
    )


def subscribed(user: User, endpoint: str, browser: Browser | None = None) -> PushSubscription:
    return push.subscribe(
        user=user, session=session_of(user), endpoint=endpoint, label="Firefox on Linux", now=timezone.now(),
        **(browser or Browser()).keys,
    )  # fmt: skip


def pushed(user: User, now: datetime, text: str = "Ravi sent you ₹500.00.") -> list[OutgoingMessage]:
    told = Notification.objects.create(user=user, kind="money_in", title="₹500.00 from Ravi", text=text, created_at=now)
    with transaction.atomic():
        ids = outgoing.queue(deliveries=[Delivery(told, user, NotificationPreference.Channel.PUSH)], now=now)
    return list(OutgoingMessage.objects.filter(pk__in=ids).order_by("pk"))


def test_only_the_browser_reads_what_is_pushed_and_it_knows_that_we_sent_it(service: Service) -> None:
    asha, browser, now = person(), Browser(), timezone.now()
    endpoint = service.endpoint
    subscribed(asha, endpoint, browser)
    (row,) = pushed(asha, now)
    assert send_message(verification_id=row.pk, now=now)
    ((path, headers, body),) = service.asked
    assert f"{service.origin}{path}" == endpoint
    assert b"Ravi" not in body
    said = browser.read(body)
    assert said == {
        "title": "₹500.00 from Ravi", "body": "Ravi sent you ₹500.00.", "tag": headers["topic"], "url": "/notifications"
    }  # fmt: skip
    assert (headers["content-encoding"], headers["ttl"]) == ("aes128gcm", "86400")
    scheme, _, given = headers["authorization"].partition(" ")
    token, key = (each.partition("=")[2] for each in given.split(","))
    assert (scheme, key) == ("vapid", push.public_key())
    padded = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), padded)
    claims = jwt.decode(token, public, algorithms=["ES256"], audience=service.origin)
    assert claims["sub"].startswith(("https:", "mailto:"))
    row.refresh_from_db()
    assert (row.provider_id, row.last_error) == (f"{service.origin}/message/one", "")
    # Sent twice, it is shown once.
    OutgoingMessage.objects.filter(pk=row.pk).update(sent_at=None)
    assert send_message(verification_id=row.pk, now=now + timedelta(minutes=5))
    assert browser.read(service.asked[1][2])["tag"] == said["tag"]


def test_what_is_pushed_is_short_and_without_links(service: Service) -> None:
    asha, browser, now = person(), Browser(), timezone.now()
    subscribed(asha, service.endpoint, browser)
    (row,) = pushed(asha, now, text="x" * 900)
    send_message(verification_id=row.pk, now=now)
    ids = notify(user=asha, kind="new_device", now=now)
    (notice,) = OutgoingMessage.objects.filter(pk__in=ids, channel="push")
    send_message(verification_id=notice.pk, now=now)
    long, told = (browser.read(body) for _, _, body in service.asked)
    assert (len(long["body"]), long["body"][-1]) == (push.LONGEST_TEXT, "…")
    assert told["title"] == "A new device signed in to your wallet"
    assert "http" not in told["body"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_is_gone_is_forgotten(service: Service, status: int) -> None:
    asha, now = person(), timezone.now()
    subscription = subscribed(asha, service.endpoint)
    (row,) = pushed(asha, now)
    service.status = status
    assert not send_message(verification_id=row.pk, now=now)
    assert not PushSubscription.objects.filter(pk=subscription.pk).exists()
    row.refresh_from_db()
    assert (row.given_up_at, row.last_error) == (now, "browser gone")
    assert pushed(asha, now) == []


@pytest.mark.parametrize(
    ("status", "is_final"), [(400, True), (413, True), (429, False), (500, False), (302, False), (307, False)]
)
def test_a_service_that_fails_is_asked_again_and_leads_nowhere(service: Service, status: int, is_final: bool) -> None:
    asha, now = person(), timezone.now()
    subscribed(asha, service.endpoint)
    (row,) = pushed(asha, now)
    service.status = status
    assert not send_message(verification_id=row.pk, now=now)
    row.refresh_from_db()
    assert (row.given_up_at is not None, row.last_error) == (is_final, f"HTTP {status}")
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://evil.example/push",
        "https://fcm.googleapis.com.evil.example/push",
        "https://evilfcm.googleapis.com/push",
        "https://push.apple.com.evil.example/x",
        "http://fcm.googleapis.com/push",
        "https://name:secret@fcm.googleapis.com/push",
        "https://fcm.googleapis.com:22/push",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/push",
        "https://fcm.googleapis.com/" + "x" * 500,
        "file:///etc/passwd",
        "",
    ],
)
def test_nobody_has_us_ask_where_no_push_service_is(service: Service, settings: Any, endpoint: str) -> None:
    with pytest.raises(Refusal) as told:
        subscribed(person(), endpoint)
    assert (told.value.code, told.value.errors[0]["field"]) == ("invalid", "endpoint")


def test_a_listed_name_that_leads_inside_is_not_asked(
    service: Service, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was public when it was saved (DNS rebinding), or the list is shorter by now."""
    asha, now = person(), timezone.now()
    subscribed(asha, "https://web.push.apple.com/one")
    (row,) = pushed(asha, now)
    monkeypatch.setattr("wallet_project.kernel.public_addresses.look_up", lambda *_: ["10.0.0.7"])
    assert not send_message(verification_id=row.pk, now=now)
    row.refresh_from_db()
    assert (row.given_up_at, row.last_error) == (None, "no_public_address")
    settings.PUSH_SERVICES = ["fcm.googleapis.com"]
    assert row.next_at is not None
    assert not send_message(verification_id=row.pk, now=row.next_at)
    row.refresh_from_db()
    assert row.given_up_at is not None


@pytest.mark.parametrize(
    "keys",
    [
        {"p256dh": encoded(b"\x04" + b"\x01" * 64)},  # on no curve
        {"p256dh": encoded(b"\x04" * 10)},
        {"p256dh": "not base64 at all!"},
        {"auth": encoded(b"short")},
        {"auth": ""},
    ],
)
def test_keys_that_are_none_are_refused(service: Service, keys: dict[str, str]) -> None:
    user = person()
    with pytest.raises(Refusal, match="keys"):
        push.subscribe(
            user=user, session=session_of(user), endpoint=service.endpoint, label="", now=timezone.now(),
            **{**Browser().keys, **keys},
        )  # fmt: skip


def test_whoever_ends_a_session_ends_what_its_browser_hears(service: Service) -> None:
    """A thief who had the account goes on hearing nothing; a session that only ran out was nobody's theft."""
    asha, now = person(), timezone.now()
    thief, own = subscribed(asha, service.endpoint), subscribed(asha, service.endpoint)
    assert len(pushed(asha, now)) == 2
    assert thief.session is not None
    Session.objects.filter(pk=thief.session.pk).update(revoked_at=now)
    (row,) = pushed(asha, now)
    assert row.address == own.public_id
    assert push.subscriptions_of(user=asha) == [own]
    # The purge takes its session; what is left must not look like one that ran out.
    Session.objects.update(created_at=now - timedelta(days=99), expires_at=now - timedelta(days=40))
    purge(now=now)
    assert push.subscriptions_of(user=asha) == [own]
    assert own.session is not None
    assert not Session.objects.filter(pk=own.session.pk).exists()
    late = subscribed(asha, service.endpoint)
    (*_, waiting) = pushed(asha, now)
    with transaction.atomic():
        end_every_sign_in(user=asha, now=now)
    assert late not in push.subscriptions_of(user=asha)
    assert not send_message(verification_id=waiting.pk, now=now)
    assert service.asked == []


def test_a_browser_that_somebody_else_uses_tells_them_and_not_the_one_before(service: Service) -> None:
    asha, ravi, endpoint, browser, now = person(), person("Ravi"), service.endpoint, Browser(), timezone.now()
    subscribed(asha, endpoint, browser)
    (waiting,) = pushed(asha, now)
    with pytest.raises(Refusal, match="keys"):
        subscribed(ravi, endpoint)  # who knows its address, but is not that browser
    assert len(push.subscriptions_of(user=asha)) == 1
    subscribed(ravi, endpoint, browser)
    assert push.subscriptions_of(user=asha) == []
    assert len(push.subscriptions_of(user=ravi)) == 1
    assert not send_message(verification_id=waiting.pk, now=now)
    assert service.asked == []
    assert set(SecurityEvent.objects.filter(kind="push.on").values_list("actor", flat=True)) >= {asha.pk, ravi.pk}


def test_whoever_signs_in_with_a_browser_sees_nothing_of_who_used_it_before(service: Service) -> None:
    """Also of somebody who never signed out: their session ran out, and their browser is woken all the same."""
    asha, ravi, shared = person(), person("Ravi"), Client()

    def sign_in(user: User) -> None:
        given = {"address": user.email, "password": PASSWORD}
        assert shared.post("/sign-in", given).status_code in (302, 303)

    sign_in(asha)
    shared.post("/notifications/push", {"endpoint": service.endpoint, **Browser().keys})
    elsewhere = subscribed(asha, service.endpoint)
    Session.objects.filter(user=asha).update(expires_at=timezone.now())
    assert len(push.subscriptions_of(user=asha)) == 2
    sign_in(asha)
    assert len(push.subscriptions_of(user=asha)) == 2
    Session.objects.filter(user=asha).update(expires_at=timezone.now())
    sign_in(ravi)
    assert push.subscriptions_of(user=asha) == [elsewhere]


@pytest.mark.parametrize("how", ["password", "sign_out_elsewhere", "block"])
def test_no_browser_of_long_ago_outlives_what_ends_every_sign_in(service: Service, how: str) -> None:
    """Whose session ran out, and was purged: no end of it would reach them."""
    asha, now = person(), timezone.now()
    subscribed(asha, service.endpoint)
    own = session_of(asha)
    PushSubscription.objects.filter(user=asha).update(session=None)
    assert len(push.subscriptions_of(user=asha)) == 1
    if how == "password":
        with transaction.atomic():
            end_every_sign_in(user=asha, now=now)
    elif how == "block":
        block(user=asha, by=superuser(), reason="Their lawyer asked for it.", now=now)
    else:
        here = push.subscribe(user=asha, session=own, endpoint=service.endpoint, label="", now=now, **Browser().keys)
        end_others(user=asha, but=own.uuid, now=now)
        assert push.subscriptions_of(user=asha) == [here]
        return
    assert push.subscriptions_of(user=asha) == []


def test_there_is_an_end_to_browsers(service: Service) -> None:
    asha = person()
    for _ in range(push.MOST_BROWSERS):
        subscribed(asha, service.endpoint)
    with pytest.raises(Refusal) as told:
        subscribed(asha, service.endpoint)
    assert told.value.code == "limit_exceeded"


def test_the_page_turns_it_on_and_off(service: Service) -> None:
    asha, ravi = person(), person("Ravi")
    browser, others = Client(), Client()
    browser.force_login(asha)
    others.force_login(ravi)
    page = browser.get("/notifications/preferences").content.decode()
    assert f'data-push="{push.public_key()}"' in page
    given = {"endpoint": service.endpoint, **Browser().keys}
    assert browser.post("/notifications/push", given).status_code == 303
    (subscription,) = push.subscriptions_of(user=asha)
    assert subscription.public_id in browser.get("/notifications/preferences").content.decode()
    off = f"/notifications/push/{subscription.public_id}/off"
    assert others.post(off).status_code == 404
    assert browser.post("/notifications/push/psh_nobodys/off").status_code == 404
    assert browser.post(f"/notifications/push/{public_id('psh', new_uuid())}/off").status_code == 404
    assert browser.post(off).status_code == 303
    assert push.subscriptions_of(user=asha) == []
    # What a browser would never send is told, and no more.
    refused = browser.post("/notifications/push", {**given, "endpoint": "https://evil.example"}, follow=True)
    assert "no such push service" in refused.content.decode()
    assert browser.post("/notifications/push", {}, follow=True).status_code == 200
    # Signed out here, told nothing here.
    browser.post("/notifications/push", given)
    browser.post("/sign-out")
    assert push.subscriptions_of(user=asha) == []


def test_the_worker_stands_at_the_root_and_is_never_old(service: Service) -> None:
    answer = Client().get("/push-worker.js")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert "no-store" in answer["Cache-Control"]
    assert b"showNotification" in answer.content
    # It fetches nothing; and pages may run it.
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "worker-src 'self'" in Client().get("/sign-in")["Content-Security-Policy"]


def test_without_a_key_nobody_is_woken_and_nothing_is_offered(service: Service, settings: Any) -> None:
    asha, now = person(), timezone.now()
    subscribed(asha, service.endpoint)
    (row,) = pushed(asha, now)
    settings.VAPID_PRIVATE_KEY = b""
    browser = Client()
    browser.force_login(asha)
    assert "data-push" not in browser.get("/notifications/preferences").content.decode()
    assert browser.post("/notifications/push", {}).status_code == 404
    assert browser.get("/push-worker.js").status_code == 404
    assert pushed(asha, now) == []
    assert not send_message(verification_id=row.pk, now=now)
