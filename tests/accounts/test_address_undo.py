"""Whoever is robbed of their account takes it back from the address of before, for three days, without signing in."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import address_undo
from accounts.address_changes import held_until
from accounts.addresses import any_address
from accounts.models import AddressChange, SecurityEvent, Session, User, VerificationCode
from accounts.purging import purge
from accounts.queries import owner_of
from accounts.verification import RESETS_OF_AN_ADDRESS
from tests.accounts.changing import ask, change_to, confirm, undo_tokens
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
from tests.accounts.test_races import at_once, refusal_of
from tests.payments.cast import access_of
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")

PAGE = "/account/addresses/undo"


def stolen(user: User, email: str) -> str:
    """Somebody moved this account to their own address: the token that the old one got."""
    change_to(user, access_of(user), email)
    return undo_tokens(str(user.email))[0]


def test_the_old_address_undoes_it_by_a_page_without_signing_in_and_everybody_is_signed_out() -> None:
    asha, zoyas = person(), new_email("zoya")
    access = access_of(asha)
    change_to(asha, access, zoyas)
    token, browser = undo_tokens(str(asha.email))[0], Client()
    # Mail servers open links: looking undoes nothing.
    page = browser.get(PAGE, {"token": token})
    assert (page.status_code, owner_of(any_address(zoyas))) == (200, asha)
    assert "no-store" in page["Cache-Control"]
    assert zoyas not in page.content.decode()
    assert browser.post(PAGE, {"token": token})["Location"] == "/password/reset"
    assert (owner_of(any_address(str(asha.email))), owner_of(any_address(zoyas))) == (asha, None)
    assert not Session.objects.filter(user=asha, revoked_at=None).exists()
    assert call("GET", "/me", access=access).json()["code"] == "token_invalid"
    event = SecurityEvent.objects.get(kind="address.undone", subject=asha)
    assert (event.result, event.actor) == ("DONE", None)
    deliver()
    # Both are told: it may be that somebody undid what was right.
    for address in (str(asha.email), zoyas):
        assert messages_to(address)[0].subject == "A change of your wallet's addresses was undone"
    assert browser.post(PAGE, {"token": token}).status_code == 400
    assert Client(enforce_csrf_checks=True).post(PAGE, {"token": token}).status_code == 403


def test_after_three_days_it_is_refused_and_a_moment_before_it_is_not() -> None:
    asha, zoyas = person(), new_email("zoya")
    token = stolen(asha, zoyas)
    done_at = AddressChange.objects.get(user=asha).done_at
    assert done_at is not None
    with pytest.raises(Refusal, match="code_invalid"):
        address_undo.undo(token=token, now=done_at + timedelta(days=3))
    assert owner_of(any_address(zoyas)) == asha
    last = done_at + timedelta(days=3, seconds=-1)
    address_undo.undo(token=token, now=last)
    assert owner_of(any_address(zoyas)) is None
    # An undo is a change as well: whoever made it moves nothing large a second later.
    assert held_until(user=asha, now=last + timedelta(seconds=2)) == last + timedelta(days=3)


def test_no_other_token_undoes_anything() -> None:
    asha, zoyas = person(), new_email("zoya")
    token = stolen(asha, zoyas)
    change = AddressChange.objects.get(user=asha)
    for guess in ("", "a" * 40, token[:-1], token.upper(), change.public_id, bytes(change.undo_digest or b"").hex()):
        assert Client().post(PAGE, {"token": guess}).status_code == 400
        assert Client().get(PAGE, {"token": guess}).status_code == 400
    assert token not in str(AddressChange.objects.values().get(pk=change.pk))
    assert owner_of(any_address(zoyas)) == asha


def test_what_the_thief_changed_after_it_goes_too_and_the_thiefs_own_link_is_dead() -> None:
    """Zoya moves Asha's account twice, adds a telephone, and begins another change."""
    asha, first, second, phone = person(), new_email("zoya"), new_email("zoya"), new_phone()
    access = access_of(asha)
    change_to(asha, access, first)
    change_to(asha, access, second, own=first)
    change_to(asha, access, phone, own=second)
    waiting = ask(access, new_email("zoya")).json()["id"]
    thiefs = undo_tokens(first)[0]
    address_undo.undo(token=undo_tokens(str(asha.email))[-1], now=timezone.now())
    now = User.objects.get(pk=asha.pk)
    assert (now.email, now.phone, now.phone_verified_at) == (asha.email, None, None)
    with pytest.raises(Refusal, match="code_invalid"):
        address_undo.undo(token=thiefs, now=timezone.now())
    assert confirm(access_of(now), waiting, "123456", "123456").json()["code"] == "code_invalid"
    assert sorted(AddressChange.objects.filter(user=asha).values_list("status", flat=True)) == [
        "DROPPED",
        "UNDONE",
        "UNDONE",
        "UNDONE",
    ]


def test_an_added_address_is_taken_away_and_a_removed_one_comes_back() -> None:
    asha, phone = person(), new_phone()
    access = access_of(asha)
    change_to(asha, access, phone)
    removal = call("DELETE", "/me/addresses/email", {"password": PASSWORD}, access=access).json()["id"]
    assert confirm(access, removal, own_code=code_sent_to(phone)).status_code == 200
    of_removal, of_addition = undo_tokens(str(asha.email))
    address_undo.undo(token=of_removal, now=timezone.now())
    now = User.objects.get(pk=asha.pk)
    assert (now.email, now.phone) == (asha.email, phone)
    address_undo.undo(token=of_addition, now=timezone.now())
    now = User.objects.get(pk=asha.pk)
    assert (now.email, now.phone) == (asha.email, None)


def test_codes_on_their_way_to_the_thief_are_dead() -> None:
    asha, zoyas = person(), new_email("zoya")
    token = stolen(asha, zoyas)
    call("POST", "/auth/password/reset", {"email": zoyas})
    code = code_sent_to(zoyas)
    address_undo.undo(token=token, now=timezone.now())
    for email in (zoyas, asha.email):
        body = {"email": email, "code": code, "new_password": "seven-brown-otters"}
        assert call("POST", "/auth/password/reset/confirm", body).json()["code"] == "code_invalid"
    assert not VerificationCode.objects.filter(verification__user=asha).exists()


def test_what_the_thief_asked_for_keeps_no_new_password_from_the_owner() -> None:
    asha, zoyas = person(), new_email("zoya")
    token = stolen(asha, zoyas)
    for number in range(RESETS_OF_AN_ADDRESS.most + 1):
        call("POST", "/auth/password/reset", {"email": zoyas}, network=f"10.5.5.{number}")
    address_undo.undo(token=token, now=timezone.now())
    call("POST", "/auth/password/reset", {"email": asha.email}, network="10.5.6.1")
    body = {"email": asha.email, "code": code_sent_to(str(asha.email)), "new_password": "seven-brown-otters"}
    assert call("POST", "/auth/password/reset/confirm", body).status_code == 204


def test_an_old_address_that_opens_another_wallet_by_now_stays_there() -> None:
    asha, email = person(), new_email()
    token = stolen(asha, email)
    register_by_api(email=asha.email, full_name="Asha again")
    other = verify_with(str(asha.email), code_sent_to(str(asha.email)))
    answer = Client().post(PAGE, {"token": token})
    assert answer.status_code == 400
    assert "another wallet" in answer.content.decode()
    assert (owner_of(any_address(str(asha.email))), owner_of(any_address(email))) == (other, asha)


def test_of_four_who_press_the_button_at_once_one_undoes_it() -> None:
    asha, zoyas = person(), new_email("zoya")
    token = stolen(asha, zoyas)
    answers, _ = at_once(*[refusal_of(lambda: address_undo.undo(token=token, now=timezone.now()))] * 4)
    assert sorted(answers) == ["code_invalid"] * 3 + ["done"]
    assert SecurityEvent.objects.filter(kind="address.undone", subject=asha).count() == 1


def test_changes_are_forgotten_in_time() -> None:
    asha = person()
    stolen(asha, new_email())
    purge(now=timezone.now() + timedelta(days=80))
    assert AddressChange.objects.filter(user=asha).exists()
    purge(now=timezone.now() + timedelta(days=100))
    assert not AddressChange.objects.filter(user=asha).exists()
