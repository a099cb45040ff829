"""E-mails: as text and as HTML, by SMTP or by a service's API, and the same one however often it is sent."""

import base64
import json
import re
import smtplib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts import senders
from accounts.envelopes import Envelope
from accounts.letters import Message, html_of
from accounts.messages import (
    NOTICES,
    address_message,
    code_message,
    more_message,
    notice_message,
    own_address_message,
    reset_message,
    step_up_message,
    taken_message,
    told_message,
)
from accounts.models import OutgoingMessage
from accounts.not_me_links import link_of
from accounts.notices import notify
from accounts.sending import send_message
from tests.accounts.people import person
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.mail_urls import FORMS, mail_settings

pytestmark = pytest.mark.usefixtures("database")
LIKE_A_CODE = re.compile(r"(?<!\d)\d{6,8}(?!\d)")
LINK = link_of(new_uuid())
STRANGE = "Zoya <b>1234567</b> https://evil.example/?c=123456 #123456 & <script>alert(1)</script>"
WITH_CODE = [
    code_message(full_name=STRANGE, code="012345", registered="29 Nov, 06:15"),
    reset_message(full_name="Asha Rao", code="012345", link=LINK),
    step_up_message(details={"payee": STRANGE, "amount": "₹6,00,000.00"}, code="012345"),
    address_message(full_name="Asha Rao", code="012345"),
    own_address_message(details={"change": STRANGE}, code="012345"),
]
NAMES = ("change", "decision", "limit", "amount", "device", "address", "at", "reason", "until")
WITHOUT_CODE = [
    taken_message(),
    more_message(),
    told_message(title="₹500.00 from Ravi", text="Ravi sent you ₹500.00.", not_me_link=LINK),
    *(
        notice_message(
            details={"kind": kind, **dict.fromkeys(NAMES, STRANGE)}, undo_link=LINK, not_me_link=LINK
        )
        for kind in NOTICES
    ),
]  # fmt: skip


class Reader(HTMLParser):
    """What a person reads, and where links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "background")]

    def handle_data(self, data: str) -> None:
        self.words += data.split()


@dataclass
class Service:
    """An e-mail service's documented endpoint on this machine; answers `status` and `answer`."""

    port: int = 0
    status: int = 200
    answer: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[Service]:
    played = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            played.asked.append((self.path, dict(self.headers.items()), body))
            text = json.dumps(played.answer).encode()
            self.send_response(played.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        played.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield played
        server.shutdown()
        thread.join()


def by(settings: Any, url: str) -> None:
    settings.EMAIL_URL = url
    for name, value in mail_settings(url).items():
        setattr(settings, name, value)


def notice() -> OutgoingMessage:
    """One that waits, to a person who verified their e-mail."""
    (pk,) = notify(user=person(), kind="new_device", now=timezone.now(), device="Firefox on Linux")
    return OutgoingMessage.objects.get(pk=pk)


def send(message: Message) -> str:
    by = OutgoingMessage.By.EMAIL
    envelope = Envelope(by=by, to="asha@example.com", requested_at=timezone.now(), key="abcd" * 8)
    return senders.send(envelope=envelope, message=message)


@pytest.mark.parametrize("message", WITH_CODE, ids=lambda message: message.subject)
def test_a_code_is_the_only_run_of_its_kind_in_the_html_too(message: Message) -> None:
    assert LIKE_A_CODE.findall(message.text) == ["012345"]
    assert LIKE_A_CODE.findall(html_of(message)) == ["012345"]


@pytest.mark.parametrize("message", WITHOUT_CODE, ids=lambda message: message.subject)
def test_without_a_code_nothing_looks_like_one(message: Message) -> None:
    assert not LIKE_A_CODE.search(message.subject + message.text)
    assert not LIKE_A_CODE.search(html_of(message))


@pytest.mark.parametrize("message", [*WITH_CODE, *WITHOUT_CODE], ids=lambda message: message.subject)
def test_the_html_says_what_the_text_says_and_fetches_nothing(message: Message) -> None:
    html = Reader(html_of(message))
    said = " ".join(html.words)
    for piece in re.split(r"(?:: )?https?://\S+ \.|\d{6}|[:.,]\s|\.$", message.text):
        assert " ".join(piece.split()).rstrip(".") in said
    assert set(html.links) == set(re.findall(r"https?://\S+", message.text))
    assert not html.tags & {"img", "script", "style", "link", "iframe", "form", "b"}
    assert "url(" not in html_of(message)
    assert 'content="light dark"' in html_of(message)


def test_a_mail_has_both_and_one_id_however_often_it_is_sent(settings: Any) -> None:
    settings.EMAIL_URL = "smtp://127.0.0.1:25"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    row = notice()
    for minutes in (0, 5):
        OutgoingMessage.objects.filter(pk=row.pk).update(sent_at=None)
        assert send_message(verification_id=row.pk, now=row.requested_at + timedelta(minutes=minutes))
    first, second = (message_from_bytes(sent.message().as_bytes()) for sent in mail.outbox)
    assert first["Message-ID"] == second["Message-ID"]
    assert not re.search(r"\d{6}", first["Message-ID"])
    assert first["Auto-Submitted"] == "auto-generated"
    assert [part.get_content_type() for part in first.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    row.refresh_from_db()
    assert row.provider_id == first["Message-ID"]
    assert row.notification is not None
    # "This wasn't me" is in both.
    for sent in mail.outbox:
        assert link_of(row.notification.uuid) in sent.body
        assert link_of(row.notification.uuid) in str(sent.alternatives[0][0])
    send_message(verification_id=notice().pk, now=timezone.now())
    assert mail.outbox[-1].message()["Message-ID"] != first["Message-ID"]


def test_a_mail_server_out_of_reach_is_asked_again(settings: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        by(settings, f"smtp://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(senders.NotSent, match="ConnectionRefusedError") as told:
        send(Message("Subject", "Text"))
    assert not told.value.is_final


@pytest.mark.parametrize(
    ("error", "reason", "is_final", "is_unknown"),
    [
        (smtplib.SMTPRecipientsRefused({"asha@example.com": (550, b"no such asha@example.com")}),
         "recipient refused 550", True, False),
        (smtplib.SMTPRecipientsRefused({"asha@example.com": (451, b"later")}), "recipient refused 451", False, False),
        (smtplib.SMTPDataError(554, b"no"), "content refused 554", True, False),
        (smtplib.SMTPAuthenticationError(535, b"no"), "SMTPAuthenticationError", False, False),
        (smtplib.SMTPServerDisconnected("gone"), "SMTPServerDisconnected", False, True),
        (TimeoutError(), "TimeoutError", False, True),
    ],
)  # fmt: skip
def test_what_a_mail_server_says_decides_whether_it_is_asked_again(
    settings: Any, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str, is_final: bool, is_unknown: bool
) -> None:
    def fail(*_: object) -> None:
        raise error

    settings.EMAIL_URL = "smtp://127.0.0.1:25"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    with pytest.raises(senders.NotSent) as told:
        send(Message("Subject", "Text"))
    # Neither the address nor the server's own words.
    assert (str(told.value), told.value.is_final, told.value.is_unknown) == (reason, is_final, is_unknown)


def test_postmark_is_handed_a_mail_and_its_id_is_kept(settings: Any, service: Service) -> None:
    """https://postmarkapp.com/developer/api/email-api"""
    by(settings, f"anymail+postmark://to%2Fken@127.0.0.1:{service.port}")
    row = notice()
    service.answer = {
        "To": row.address, "SubmittedAt": "2026-11-29T06:20:00Z", "MessageID": "b7bc2f4a-e38e-4336-af7d-e6c392c2f817",
        "ErrorCode": 0, "Message": "OK",
    }  # fmt: skip
    assert send_message(verification_id=row.pk, now=row.requested_at)
    ((path, headers, body),) = service.asked
    assert (path, headers["X-Postmark-Server-Token"]) == ("/email", "to/ken")
    said = json.loads(body)
    assert said["To"] == row.address
    assert said["TextBody"].startswith("Somebody signed in")
    assert said["HtmlBody"].startswith("<!doctype html>")
    assert said["TrackOpens"] is False
    assert said["TrackLinks"] == "None"
    assert {"Name": "X-PM-KeepID", "Value": "true"} in said["Headers"]
    row.refresh_from_db()
    assert row.provider_id == service.answer["MessageID"]


def test_postmark_says_that_an_address_takes_no_mail(settings: Any, service: Service) -> None:
    by(settings, f"anymail+postmark://token@127.0.0.1:{service.port}")
    service.status, row = 422, notice()
    service.answer = {
        "ErrorCode": 406,
        "Message": "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: "
        f"{row.address}. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual "
        "suppression.",
    }
    assert not send_message(verification_id=row.pk, now=row.requested_at)
    row.refresh_from_db()
    assert (row.given_up_at, row.last_error) == (row.requested_at, "recipient refused")


def test_mailgun_is_handed_a_mail_and_its_id_is_kept(settings: Any, service: Service) -> None:
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""
    by(settings, f"anymail+mailgun://key@127.0.0.1:{service.port}/mg.example.com")
    service.answer = {"id": "<20261129062000.1.abc@mg.example.com>", "message": "Queued. Thank you."}
    row = notice()
    assert send_message(verification_id=row.pk, now=row.requested_at)
    ((path, headers, body),) = service.asked
    assert path == "/v3/mg.example.com/messages"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"api:key"
    assert b"o%3Atracking-clicks=no" in body or b'name="o:tracking-clicks"' in body
    row.refresh_from_db()
    assert row.provider_id == service.answer["id"]


@pytest.mark.parametrize(("status", "is_final"), [(400, True), (401, False), (429, False), (503, False)])
def test_a_service_that_fails_is_asked_again_unless_it_would_never_take_it(
    settings: Any, service: Service, status: int, is_final: bool
) -> None:
    by(settings, f"anymail+mailgun://key@127.0.0.1:{service.port}/mg.example.com")
    service.status, service.answer = status, {"message": "to asha@example.com: no"}
    with pytest.raises(senders.NotSent) as told:
        send(Message("Subject", "Text"))
    assert (str(told.value), told.value.is_final) == (f"HTTP {status}", is_final)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("anymail+postmark://t@api.postmarkapp.com",
         {"POSTMARK_SERVER_TOKEN": "t", "POSTMARK_API_URL": "https://api.postmarkapp.com/"}),
        ("anymail+mailgun://k@api.eu.mailgun.net/mg.example.com",
         {"MAILGUN_API_KEY": "k", "MAILGUN_API_URL": "https://api.eu.mailgun.net/v3/",
          "MAILGUN_SENDER_DOMAIN": "mg.example.com"}),
        ("anymail+sendgrid://SG.k@api.sendgrid.com",
         {"SENDGRID_API_KEY": "SG.k", "SENDGRID_API_URL": "https://api.sendgrid.com/v3/"}),
        ("anymail+brevo://k@api.brevo.com", {"BREVO_API_KEY": "k", "BREVO_API_URL": "https://api.brevo.com/v3/"}),
    ],
)  # fmt: skip
def test_a_service_is_named_in_one_address(url: str, expected: dict[str, str]) -> None:
    found = mail_settings(url)
    assert expected.items() <= found["ANYMAIL"].items()
    assert found["ANYMAIL"]["REQUESTS_TIMEOUT"] == 10


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "anymail://t@api.postmarkapp.com",
        "anymail+nobody://t@api.example.com",
        "anymail+postmark://api.postmarkapp.com",
        "anymail+postmark://t@",
        "anymail+postmark://t:secret@api.postmarkapp.com",
        "anymail+postmark://t@api.postmarkapp.com/domain.example",
        "anymail+postmark://t@api.postmarkapp.com?x=1",
        "anymail+postmark://t@api.postmarkapp.com:port",
        "anymail+mailgun://k@api.mailgun.net",
        "anymail+mailgun://k@api.mailgun.net/mg",
        "anymail+mailgun://k@api.mailgun.net/mg.example.com/messages",
    ],
)
def test_any_other_address_stops_start_up_and_is_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="smtp://") as told:
        mail_settings(url)
    assert str(told.value) == FORMS
