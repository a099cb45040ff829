"""Guessing passwords: how many guesses are judged, who is locked out and who never is, and that nothing tells."""

import itertools
import json
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client as Browser
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import sign_in_limits
from accounts.addresses import any_address
from accounts.blocking import block
from accounts.models import SecurityEvent, User
from accounts.sign_in import check_credentials
from tests.accounts.factors import code_of, enrolled, no_code_of
from tests.accounts.people import PASSWORD, call, new_email, new_phone, person, register_by_api, superuser
from tests.accounts.test_races import CALLERS, at_once
from wallet_project.kernel.clients import Client, client
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
WRONG = "not-her-password"
LIMIT = sign_in_limits.MOST_OF_AN_ACCOUNT
_networks = itertools.count(secrets.randbelow(200) << 16)


def network() -> str:
    """An IP address that no other test uses."""
    number = next(_networks)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def sign_in(password: str = WRONG, *, at: str = "", device: str = "", **body: Any) -> Any:
    headers = {"X-Device-Token": device} if device else {}
    return call("POST", "/auth/token", {"password": password, **body}, network=at or network(), **headers)


def statuses(answers: list[Any]) -> list[int]:
    return [answer.status_code for answer in answers]


def test_fifty_networks_on_one_account_get_ten_answers_and_not_even_the_right_password_is_told_afterwards() -> None:
    asha = person()
    guesses = [sign_in(email=asha.email) for _ in range(50)]
    assert statuses(guesses) == [401] * LIMIT + [429] * (50 - LIMIT)
    right = sign_in(PASSWORD, email=asha.email)
    assert (right.status_code, right.json()["code"]) == (429, "too_many_tries")
    assert 0 < int(right["Retry-After"]) <= 15 * 60
    assert right["RateLimit"].startswith('"sign_in_account";r=0;t=')
    assert '"sign_in_account";q=10;w=900' in right["RateLimit-Policy"]
    # The log holds what was judged, and no row for each of those that were not.
    assert SecurityEvent.objects.filter(kind="sign_in", subject=asha, result="REFUSED").count() == LIMIT


def test_one_network_on_fifty_accounts_is_judged_a_hundred_times_whatever_it_says_was_forwarded() -> None:
    at, emails = network(), [new_email("nobody") for _ in range(50)]
    answers = [
        call("POST", "/auth/token", {"email": email, "password": WRONG}, network=at, **{"X-Forwarded-For": network()})
        for email in [*emails, *emails, *emails[:3]]
    ]
    assert statuses(answers) == [401] * 100 + [429] * 3
    asha = person()
    assert sign_in(PASSWORD, email=asha.email, at=at).status_code == 429
    assert sign_in(PASSWORD, email=asha.email).status_code == 200


def test_all_addresses_of_one_sixty_four_bit_network_count_as_one() -> None:
    def counted_for(at: str) -> str:
        return sign_in_limits.counts_of(account=any_address("nobody@example.com"), device=None, network=at)[1].of

    assert counted_for("2001:db8:0:1::1") == counted_for("2001:db8:0:1:ffff::2") != counted_for("2001:db8:0:2::1")
    assert counted_for("10.0.0.1") != counted_for("10.0.0.2")


def test_guesses_at_once_get_exactly_ten_answers() -> None:
    asha = person()
    answers, backends = at_once(*[lambda: sign_in(email=asha.email).status_code] * CALLERS)
    assert len(backends) == CALLERS
    assert sorted(answers) == [401] * LIMIT + [429] * (CALLERS - LIMIT)


def test_a_right_password_that_is_judged_while_others_pass_the_limit_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asha = person()
    judge = User.check_password

    def slow(user: User, password: str) -> bool:
        right = judge(user, password)
        if right:
            assert statuses([sign_in(email=asha.email) for _ in range(LIMIT)]) == [401] * LIMIT
        return right

    monkeypatch.setattr(User, "check_password", slow)
    assert sign_in(PASSWORD, email=asha.email).status_code == 429


def test_only_failures_count() -> None:
    asha, at = person(), network()
    for _ in range(LIMIT - 1):
        assert sign_in(email=asha.email, at=at).status_code == 401
        assert sign_in(PASSWORD, email=asha.email, at=at).status_code == 200
    assert sign_in(email=asha.email, at=at).status_code == 401
    assert sign_in(PASSWORD, email=asha.email, at=at).status_code == 429


def test_email_and_phone_and_the_page_count_together() -> None:
    asha = person(email=new_email(), phone=new_phone())
    for _ in range(4):
        assert sign_in(email=asha.email).status_code == 401
        assert sign_in(phone=asha.phone).status_code == 401
    for _ in range(2):
        browser = Browser(REMOTE_ADDR=network())
        assert browser.post("/sign-in", {"address": asha.phone, "password": WRONG}).status_code == 401
    answer = Browser(REMOTE_ADDR=network()).post("/sign-in", {"address": asha.email, "password": PASSWORD})
    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)
    assert sign_in(PASSWORD, phone=asha.phone).status_code == 429


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password hash that is computed, by the hasher's method."""
    computed: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        method = getattr(Argon2PasswordHasher, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            computed.append(name)
            return method(*args, **kwargs)

        return run

    for name in ("encode", "verify"):
        monkeypatch.setattr(Argon2PasswordHasher, name, noted(name))
    return computed


def test_nothing_tells_who_is_registered_not_the_answers_not_the_hashes_and_not_the_limit(hashes: list[str]) -> None:
    blocked, closed, unverified = person(), person(), new_email()
    block(user=blocked, by=superuser(), reason="Asked by the police", now=timezone.now())
    User.objects.filter(pk=closed.pk).update(status=User.Status.CLOSED)
    register_by_api(email=unverified)
    told = {}
    for email in (person().email, new_email("nobody"), unverified, blocked.email, closed.email):
        seen = []
        for _ in range(LIMIT + 1):
            hashes.clear()
            answer = sign_in(email=email)
            problem = {name: value for name, value in answer.json().items() if name != "request_id"}
            seen.append((answer.status_code, json.dumps(problem), len(hashes)))
        told[email] = seen
    first, *others = told.values()
    assert [(status, hashed) for status, _, hashed in first] == [(401, 1)] * LIMIT + [(429, 0)]
    assert all(other == first for other in others)


def test_a_closed_account_is_unknown_to_the_right_password_too() -> None:
    asha = person()
    User.objects.filter(pk=asha.pk).update(status=User.Status.CLOSED)
    assert sign_in(PASSWORD, email=asha.email).json()["code"] == "credentials_invalid"


def attempt(asha: User, now: datetime, password: str = WRONG) -> int:
    """The seconds to wait that a try at this moment is told; 0 where it is judged."""
    token = client.set(Client(address=network()))
    try:
        check_credentials(address=any_address(str(asha.email)), password=password, device_tokens=(), now=now)
    except Refusal as refusal:
        return refusal.retry_after_seconds or 0
    finally:
        client.reset(token)
    return 0


def test_each_further_lock_out_within_a_day_doubles_the_wait_up_to_four_hours() -> None:
    asha, now, waits = person(), timezone.now(), []
    for _ in range(6):
        assert [attempt(asha, now) for _ in range(LIMIT)] == [0] * LIMIT
        waits.append(attempt(asha, now))
        # Not a second earlier, though the password be right.
        assert attempt(asha, now + timedelta(seconds=waits[-1] - 1), PASSWORD) == 1
        now += timedelta(seconds=waits[-1])
    assert [wait // 60 for wait in waits] == [15, 30, 60, 120, 240, 240]
    now += timedelta(days=1)
    assert [attempt(asha, now) for _ in range(LIMIT)] == [0] * LIMIT
    assert attempt(asha, now) == 15 * 60


def test_ten_failures_are_too_many_in_any_fifteen_minutes_and_not_in_a_longer_time() -> None:
    asha, now = person(), timezone.now()
    for number in range(3 * LIMIT):
        assert attempt(asha, now + number * timedelta(seconds=101)) == 0
    asha = person()
    for number in range(LIMIT):
        assert attempt(asha, now + number * timedelta(seconds=99)) == 0
    assert attempt(asha, now + timedelta(seconds=900)) > 0


def test_who_knows_the_device_is_never_locked_out_by_strangers_nor_by_their_network() -> None:
    asha, at = person(), network()
    device = sign_in(PASSWORD, email=asha.email, at=at).json()["device"]
    guesses = [sign_in(email=asha.email, at=at) for _ in range(LIMIT + 1)]
    guesses += [sign_in(email=new_email("nobody"), at=at) for _ in range(91)]
    assert statuses(guesses)[-1] == 429
    assert sign_in(PASSWORD, email=asha.email, at=at).status_code == 429
    assert sign_in(PASSWORD, email=asha.email, at=at, device=device).status_code == 200
    # It has ten of its own, and a stranger's device none for this account.
    ravi = person("Ravi")
    ravis = sign_in(PASSWORD, email=ravi.email).json()["device"]
    assert sign_in(PASSWORD, email=asha.email, device=ravis).status_code == 429
    assert statuses([sign_in(email=asha.email, device=device) for _ in range(LIMIT + 1)]) == [401] * LIMIT + [429]
    assert sign_in(PASSWORD, email=asha.email, device=device).status_code == 429


def test_the_victim_who_proves_their_address_is_forgiven_from_wherever_they_are() -> None:
    asha, at = person(), network()
    device = sign_in(PASSWORD, email=asha.email).json()["device"]
    for _ in range(LIMIT):
        sign_in(email=asha.email)
        sign_in(email=asha.email, device=device)
    for _ in range(100):
        sign_in(email=new_email("nobody"), at=at)
    assert sign_in(PASSWORD, email=asha.email, at=at).status_code == 429
    sign_in_limits.forgive(user=asha)
    assert sign_in(PASSWORD, email=asha.email, at=at).status_code == 200
    assert sign_in(PASSWORD, email=asha.email, device=device).status_code == 200
    # Guessing begins again with ten, and not with a longer wait.
    assert statuses([sign_in(email=asha.email, at=at) for _ in range(LIMIT + 1)]) == [401] * LIMIT + [429]
    assert int(sign_in(email=asha.email)["Retry-After"]) <= 15 * 60


def test_wrong_codes_of_the_second_factor_are_failed_sign_ins_too() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    assert sign_in(PASSWORD, email=asha.email).json()["code"] == "otp_required"
    for _ in range(5):
        assert sign_in(email=asha.email).status_code == 401
        assert sign_in(PASSWORD, email=asha.email, otp=no_code_of(secret)).json()["code"] == "otp_invalid"
    right = sign_in(PASSWORD, email=asha.email, otp=code_of(secret))
    assert (right.status_code, right.json()["code"]) == (429, "too_many_tries")


def test_without_redis_nobody_signs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    asha = person()
    nowhere = redis.Redis(port=9, retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(sign_in_limits, "guards", lambda: nowhere)
    answer = sign_in(PASSWORD, email=asha.email)
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "busy", "1")
    assert Browser().post("/sign-in", {"address": asha.email, "password": PASSWORD}).status_code == 503
    # The wait ends by itself: a new password is not refused for it.
    sign_in_limits.forgive(user=asha)


def test_nobodys_address_stands_in_redis() -> None:
    email = new_email("zoya")
    sign_in(email=email)
    assert [key for key in sign_in_limits.guards().keys("sign-in:*") if b"zoya" in key] == []
