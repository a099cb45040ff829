"""Passkeys: good at this place, for this challenge, once; and never a copy. A real browser is in the journeys."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import passkeys
from accounts.models import Passkey, Session, User
from tests.accounts.authenticator import Authenticator
from tests.accounts.people import PASSWORD, call, new_email, person
from tests.journeys.browsing import Browser, Page, PageForm

pytestmark = pytest.mark.usefixtures("database")


def form_to(page: Page, action: str) -> PageForm:
    return next(form for form in page.forms if form.action == action)


def asked(browser: Browser, form: PageForm, path: str, **filled: str) -> dict[str, Any]:
    """What the script gets for the browser."""
    sent = browser.send(replace(form, action=path), **filled)
    assert sent.status == 200, sent.response.content
    options: dict[str, Any] = json.loads(sent.response.content)
    return options


def register(browser: Browser, authenticator: Authenticator, **answer: Any) -> Page:
    form = form_to(browser.open("/security"), "/security/passkeys")
    options = asked(browser, form, "/security/passkeys/options", password=PASSWORD)
    return browser.send(form, name="My phone", password=PASSWORD, credential=authenticator.create(options, **answer))


def half_way(user: User) -> tuple[Browser, PageForm]:
    """A browser at the second step, and its form for a passkey."""
    browser = Browser()
    first = browser.send(browser.open("/sign-in").form, address=user.email or "", password=PASSWORD)
    assert first.location == "/sign-in/second-factor"
    return browser, form_to(browser.follow(first), "/sign-in/second-factor/passkey")


def show(browser: Browser, form: PageForm, authenticator: Authenticator, **answer: Any) -> Page:
    options = asked(browser, form, "/sign-in/second-factor/passkey/options")
    return browser.send(form, credential=authenticator.get(options, **answer))


def with_passkey(name: str = "Asha Rao") -> tuple[User, Authenticator, Page]:
    user = person(name, email=new_email())
    authenticator = Authenticator()
    browser = Browser()
    browser.send(browser.open("/sign-in").form, address=user.email or "", password=PASSWORD)
    return user, authenticator, register(browser, authenticator)


def test_a_passkey_is_added_with_the_password_and_signs_in_and_recovery_codes_come_with_the_first() -> None:
    asha, authenticator, added = with_passkey()
    assert len(re.findall(r"\b\w{4}-\w{4}-\w{4}\b", added.text)) == 10
    assert User.objects.get(pk=asha.pk).second_factor
    assert call("POST", "/auth/token", {"email": asha.email, "password": PASSWORD}).json()["code"] == "otp_required"

    browser, form = half_way(asha)
    assert show(browser, form, authenticator).status == 303
    assert "My phone" in browser.open("/security").text
    assert not Session.objects.filter(user=asha, revoked_at=None, kind="PAGES", factor_at=None).exists()
    assert Passkey.objects.get(user=asha).sign_count == authenticator.count

    pk = Passkey.objects.get(user=asha).pk
    zoya = Browser()
    zoya.send(zoya.open("/sign-in").form, address=person("Zoya").email or "", password=PASSWORD)
    assert zoya.open(f"/security/passkeys/{pk}/remove").status == 404
    removing = browser.open(f"/security/passkeys/{pk}/remove")
    assert browser.send(removing.form, password="wrong").status == 401
    assert browser.send(removing.form, password=PASSWORD).location == "/security"
    assert not User.objects.get(pk=asha.pk).second_factor


def test_no_challenge_is_given_for_a_wrong_password() -> None:
    asha = person()
    browser = Browser()
    browser.send(browser.open("/sign-in").form, address=asha.email or "", password=PASSWORD)
    form = form_to(browser.open("/security"), "/security/passkeys")
    refused = browser.send(replace(form, action="/security/passkeys/options"), password="wrong")
    assert refused.status == 401
    unasked = browser.send(form, name="x", password=PASSWORD, credential=Authenticator().create({"challenge": "AAAA"}))
    assert unasked.status == 400
    assert not Passkey.objects.filter(user=asha).exists()


def test_an_answer_is_good_once_at_this_place_and_for_its_own_challenge() -> None:
    asha, authenticator, _ = with_passkey()
    browser, form = half_way(asha)
    elsewhere = replace(authenticator, origin="https://wallet.evil.example")
    assert show(browser, form, elsewhere).status == 401
    # A page on another name cannot have the right hash either.
    assert show(browser, form, replace(authenticator, rp_id="evil.example", count=5)).status == 401
    assert show(browser, form, replace(authenticator, count=5), challenge="AAAAAAAAAAAAAAAAAAAAAA").status == 401
    stranger = replace(Authenticator(), id=authenticator.id, count=5)
    assert show(browser, form, stranger).status == 401

    options = asked(browser, form, "/sign-in/second-factor/passkey/options")
    answer = replace(authenticator, count=9).get(options)
    assert browser.send(form, credential=answer).status == 303
    # Captured, and sent again by somebody who knows the password.
    zoya, zoyas_form = half_way(asha)
    assert zoya.send(zoyas_form, credential=answer).status == 400
    asked(zoya, zoyas_form, "/sign-in/second-factor/passkey/options")
    assert zoya.send(zoyas_form, credential=answer).status == 401


def test_a_copy_that_counts_behind_is_refused() -> None:
    asha, authenticator, _ = with_passkey()
    copy = replace(authenticator)
    for _ in range(2):
        browser, form = half_way(asha)
        assert show(browser, form, authenticator).status == 303
    browser, form = half_way(asha)
    assert show(browser, form, copy).status == 401


def test_somebody_elses_passkey_opens_nothing_and_is_not_registered_again() -> None:
    asha, ashas, _ = with_passkey()
    zoya, zoyas, _ = with_passkey("Zoya")
    browser, form = half_way(asha)
    assert show(browser, form, zoyas).status == 401
    browser, form = half_way(zoya)
    assert show(browser, form, zoyas).status == 303
    assert register(browser, ashas).status == 400
    assert Passkey.objects.get(credential_id=ashas.id).user_id == asha.pk


def test_a_challenge_waits_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    asha = person()
    browser = Browser()
    browser.send(browser.open("/sign-in").form, address=asha.email or "", password=PASSWORD)
    form = form_to(browser.open("/security"), "/security/passkeys")
    options = asked(browser, form, "/security/passkeys/options", password=PASSWORD)
    answer = Authenticator().create(options)
    now = timezone.now()
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: now + timedelta(minutes=5, seconds=1))
        assert browser.send(form, name="x", password=PASSWORD, credential=answer).status == 400
    # It was taken out, so it does not come back with the clock.
    assert browser.send(form, name="x", password=PASSWORD, credential=answer).status == 400
    assert not Passkey.objects.filter(user=asha).exists()


def test_what_no_browser_sends_is_refused_and_never_crashes() -> None:
    asha, _, _ = with_passkey()
    browser, form = half_way(asha)
    assert browser.send(form, credential="x" * (passkeys.LONGEST_ANSWER + 1)).status == 400
    numbers = '{"id": 1, "rawId": 2, "response": 3, "type": "public-key"}'
    nested = '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"clientDataJSON": "AAAA", '
    nested += '"authenticatorData": "AAAA", "signature": "AAAA"}}'
    for malformed in ("{}", "[]", "null", numbers, nested, "\0", "ü", "[" * 9000):
        asked(browser, form, "/sign-in/second-factor/passkey/options")
        assert browser.send(form, credential=malformed).status in (400, 401), malformed


def test_the_place_is_the_public_one_whatever_host_a_request_names(settings: Any) -> None:
    settings.PUBLIC_URL = "https://wallet.example.com"
    assert passkeys.site(host="localhost:8000") == passkeys.Site("localhost", "http://localhost:8000")
    settings.IS_LOCAL = False
    for host in ("localhost:8000", "evil.example", "localhost.evil.example"):
        assert passkeys.site(host=host) == passkeys.Site("wallet.example.com", "https://wallet.example.com")
    assert not passkeys.Site("127.0.0.1", "http://127.0.0.1:8000").can_have_passkeys
