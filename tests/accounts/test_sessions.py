"""Where people are signed in: listed, ended one by one, and dead at the next request of whatever ends them."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.auth import SESSION_KEY, login
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpRequest
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import page_sessions, sessions
from accounts.blocking import block, unblock
from accounts.models import SecurityEvent, Session, User
from accounts.stored_sessions import SessionStore
from tests.accounts.people import PASSWORD, call, person, superuser, tokens_of
from wallet_project.kernel.ids import public_id

pytestmark = pytest.mark.usefixtures("database")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PAGE = "/security/sessions"


def signed_in(user: User, browser: Browser | None = None) -> Browser:
    browser = browser or Browser()
    answer = browser.post("/sign-in", {"address": user.email, "password": PASSWORD}, headers={"User-Agent": FIREFOX})
    assert (answer.status_code, answer["Location"]) == (303, "/")
    return browser


def is_in(browser: Browser) -> bool:
    return browser.get(PAGE).status_code == 200


def session_id(browser: Browser) -> str:
    return str(browser.cookies[settings.SESSION_COOKIE_NAME].value)


def listed(access: str, query: str = "") -> Any:
    answer = call("GET", f"/me/sessions{query}", access=access)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_the_list_shows_programs_and_browsers_newest_first_and_which_one_asks() -> None:
    asha = person()
    browser = signed_in(asha)
    pair = tokens_of(asha)
    tokens_of(person("Ravi"))
    answer = listed(pair["access"])
    assert answer["next"] is None
    app, page = answer["results"]
    assert page.keys() == {
        "id", "kind", "label", "address", "created_at", "last_used_at", "current", "second_factor"
    }  # fmt: skip
    assert (app["kind"], app["label"], app["current"]) == ("API", "Unknown device", True)
    assert (page["kind"], page["label"], page["current"]) == ("PAGES", "Firefox on Linux", False)
    assert (page["address"], page["second_factor"]) == ("127.0.0.1", False)
    assert re.fullmatch(r"ses_[0-9a-z]{26}", page["id"])
    assert page["created_at"].endswith("Z")
    browser.post("/sign-out")
    assert [one["id"] for one in listed(pair["access"])["results"]] == [app["id"]]


def test_the_list_is_read_page_by_page_though_one_ends_meanwhile() -> None:
    asha = person()
    access = [tokens_of(asha)["access"] for _ in range(4)][-1]
    first = listed(access, "?limit=2")
    call("DELETE", f"/me/sessions/{first['results'][1]['id']}", access=access)
    second = listed(access, f"?limit=2&cursor={first['next']}")
    ids = [one["id"] for one in [*first["results"], *second["results"]]]
    assert ids == [session.public_id for session in Session.objects.filter(user=asha).order_by("-pk")]
    assert second["next"] is None
    for query in ("?limit=0", "?limit=101", "?limit=x", "?cursor=nonsense", "?cursor="):
        assert call("GET", f"/me/sessions{query}", access=access).status_code == 400


def test_a_session_that_is_ended_takes_its_tokens_and_its_page_with_it() -> None:
    asha = person()
    mine, lost, browser = tokens_of(asha), tokens_of(asha), signed_in(asha)
    assert is_in(browser)
    for one in listed(mine["access"])["results"]:
        if not one["current"]:
            for _ in range(2):
                answer = call("DELETE", f"/me/sessions/{one['id']}", access=mine["access"])
                assert (answer.status_code, answer.content) == (204, b"")
    assert not is_in(browser)
    assert call("GET", "/me", access=lost["access"]).status_code == 401
    assert call("POST", "/auth/token/refresh", {"refresh": lost["refresh"]}).status_code == 401
    assert call("GET", "/me", access=mine["access"]).status_code == 200
    assert SecurityEvent.objects.filter(kind="session.revoked", subject=asha).count() == 2


def test_other_peoples_and_unknown_sessions_are_not_there() -> None:
    asha, zoya = person(), person("Zoya")
    ashas, zoyas = tokens_of(asha), tokens_of(zoya)
    (hers,) = listed(ashas["access"])["results"]
    unknown = hers["id"][:-1] + ("0" if hers["id"][-1] != "0" else "1")
    for id in (hers["id"], unknown, "ses_nonsense", asha.public_id):
        answer = call("DELETE", f"/me/sessions/{id}", access=zoyas["access"])
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    browser = signed_in(zoya)
    assert browser.post(f"{PAGE}/{hers['id']}/end").status_code == 404
    assert call("GET", "/me", access=ashas["access"]).status_code == 200


def test_the_page_signs_out_one_device_or_all_but_itself() -> None:
    asha = person()
    here, there, app = signed_in(asha), signed_in(asha), tokens_of(asha)
    text = here.get(PAGE).content.decode()
    assert text.count("Firefox on Linux") >= 2
    ends = re.findall(rf'action="({PAGE}/ses_[0-9a-z]+/end)"', text)
    assert len(ends) == 2
    assert here.get(ends[0]).status_code == 405
    # Newest first: the app.
    assert here.post(ends[0])["Location"] == PAGE
    assert call("GET", "/me", access=app["access"]).status_code == 401
    assert is_in(there)
    assert here.post(f"{PAGE}/end-others")["Location"] == PAGE
    assert not is_in(there)
    assert is_in(here)
    assert "nowhere else" in here.get(PAGE).content.decode()


def set_(**columns: Any) -> Callable[[User], Any]:
    return lambda user: Session.objects.filter(user=user).update(**columns)


@pytest.mark.parametrize(
    "act",
    [
        set_(revoked_at=timezone.now()),
        set_(created_at=timezone.now() - timedelta(days=2), expires_at=timezone.now() - timedelta(days=1)),
        lambda user: block(user=user, by=superuser(), reason="Reported", now=timezone.now()),
        lambda user: User.objects.filter(pk=user.pk).update(status=User.Status.BLOCKED),
        lambda user: User.objects.filter(pk=user.pk).update(status=User.Status.CLOSED),
        lambda user: User.objects.filter(pk=user.pk).update(token_version=7),
        lambda user: User.objects.filter(pk=user.pk).update(password="another"),
        lambda user: User.objects.filter(pk=user.pk).update(email_verified_at=None),
        lambda user: Session.objects.filter(user=user).delete(),
    ],
    ids=["revoked", "over", "blocked", "blocked row", "closed", "token version", "password", "unverified", "gone"],
)
def test_a_page_is_shut_at_the_next_request_after(act: Callable[[User], Any]) -> None:
    asha = person()
    browser = signed_in(asha)
    assert is_in(browser)
    act(asha)
    assert not is_in(browser)
    if User.objects.get(pk=asha.pk).status == User.Status.BLOCKED:
        unblock(user=asha, by=superuser(), reason="A mistake", now=timezone.now())
    User.objects.filter(pk=asha.pk).update(status="ACTIVE", token_version=asha.token_version, password=asha.password)
    assert not is_in(browser), "what was shut opens again"


def test_a_session_of_djangos_alone_is_nobodys() -> None:
    """Nor one that names a session of tokens, or somebody else's."""
    asha, ravi = person(), person("Ravi")
    tokens_of(asha)
    ravis = Session.objects.get(pk=signed_in_row(ravi).pk)
    for named in (None, Session.objects.get(user=asha).public_id, ravis.public_id, "nonsense", ["x"]):
        request = HttpRequest()
        request.session, request.user = SessionStore(), AnonymousUser()
        login(request, asha)
        if named is not None:
            request.session["signed_in"] = named
        request.session.save()
        browser = Browser()
        browser.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key
        assert not is_in(browser), named


def signed_in_row(user: User) -> Session:
    signed_in(user)
    return Session.objects.filter(user=user, kind=Session.Kind.PAGES).order_by("-pk")[0]


def test_an_id_that_was_planted_before_the_sign_in_opens_nothing_after_it() -> None:
    asha, zoya = person(), person("Zoya")
    for owner in (None, zoya, asha):
        browser, planted = Browser(), Browser()
        if owner is None:
            # Whoever registers gets a session of Django's before they are signed in.
            browser.post("/verify/resend", {"address": asha.email})
        else:
            browser.force_login(owner)
        planted.cookies[settings.SESSION_COOKIE_NAME] = before = session_id(browser)
        # Signed in already, the page sends them on: the form is what an attacker's page would post.
        request = HttpRequest()
        request.session = SessionStore(before)
        request.user = owner or AnonymousUser()
        page_sessions.open_page_session(request, user=asha, factor=False, now=timezone.now())
        request.session.save()
        assert request.session.session_key != before
        assert not SessionStore().exists(before)
        assert not is_in(planted)


@pytest.mark.parametrize("way_out", ["/sign-out", "/admin/logout/"])
def test_signing_in_at_the_page_changes_the_session_id_and_signing_out_ends_it(way_out: str) -> None:
    # Whoever may not work in the admin is not asked by its button.
    asha, browser = superuser() if "admin" in way_out else person(), Browser()
    browser.post("/verify/resend", {"address": asha.email})
    before = session_id(browser)
    signed_in(asha, browser)
    during = session_id(browser)
    assert during != before
    copied = Browser()
    copied.cookies[settings.SESSION_COOKIE_NAME] = during
    assert is_in(copied)
    browser.post(way_out)
    assert not is_in(copied)
    assert Session.objects.get(user=asha).revoked_at is not None


def test_a_page_session_lives_twelve_hours_however_much_it_is_used() -> None:
    asha = person()
    session = signed_in_row(asha)
    assert session.expires_at - session.created_at == timedelta(hours=12)
    assert timedelta(seconds=settings.SESSION_COOKIE_AGE) >= sessions.PAGES_LIFETIME


def test_a_cursor_that_is_no_place_begins_at_the_top() -> None:
    asha = person()
    browser = signed_in(asha)
    tokens_of(asha)
    top = shown(browser.get(PAGE))
    for cursor in ("x", "%00", public_id("ses", uuid4())):
        assert shown(browser.get(f"{PAGE}?cursor={cursor}")) == top


def shown(answer: Any) -> list[str]:
    """The devices on the page that can be signed out."""
    assert answer.status_code == 200
    found = re.findall(r"/security/sessions/(\w+)/end", answer.content.decode())
    assert found
    return found


def test_its_last_use_is_written_down_once_a_minute_at_most() -> None:
    asha = person()
    browser = signed_in(asha)
    session = Session.objects.get(user=asha)
    for seconds, written in ((59, False), (61, True)):
        then = timezone.now() - timedelta(seconds=seconds)
        Session.objects.filter(pk=session.pk).update(last_used_at=then)
        with CaptureQueriesContext(connection) as queries:
            assert is_in(browser)
        session.refresh_from_db()
        assert (session.last_used_at != then) == written
        assert any("UPDATE" in query["sql"] for query in queries) == written


def request_of(browser: Browser) -> HttpRequest:
    """A page's request as the middleware leaves it, its session read."""
    request = HttpRequest()
    request.session = SessionStore(session_id(browser))
    assert request.session[SESSION_KEY]
    page_sessions.PageAuthenticationMiddleware(lambda _request: None).process_request(request)  # type: ignore[arg-type]
    return request


def test_session_person_and_actor_are_one_query() -> None:
    asha = person()
    request = request_of(signed_in(asha))
    with CaptureQueriesContext(connection) as queries:
        assert request.user.is_authenticated
        assert request.user.actor.user_id == asha.pk
    assert len(queries) == 1


def test_is_verified_says_whether_a_second_factor_was_shown_in_this_session() -> None:
    asha = person()
    for factor in (True, False):
        browser = Browser()
        browser.force_login(asha, factor=factor)
        assert request_of(browser).user.is_verified() is factor
    request = HttpRequest()
    request.session = SessionStore()
    page_sessions.PageAuthenticationMiddleware(lambda _request: None).process_request(request)  # type: ignore[arg-type]
    assert request.user.is_verified() is False


@pytest.mark.parametrize(
    "next",
    [
        "https://evil.example/",
        "//evil.example/",
        "\\\\evil.example",
        "/\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        " //evil.example",
        "https:///evil.example",
        "http://testserver@evil.example/",
        "\t//evil.example",
    ],
)
def test_signing_in_leads_to_no_other_site(next: str) -> None:
    asha = person()
    browser = Browser()
    answer = browser.post("/sign-in", {"address": asha.email, "password": PASSWORD, "next": next})
    assert (answer.status_code, answer["Location"]) == (303, "/")


def test_signing_in_leads_to_the_page_that_was_asked_for() -> None:
    asha, browser = person(), Browser()
    there = browser.get("/history")
    assert there["Location"] == "/sign-in?next=/history"
    assert 'value="/history"' in browser.get(there["Location"]).content.decode()
    answer = browser.post("/sign-in", {"address": asha.email, "password": PASSWORD, "next": "/history"})
    assert answer["Location"] == "/history"
