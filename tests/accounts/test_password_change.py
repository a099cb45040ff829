"""A new password ends whatever the old one began, and nobody guesses the old one from inside."""

import pytest
from django.utils import timezone

from accounts.models import SecurityEvent, Session, User
from accounts.own_password import WRONG_PASSWORDS
from accounts.password_change import change_password
from tests.accounts.people import PASSWORD, call, deliver, messages_to, person, tokens_of
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")

ANOTHER = "seven-brown-otters"


def change(access: str, old: str = PASSWORD, new: str = ANOTHER) -> tuple[int, str]:
    body = {"old_password": old, "new_password": new}
    answer = call("POST", "/auth/password/change", body, access=access)
    return answer.status_code, answer.json()["code"] if answer.content else ""


def test_a_change_ends_every_older_token_and_session_the_callers_too() -> None:
    asha = person()
    here, elsewhere = tokens_of(asha), tokens_of(asha)
    assert change(here["access"]) == (204, "")
    for pair in (here, elsewhere):
        assert call("GET", "/me", access=pair["access"]).json()["code"] == "token_invalid"
        assert call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]}).json()["code"] == "token_invalid"
    assert not Session.objects.filter(user=asha, revoked_at=None).exists()
    body = {"email": asha.email, "password": PASSWORD}
    assert call("POST", "/auth/token", body).json()["code"] == "credentials_invalid"
    assert call("GET", "/me", access=tokens_of(asha, ANOTHER)["access"]).status_code == 200


def test_the_person_is_told_and_it_is_on_record() -> None:
    asha = person()
    change(tokens_of(asha)["access"])
    deliver()
    assert messages_to(str(asha.email))[0].subject == "Your wallet's password was changed"
    event = SecurityEvent.objects.get(kind="password.changed", subject=asha)
    assert (event.actor, event.result) == (asha, "DONE")
    assert ANOTHER not in str(vars(event))


def test_a_wrong_old_password_changes_nothing() -> None:
    asha = person()
    access = tokens_of(asha)["access"]
    assert change(access, old="a-quiet-river-92") == (401, "credentials_invalid")
    assert call("GET", "/me", access=access).status_code == 200


@pytest.mark.parametrize("new", ["short", "password12", "x" * 257])
def test_a_new_password_that_will_not_do_changes_nothing(new: str) -> None:
    asha = person()
    access = tokens_of(asha)["access"]
    body = {"old_password": PASSWORD, "new_password": new}
    answer = call("POST", "/auth/password/change", body, access=access)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "new_password")
    assert call("GET", "/me", access=access).status_code == 200


def test_the_old_password_cannot_be_guessed_from_a_stolen_session() -> None:
    asha = person()
    access = tokens_of(asha)["access"]
    for _ in range(WRONG_PASSWORDS.most):
        assert change(access, old="a-wrong-guess-1")[1] == "credentials_invalid"
    answer = call("POST", "/auth/password/change", {"old_password": PASSWORD, "new_password": ANOTHER}, access=access)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_tries")
    assert int(answer["Retry-After"]) > 0
    assert User.objects.get(pk=asha.pk).check_password(PASSWORD)


def test_of_two_who_change_it_from_one_old_password_the_second_is_refused() -> None:
    asha, now = person(), timezone.now()
    elsewhere = User.objects.get(pk=asha.pk)
    change_password(user=asha, old_password=PASSWORD, new_password=ANOTHER, now=now)
    with pytest.raises(Refusal, match="credentials_invalid"):
        change_password(user=elsewhere, old_password=PASSWORD, new_password="nine-white-geese", now=now)
    assert User.objects.get(pk=asha.pk).check_password(ANOTHER)
