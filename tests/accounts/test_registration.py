"""Registering: what is answered, what is kept, and what a stranger can tell from it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import registration
from accounts.addresses import any_address
from accounts.models import OutgoingMessage, User, VerificationCode
from accounts.verification import MESSAGES_TO_A_CLAIM, NOBODYS, resend
from tests.accounts.people import (
    PASSWORD,
    call,
    code_sent_to,
    deliver,
    messages_to,
    new_email,
    new_phone,
    person,
    register_by_api,
    verify_with,
)

pytestmark = pytest.mark.usefixtures("database")


def test_a_registration_answers_the_person_and_where_the_code_goes() -> None:
    email = new_email()
    before = datetime.now(UTC)
    answer = register_by_api(email=email)
    assert answer.status_code == 201
    user = User.objects.get(email=email)
    body = answer.json()
    expires_at = datetime.fromisoformat(body["verification"].pop("expires_at"))
    assert timedelta(minutes=9) < expires_at - before < timedelta(minutes=11)
    assert expires_at.utcoffset() == timedelta(0)
    assert body == {
        "user": {
            "id": user.public_id,
            "full_name": "Asha Rao",
            "email": email,
            "phone": None,
            "status": "ACTIVE",
            "second_factor": False,
            "kyc_level": "MINIMUM",
        },
        "verification": {"channel": "email"},
    }
    assert user.password.startswith("argon2$argon2id$")
    assert not user.has_verified_address


def test_with_both_addresses_the_code_goes_to_the_email() -> None:
    email, phone = new_email(), new_phone()
    assert register_by_api(email=email, phone=phone).json()["verification"]["channel"] == "email"
    deliver()
    assert len(messages_to(email)) == 1
    assert messages_to(phone) == []


def test_a_phone_alone_gets_its_code_by_sms() -> None:
    phone = new_phone()
    assert register_by_api(phone=phone).json()["verification"]["channel"] == "phone"
    user = verify_with(phone, code_sent_to(phone))
    assert messages_to(phone)[0].channel == "sms"
    assert user.phone_verified_at is not None


def test_the_second_address_is_verified_through_a_resend() -> None:
    email, phone = new_email(), new_phone()
    register_by_api(email=email, phone=phone)
    verify_with(email, code_sent_to(email))
    assert call("POST", "/auth/verify/resend", {"phone": phone}).status_code == 202
    user = verify_with(phone, code_sent_to(phone))
    assert user.email == email
    assert user.email_verified_at is not None
    assert user.phone_verified_at is not None


def test_an_email_has_one_spelling() -> None:
    email = new_email()
    answer = register_by_api(email=f" {email.upper()} ")
    assert answer.json()["user"]["email"] == email


def test_a_taken_address_answers_alike_and_its_owner_is_told() -> None:
    asha = person()
    assert asha.email is not None
    answer = register_by_api(email=asha.email, full_name="Zoya")
    free = register_by_api(email=new_email("zoya"), full_name="Zoya")
    assert answer.status_code == free.status_code == 201
    body, like = answer.json(), free.json()
    assert body.keys() == like.keys()
    assert body["user"].keys() == like["user"].keys()
    assert body["verification"].keys() == like["verification"].keys()
    assert body["user"]["full_name"] == "Zoya"
    assert body["user"]["id"] != asha.public_id
    assert re.fullmatch(r"usr_[0-9a-hjkmnp-tv-z]{26}", body["user"]["id"])
    assert User.objects.filter(email=asha.email).count() == 1
    deliver()
    (told,) = messages_to(asha.email)
    assert "already has one" in told.text
    assert "Zoya" not in told.text
    assert not re.search(r"\d{6}", told.text)
    asha.refresh_from_db()
    assert asha.check_password(PASSWORD)


def test_registering_takes_the_same_work_for_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash, the same statements in the same order, and one wake-up: its time does not tell what is taken."""
    woken: list[object] = []
    hashed: list[object] = []
    monkeypatch.setattr(
        "accounts.tasks.send_messages.apply_async", lambda **given: woken.extend(given["kwargs"]["message_ids"])
    )
    hash_of = registration.make_password
    monkeypatch.setattr(registration, "make_password", lambda password: hashed.append(1) or hash_of(password))
    asha, blocked, claimed = person(), person("Ravi"), new_email("zoya")
    User.objects.filter(pk=blocked.pk).update(status=User.Status.BLOCKED)
    register_by_api(email=claimed)
    hashed.clear()
    woken.clear()
    work = set()
    for email in (asha.email, blocked.email, claimed, new_email("nobody")):
        with CaptureQueriesContext(connection) as captured:
            assert register_by_api(email=email).status_code == 201
        work.add(tuple(re.sub(r"[^A-Z ].*", "", query["sql"].lstrip(), flags=re.DOTALL) for query in captured))
    # Of a savepoint that is undone there is one word more.
    undone = {tuple(word for word in words if not word.startswith("ROLLBACK TO")) for words in work}
    assert (len(undone), len(hashed), len(woken)) == (1, 4, 4)
    assert User.objects.filter(email=asha.email).count() == User.objects.filter(email=blocked.email).count() == 1


def test_a_taken_email_beside_a_free_phone_leaves_the_phone_to_be_verified() -> None:
    asha, phone = person(), new_phone()
    assert asha.email is not None
    assert register_by_api(email=asha.email, phone=phone).json()["verification"]["channel"] == "email"
    deliver()
    assert "already has one" in messages_to(asha.email)[0].text
    resend(address=any_address(phone), now=timezone.now())
    newcomer = verify_with(phone, code_sent_to(phone))
    assert newcomer.email_verified_at is None
    assert newcomer.pk != asha.pk


def test_no_code_rests_in_the_database_and_none_is_made_before_it_is_sent() -> None:
    email = new_email()
    register_by_api(email=email)
    waiting = OutgoingMessage.objects.get(address=email)
    assert waiting.sent_at is None
    assert not waiting.codes.exists()
    code = code_sent_to(email)
    (kept,) = VerificationCode.objects.filter(verification=waiting)
    assert len(bytes(kept.digest)) == 32
    assert code.encode() not in bytes(kept.digest)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"full_name": ""}, "full_name"),
        ({"full_name": "   "}, "full_name"),
        ({"full_name": "a" * 101}, "full_name"),
        ({"full_name": "Asha\nRao"}, "full_name"),
        ({"full_name": "Asha\u202eoaR"}, "full_name"),
        ({"full_name": "\u200d\u0301"}, "full_name"),
        ({"full_name": 7}, "full_name"),
        ({"full_name": ["Asha"]}, "full_name"),
        ({"full_name": None}, "full_name"),
        ({"password": "short-1"}, "password"),
        ({"password": "password123"}, "password"),
        ({"password": "Asha Rao 77"}, "password"),
        ({"password": "x1-" * 100}, "password"),
        ({"password": "x" * 5000}, "password"),
        ({"password": 12345678901}, "password"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b@example.com"}, "email"),
        ({"email": ""}, "email"),
        ({"email": "a" * 250 + "@example.com"}, "email"),
        ({"email": {"x": 1}}, "email"),
        ({"email": 12}, "email"),
        ({"email": None}, "email"),
        ({"email": "аsha@example.com"}, "email"),
        ({"phone": "9876543210"}, "phone"),
        ({"phone": "+91 98765 43210"}, "phone"),
        ({"phone": "+910000000000"}, "phone"),
        ({"phone": "+९१९८७६५४३२१०"}, "phone"),
        ({"phone": True}, "phone"),
    ],
)
def test_bad_input_names_its_field(body: dict[str, object], field: str) -> None:
    answer = register_by_api(**{"email": new_email(), **body})
    assert answer.status_code == 400
    problem = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["code"] == "invalid"
    assert {error["field"] for error in problem["errors"]} == {field}
    assert all(error["code"] and error["detail"] for error in problem["errors"])


@pytest.mark.parametrize("missing", ["full_name", "password", "email"])
def test_a_missing_field_is_named(missing: str) -> None:
    body = {"full_name": "Asha Rao", "password": PASSWORD, "email": new_email()}
    del body[missing]
    answer = call("POST", "/auth/register", body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [missing]
    assert [error["code"] for error in answer.json()["errors"]] == ["required"]


def test_a_nul_in_a_name_is_refused() -> None:
    assert register_by_api(email=new_email(), full_name="Asha\0").json()["code"] == "parse_error"


@pytest.mark.parametrize("name", ["O", "Åsa Ørsted", "ആശ റാവു", "Siobhán O’Neill-Rao Jr.", "李"])
def test_names_of_the_world_are_taken(name: str) -> None:
    answer = register_by_api(email=new_email(), full_name=f"  {name} ")
    assert answer.json()["user"]["full_name"] == name


def test_a_resend_answers_202_whoever_asks_and_earlier_codes_stay_good() -> None:
    email = new_email()
    register_by_api(email=email)
    first = code_sent_to(email)
    for address in ({"email": email}, {"email": new_email("nobody")}, {"phone": new_phone()}):
        answer = call("POST", "/auth/verify/resend", address)
        assert (answer.status_code, answer.content) == (202, b"")
    deliver()
    assert len(messages_to(email)) == 2
    assert verify_with(email, first).email == email


def test_a_resend_to_somebody_verified_sends_nothing() -> None:
    asha = person()
    assert asha.email is not None
    assert call("POST", "/auth/verify/resend", {"email": asha.email}).status_code == 202
    deliver()
    assert messages_to(asha.email) == []


def test_resends_of_a_claim_are_bounded_and_say_nothing_of_it() -> None:
    email = new_email()
    register_by_api(email=email)
    for _ in range(MESSAGES_TO_A_CLAIM.most + 3):
        assert call("POST", "/auth/verify/resend", {"email": email}).status_code == 202
    assert OutgoingMessage.objects.filter(address=email).count() == MESSAGES_TO_A_CLAIM.most
    later = timezone.now() + MESSAGES_TO_A_CLAIM.window
    assert sum(pk != NOBODYS for pk in resend(address=any_address(email), now=later)) == 1


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@example.com", "phone": "+919876543210"}, {"email": 5}, {"phone": []}]
)
def test_a_resend_needs_exactly_one_address(body: dict[str, object]) -> None:
    answer = call("POST", "/auth/verify/resend", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_zoya_who_registered_ashas_email_first_has_nothing_of_it() -> None:
    """Neither her password nor her codes open what Asha proves later, whichever of them came first or last."""
    email, zoyas = new_email(), "zoya-was-here-first"
    register_by_api(email=email, full_name="Zoya", password=zoyas)
    early = code_sent_to(email)
    register_by_api(email=email)
    right = code_sent_to(email)
    register_by_api(email=email, full_name="Zoya", password=zoyas)
    assert call("POST", "/auth/token", {"email": email, "password": zoyas}).json()["code"] == "not_verified"
    assert call("POST", "/auth/verify", {"email": email, "code": right}).json()["user"]["full_name"] == "Asha Rao"
    for password, code in ((zoyas, "credentials_invalid"), (PASSWORD, None)):
        assert call("POST", "/auth/token", {"email": email, "password": password}).json().get("code") == code
    assert call("POST", "/auth/verify", {"email": email, "code": early}).json()["code"] == "code_invalid"
    register_by_api(email=email, full_name="Zoya", password=zoyas)
    assert call("POST", "/auth/token", {"email": email, "password": zoyas}).json()["code"] == "credentials_invalid"
    assert User.objects.get(email=email).full_name == "Asha Rao"
