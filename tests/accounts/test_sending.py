"""Messages leave promptly, once, and again after a failure; their texts carry a code and nothing harmful."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.core import mail
from django.utils import timezone

from accounts import senders
from accounts.addresses import any_address
from accounts.messages import code_message, taken_message
from accounts.models import AddressTries, InboxMessage, OutgoingMessage, Session, User, VerificationCode
from accounts.purging import purge
from accounts.sending import FIRST_WAIT, GIVEN_UP_AFTER, MOST_ATTEMPTS, send_message, unsent
from accounts.tasks import sweep_messages, wake_sender
from tests.accounts.people import call, messages_to, new_email, new_phone, person, register_by_api, tokens_of

pytestmark = pytest.mark.usefixtures("database")


def waiting_for(email: str) -> OutgoingMessage:
    return OutgoingMessage.objects.get(address=email)


@pytest.fixture
def provider() -> Iterator[Any]:
    """An SMS provider on loopback that answers as `provider.status` says and keeps what it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            server.seen.append((self.path, self.headers["Authorization"], parse_qs(body)))  # type: ignore[attr-defined]
            self.send_response(server.status)  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.seen = 201, []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_message_is_sent_once_however_often_its_task_runs() -> None:
    email = new_email()
    register_by_api(email=email)
    row = waiting_for(email)
    assert send_message(verification_id=row.pk, now=timezone.now())
    assert not send_message(verification_id=row.pk, now=timezone.now())
    assert len(messages_to(email)) == 1
    assert VerificationCode.objects.filter(verification=row).count() == 1


def test_without_a_broker_the_request_itself_sends() -> None:
    """
    In a process of its own, whose Celery application has never met a broker. A registration is refused then, for
    nobody can count it; what somebody who is signed in asked for goes out.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
    email, waiting_email = new_email(), new_email()
    register_by_api(email=waiting_email)
    script = "import django; django.setup()\nfrom tests.accounts.people import *\nfrom accounts.tasks import *\n" + (
        f"wake_sender([{waiting_for(waiting_email).pk}])\n"
        f"print(register_by_api(email={email!r}).status_code, len(messages_to({waiting_email!r})))"
    )
    started = time.monotonic()
    child = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "REDIS_URL": nowhere},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert child.stdout.split() == ["503", "1"]
    assert "accounts.broker_unreachable" in child.stderr
    # Python and Django included.
    assert time.monotonic() - started < 20


def test_a_lost_wake_up_is_found_by_the_sweep_after_a_moment() -> None:
    email = new_email()
    register_by_api(email=email)
    row, now = waiting_for(email), timezone.now()
    assert row.pk not in unsent(now=now)
    assert row.pk in unsent(now=now + FIRST_WAIT)
    OutgoingMessage.objects.filter(pk=row.pk).update(requested_at=now - FIRST_WAIT)
    sweep_messages()
    assert len(messages_to(email)) == 1
    assert row.pk not in unsent(now=now + FIRST_WAIT)


def test_a_provider_that_fails_is_asked_again_later_each_time_and_then_left(settings: Any, provider: Any) -> None:
    settings.SMS_URL = f"twilio://AC1:tok@127.0.0.1:{provider.server_port}/?from=%2B15005550006"
    provider.status = 503
    phone, now = new_phone(), timezone.now()
    register_by_api(phone=phone)
    row = waiting_for(phone)
    assert not send_message(verification_id=row.pk, now=now)
    assert row.pk not in unsent(now=row.requested_at + FIRST_WAIT)
    assert row.pk in unsent(now=row.requested_at + FIRST_WAIT * 2)
    for _ in range(MOST_ATTEMPTS + 2):
        send_message(verification_id=row.pk, now=now)
    assert len(provider.seen) == MOST_ATTEMPTS
    assert row.pk not in unsent(now=row.requested_at + GIVEN_UP_AFTER / 2)
    row.refresh_from_db()
    assert row.sent_at is None


def test_an_sms_goes_to_the_provider_with_our_credentials(settings: Any, provider: Any) -> None:
    settings.SMS_URL = f"twilio://AC1:to%2Fken@127.0.0.1:{provider.server_port}/?from=%2B15005550006"
    senders.send(to=any_address("+919876543210"), message=senders.Message("", "Hello"))
    ((path, authorization, body),) = provider.seen
    assert path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert authorization == "Basic QUMxOnRvL2tlbg=="
    assert body == {"To": ["+919876543210"], "From": ["+15005550006"], "Body": ["Hello"]}
    provider.status = 400
    with pytest.raises(senders.NotSent, match="HTTP 400"):
        senders.send(to=any_address("+919876543210"), message=senders.Message("", "Hello"))


def test_an_email_leaves_by_djangos_mail(settings: Any) -> None:
    settings.EMAIL_URL = "smtp://127.0.0.1:25"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    senders.send(to=any_address("asha@example.com"), message=senders.Message("Subject", "Text"))
    (sent,) = mail.outbox
    assert (sent.to, sent.subject, sent.body) == (["asha@example.com"], "Subject", "Text")


def test_a_mail_server_out_of_reach_is_not_sent(settings: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = free.getsockname()[1]
    settings.EMAIL_URL = "smtp://127.0.0.1"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with pytest.raises(senders.NotSent, match="ConnectionRefusedError"):
        senders.send(to=any_address("asha@example.com"), message=senders.Message("Subject", "Text"))


def test_without_a_provider_phones_cannot_register_alone(settings: Any) -> None:
    settings.SMS_URL = ""
    answer = register_by_api(phone=new_phone())
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "phone")
    phone = new_phone()
    assert register_by_api(email=new_email(), phone=phone).status_code == 201
    assert call("POST", "/auth/verify/resend", {"phone": phone}).status_code == 202
    assert not OutgoingMessage.objects.filter(address=phone).exists()


@pytest.mark.parametrize(
    ("full_name", "greeting"),
    [
        ("Asha Rao", "Hello Asha Rao, "),
        ("Siobhán O’Neill-Rao Jr.", "Hello Siobhán O’Neill-Rao Jr., "),
        ("Visit http://evil.example now", "Hello, "),
        ("evil.example", "Hello, "),
        ("Call 9876543210", "Hello, "),
        ("123456", "Hello, "),
        ("a" * 100, "Hello, "),
        ("नरेन्द्र मोहन", "Hello नरेन्द्र मोहन, "),
        ("Asha\tRao", "Hello, "),
    ],
)
def test_the_code_is_the_messages_only_long_run_of_digits_whatever_the_name(full_name: str, greeting: str) -> None:
    text = code_message(full_name=full_name, code="012345").text
    assert re.findall(r"\d{3,}", text) == ["012345"]
    assert text.startswith(greeting + "your wallet code is")


def test_the_word_to_an_owner_holds_no_digits() -> None:
    assert not re.search(r"\d", taken_message().text)


def test_waking_the_sender_for_what_is_gone_does_nothing() -> None:
    wake_sender([10**12])
    assert not send_message(verification_id=10**12, now=timezone.now())


def test_the_purge_takes_what_is_stale_and_leaves_the_rest() -> None:
    asha, now = person(), timezone.now()
    tokens_of(asha)
    stale, fresh = new_email("zoya"), new_email("ravi")
    for email in (stale, fresh):
        register_by_api(email=email)
        send_message(verification_id=waiting_for(email).pk, now=now)
    old = now - timedelta(days=8)
    User.objects.filter(email__in=[stale, asha.email]).update(created_at=old)
    AddressTries.objects.create(kind="CODE", address=stale, count=3, window_started_at=old)
    InboxMessage.objects.filter(to=stale).update(sent_at=old)
    Session.objects.filter(user=asha).update(created_at=now - timedelta(days=99), expires_at=now - timedelta(days=31))
    purge(now=now)
    assert not User.objects.filter(email=stale).exists()
    assert not AddressTries.objects.filter(address=stale, kind="CODE").exists()
    assert messages_to(stale) == []
    assert not Session.objects.filter(user=asha).exists()
    assert User.objects.filter(email=fresh).exists()
    assert User.objects.filter(pk=asha.pk).exists()
    assert len(messages_to(fresh)) == 1
