"""People change their name, and nothing else that they might wish to."""

from typing import Any

import pytest

from accounts.models import SecurityEvent, User
from tests.accounts.people import call, person, tokens_of

pytestmark = pytest.mark.usefixtures("database")


def test_people_see_and_change_their_name() -> None:
    asha = person("Asha Rao")
    access = tokens_of(asha)["access"]
    answer = call("PATCH", "/me", {"full_name": "  Asha Rao-Iyer "}, access=access)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": asha.public_id,
        "full_name": "Asha Rao-Iyer",
        "email": asha.email,
        "phone": None,
        "status": "ACTIVE",
        "second_factor": False,
        "kyc_level": "MINIMUM",
    }
    assert call("GET", "/me", access=access).json() == answer.json()
    assert SecurityEvent.objects.filter(kind="profile.renamed", subject=asha).count() == 1


def test_the_second_factor_shows() -> None:
    asha = person()
    User.objects.filter(pk=asha.pk).update(second_factor=True)
    asha.refresh_from_db()
    User.objects.filter(pk=asha.pk).update(second_factor=False)
    access = tokens_of(asha)["access"]
    User.objects.filter(pk=asha.pk).update(second_factor=True)
    assert call("GET", "/me", access=access).json()["second_factor"] is True


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "ACTIVE"),
        ("kyc_level", "FULL"),
        ("is_staff", True),
        ("is_superuser", True),
        ("email", "zoya@example.com"),
        ("email_verified_at", "2026-01-01T00:00:00Z"),
        ("second_factor", False),
        ("token_version", 0),
        ("password", "seven-brown-otters"),
        ("id", "usr_1"),
        ("groups", ["support"]),
    ],
)
def test_whatever_else_is_sent_is_refused_by_name_and_nothing_changes(field: str, value: Any) -> None:
    zoya = person("Zoya")
    access = tokens_of(zoya)["access"]
    before = User.objects.filter(pk=zoya.pk).values().get()
    for body in ({field: value}, {"full_name": "Zoya Khan", field: value}):
        answer = call("PATCH", "/me", body, access=access)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert {**User.objects.filter(pk=zoya.pk).values().get(), "last_login": None} == {**before, "last_login": None}


@pytest.mark.parametrize(
    "body", [{}, {"full_name": ""}, {"full_name": None}, {"full_name": 5}, {"full_name": "a\u202eb"}]
)
def test_what_is_no_name_is_invalid(body: Any) -> None:
    answer = call("PATCH", "/me", body, access=tokens_of(person())["access"])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
