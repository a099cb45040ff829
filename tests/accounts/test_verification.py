"""A code proves an address: once, in time, in few tries, and for its own registration only."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.addresses import any_address
from accounts.blocking import block
from accounts.models import Actor, AddressTries, Channel, OutgoingMessage, User, VerificationCode
from accounts.registration import register
from accounts.sending import send_message
from accounts.verification import (
    CODE_LIFETIME,
    MOST_FAILURES_OF_A_CODE,
    TRIES_OF_AN_ADDRESS,
    spend_try,
    verify,
)
from tests.accounts.people import (
    PASSWORD,
    call,
    code_sent_to,
    messages_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    superuser,
    verify_with,
    wrong,
)
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(Refusal) as caught:
        yield
    assert caught.value.code == code


def code_of_another(email: str, full_name: str) -> str:
    """A second registration at an address, and its code."""
    register_by_api(email=email, full_name=full_name)
    return code_sent_to(email)


def test_the_right_code_makes_a_person_with_an_actor() -> None:
    email = new_email()
    registered = register_by_api(email=email).json()["user"]
    answer = call("POST", "/auth/verify", {"email": email, "code": code_sent_to(email)})
    assert answer.status_code == 200
    assert answer.json() == {"user": registered}
    user = User.objects.get(email=email)
    assert user.email_verified_at is not None
    assert Actor.objects.get(user=user).kind == "PERSON"


def test_a_code_works_once() -> None:
    email = new_email()
    register_by_api(email=email)
    code = code_sent_to(email)
    verify_with(email, code)
    answer = call("POST", "/auth/verify", {"email": email, "code": code})
    assert (answer.status_code, answer.json()["code"]) == (400, "code_invalid")


def test_a_code_dies_after_ten_minutes() -> None:
    email = new_email()
    register_by_api(email=email)
    code, now = code_sent_to(email), timezone.now()
    with refused("code_invalid"):
        verify_with(email, code, now=now + CODE_LIFETIME + timedelta(seconds=1))
    assert verify_with(email, code, now=now + CODE_LIFETIME - timedelta(seconds=5)).email == email


@pytest.mark.parametrize("code", ["", " ", "12345", "1234567", "abcdef", "１２３４５６", "12 34 56", "1" * 900])
def test_what_is_no_code_is_wrong_and_no_error(code: str) -> None:
    email = new_email()
    register_by_api(email=email)
    code_sent_to(email)
    answer = call("POST", "/auth/verify", {"email": email, "code": code})
    assert answer.status_code == 400
    assert answer.json()["code"] == ("invalid" if code == "" else "code_invalid")


@pytest.mark.parametrize(
    "body",
    [
        {"code": "123456"},
        {"email": "a@example.com"},
        {"email": "a@example.com", "code": 123456},
        {"email": "a@example.com", "code": ["123456"]},
        {"email": "a@example.com", "code": None},
        {"email": "a@example.com", "phone": "+919876543210", "code": "123456"},
        {"phone": 919876543210, "code": "123456"},
    ],
)
def test_a_malformed_verification_is_invalid(body: dict[str, object]) -> None:
    answer = call("POST", "/auth/verify", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_a_code_activates_only_its_own_registration_and_drops_the_others() -> None:
    email = new_email()
    zoyas = code_of_another(email, "Zoya")
    ashas = code_of_another(email, "Asha Rao")
    user = verify_with(email, ashas)
    assert user.full_name == "Asha Rao"
    assert User.objects.filter(email=email).count() == 1
    with refused("code_invalid"):
        verify_with(email, zoyas)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


def test_the_first_registrant_keeps_their_code_when_another_registers_after_them() -> None:
    email = new_email()
    ashas = code_of_another(email, "Asha Rao")
    code_of_another(email, "Zoya")
    assert verify_with(email, ashas).full_name == "Asha Rao"


def test_whoever_has_the_address_as_a_second_one_keeps_their_first() -> None:
    phone, zoyas_email = new_phone(), new_email("zoya")
    register_by_api(email=zoyas_email, phone=phone, full_name="Zoya")
    zoyas = code_sent_to(zoyas_email)
    register_by_api(phone=phone)
    verify_with(phone, code_sent_to(phone))
    zoya = verify_with(zoyas_email, zoyas)
    assert zoya.full_name == "Zoya"
    assert zoya.phone is None


def test_a_person_verified_by_email_loses_only_their_claim_to_a_phone() -> None:
    phone, ravis_email = new_phone(), new_email("ravi")
    register_by_api(email=ravis_email, phone=phone, full_name="Ravi")
    ravi = verify_with(ravis_email, code_sent_to(ravis_email))
    register_by_api(phone=phone)
    asha = verify_with(phone, code_sent_to(phone))
    ravi.refresh_from_db()
    assert (ravi.phone, ravi.email) == (None, ravis_email)
    assert asha.phone == phone


def test_an_address_with_an_owner_is_never_given_to_another() -> None:
    """Even a code that was sent before the address got its owner."""
    now, address = timezone.now(), any_address(new_email())
    asha = person(email=address.value)
    late = User.objects.create(full_name="Zoya", email=address.value)
    message = OutgoingMessage.objects.create(user=late, channel=Channel.EMAIL, address=address.value, requested_at=now)
    send_message(verification_id=message.pk, now=now)
    with refused("code_invalid"):
        verify_with(address.value, code_sent_to(address.value))
    asha.refresh_from_db()
    assert asha.has_verified_address


def test_a_blocked_person_verifies_nothing_more() -> None:
    email, phone = new_email(), new_phone()
    register_by_api(email=email, phone=phone)
    asha = verify_with(email, code_sent_to(email))
    call("POST", "/auth/verify/resend", {"phone": phone})
    code = code_sent_to(phone)
    block(user=asha, by=superuser(), reason="Stolen phone", now=timezone.now())
    with refused("blocked"):
        verify_with(phone, code)


def test_wrong_codes_are_counted_and_then_refused_with_the_right_one_too() -> None:
    email = new_email()
    register_by_api(email=email)
    code = code_sent_to(email)
    for _ in range(TRIES_OF_AN_ADDRESS.most):
        answer = call("POST", "/auth/verify", {"email": email, "code": wrong(code)})
        assert (answer.status_code, answer.json()["code"]) == (400, "code_invalid")
    call("POST", "/auth/verify/resend", {"email": email})
    answer = call("POST", "/auth/verify", {"email": email, "code": code_sent_to(email)})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_tries")
    assert 1 <= int(answer["Retry-After"]) <= TRIES_OF_AN_ADDRESS.window.total_seconds() + 1


def test_after_the_window_a_new_code_works_again() -> None:
    email, now = new_email(), timezone.now()
    register_by_api(email=email)
    code = code_sent_to(email)
    for _ in range(TRIES_OF_AN_ADDRESS.most):
        with refused("code_invalid"):
            verify_with(email, wrong(code), now=now)
    with refused("too_many_tries"):
        verify_with(email, code, now=now + TRIES_OF_AN_ADDRESS.window - timedelta(seconds=1))
    later = now + TRIES_OF_AN_ADDRESS.window + timedelta(seconds=1)
    row = OutgoingMessage.objects.create(
        user=User.objects.get(email=email), channel=Channel.EMAIL, address=email, requested_at=later
    )
    send_message(verification_id=row.pk, now=later)
    assert verify_with(email, code_sent_to(email), now=later).email == email


def test_one_code_takes_five_wrong_tries_and_a_fresh_one_takes_its_own() -> None:
    email = new_email()
    register_by_api(email=email)
    first = code_sent_to(email)
    for _ in range(MOST_FAILURES_OF_A_CODE):
        with refused("code_invalid"):
            verify_with(email, wrong(first))
    with refused("code_invalid"):
        verify_with(email, first)
    call("POST", "/auth/verify/resend", {"email": email})
    assert verify_with(email, code_sent_to(email)).email == email


def test_registering_again_brings_no_fresh_tries() -> None:
    email = new_email()
    for _ in range(TRIES_OF_AN_ADDRESS.most // 2):
        code = code_of_another(email, "Zoya")
        for _ in range(2):
            with refused("code_invalid"):
                verify_with(email, wrong(code))
    with refused("too_many_tries"):
        verify_with(email, code)


def test_an_address_nobody_registered_is_counted_alike() -> None:
    email = new_email("nobody")
    statuses = [
        call("POST", "/auth/verify", {"email": email, "code": "123456"}).status_code
        for _ in range(TRIES_OF_AN_ADDRESS.most + 1)
    ]
    assert statuses == [400] * TRIES_OF_AN_ADDRESS.most + [429]


def test_a_rollback_gives_no_try_back() -> None:
    email = new_email()
    register_by_api(email=email)
    code = code_sent_to(email)
    for _ in range(TRIES_OF_AN_ADDRESS.most):
        attempt = spend_try(address=any_address(email), now=timezone.now())
        with transaction.atomic():
            with refused("code_invalid"):
                verify(attempt=attempt, code=wrong(code), now=timezone.now())
            transaction.set_rollback(True)
    with refused("too_many_tries"):
        spend_try(address=any_address(email), now=timezone.now())


def test_a_try_cannot_be_counted_inside_a_transaction_that_might_roll_back() -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        spend_try(address=any_address(new_email()), now=timezone.now())


def test_judging_demands_a_transaction() -> None:
    attempt = spend_try(address=any_address(new_email()), now=timezone.now())
    with pytest.raises(RuntimeError):
        verify(attempt=attempt, code="123456", now=timezone.now())


def test_a_success_that_rolls_back_leaves_the_code_good_and_the_try_counted() -> None:
    email = new_email()
    register_by_api(email=email)
    code, now = code_sent_to(email), timezone.now()
    attempt = spend_try(address=any_address(email), now=now)
    with transaction.atomic():
        verify(attempt=attempt, code=code, now=now)
        transaction.set_rollback(True)
    assert AddressTries.objects.get(kind="CODE", address=email).count == 1
    assert verify_with(email, code).has_verified_address
    assert AddressTries.objects.get(kind="CODE", address=email).count == 0


def test_two_codes_that_are_equal_do_not_have_equal_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.verification.secrets.randbelow", lambda _bound: 7)
    email = new_email()
    assert code_of_another(email, "Zoya") == code_of_another(email, "Asha Rao") == "000007"
    digests = {bytes(code.digest) for code in VerificationCode.objects.filter(verification__address=email)}
    assert len(digests) == 2


def test_the_message_names_whose_registration_it_is() -> None:
    email = new_email()
    register(full_name="Asha Rao", password=PASSWORD, email=any_address(email), now=timezone.now())
    code_sent_to(email)
    assert messages_to(email)[0].text.startswith("Hello Asha Rao, ")
