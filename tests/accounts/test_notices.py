"""People are told what happened to their account, at every address of theirs, in words that nobody can abuse."""

import re

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.addresses import any_address
from accounts.messages import NOTICES, notice_message, plain, step_up_message
from accounts.models import OutgoingMessage, User
from accounts.notices import notify
from accounts.tasks import wake_sender
from accounts.verification import CLAIMS_SENT_AGAIN, NOTICES_OF_A_KIND, code_matches, request_message
from tests.accounts.people import (
    call,
    code_sent_to,
    deliver,
    messages_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    verify_with,
    wrong,
)

pytestmark = pytest.mark.usefixtures("database")

LIKE_A_CODE = re.compile(r"(?<!\d)\d{6,8}(?!\d)")
WORK = re.compile(r"\s*(INSERT INTO \S+|SELECT .*? FROM \S+|UPDATE \S+|DELETE FROM \S+)?", re.DOTALL)
STRANGE = "Mozilla/5.0 (X11) Gecko/20100101 https://evil.example/?c=123456 १२३४५६ <b>1234567</b>"


def test_every_verified_address_is_told_and_no_other() -> None:
    asha = person(email=new_email(), phone=new_phone())
    wake_sender(notify(user=asha, kind="new_device", now=timezone.now(), device="Firefox on Linux", address="10.0.0.7"))
    deliver()
    for address in (asha.email, asha.phone):
        (told,) = messages_to(str(address))
        assert "Device: Firefox on Linux. From: 10.0.0.7." in told.text
    ravi = person("Ravi", email=new_email("ravi"))
    User.objects.filter(pk=ravi.pk).update(phone=new_phone())
    ravi.refresh_from_db()
    assert len(notify(user=ravi, kind="blocked", now=timezone.now())) == 1


@pytest.mark.parametrize("kind", NOTICES)
def test_no_notice_holds_what_could_pass_for_a_code_or_a_link_whatever_is_named(kind: str) -> None:
    names = ("change", "decision", "limit", "amount", "device", "address", "at", "reason")
    message = notice_message(details={"kind": kind, **dict.fromkeys(names, STRANGE)})
    assert not LIKE_A_CODE.search(message.text)
    assert not re.search(r"\d", message.subject)
    assert not re.search(r"https?://|\w\.[a-z]|[<>@]", message.text)


def test_amounts_devices_and_the_ends_of_numbers_stay_readable() -> None:
    for text in ("₹1,00,000.00", "Firefox on Linux", "203.0.113.7", "account ••1234", "नरेन्द्र मोहन"):
        assert plain(text) == text


def test_a_notice_lives_and_dies_with_what_it_tells_of() -> None:
    asha = person()
    with transaction.atomic():
        notify(user=asha, kind="wallet_frozen", now=timezone.now())
        transaction.set_rollback(True)
    assert not OutgoingMessage.objects.filter(user=asha).exists()


def test_a_kind_without_a_text_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no text"):
        notify(user=person(), kind="weather", now=timezone.now())


def test_notices_are_bounded_and_strangers_use_up_none_of_them() -> None:
    asha, now = person(), timezone.now()
    for _ in range(8):
        # What Zoya can make us send to her: she registers with Asha's address, and asks for codes.
        register_by_api(email=asha.email, full_name="Zoya")
        call("POST", "/auth/password/reset", {"email": asha.email})
    sent = [notify(user=asha, kind="password_changed", now=now) for _ in range(NOTICES_OF_A_KIND.most + 2)]
    assert [len(ids) for ids in sent] == [1] * NOTICES_OF_A_KIND.most + [0, 0]
    assert len(notify(user=asha, kind="new_device", now=now)) == 1


def test_a_payments_code_names_payee_and_amount_and_is_good_for_its_own_message_only() -> None:
    asha, now = person(), timezone.now()
    ids = []
    for payee in ("Ravi 12345678 Kumar", "Meera"):
        with transaction.atomic():
            ids += request_message(
                user=asha,
                address=any_address(str(asha.email)),
                purpose=OutgoingMessage.Purpose.STEP_UP,
                details={"payee": payee, "amount": "₹6,00,000.00"},
                now=now,
            )
        code = code_sent_to(str(asha.email))
        text = messages_to(str(asha.email))[0].text
        assert LIKE_A_CODE.findall(text) == [code]
        assert f"₹6,00,000.00 to {plain(payee)}" in text
        assert "Never tell anybody" in text
    assert code_matches(verification_id=ids[1], code=code, now=now)
    assert not code_matches(verification_id=ids[1], code=wrong(code), now=now)
    assert not code_matches(verification_id=ids[0], code=code, now=now)
    assert "to a payee, use" in step_up_message(details={"payee": "<>", "amount": "₹1.00"}, code="000000").text


def test_a_payments_code_proves_no_address() -> None:
    asha, now = person(), timezone.now()
    with transaction.atomic():
        request_message(
            user=asha,
            address=any_address(str(asha.email)),
            purpose=OutgoingMessage.Purpose.STEP_UP,
            details={"payee": "Ravi", "amount": "₹1.00"},
            now=now,
        )
    code = code_sent_to(str(asha.email))
    answer = call("POST", "/auth/verify", {"email": asha.email, "code": code})
    assert (answer.status_code, answer.json()["code"]) == (400, "code_invalid")


def test_messages_about_payments_have_the_limit_of_the_settings(settings: pytest.FixtureRequest) -> None:
    settings.STEP_UP_MESSAGES_AN_HOUR = 7  # type: ignore[attr-defined]
    asha, now = person(), timezone.now()
    with transaction.atomic():
        sent = [
            request_message(
                user=asha,
                address=any_address(str(asha.email)),
                purpose=OutgoingMessage.Purpose.STEP_UP,
                details={"payee": "Ravi", "amount": "₹1.00"},
                now=now,
            )
            for _ in range(9)
        ]
    assert [len(ids) for ids in sent] == [1] * 7 + [0, 0]


def test_a_resend_does_the_same_work_for_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same statements, and as many wake-ups: the time tells neither claim nor owner."""
    woken: list[object] = []
    monkeypatch.setattr(
        "accounts.tasks.send_messages.apply_async", lambda **given: woken.extend(given["kwargs"]["message_ids"])
    )
    waiting, asha = new_email(), person()
    register_by_api(email=waiting)
    woken.clear()
    seen = set()
    for email in (waiting, asha.email, new_email("nobody")):
        with CaptureQueriesContext(connection) as captured:
            assert call("POST", "/auth/verify/resend", {"email": email}).status_code == 202
        seen.add(tuple(found for query in captured if (found := WORK.match(query["sql"])[0])))  # type: ignore[index]
    assert len(seen) == 1
    assert len(woken) == 3 * CLAIMS_SENT_AGAIN
    assert verify_with(waiting, code_sent_to(waiting)).email == waiting
