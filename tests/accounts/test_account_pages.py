"""The pages of one's own account: name, password, a forgotten password, and addresses."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.addresses import any_address
from accounts.models import AddressChange, Session, User
from accounts.queries import owner_of
from tests.accounts.factors import code_of, enrolled
from tests.accounts.people import PASSWORD, code_sent_to, deliver, messages_to, new_email, new_phone, person, wrong

pytestmark = pytest.mark.usefixtures("database")

ANOTHER = "seven-brown-otters"


def at(user: User, **how: Any) -> Client:
    browser = Client()
    browser.force_login(user, **how)
    return browser


def errors(answer: Any) -> dict[str, Any]:
    return dict(answer.context["form"].errors)


def test_the_account_shows_its_addresses_and_leads_to_all_the_rest() -> None:
    asha = person(email=new_email(), phone=new_phone())
    page = at(asha).get("/account")
    text = page.content.decode()
    assert asha.email in text
    assert asha.phone in text
    links = set(re.findall(r'href="(/[^"]*)"', text))
    assert links >= {
        "/account/password",
        "/account/addresses/add",
        "/account/addresses/email/remove",
        "/account/addresses/phone/remove",
        "/account/data",
        "/account/close",
        "/security",
        "/security/sessions",
        "/limits",
        "/kyc",
        "/bank-accounts",
    }
    assert 'href="/account"' in at(asha).get("/history").content.decode()
    assert "no-store" in page["Cache-Control"]
    # The last address cannot be removed, so nothing offers it.
    assert "/remove" not in at(person()).get("/account").content.decode()


def test_people_change_their_name_and_a_bad_one_is_said_beside_its_field() -> None:
    asha = person("Asha Rao")
    browser = at(asha)
    assert browser.post("/account", {"full_name": "Asha Iyer", "kyc_level": "FULL"})["Location"] == "/account"
    now = User.objects.get(pk=asha.pk)
    assert (now.full_name, now.kyc_level) == ("Asha Iyer", "MINIMUM")
    answer = browser.post("/account", {"full_name": "a\u202eb"})
    assert (answer.status_code, set(errors(answer))) == (400, {"full_name"})


def test_a_password_is_changed_and_everybody_signs_in_anew() -> None:
    asha = person()
    browser, elsewhere = at(asha), at(asha)
    answer = browser.post("/account/password", {"old_password": "not-it-at-all", "new_password": ANOTHER})
    assert (answer.status_code, set(errors(answer))) == (401, {"old_password"})
    answer = browser.post("/account/password", {"old_password": PASSWORD, "new_password": "short"})
    assert (answer.status_code, set(errors(answer))) == (400, {"new_password"})
    assert PASSWORD not in answer.content.decode()
    answer = browser.post("/account/password", {"old_password": PASSWORD, "new_password": ANOTHER})
    assert (answer.status_code, answer["Location"]) == (303, "/sign-in")
    for each in (browser, elsewhere):
        assert each.get("/account").status_code == 302
    assert not Session.objects.filter(user=asha, revoked_at=None).exists()
    assert Client().post("/sign-in", {"address": asha.email, "password": ANOTHER})["Location"] == "/"


def test_a_forgotten_password_is_replaced_by_a_code_and_no_page_tells_who_is_registered() -> None:
    asha, browser = person(), Client()
    assert "/password/reset" in browser.get("/sign-in").content.decode()
    said = []
    for email in (str(asha.email), new_email("nobody")):
        answer = browser.post("/password/reset", {"address": email}, follow=True)
        page = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"|nonce="[^"]*"', "", answer.content.decode())
        said.append((answer.redirect_chain, page.replace(email, "")))
    assert said[0] == said[1]
    code = code_sent_to(str(asha.email))
    body = {"address": asha.email, "code": wrong(code), "new_password": ANOTHER}
    answer = browser.post("/password/reset/confirm", body)
    assert (answer.status_code, set(errors(answer))) == (400, {"code"})
    assert ANOTHER not in answer.content.decode()
    answer = browser.post("/password/reset/confirm", {**body, "code": code})
    assert (answer.status_code, answer["Location"]) == (303, "/sign-in")
    assert Client().post("/sign-in", {"address": asha.email, "password": ANOTHER})["Location"] == "/"


def test_an_address_is_changed_by_pages_with_both_codes() -> None:
    asha, email = person(), new_email()
    browser, elsewhere = at(asha), at(asha)
    before = browser.cookies[settings.SESSION_COOKIE_NAME].value
    answer = browser.post("/account/addresses/add", {"address": email, "password": "not-it-at-all"})
    assert (answer.status_code, set(errors(answer))) == (401, {"password"})
    answer = browser.post("/account/addresses/add", {"address": email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (303, "/account/addresses/confirm")
    own_code, new_code = code_sent_to(str(asha.email)), code_sent_to(email)
    page = "/account/addresses/confirm"
    assert set(browser.get(page).context["form"].fields) == {"own_code", "code"}
    answer = browser.post(page, {"own_code": wrong(own_code), "code": new_code})
    assert (answer.status_code, set(errors(answer))) == (400, {"__all__"})
    assert browser.post(page, {"own_code": own_code, "code": new_code})["Location"] == "/account"
    assert owner_of(any_address(email)) == asha
    account = browser.get("/account")
    assert (account.status_code, "large payments need" in account.content.decode()) == (200, True)
    assert browser.cookies[settings.SESSION_COOKIE_NAME].value != before
    assert elsewhere.get("/account").status_code == 302


def test_with_a_second_factor_an_address_is_removed_at_once() -> None:
    asha = person(email=new_email(), phone=new_phone())
    secret, _ = enrolled(asha)
    browser, page = at(asha), "/account/addresses/phone/remove"
    assert set(errors(browser.post(page, {"password": PASSWORD}))) == {"otp"}
    assert browser.post(page, {"password": PASSWORD, "otp": code_of(secret)})["Location"] == "/account"
    assert User.objects.get(pk=asha.pk).phone is None
    answer = browser.post("/account/addresses/email/remove", {"password": PASSWORD, "otp": code_of(secret, steps=1)})
    assert (answer.status_code, "last address" in answer.content.decode()) == (422, True)
    assert browser.get("/account/addresses/fax/remove").status_code == 404


def test_a_passkey_shown_a_moment_ago_stands_for_the_code() -> None:
    asha, email = person(), new_email()
    User.objects.filter(pk=asha.pk).update(second_factor=True)
    asha.refresh_from_db()
    body = {"address": email, "password": PASSWORD}
    assert at(asha).post("/account/addresses/add", body).status_code == 401
    answer = at(asha, factor=True).post("/account/addresses/add", body)
    assert (answer.status_code, answer["Location"]) == (303, "/account/addresses/confirm")


def test_a_taken_address_leads_to_the_same_page_and_its_owner_is_told() -> None:
    ravi, browser = person("Ravi", email=new_email("ravi")), at(person())
    answer = browser.post("/account/addresses/add", {"address": ravi.email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (303, "/account/addresses/confirm")
    deliver()
    assert len(messages_to(str(ravi.email))) == 1


def test_nothing_is_confirmed_that_was_not_begun_here() -> None:
    browser = at(person())
    assert browser.get("/account/addresses/confirm")["Location"] == "/account"
    # Signed in at another browser, it is asked for there.
    asha = person()
    at(asha).post("/account/addresses/add", {"address": new_email(), "password": PASSWORD})
    assert AddressChange.objects.filter(user=asha, status="REQUESTED").exists()
    assert at(asha).get("/account/addresses/confirm")["Location"] == "/account"
