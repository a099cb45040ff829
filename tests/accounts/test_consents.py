"""The terms and the privacy notice: each edition is agreed to once, on record for ever, and asked for before money."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.template.loader import get_template
from django.test import Client as Browser
from django.utils import timezone

from accounts import consents
from accounts.consents import EDITIONS, agree, edition_in_force, missing
from accounts.models import Consent, SecurityEvent, User
from tests.accounts.people import PASSWORD, call, code_sent_to, new_email, person, register_by_api
from tests.environment import Database
from wallets.opening import open_wallet

pytestmark = pytest.mark.usefixtures("database")
BOTH = {"TERMS", "PRIVACY"}
MONEY_PAGES = ("/add", "/send", "/pay", "/withdraw", "/bank-accounts", "/bank-accounts/add")
# Whoever does not agree may still leave, and take their data along.
OTHER_PAGES = ("/", "/history", "/security", "/security/sessions", "/account/data", "/account/close", "/limits")


def newer_terms(monkeypatch: pytest.MonkeyPatch) -> consents.Edition:
    """As if a further edition came into force today, with the same text."""
    newer = replace(EDITIONS[0], version="2099-01", in_force_on=timezone.localdate())
    monkeypatch.setattr(consents, "EDITIONS", (*EDITIONS, newer))
    monkeypatch.setattr(consents.Edition, "template", EDITIONS[0].template)
    return newer


def on_record(user: User) -> set[tuple[str, str]]:
    return set(Consent.objects.filter(user=user).values_list("document", "version"))


def somebody() -> User:
    asha = person()
    open_wallet(user=asha)
    return asha


def signed_in(user: User) -> Browser:
    browser = Browser()
    answer = browser.post("/sign-in", {"address": user.email, "password": PASSWORD})
    assert answer.status_code == 303
    return browser


def test_both_texts_are_public_and_say_their_version_and_day() -> None:
    for path in ("/terms", "/privacy"):
        answer = Browser().get(path)
        assert answer.status_code == 200
        assert "Version 2026-11, in force since 1 November 2026" in answer.content.decode()
    for page in ("/", "/sign-in", "/register"):
        text = Browser().get(page).content.decode()
        assert 'href="/terms"' in text
        assert 'href="/privacy"' in text


def test_every_edition_has_a_text_and_a_version_of_its_own() -> None:
    assert len({edition.name for edition in EDITIONS}) == len(EDITIONS)
    assert {edition.document.value for edition in EDITIONS} == BOTH
    assert all(get_template(edition.template) for edition in EDITIONS)


def test_nobody_registers_at_the_page_without_ticking_the_box() -> None:
    email = new_email()
    body = {"full_name": "Asha Rao", "address": email, "password": PASSWORD}
    answer = Browser().post("/register", body)
    assert answer.status_code == 400
    assert "Without this we may not hold money for you." in answer.content.decode()
    assert not User.objects.filter(email=email).exists()
    assert Browser().post("/register", {**body, "accepts": "on"}).status_code == 303
    assert User.objects.filter(email=email).exists()


def test_a_registration_is_on_record_once_its_address_is_proved_and_not_for_mere_claims() -> None:
    email = new_email()
    for name in ("Zoya", "Asha Rao"):
        register_by_api(email=email, full_name=name)
    assert not Consent.objects.filter(user__email=email).exists()
    assert call("POST", "/auth/verify", {"email": email, "code": code_sent_to(email)}).status_code == 200
    asha = User.objects.get(email=email)
    assert asha.full_name == "Asha Rao"
    rows = Consent.objects.filter(user=asha)
    assert {(row.document, row.version, row.given_at, row.address) for row in rows} == {
        (document, "2026-11", asha.created_at, "127.0.0.1") for document in BOTH
    }
    event = SecurityEvent.objects.get(kind="consent.given", subject=asha)
    assert (event.actor, event.details) == (asha, {"terms": "2026-11", "privacy": "2026-11"})


def test_whoever_agreed_is_not_asked() -> None:
    browser = signed_in(somebody())
    assert [browser.get(page).status_code for page in MONEY_PAGES] == [200] * len(MONEY_PAGES)
    assert browser.get("/consent?next=/send")["Location"] == "/send"


def test_a_new_edition_is_asked_for_once_before_money_and_nothing_else_is_barred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asha = somebody()
    browser = signed_in(asha)
    assert browser.get("/send").status_code == 200
    terms = newer_terms(monkeypatch)
    for page in MONEY_PAGES:
        answer = browser.get(page)
        assert (answer.status_code, answer["Location"]) == (303, f"/consent?next={page.replace('/', '%2F')}")
    assert browser.post("/send/confirm", {"to": "x", "amount": "1"}).status_code == 303
    assert {browser.get(page).status_code for page in OTHER_PAGES} == {200}
    text = browser.get("/consent?next=/send").content.decode()
    assert "Version 2099-01" in text
    # The privacy notice has not changed.
    assert text.count("Read it") == 1
    assert browser.post("/consent", {"seen": terms.name, "next": "/send"}).status_code == 400
    assert browser.get("/send").status_code == 303
    answer = browser.post("/consent", {"seen": terms.name, "next": "/send", "accepts": "on"})
    assert (answer.status_code, answer["Location"]) == (303, "/send")
    assert browser.get("/send").status_code == 200
    assert on_record(asha) == {("TERMS", "2026-11"), ("TERMS", "2099-01"), ("PRIVACY", "2026-11")}
    assert signed_in(asha).get("/send").status_code == 200


def test_an_edition_that_came_into_force_meanwhile_is_shown_before_it_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asha = person()
    Consent.objects.filter(user=asha, document="TERMS").delete()
    terms = newer_terms(monkeypatch)
    answer = signed_in(asha).post("/consent", {"seen": EDITIONS[0].name, "next": "/send", "accepts": "on"})
    assert answer.status_code == 200
    assert terms.name in answer.content.decode()
    assert ("TERMS", terms.version) not in on_record(asha)


def test_agreeing_leads_to_no_other_site() -> None:
    asha = person()
    Consent.objects.filter(user=asha).delete()
    seen = " ".join(edition.name for edition in EDITIONS)
    answer = signed_in(asha).post("/consent", {"seen": seen, "next": "https://evil.example/", "accepts": "on"})
    assert (answer.status_code, answer["Location"]) == (303, "/")


def test_twice_is_as_good_as_once() -> None:
    asha, now = person(), timezone.now()
    Consent.objects.filter(user=asha).delete()
    seen = [edition.name for edition in EDITIONS]
    for _ in range(2):
        assert agree(user=asha, seen=seen, now=now) == []
    assert len(on_record(asha)) == 2
    assert missing(user=asha, now=now) == []


def test_an_edition_is_in_force_from_its_day_by_the_wallets_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = replace(EDITIONS[0], version="2027-01", in_force_on=date(2027, 1, 1))
    monkeypatch.setattr(consents, "EDITIONS", (*EDITIONS, newer))
    # Midnight in Kolkata.
    begins = datetime(2026, 12, 31, 18, 30, tzinfo=UTC)
    document = consents.Document.TERMS
    assert edition_in_force(document=document, now=begins) == newer
    assert edition_in_force(document=document, now=begins - timedelta(seconds=1)) == EDITIONS[0]
    assert edition_in_force(document=document, now=datetime(2020, 1, 1, tzinfo=UTC)) == EDITIONS[0]


def test_what_was_agreed_to_is_not_rewritten_by_the_application(database: Database) -> None:
    asha = person()
    with psycopg.connect(database.app_url) as application, pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("UPDATE accounts_consent SET version = '1' WHERE user_id = %s", [asha.pk])
