"""Messages leave promptly, once, and again after a failure; their texts carry a code and nothing harmful."""

import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import senders
from accounts.delivery_times import FIRST_WAIT, GIVEN_UP_AFTER, MOST_ATTEMPTS, MOST_ATTEMPTS_OF_A_NOTICE
from accounts.envelopes import Envelope, NotSent
from accounts.letters import Message
from accounts.messages import code_message, taken_message
from accounts.models import AddressTries, InboxMessage, OutgoingMessage, Session, User, VerificationCode
from accounts.notices import notify
from accounts.purging import purge
from accounts.sending import GONE, UNKNOWN, due, send_message
from accounts.tasks import MOST_HERE, send_messages, sweep_messages, wake_sender
from tests.accounts.people import (
    call,
    code_sent_to,
    messages_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    tokens_of,
    verify_with,
)
from tests.accounts.sms_provider import Provider, provider

__all__ = ["provider"]
pytestmark = pytest.mark.usefixtures("database")


def waiting_for(email: str) -> OutgoingMessage:
    return OutgoingMessage.objects.get(address=email)


def due_at(now: datetime) -> list[int]:
    return list(due(now=now).values_list("pk", flat=True))


def waiting_sms() -> OutgoingMessage:
    phone = new_phone()
    register_by_api(phone=phone)
    return waiting_for(phone)


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
    assert row.pk not in due_at(now)
    assert row.pk in due_at(now + FIRST_WAIT)
    OutgoingMessage.objects.filter(pk=row.pk).update(next_at=now)
    sweep_messages()
    assert len(messages_to(email)) == 1
    assert row.pk not in due_at(now + FIRST_WAIT)


def test_of_two_senders_of_one_message_one_sends() -> None:
    email = new_email()
    register_by_api(email=email)
    row, now = waiting_for(email), timezone.now()
    with transaction.atomic():
        OutgoingMessage.objects.select_for_update().get(pk=row.pk)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(send_message, verification_id=row.pk, now=now).result() is False
    # It was claimed by one that has not come back yet.
    OutgoingMessage.objects.filter(pk=row.pk).update(attempts=1, next_at=now + FIRST_WAIT)
    assert not send_message(verification_id=row.pk, now=now)
    assert send_message(verification_id=row.pk, now=now + FIRST_WAIT)


def test_a_provider_that_fails_is_asked_again_later_each_time_and_then_given_up(provider: Provider) -> None:
    provider.status = 503
    row = waiting_sms()
    now, waits = row.requested_at, []
    while row.given_up_at is None:
        assert not send_message(verification_id=row.pk, now=now)
        row.refresh_from_db()
        assert not send_message(verification_id=row.pk, now=now)
        assert row.next_at is not None
        waits.append((row.next_at - now).total_seconds())
        now = row.next_at
    assert waits == [30, 60, 120, 240, 480]
    assert len(provider.asked) == MOST_ATTEMPTS
    assert (row.sent_at, row.attempts, row.last_error) == (None, MOST_ATTEMPTS, "HTTP 503")
    assert row.pk not in due_at(now)


def test_a_notice_is_tried_for_a_day_and_a_code_for_an_hour(provider: Provider) -> None:
    provider.status = 503
    asha, now = person(phone=new_phone()), timezone.now()
    (notice,) = notify(user=asha, kind="wallet_frozen", now=now)
    tried = 0
    row = OutgoingMessage.objects.get(pk=notice)
    while row.given_up_at is None:
        assert row.next_at is not None
        send_message(verification_id=notice, now=row.next_at)
        row.refresh_from_db()
        tried += 1
    assert MOST_ATTEMPTS < tried <= MOST_ATTEMPTS_OF_A_NOTICE
    assert timedelta(hours=23) < row.given_up_at - now < timedelta(hours=30)
    code, asked = waiting_sms(), len(provider.asked)
    assert not send_message(verification_id=code.pk, now=code.requested_at + GIVEN_UP_AFTER)
    code.refresh_from_db()
    assert code.given_up_at is not None
    assert len(provider.asked) == asked


@pytest.mark.parametrize(
    ("status", "is_final"),
    [(400, True), (422, True), (401, False), (403, False), (404, False), (429, False), (500, False)],
)
def test_what_a_provider_would_never_take_is_given_up_at_once(provider: Provider, status: int, is_final: bool) -> None:
    """Our credentials and our haste are mended; an address that is none is not."""
    provider.status, provider.code = status, 21211
    row = waiting_sms()
    assert not send_message(verification_id=row.pk, now=row.requested_at)
    row.refresh_from_db()
    assert (row.given_up_at is not None, row.last_error) == (is_final, f"HTTP {status} 21211")


def test_an_sms_goes_to_the_provider_with_our_credentials_and_its_id_is_kept(provider: Provider) -> None:
    row = waiting_sms()
    assert send_message(verification_id=row.pk, now=row.requested_at)
    ((path, authorization, body),) = provider.asked
    assert path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert authorization == "Basic QUMxOnRvL2tlbg=="
    assert (body["To"], body["From"]) == ([row.address], ["+15005550006"])
    row.refresh_from_db()
    assert (row.provider_id, row.last_error) == (provider.messages[0]["sid"], "")


def test_an_sms_whose_fate_is_unknown_is_looked_up_before_it_is_sent_again(provider: Provider) -> None:
    """It was taken, and the answer was lost: by its connection, or with its sender."""
    provider.status = 0
    row = waiting_sms()
    assert not send_message(verification_id=row.pk, now=row.requested_at)
    row.refresh_from_db()
    assert row.last_error.startswith(UNKNOWN)
    provider.status = 201
    for died in (False, True):
        if died:
            OutgoingMessage.objects.filter(pk=row.pk).update(sent_at=None, provider_id="", last_error="")
        assert send_message(verification_id=row.pk, now=row.requested_at + timedelta(minutes=5 + 10 * died))
        row.refresh_from_db()
        assert (len(provider.asked), row.provider_id) == (1, provider.messages[0]["sid"])


def test_an_sms_that_the_provider_does_not_have_is_sent_again(provider: Provider) -> None:
    provider.status = 0
    row = waiting_sms()
    send_message(verification_id=row.pk, now=row.requested_at)
    provider.status, provider.listing = 201, 500
    assert not send_message(verification_id=row.pk, now=row.requested_at + timedelta(minutes=5))
    provider.listing = 200
    provider.messages[0]["date_created"] = "yesterday"
    assert not send_message(verification_id=row.pk, now=row.requested_at + timedelta(minutes=8))
    provider.messages[0]["date_created"] = format_datetime(timezone.now())
    # Another's, one that failed, and one of before do not count.
    (lost,) = provider.messages
    other = OutgoingMessage.objects.create(
        user=row.user, channel="phone", address=row.address, requested_at=row.requested_at, sent_at=row.requested_at,
        provider_id="SMother",
    )  # fmt: skip
    provider.messages = [
        {**lost, "sid": other.provider_id},
        {**lost, "sid": "SMfailed", "status": "undelivered"},
        {**lost, "sid": "SMold", "date_created": format_datetime(row.requested_at - timedelta(hours=1))},
    ]
    assert send_message(verification_id=row.pk, now=row.requested_at + timedelta(minutes=10))
    row.refresh_from_db()
    assert (len(provider.asked), row.provider_id) == (2, provider.messages[0]["sid"])


def test_a_sender_that_dies_before_it_says_so_leaves_one_message_in_the_inbox() -> None:
    email = new_email()
    register_by_api(email=email)
    row = waiting_for(email)
    for minutes in (0, 1):
        OutgoingMessage.objects.filter(pk=row.pk).update(sent_at=None, last_error="")
        assert send_message(verification_id=row.pk, now=row.requested_at + timedelta(minutes=minutes))
    assert len(messages_to(email)) == 1
    # And what is in it is good.
    assert verify_with(email, code_sent_to(email)).email == email


def test_one_that_cannot_be_composed_keeps_no_other_from_being_sent() -> None:
    """The oldest of all, and a bug of ours."""
    asha, now = person(), timezone.now()
    (broken,) = notify(user=asha, kind="blocked", now=now)
    OutgoingMessage.objects.filter(pk=broken).update(details={"kind": "weather"}, next_at=now - timedelta(days=1))
    (sound,) = notify(user=asha, kind="unblocked", now=now)
    OutgoingMessage.objects.filter(pk=sound).update(next_at=now)
    sweep_messages()
    assert {row.pk: row.last_error for row in OutgoingMessage.objects.filter(pk__in=[broken, sound])} == {
        broken: "not composed",
        sound: "",
    }
    assert OutgoingMessage.objects.get(pk=sound).sent_at is not None


def test_a_sender_with_a_bug_keeps_no_other_message_from_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asha, now, send = person(), timezone.now(), senders.send
    broken, sound = (notify(user=asha, kind=kind, now=now)[0] for kind in ("blocked", "unblocked"))

    def stumbling(*, envelope: Envelope, message: Message) -> str:
        if envelope.number == broken:
            raise UnicodeError("a label is too long")
        return send(envelope=envelope, message=message)

    monkeypatch.setattr(senders, "send", stumbling)
    send_messages(message_ids=[broken, sound])
    rows = OutgoingMessage.objects.in_bulk([broken, sound])
    assert (rows[broken].sent_at, rows[broken].last_error) == (None, f"{UNKNOWN}UnicodeError")
    assert rows[sound].sent_at is not None


def test_what_one_sender_has_sent_no_slower_one_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took so long that the next began, and then its connection broke for good."""
    asha, now, send = person(), timezone.now(), senders.send
    (pk,) = notify(user=asha, kind="blocked", now=now)

    def slow(*, envelope: Envelope, message: Message) -> str:
        monkeypatch.setattr(senders, "send", send)
        assert send_message(verification_id=pk, now=now + timedelta(minutes=5))
        raise NotSent("recipient refused", is_final=True)

    monkeypatch.setattr(senders, "send", slow)
    assert not send_message(verification_id=pk, now=now)
    row = OutgoingMessage.objects.get(pk=pk)
    assert (row.sent_at, row.given_up_at, row.last_error) == (now + timedelta(minutes=5), None, "")


def test_what_tells_of_nothing_any_more_is_not_sent() -> None:
    asha, now = person(), timezone.now()
    row = OutgoingMessage.objects.create(
        user=asha, purpose="NOTICE", channel="email", address=asha.email, requested_at=now
    )
    assert not send_message(verification_id=row.pk, now=now)
    row.refresh_from_db()
    assert (row.given_up_at, row.last_error) == (now, GONE)


def test_a_burst_wakes_few_tasks_and_a_request_sends_only_a_few_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[int]] = []
    monkeypatch.setattr(
        "accounts.tasks.send_messages.apply_async", lambda **given: told.append(given["kwargs"]["message_ids"])
    )
    wake_sender(range(100, 145))
    assert [len(ids) for ids in told] == [20, 20, 5]

    def unreachable(**_: object) -> None:
        raise OperationalError

    sent: list[int] = []
    monkeypatch.setattr("accounts.tasks.send_messages.apply_async", unreachable)
    monkeypatch.setattr("accounts.sending.send_message", lambda **given: sent.append(given["verification_id"]))
    wake_sender(range(100, 145))
    assert sent == list(range(100, 100 + MOST_HERE))


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
