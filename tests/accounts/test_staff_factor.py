"""Nobody works here without a second factor: neither in the admin nor at the auditors' pages, whatever their role."""

import re

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from accounts.models import Session, User
from accounts.roles import AUDITOR, SUPPORT
from tests.accounts.factors import code_of, enrolled
from tests.accounts.people import PASSWORD, call, person, superuser, tokens_of
from tests.accounts.test_blocking_and_admin import staff
from tests.journeys.browsing import Browser

pytestmark = pytest.mark.usefixtures("database")
# The admin's own way in and out; neither shows anything.
OPEN = {"/admin/login/", "/admin/logout/"}


@pytest.fixture(autouse=True)
def _as_in_production(settings: Settings) -> None:
    settings.STAFF_NEED_FACTOR = True


def places_of_work() -> list[str]:
    """Every address of the admin and the auditors' pages, with 1 for each id."""

    def below(resolver: URLResolver, start: str) -> list[str]:
        found = []
        for pattern in resolver.url_patterns:
            route = start + str(pattern.pattern)
            found += [route] if isinstance(pattern, URLPattern) else below(pattern, route)
        return found

    routes = [re.sub(r"<[^>]*>", "1", route) for route in below(get_resolver(), "/")]
    named = [route for route in routes if re.match(r"/(admin|audit)\b", route) and not set(route) & set("^$()?")]
    return sorted(set(named) - OPEN)


def signed_in(user: User, *, factor: bool) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user, factor=factor)
    return client


def test_a_password_alone_opens_no_page_of_work_and_no_export_of_all_there_are() -> None:
    root = superuser()
    with_password, with_factor = signed_in(root, factor=False), signed_in(root, factor=True)
    places = places_of_work()
    assert len(places) > 150
    assert {"/admin/", "/audit/", "/audit/entries.csv", "/admin/accounts/user/1/status/"} <= set(places)
    for place in places:
        # A page of the admin that nothing guards would answer a POST with anything but this.
        ask = with_password.get if place.startswith("/audit/") else with_password.post
        answer = ask(place, {"reason": "Because"})
        led = re.match(r"/admin/login/|/security$", answer.headers.get("Location", ""))
        assert answer.status_code in (302, 303), (place, answer.status_code)
        assert led, (place, answer["Location"])
    assert with_password.get("/admin/")["Location"] == "/admin/login/?next=/admin/"
    assert with_factor.get("/admin/").status_code == 200
    export = with_factor.get("/audit/entries.csv")
    assert export.status_code == 200
    assert b"".join(export.streaming_content).startswith(b"created_at,")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("role", "place"), [(SUPPORT, "/admin/"), (AUDITOR, "/audit/")])
def test_whoever_has_no_factor_is_led_to_set_one_up_and_then_works(role: str, place: str) -> None:
    dev = staff(role)
    browser = Browser(dev)
    page = browser.open(place)
    while page.status in (302, 303):
        page = browser.follow(page)
    assert (page.status, "Work here takes a second factor." in page.text) == (200, True)
    assert "Set up an app" in page.text
    setting_up = browser.follow(browser.send(browser.open("/security/totp/begin").form, password=PASSWORD))
    (secret,) = re.findall(r"\b[A-Z2-7]{32}\b", setting_up.text)
    browser.send(setting_up.form, code=code_of(secret))
    assert browser.open(place).status == 200
    # Once it is gone again, so is what it opened.
    Session.objects.filter(user=dev).update(factor_at=None)
    assert browser.open(place).status in (302, 303)


@pytest.mark.parametrize(("role", "place"), [(SUPPORT, "/admin/accounts/user/"), (AUDITOR, "/audit/entries.csv")])
def test_whoever_has_not_shown_their_factor_here_shows_it_and_goes_on(role: str, place: str) -> None:
    dev = staff(role)
    secret, _ = enrolled(dev)
    browser = Browser(User.objects.get(pk=dev.pk))
    page = browser.open(place)
    while page.status in (302, 303):
        page = browser.follow(page)
    assert "One more step" in page.text
    done = browser.send(page.forms[-1], code=code_of(secret))
    assert (done.status, done.location) == (303, place)
    assert browser.open(place).status == 200
    # The session with the password alone is over.
    assert Session.objects.get(user=dev, revoked_at=None).factor_at is not None


def test_the_way_to_the_factor_leads_to_no_other_site() -> None:
    dev = staff(SUPPORT)
    secret, _ = enrolled(dev)
    browser = Browser(User.objects.get(pk=dev.pk))
    page = browser.follow(browser.open("/admin/login/?next=https://evil.example/admin/"))
    assert browser.send(page.forms[-1], code=code_of(secret)).location == "/"


def test_by_tokens_a_superuser_is_a_person_like_any_other() -> None:
    root, asha = superuser(), person()
    hers = tokens_of(asha)["access"]
    (session,) = call("GET", "/me/sessions", access=hers).json()["results"]
    access = tokens_of(root)["access"]
    assert call("DELETE", f"/me/sessions/{session['id']}", access=access).status_code == 404
    # A token is nobody at the pages.
    client = Client(headers={"Authorization": f"Bearer {access}"})
    assert client.get("/admin/").status_code == 302
    assert client.get("/audit/")["Location"].startswith("/sign-in")
    assert call("GET", "/me", access=hers).status_code == 200


def test_people_who_do_not_work_here_need_none() -> None:
    browser = Browser(person())
    assert browser.open("/security").status == 200
    assert browser.open("/audit/").status == 403
