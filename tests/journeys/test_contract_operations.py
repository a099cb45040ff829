"""The API's contract, "Conventions" and "Operations": ids of requests, methods, the schema, health."""

import re
from typing import Any, Final

import pytest
import requests
import yaml

from tests.journeys.contract import Api, Person, problem
from tests.running import Run

pytestmark = pytest.mark.runner

# Every call of the contract that this version has.
CALLS: Final = {
    "/auth/register": {"POST"},
    "/auth/verify": {"POST"},
    "/auth/verify/resend": {"POST"},
    "/auth/token": {"POST"},
    "/auth/token/refresh": {"POST"},
    "/auth/logout": {"POST"},
    "/auth/password/change": {"POST"},
    "/auth/password/reset": {"POST"},
    "/auth/password/reset/confirm": {"POST"},
    "/auth/totp": {"POST", "DELETE"},
    "/auth/totp/confirm": {"POST"},
    "/limits": {"GET"},
    "/limits/{type}": {"PUT"},
    "/me": {"GET", "PATCH"},
    "/me/addresses": {"POST"},
    "/me/addresses/{channel}": {"DELETE"},
    "/me/addresses/confirm": {"POST"},
    "/me/close": {"POST"},
    "/me/data": {"GET"},
    "/me/kyc": {"GET", "POST"},
    "/me/sessions": {"GET"},
    "/me/sessions/{id}": {"DELETE"},
    "/wallet/balance": {"GET"},
    "/wallet/add": {"POST"},
    "/wallet/add/confirm": {"POST"},
    "/wallet/transfer": {"POST"},
    "/wallet/pay": {"POST"},
    "/wallet/withdraw": {"POST"},
    "/wallet/payee": {"GET"},
    "/bank-accounts": {"GET", "POST"},
    "/bank-accounts/{id}": {"DELETE"},
    "/transactions": {"GET"},
    "/transactions/{id}": {"GET"},
    "/transactions/{id}/refund": {"POST"},
    "/me/blocked-people": {"GET", "POST"},
    "/me/blocked-people/{id}": {"DELETE"},
    "/me/notification-preferences": {"GET", "PUT"},
    "/money-back": {"GET"},
    "/money-back/{id}": {"GET"},
    "/money-back/{id}/decline": {"POST"},
    "/money-back/{id}/give": {"POST"},
    "/money-back/{id}/hold": {"POST"},
    "/money-back/{id}/withdraw": {"POST"},
    "/notifications": {"GET"},
    "/notifications/read": {"POST"},
    "/notifications/{id}/not-me": {"POST"},
    "/notifications/{id}/read": {"POST"},
    "/transactions/{id}/money-back": {"POST"},
    "/webhook-endpoints": {"GET", "POST"},
    "/webhook-endpoints/{id}": {"GET", "PATCH", "DELETE"},
    "/webhook-endpoints/{id}/deliveries": {"GET"},
    "/webhook-endpoints/{id}/deliveries/{message}": {"GET"},
    "/webhook-endpoints/{id}/deliveries/{message}/redeliver": {"POST"},
    "/webhook-endpoints/{id}/ping": {"POST"},
    "/webhook-endpoints/{id}/rotate": {"POST"},
    "/webhooks/razorpay": {"POST"},
    # Described, for it is one line of settings away; while its gateway is not set up it is not found.
    "/webhooks/stripe": {"POST"},
}
METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "NONSENSE")


def test_a_sane_request_id_comes_back_and_another_is_invented(api: Api) -> None:
    for path in ("/health/live", "/api/v1/me", "/api/v1/nowhere", "/nowhere", "/"):
        answer = api.at_root("GET", path, headers={"X-Request-ID": "caller-7f3a.1_b"}, allow_redirects=False)
        assert answer.headers["X-Request-ID"] == "caller-7f3a.1_b"
    invented = set()
    for insane in (None, "", "a b", "<script>", "x" * 1000, "é".encode()):
        headers = {} if insane is None else {"X-Request-ID": insane}
        answer = api.get("/me", headers=headers)
        invented.add(problem(answer, 401, "not_authenticated")["request_id"])
        assert answer.headers["X-Request-ID"] != insane
    assert len(invented) == 6


def test_every_method_of_every_call_is_answered_or_refused_as_a_problem(api: Api, asha: Person) -> None:
    for path, allowed in CALLS.items():
        for method in METHODS:
            url = re.sub(r"\{(id|type|channel|message)\}", "txn_01m87w95pve2xsecant49kwd90", path)
            answer = api.call(method, url, headers=asha.headers())
            if method == "OPTIONS":
                assert answer.status_code == 200, path
            elif method in allowed or (method == "HEAD" and "GET" in allowed):
                assert answer.status_code in {200, 201, 204, 400, 404}, (method, path, answer.text)
            elif method == "HEAD":
                assert answer.status_code == 405
            else:
                problem(answer, 405, "method_not_allowed")
                assert allowed <= set(answer.headers["Allow"].replace(" ", "").split(","))


def test_who_says_nothing_of_themselves_is_asked_to_sign_in_whatever_they_ask(api: Api) -> None:
    for path in CALLS:
        if path.startswith(("/auth/", "/webhooks/")):
            continue
        for method in ("GET", "POST", "PUT"):
            answer = api.call(method, path, data="x", headers={"Content-Type": "text/plain"})
            problem(answer, 401, "not_authenticated")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


ABSENT: Final = (
    "", "/", "/nowhere", "/me/", "/wallet/transfer/", "/transactions/",
    "/statements", "/me/sessions/", "/ME", "//me", "/%00", "/me%2f",
)  # fmt: skip


def test_what_is_not_there_is_a_problem_too(api: Api, asha: Person) -> None:
    for path in ABSENT:
        for method in ("GET", "POST", "DELETE"):
            answer = api.call(method, path, headers=asha.headers(), json={}, allow_redirects=False)
            problem(answer, 404, "not_found")


def test_no_query_or_accept_header_changes_the_language_spoken(api: Api, asha: Person) -> None:
    for wanted in ("json", "xml", "api", "csv"):
        answer = asha.get("/me", params={"format": wanted})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    for accept in ("*/*", "application/json", "text/html, application/json;q=0.1"):
        assert api.get("/me", headers={**asha.headers(), "Accept": accept}).status_code == 200
    problem(api.get("/me", headers={**asha.headers(), "Accept": "text/html"}), 406, "not_acceptable")


def test_a_host_that_is_not_ours_is_a_problem_too(api: Api) -> None:
    for path in ("/api/v1/me", "/health/live"):
        problem(api.at_root("GET", path, headers={"Host": "evil.example"}), 400, "invalid")


def test_no_answer_about_anybody_is_kept_by_a_cache(api: Api, asha: Person) -> None:
    for answer in (asha.get("/me"), asha.get("/wallet/balance"), asha.get("/transactions"), api.get("/me")):
        assert answer.headers["Cache-Control"] == "no-store"


def schema_of(api: Api) -> dict[str, Any]:
    answer = api.get("/schema")
    assert answer.status_code == 200
    schema: dict[str, Any] = yaml.safe_load(answer.text)
    return schema


def test_the_schema_names_every_call_and_no_other(api: Api) -> None:
    schema = schema_of(api)
    assert schema["openapi"].startswith("3.")
    documented = {
        path.removeprefix("/api/v1"): {method.upper() for method in methods}
        for path, methods in schema["paths"].items()
    }
    assert documented == CALLS
    as_json = api.get("/schema", headers={"Accept": "application/json"})
    assert as_json.json() == schema


def test_whatever_the_schema_points_at_is_in_it(api: Api) -> None:
    schema = schema_of(api)

    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            inner = set().union(*(references(value) for value in part.values()), set())
            return inner | ({part["$ref"]} if isinstance(part.get("$ref"), str) else set())
        return set().union(*(references(value) for value in part), set()) if isinstance(part, list) else set()

    assert references(schema)
    for reference in references(schema):
        place: Any = schema
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
    operations = [operation for methods in schema["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert "Idempotency-Key" in str(schema["paths"]["/api/v1/wallet/transfer"])


def test_the_docs_are_a_page_and_speak_problems(api: Api) -> None:
    page = api.get("/docs")
    assert (page.status_code, page.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    for path in ("/docs", "/schema"):
        problem(api.call("PUT", path), 405, "method_not_allowed")
    problem(api.call("OPTIONS", "/docs"), 405, "method_not_allowed")


def test_health_is_told_to_whoever_asks(api: Api) -> None:
    alive = api.at_root("GET", "/health/live")
    ready = api.at_root("GET", "/health/ready")
    assert alive.status_code == ready.status_code == 200
    assert ready.json() == {
        "status": "ready", "checks": {"database": "ok", "migrations": "ok", "cache": "ok", "broker": "ok"},
    }  # fmt: skip
    for path in ("/health/live", "/health/ready"):
        assert api.at_root("HEAD", path).status_code == 200
        answer = api.at_root("POST", path)
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET, HEAD"


def test_metrics_are_not_public(api: Api) -> None:
    assert api.at_root("GET", "/metrics").status_code in {401, 403, 404}


def test_the_inbox_lists_what_was_sent_newest_first(api: Api, asha: Person) -> None:
    api.post("/auth/register", {"full_name": "Zoya Khan", "email": asha.address, "password": "ten grey herons"})
    api.message(asha.address, number=2)
    answer = api.at_root("GET", "/dev/inbox", headers={"Accept": "application/json"})
    messages = answer.json()
    assert all(set(message) == {"channel", "to", "subject", "text", "sent_at"} for message in messages)
    times = [message["sent_at"] for message in messages]
    assert times == sorted(times, reverse=True)
    assert {message["channel"] for message in messages} <= {"email", "sms"}


def test_the_sandboxs_book_has_its_three_keys(running_wallet: Run) -> None:
    book = requests.get(f"{running_wallet.sandbox_url}/book", timeout=10)
    assert book.status_code == 200
    assert set(book.json()) == {"payments", "refunds", "payouts"}
    for kind in book.json().values():
        assert all(set(line) == {"count", "total"} for line in kind.values())
