"""Every address of the API, found in the URL configuration itself, answers problems and is in the schema."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from payments.gateways import GATEWAYS
from tests.accounts.people import person, tokens_of

pytestmark = pytest.mark.usefixtures("database")

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE")
# Calls that are made before there is a token, or that prove who they are by a signature.
OPEN: Final = {
    "auth/register",
    "auth/verify",
    "auth/verify/resend",
    "auth/token",
    "auth/token/refresh",
    "auth/logout",
    "auth/password/reset",
    "auth/password/reset/confirm",
    *(f"webhooks/{gateway}" for gateway in GATEWAYS),
    "schema",
    "docs",
}
# Written by drf-spectacular, and not part of the contract that they describe.
DOCUMENTATION: Final = {"schema", "docs"}


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for entry in patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, route)
        elif route.startswith("api/v1/"):
            yield route.removeprefix("api/v1/"), entry.callback


ROUTES: Final = dict(routes(get_resolver().url_patterns))


def address_of(route: str) -> str:
    """A route with something in the place of each of its arguments that is nobody's id."""
    parts = [("txn_" + "0" * 26) if "<" in part else part for part in route.split("/")]
    return "/api/v1/" + "/".join(parts)


def answer_to(method: str, route: str, **headers: str) -> Any:
    return Client(raise_request_exception=False).generic(
        method, address_of(route), data=b"{}", content_type="application/json", headers=headers
    )


def assert_problem(answer: Any, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(answer.content)
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert code in (None, problem["code"])


def allowed_by(view: Any) -> set[str]:
    return {method for method in METHODS if hasattr(view.view_class, method.lower())}


@pytest.fixture(scope="module")
def token(database: object) -> str:
    return str(tokens_of(person())["access"])


def test_the_sweep_finds_the_contract() -> None:
    assert {"auth/register", "wallet/balance", "wallet/transfer", "wallet/pay", "wallet/add", "transactions"} <= set(
        ROUTES
    )


@pytest.mark.parametrize("route", sorted(set(ROUTES) - DOCUMENTATION))
def test_a_wrong_method_is_a_problem(route: str, token: str) -> None:
    for method in set(METHODS) - allowed_by(ROUTES[route]):
        assert_problem(answer_to(method, route, Authorization=f"Bearer {token}"), 405, "method_not_allowed")


@pytest.mark.parametrize("route", sorted(set(ROUTES) - OPEN))
def test_without_a_token_nothing_is_told(route: str) -> None:
    for method in allowed_by(ROUTES[route]):
        assert_problem(answer_to(method, route), 401)
        assert_problem(answer_to(method, route, Authorization="Bearer made.up.token"), 401)


@pytest.mark.parametrize("route", sorted(set(ROUTES) - DOCUMENTATION))
def test_an_empty_object_is_never_a_crash(route: str, token: str) -> None:
    for method in allowed_by(ROUTES[route]):
        answer = answer_to(method, route, Authorization=f"Bearer {token}", **{"Idempotency-Key": f"sweep-{method}"})
        assert answer.status_code < 500, answer.content
        if answer.status_code >= 400:
            assert_problem(answer, answer.status_code)


def test_an_unknown_address_is_a_problem() -> None:
    assert_problem(Client().get("/api/v1/nowhere"), 404, "not_found")


def test_the_schema_describes_every_route_and_method() -> None:
    answer = Client().get("/api/v1/schema", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    described = {
        (path.removeprefix("/api/v1/").split("{")[0], method.upper())
        for path, methods in json.loads(answer.content)["paths"].items()
        for method in methods
    }
    served = {
        (route.split("<")[0], method)
        for route, view in ROUTES.items()
        if route not in DOCUMENTATION
        for method in allowed_by(view)
    }

    assert described == served


def test_the_readable_documentation_loads_nothing_from_elsewhere() -> None:
    answer = Client().get("/api/v1/docs")

    assert answer.status_code == 200
    assert b"https://cdn" not in answer.content
