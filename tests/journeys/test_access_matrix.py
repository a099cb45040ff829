"""
Every route, for every role, by every method, held against access_table.py: who gets where, and to whose things.

The routes are walked, so that a new one without a line in the table fails, and a line without a route as well.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver

from tests.journeys.access_table import (
    FORBIDDEN,
    IN,
    MERCHANTS,
    METHODS,
    NO_METHOD,
    NO_TOKEN,
    NOT_FOUND,
    OWN,
    ROLES,
    SIGN_IN,
    SIGNED,
    STAFF,
    STANDARD,
    TABLE,
    Rule,
)
from tests.journeys.access_world import World, build
from tests.journeys.page_rules import faults
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.sandbox_process import merchant_and_sandbox
from wallet_project.kernel.read_only_admin import ReadOnlyAdmin

pytestmark = pytest.mark.usefixtures("database")

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")
# Asha comes last: what is hers must still be there when the others reach for it.
_ORDER = (*(role for role in ROLES if role != "person"), "person")
_LEFT_TO_ITSELF = {NO_TOKEN: 401, FORBIDDEN: 403, NOT_FOUND: 404, NO_METHOD: 405}


@pytest.fixture(scope="module")
def world(database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # The same on every page of the admin, and dear: the list of its index, and a list's second row.
    cheaper = pytest.MonkeyPatch()
    cheaper.setattr(admin.site, "enable_nav_sidebar", False)
    cheaper.setattr(ReadOnlyAdmin, "list_per_page", 1)
    with (
        # So that there is a door to stand before.
        override_settings(REFUNDS_BY_PERSON=True, VAPID_PRIVATE_KEY=b"k" * 32),
        merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (shop, sandbox),
        wallet_speaks_to(client(sandbox.url)),
    ):
        yield build(shop, sandbox)
    cheaper.undo()


def routes() -> list[str]:
    def walk(resolver: Any, before: str) -> Iterator[str]:
        for pattern in resolver.url_patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern, route)
            else:
                assert isinstance(pattern, URLPattern)
                yield route

    return sorted(set(walk(get_resolver(), "")))


def parameters(route: str) -> list[str]:
    return [first or second for first, second in _PARAMETER.findall(route)]


def test_every_route_has_its_line_and_every_line_its_route() -> None:
    there = routes()
    assert len(there) > 150
    missing = [_line_for(route) for route in there if route not in TABLE]
    assert not missing, "tests/journeys/access_table.py lacks:\n" + "\n".join(missing)
    assert not (gone := sorted(set(TABLE) - set(there))), f"access_table.py has lines without a route: {gone}"
    for route, access in TABLE.items():
        assert set(access.ids) == set(parameters(route)), f"access_table.py: name what the ids of {route!r} stand for."


def _line_for(route: str) -> str:
    if route.startswith("admin/") and route.endswith("/add/"):
        return f'    READ_IN_ADMIN: "{route[6:-5].replace("/", ".")}": only(*STAFF),'
    ids = "".join(f', {name}="…"' for name in parameters(route))
    return f'    "{route}": Access(GET=SIGNED_IN{ids}),   # or POST=, PUBLIC, OWN, only(…)'


PARTS = {
    "pages": [route for route in TABLE if not route.startswith(("admin/", "api/"))],
    "api": [route for route in TABLE if route.startswith("api/")],
    "admin": [route for route in TABLE if route.startswith("admin/")],
}


@dataclass(frozen=True, slots=True)
class Visit:
    what: str
    met: str
    expected: set[str]
    faults: list[str]


@pytest.fixture(scope="module")
def visits(world: World) -> Callable[[str], list[Visit]]:
    """Everybody at every route of a part, by every method: once for all that is asked of the answers."""
    return cache(lambda part: list(walk(world, PARTS[part])))


def walk(world: World, there: list[str]) -> Iterator[Visit]:
    for route in there:
        for role in _ORDER:
            for method in METHODS:
                expected = expectation(route, role, method)
                if expected is None:
                    continue
                answer = respond(world, role, method, address(world, route))
                met = meaning(answer.status_code, answer.headers.get("Location", ""))
                yield Visit(f"{method} {route} as {role}", met, expected, faults(answer))
                if method == "POST" and met in (IN, SIGN_IN):
                    world.sign_in_again(role)


@pytest.mark.parametrize("part", PARTS)
def test_everybody_gets_exactly_where_the_table_says(visits: Callable[[str], list[Visit]], part: str) -> None:
    wrong = [
        f"{visit.what}: {visit.met}, not {' or '.join(sorted(visit.expected))}"
        for visit in visits(part)
        if visit.met not in visit.expected
    ]
    assert not wrong, f"{len(wrong)} differ from access_table.py:\n" + "\n".join(wrong)


@pytest.mark.parametrize("part", PARTS)
def test_every_answer_is_one_that_a_browser_keeps_to_itself(visits: Callable[[str], list[Visit]], part: str) -> None:
    wrong = [f"{visit.what}: {', '.join(visit.faults)}" for visit in visits(part) if visit.faults]
    assert not wrong, f"{len(wrong)} differ from page_rules.py:\n" + "\n".join(wrong)


def test_no_page_takes_what_another_site_sends(world: World) -> None:
    # By its signature alone: the gateway's own site posts there.
    by_signature = "payments/<str:gateway>/callback"
    posted = [route for route in (*PARTS["pages"], *PARTS["admin"]) if "POST" in TABLE[route].rules]
    assert len(posted) > 60
    taken = []
    for route in posted:
        strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
        strict.cookies = world.browser("superuser" if route.startswith("admin/") else "person").cookies
        answer = strict.post(address(world, route), {}, headers={"Origin": "https://evil.example"})
        if (answer.status_code, b"This page was open too long" in answer.content) != (403, True):
            taken.append(route)
    assert taken == [by_signature]


def test_no_call_takes_the_cookie_of_the_pages_for_a_token(world: World) -> None:
    calls = [
        (method, route) for route in PARTS["api"] for method, rule in TABLE[route].rules.items() if not rule.public
    ]
    assert len(calls) > 20
    for method, route in calls:
        answer = world.browser("person").generic(method, address(world, route), b"{}", "application/json")
        assert answer.status_code == 401, (method, route)


def expectation(route: str, role: str, method: str) -> set[str] | None:
    """What may be met; None where nothing is asked, for it would say nothing new."""
    access = TABLE[route]
    rule = access.rules.get(method)
    if route.startswith("health/") and role != "nobody":
        # They look at nobody, and wait for a broker that is not there.
        return None
    if route in STANDARD and role in ("other", "merchant"):
        # One who is not of staff stands for all, where there are so many.
        return None
    if rule is not None:
        return {met(rule, role, route)}
    if route in STANDARD:
        # All alike, and many: Django takes other methods for a GET.
        return None
    if route.startswith("admin/"):
        # Some take other methods for a GET, and others refuse them.
        got = TABLE[route].rules.get("GET")
        return {NO_METHOD, FORBIDDEN, *({met(got, role, route)} if got else ())} if role == "superuser" else None
    if role in STAFF or role == "merchant":
        # As `other`, where no rule names the method.
        return None
    if role in SIGNED:
        # Their owner is told that it is the method; others may not learn that there is anything.
        return {NO_METHOD} if role == "person" or not access.ids else {NO_METHOD, NOT_FOUND}
    return {NO_METHOD, met(Rule(frozenset()), role, route)}


def met(rule: Rule, role: str, route: str) -> str:
    if not rule.public:
        in_api = route.startswith("api/")
        if role == "nobody":
            return NO_TOKEN if in_api else SIGN_IN
        if role == "blocked":
            return FORBIDDEN if in_api else SIGN_IN
        if route.startswith("admin/") and role not in STAFF:
            return SIGN_IN
    return IN if role in rule.allowed else rule.others


def address(world: World, route: str, *, unknown: bool = False) -> str:
    access = TABLE[route]

    def filled(match: re.Match[str]) -> str:
        thing = world.things[access.ids[match[1] or match[2]]]
        return thing.unknown if unknown else thing.hers

    return "/" + re.sub(r"[\^$]", "", _PARAMETER.sub(filled, route))


def ask(world: World, role: str, method: str, at: str) -> tuple[int, str]:
    answer = respond(world, role, method, at)
    return answer.status_code, answer.headers.get("Location", "")


def respond(world: World, role: str, method: str, at: str, body: Any = None) -> Any:
    if at.startswith("/api/"):
        sent = b"" if method in ("GET", "DELETE") else json.dumps(body or {}).encode()
        browser = world.browser("nobody")
        return browser.generic(method, at, sent, "application/json", headers=world.headers(role))
    browser = world.browser(role)
    return browser.post(at, body or {}) if method == "POST" else browser.generic(method, at)


def meaning(status: int, place: str) -> str:
    if status in (301, 302, 303, 307) and place.startswith(("/sign-in", "/admin/login/")):
        return SIGN_IN
    for word, code in _LEFT_TO_ITSELF.items():
        if status == code:
            return word
    return IN if status in (200, 201, 202, 204, 302, 303, 400, 409, 415, 422) else str(status)


def test_what_is_somebody_elses_and_what_is_not_there_look_the_same(world: World) -> None:
    strangers = {OWN: ("other", "merchant", "superuser"), MERCHANTS: ("other", "person", "superuser")}
    with_ids = [route for route, access in TABLE.items() if access.ids and strangers.keys() & access.rules.values()]
    assert len(with_ids) >= 10
    wrong = []
    for route in with_ids:
        for method, rule in TABLE[route].rules.items():
            for role in strangers.get(rule, ()):
                hers = shown(respond(world, role, method, address(world, route)))
                unknown = shown(respond(world, role, method, address(world, route, unknown=True)))
                if hers[0] != 404 or hers != unknown:
                    wrong.append(f"{method} {route} as {role}: {hers} and {unknown}")
    assert not wrong, "\n".join(wrong)


def shown(answer: Any) -> tuple[int, list[str]]:
    """All that they are told, but for what is new in every answer, and the address that they asked for."""
    told = answer.content.decode(errors="replace")
    new = rf'req_\w+|nonce="[^"]+"|name="csrfmiddlewaretoken" value="\w+"|{re.escape(answer.wsgi_request.path)}'
    return answer.status_code, re.sub(new, "", told).splitlines()


def test_no_row_of_the_admin_is_there_that_is_not(world: World) -> None:
    for route, access in TABLE.items():
        if route.startswith("admin/") and "<int:pk>" in route:
            for method, rule in access.rules.items():
                for role in rule.allowed:
                    status, _ = ask(world, role, method, address(world, route, unknown=True))
                    assert status == 404, (method, route, role, status)
