"""However many calls come at once, as many pass as may: counted in Redis, by person or by network."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from tests.accounts.people import call, new_email, register_by_api
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, holder
from wallet_project.kernel import rate_limits
from wallet_project.kernel.environment import env
from wallet_project.kernel.rate_limits import LOCAL, PRODUCTION, ROUTE_CLASSES, guards
from wallet_project.kernel.schema import problems

pytestmark = pytest.mark.usefixtures("database")

ELSEWHERE = "203.0.113.9"


@pytest.fixture(autouse=True)
def _nothing_counted_yet() -> None:
    for key in guards().scan_iter("rate:*"):
        guards().delete(key)


@pytest.fixture
def limit(settings: Any) -> Any:
    def set_limit(route_class: str, quota: int, seconds: int = 60) -> None:
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, route_class: (quota, seconds)}

    return set_limit


@pytest.fixture
def redis_gone(settings: Any) -> Iterator[None]:
    """Nobody listens there."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    rate_limits.guards.cache_clear()
    yield
    rate_limits.guards.cache_clear()
    # For good: whoever comes next in this process would find it still out of reach.
    rate_limits._retry_at = 0.0


@pytest.fixture(scope="module")
def asha() -> Holder:
    return holder("Asha Rao", rupees=1000)


@pytest.fixture(scope="module")
def ravi() -> Holder:
    return holder("Ravi Iyer")


def refused(answer: Any) -> Any:
    assert answer.status_code == 429, (answer.status_code, answer.content[:300])
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "too_many_requests"
    wait = int(answer.headers["Retry-After"])
    assert re.fullmatch(rf'"[a-z_]+";r=0;t={wait}', answer.headers["RateLimit"])
    assert 1 <= wait <= 3600
    return answer


def at_once(count: int, ask: Any) -> Counter[int]:
    def asked(_: int) -> int:
        try:
            return int(ask().status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        return Counter(pool.map(asked, range(count)))


def test_of_two_hundred_calls_at_once_exactly_five_pass_a_limit_of_five(limit: Any) -> None:
    limit("public", 5)
    assert at_once(200, lambda: call("POST", "/auth/logout", {"refresh": "none"})) == {401: 5, 429: 195}


def test_so_it_is_for_one_persons_calls(asha: Holder, limit: Any) -> None:
    limit("read", 5)
    assert at_once(30, lambda: asha.get("/me")) == {200: 5, 429: 25}


def test_answers_tell_what_is_left_and_when_it_is_whole_again(asha: Holder, limit: Any) -> None:
    limit("read", 2)
    for left in (1, 0):
        answer = asha.get("/me")
        assert answer.status_code == 200
        assert re.fullmatch(rf'"read";r={left};t=(60|5[0-9])', answer.headers["RateLimit"])
        assert answer.headers["RateLimit-Policy"] == '"read";q=2;w=60'
    answer = refused(asha.get("/me"))
    assert answer.headers["RateLimit-Policy"] == '"read";q=2;w=60'


def test_each_person_has_a_count_of_their_own_and_so_has_each_class(asha: Holder, ravi: Holder, limit: Any) -> None:
    limit("read", 1)
    limit("payee", 1)
    assert asha.get("/me").status_code == 200
    refused(asha.get("/wallet/balance"))
    assert ravi.get("/me").status_code == 200
    assert asha.get(f"/wallet/payee?to={ravi.email}").status_code == 200
    refused(asha.get(f"/wallet/payee?to={ravi.email}"))


def test_a_request_past_the_limit_is_refused_before_its_body_is_read_and_uses_up_no_key(
    asha: Holder, ravi: Holder, limit: Any
) -> None:
    body = {"to": ravi.email, "amount": "1.00"}
    limit("money", 1)
    assert asha.post("/wallet/transfer", body, key="first").status_code == 201
    before = asha.balance
    refused(asha.post("/wallet/transfer", body, key="second"))
    refused(asha.post("/wallet/transfer", body, key="first"))
    garbage = Client(headers={"Authorization": f"Bearer {asha.access}"}).post(
        "/api/v1/wallet/transfer", b"\xff" * 400_000, content_type="text/plain"
    )
    refused(garbage)
    assert call("POST", "/wallet/transfer", body, access="nobody").status_code == 401
    assert asha.balance == before
    limit("money", 100)
    assert asha.post("/wallet/transfer", body, key="second").status_code == 201
    assert asha.balance == before - 1


def test_registrations_are_counted_by_address_for_pages_and_programs_together(limit: Any) -> None:
    limit("register", 2, 3600)
    assert register_by_api(email=new_email()).status_code == 201
    page = Browser()
    form = page.open("/register").form
    assert page.send(form, full_name="Zoya", address="nobody", password="x").status == 400
    refused(register_by_api(email=new_email()))
    answer = page.send(form, full_name="Zoya", address=new_email(), password="a-quiet-river-91")
    assert answer.status == 429
    assert "Too much at once" in answer.text
    assert int(answer.response.headers["Retry-After"]) > 60
    assert answer.response.headers["RateLimit"].startswith('"register";r=0;t=')
    elsewhere = Client(REMOTE_ADDR=ELSEWHERE).post(
        "/api/v1/auth/register",
        {"full_name": "Ravi", "email": new_email(), "password": "a-quiet-river-91"},
        content_type="application/json",
    )
    assert elsewhere.status_code == 201


def test_a_forged_forwarded_address_is_nobody_elses(limit: Any) -> None:
    limit("public", 1)
    for number in range(3):
        answer = call("POST", "/auth/logout", {"refresh": "x"}, **{"X-Forwarded-For": f"198.51.100.{number}"})
        assert answer.status_code == (401 if number == 0 else 429)


def test_whoever_has_all_addresses_of_a_network_is_counted_once(limit: Any) -> None:
    limit("public", 2)
    limit("public_pages", 2)
    for path in ("/api/v1/auth/logout", "/sign-in"):
        zoyas = [Client(REMOTE_ADDR=f"2001:db8:0:1::{number:x}") for number in range(1, 6)]
        assert [zoya.get(path).status_code == 429 for zoya in zoyas] == [False] * 2 + [True] * 3
        for other in ("2001:db8:0:2::1", "", "fe80::1%eth0"):
            assert Client(REMOTE_ADDR=other).get(path).status_code != 429, other


@pytest.mark.parametrize("path", ["/auth/verify", "/auth/verify/resend"])
def test_codes_are_guessed_and_asked_for_only_so_often_from_one_address(path: str, limit: Any) -> None:
    limit("codes", 3)
    body = {"email": new_email(), "code": "123456"}
    found = at_once(20, lambda: call("POST", path, body))
    assert found[429] == 17
    assert sum(found.values()) == 20


def test_pages_are_counted_by_person_and_what_is_sent_to_them_apart(asha: Holder, ravi: Holder, limit: Any) -> None:
    limit("pages", 3)
    limit("money_pages", 1)
    page = Browser(asha.user)
    form = page.open("/send").form
    assert page.send(form, to=ravi.email, amount="1").status == 303
    answer = page.send(form, to=ravi.email, amount="1")
    assert answer.status == 429
    assert "no-store" in answer.response.headers["Cache-Control"]
    for status in (200, 200, 429):
        assert page.open("/history").status == status
    assert Browser(ravi.user).open("/history").status == 200
    assert Client().get("/health/live").status_code == 200


def test_webhooks_with_a_forged_signature_are_refused_sooner(limit: Any) -> None:
    limit("webhook_forged", 2)
    body, forged = {"event": "payment.captured"}, {"X-Razorpay-Signature": "0" * 64, "X-Razorpay-Event-Id": "evt_1"}
    for status in (400, 400, 429, 429):
        assert call("POST", "/webhooks/razorpay", body, **forged).status_code == status
    answer = Client(REMOTE_ADDR=ELSEWHERE, headers=forged).post(
        "/api/v1/webhooks/razorpay", body, content_type="application/json"
    )
    assert answer.status_code == 400


def test_without_redis_money_moves_and_what_guards_an_account_is_busy(
    asha: Holder, ravi: Holder, redis_gone: None
) -> None:
    moved = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1.00"})
    assert moved.status_code == 201
    assert "RateLimit" not in moved.headers
    assert asha.get("/wallet/balance").status_code == 200
    assert Browser(asha.user).open("/history").status == 200
    for path in ("/auth/register", "/auth/verify", "/auth/verify/resend", "/auth/token"):
        answer = call("POST", path, {"email": new_email(), "code": "123456", "password": "x"})
        assert (answer.status_code, answer.json()["code"]) == (503, "busy"), path
        assert answer.headers["Retry-After"]


def test_every_class_has_a_value_for_production_and_one_for_a_local_load_test() -> None:
    assert set(PRODUCTION) == set(LOCAL) == set(ROUTE_CLASSES) == set(settings.RATE_LIMITS)
    assert LOCAL["register"] == (1000, 3600)
    assert LOCAL["money"] == (6000, 60)
    assert all(LOCAL[name][0] > PRODUCTION[name][0] for name in PRODUCTION)


def test_the_operator_changes_a_limit_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WALLET_RATE_LIMITS", "money=120/60, register=50/3600")
    assert env.rate_limits("WALLET_RATE_LIMITS") == {"money": (120, 60), "register": (50, 3600)}
    for wrong in ("money=0/60", "money=1", "mony=1/60", "money=1/60,money=2/60"):
        monkeypatch.setenv("WALLET_RATE_LIMITS", wrong)
        with pytest.raises(Exception, match=r"WALLET_RATE_LIMITS.*CLASS=REQUESTS/SECONDS"):
            env.rate_limits("WALLET_RATE_LIMITS")


def test_every_documented_call_says_that_it_may_be_throttled() -> None:
    told = {status: answer.description for (status, _), answer in problems().items()}
    assert "`too_many_requests`" in told[429]
