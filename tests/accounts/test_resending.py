"""Support sees what became of messages, and has one that was given up tried again; never what it says, or to whom."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import OutgoingMessage, SecurityEvent, User
from accounts.notices import notify
from accounts.resending import MORE_ATTEMPTS, send_again
from accounts.roles import AUDITOR, SUPPORT
from accounts.sending import UNKNOWN, due, send_message
from tests.accounts.people import call, messages_to, new_email, new_phone, person, superuser
from tests.payments.staff import browser_of, list_of, page_of, press, shown, staff
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
REASON = "Their mailbox is open again"


def given_up(user: User, reason: str = "recipient refused 550") -> OutgoingMessage:
    now = timezone.now()
    (pk,) = notify(user=user, kind="password_changed", now=now, device="A secret device")
    OutgoingMessage.objects.filter(pk=pk).update(given_up_at=now, attempts=1, last_error=reason)
    return OutgoingMessage.objects.get(pk=pk)


def test_support_finds_what_was_given_up_and_why_and_no_address_in_full() -> None:
    asha = person(email=new_email("asha.rao"))
    message = given_up(asha)
    notify(user=asha, kind="blocked", now=timezone.now())
    dev = staff(SUPPORT)
    page = shown(dev.get(list_of(OutgoingMessage), {"state": "given_up", "q": asha.public_id}))
    assert "recipient refused 550" in page
    assert "password_changed" in page
    assert f"{str(asha.email)[:2]}…@example.com" in page
    assert str(asha.email) not in page
    assert "1 outgoing message" in page
    waiting = shown(dev.get(list_of(OutgoingMessage), {"state": "waiting", "q": asha.public_id, "channel": "email"}))
    assert "blocked" in waiting
    assert "recipient refused" not in waiting
    for term in (str(asha.email).upper(), str(message.pk)):
        assert "recipient refused 550" in shown(dev.get(list_of(OutgoingMessage), {"q": term}))
    row = shown(dev.get(page_of(message)))
    assert "A secret device" not in row
    assert str(asha.email) not in row
    assert "resend/" in row
    assert "resend/" not in shown(staff(AUDITOR).get(page_of(message)))


def test_a_phones_number_is_masked_too() -> None:
    ravi = person("Ravi", phone=new_phone())
    given_up(ravi)
    page = shown(staff(SUPPORT).get(list_of(OutgoingMessage), {"q": ravi.public_id}))
    assert f"…{str(ravi.phone)[-4:]}" in page
    assert str(ravi.phone)[-6:] not in page


def test_what_was_given_up_is_tried_again_with_a_reason_and_on_record() -> None:
    asha, now = person(), timezone.now()
    message = given_up(asha)
    assert "tried again" in press(staff(SUPPORT), message, "resend", reason=REASON)
    # The worker's wake-up is not there in a test.
    assert message.pk in due(now=timezone.now()).values_list("pk", flat=True)
    assert send_message(verification_id=message.pk, now=timezone.now())
    assert messages_to(str(asha.email))[0].subject == "Your wallet's password was changed"
    event = SecurityEvent.objects.get(kind="message.resent", subject=asha)
    assert (event.reason, event.details) == (REASON, {"message": str(message.pk)})
    # Sent is sent.
    message.refresh_from_db()
    assert send_again(message=message, by=superuser(), reason=REASON, now=now) == []


def test_it_is_given_up_again_after_a_few_tries(settings: Any) -> None:
    settings.SMS_URL = "twilio://AC1:token@127.0.0.1:9/?from=%2B15005550006"
    ravi = person("Ravi", phone=new_phone())
    message = given_up(ravi)
    assert send_again(message=message, by=superuser(), reason=REASON, now=timezone.now()) == [message.pk]
    now, tried = timezone.now(), 0
    while True:
        send_message(verification_id=message.pk, now=now)
        message.refresh_from_db()
        tried, now = tried + 1, now + timedelta(hours=3)
        if message.given_up_at is not None:
            break
    assert (tried, message.last_error) == (MORE_ATTEMPTS, f"{UNKNOWN}ConnectionError")


def test_only_who_may_and_never_what_held_a_code() -> None:
    asha, now = person(), timezone.now()
    message = given_up(asha)
    for nobody in (person("Zoya"), asha):
        with pytest.raises(Refusal) as told:
            send_again(message=message, by=nobody, reason=REASON, now=now)
        assert told.value.code == "permission_denied"
    assert SecurityEvent.objects.filter(kind="message.resent", subject=asha, result="REFUSED").count() == 2
    assert staff(AUDITOR).post(page_of(message, "resend"), {"reason": REASON}).status_code == 403
    assert browser_of(person("Zoya")).post(page_of(message, "resend"), {"reason": REASON}).status_code in (302, 403)
    call("POST", "/auth/password/reset", {"email": asha.email})
    code = OutgoingMessage.objects.get(user=asha, purpose="RESET")
    OutgoingMessage.objects.filter(pk=code.pk).update(given_up_at=now)
    with pytest.raises(Refusal, match="asks for another"):
        send_again(message=code, by=superuser(), reason=REASON, now=now)
    with pytest.raises(Refusal):
        send_again(message=message, by=superuser(), reason="  ", now=now)
    message.refresh_from_db()
    assert message.given_up_at is not None
