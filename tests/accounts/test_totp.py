"""The authenticator app: enrolled and removed, each code good once, guesses counted, a right code taken after them."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from threading import Barrier

import django_otp
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.test import override_settings
from django.utils import timezone

from accounts import second_factor, totp
from accounts.factor_codes import code_at
from accounts.models import AddressTries, SecurityEvent, TotpDevice, User
from tests.accounts.factors import code_of, enrolled, no_code_of
from tests.accounts.people import PASSWORD, call, deliver, messages_to, person, tokens_of
from tests.accounts.test_races import refusal_of
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.sealing import Unreadable

pytestmark = pytest.mark.usefixtures("database")
PARALLEL = 20
MOST = second_factor.FAILURES.most


def twenty_at_once(one: Callable[[], str]) -> list[str]:
    """Twenty threads let go at one moment; the pool has twelve connections for them."""
    start = Barrier(PARALLEL)
    connections.close_all()

    def run(_number: int) -> str:
        try:
            start.wait(30)
            return one()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(PARALLEL) as threads:
        return sorted(threads.map(run, range(PARALLEL)))


def test_twenty_uses_of_one_code_at_once_succeed_once_and_lock_nobody_out() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    code = code_of(secret)
    use = refusal_of(lambda: second_factor.check(user=asha, code=code, now=timezone.now()))
    assert twenty_at_once(use) == ["done"] + ["otp_invalid"] * (PARALLEL - 1)
    # Those were no guesses: the next code is taken.
    second_factor.check(user=asha, code=code_of(secret, steps=1), now=timezone.now())


def test_twenty_uses_of_one_recovery_code_at_once_succeed_once_and_the_others_stay_good() -> None:
    asha = person()
    _, (code, another, *_) = enrolled(asha)
    use = refusal_of(lambda: second_factor.check(user=asha, code=code, now=timezone.now()))
    assert twenty_at_once(use) == ["done"] + ["otp_invalid"] * (PARALLEL - 1)
    second_factor.check(user=asha, code=another, now=timezone.now())
    assert SecurityEvent.objects.filter(subject=asha, kind="factor.recovery_code_used").count() == 2


def test_django_otps_own_match_token_takes_one_code_once_too() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    code = code_of(secret)
    answers = twenty_at_once(lambda: str(django_otp.match_token(asha, code) is not None))
    assert answers.count("True") == 1


def test_parallel_guesses_are_counted_and_the_right_code_is_refused_past_the_limit() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    guess = no_code_of(secret)
    answers = twenty_at_once(refusal_of(lambda: second_factor.check(user=asha, code=guess, now=timezone.now())))
    assert answers == ["otp_invalid"] * MOST + ["too_many_tries"] * (PARALLEL - MOST)

    now = timezone.now()
    with pytest.raises(Refusal) as refused:
        second_factor.check(user=asha, code=code_at(secret=secret, now=now), now=now)
    assert (refused.value.code, refused.value.status) == ("too_many_tries", 429)
    assert 0 < (refused.value.retry_after_seconds or 0) <= second_factor.FAILURES.window.total_seconds()
    # It was not used up meanwhile, and nobody is locked out for longer.
    later = now + second_factor.FAILURES.window
    second_factor.check(user=asha, code=code_at(secret=secret, now=later), now=later)


def test_a_right_code_a_moment_after_wrong_ones_is_taken_and_forgets_them() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    now = timezone.now()
    for steps in range(3):
        at = now + timedelta(seconds=30 * steps)
        for _ in range(MOST - 1):
            with pytest.raises(Refusal, match="otp_invalid"):
                second_factor.check(user=asha, code="000", now=at)
        second_factor.check(user=asha, code=code_at(secret=secret, now=at), now=at)
        assert AddressTries.objects.get(kind="FACTOR", address__startswith=asha.public_id).count == 0


def test_no_rolled_back_transaction_around_it_gives_tries_back() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    now = timezone.now()
    # Nothing is judged where a rollback could take the count back.
    with pytest.raises(RuntimeError), transaction.atomic():
        second_factor.check(user=asha, code=code_at(secret=secret, now=now), now=now)
    # And what was judged is counted: the refusal itself rolls nothing back.
    for guesses in range(1, MOST + 1):
        with pytest.raises(Refusal, match="otp_invalid"):
            second_factor.check(user=asha, code=no_code_of(secret), now=now)
        assert AddressTries.objects.get(kind="FACTOR", address__startswith=asha.public_id).count == guesses
    with pytest.raises(Refusal, match="too_many_tries"):
        second_factor.check(user=asha, code=code_at(secret=secret, now=now), now=now)


def test_codes_of_one_step_away_are_taken_and_of_two_are_not_and_none_goes_back_in_time() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    now = timezone.now()

    def at(steps: int) -> str:
        code = code_at(secret=secret, now=now + timedelta(seconds=30 * steps))
        return refusal_of(lambda: second_factor.check(user=asha, code=code, now=now))()

    assert [at(2), at(-2), at(-1), at(-1), at(1), at(0), at(1)] == (
        ["otp_invalid", "otp_invalid", "done", "otp_invalid", "done", "otp_invalid", "otp_invalid"]
    )


def test_enrolling_is_confirmed_shows_ten_codes_and_signs_everything_else_out() -> None:
    asha = person()
    here, elsewhere = tokens_of(asha)["access"], tokens_of(asha)
    forgotten = call("POST", "/auth/totp", access=here).json()["secret"]
    given = call("POST", "/auth/totp", access=here)
    assert given.status_code == 200
    secret = given.json()["secret"]
    assert f"secret={secret}&" in given.json()["otpauth_uri"]
    assert given.json()["otpauth_uri"].startswith(f"otpauth://totp/Wallet:{asha.email}?")
    assert given.json()["qr_svg"].startswith("<svg xmlns=")
    # Nothing is on before it is confirmed, and the first secret is forgotten.
    assert call("GET", "/me", access=here).json()["second_factor"] is False
    for code in (code_of(forgotten), no_code_of(secret), ""):
        wrong = call("POST", "/auth/totp/confirm", {"code": code}, access=here)
        assert wrong.status_code == 400, code
    assert call("GET", "/me", access=elsewhere["access"]).status_code == 200

    confirmed = call("POST", "/auth/totp/confirm", {"code": code_of(secret)}, access=here)
    assert confirmed.status_code == 200, confirmed.content
    codes = confirmed.json()["recovery_codes"]
    assert len(set(codes)) == 10
    assert call("GET", "/me", access=here).json()["second_factor"] is True
    assert call("GET", "/me", access=elsewhere["access"]).status_code == 401
    assert call("POST", "/auth/token/refresh", {"refresh": elsewhere["refresh"]}).status_code == 401
    again = call("POST", "/auth/totp", access=here)
    assert (again.status_code, again.json()["code"]) == (422, "factor_already_on")
    assert call("POST", "/auth/totp/confirm", {"code": code_of(secret, steps=1)}, access=here).status_code == 400
    deliver()
    assert "authenticator app added" in messages_to(asha.email or "")[0].text
    assert SecurityEvent.objects.get(subject=asha, kind="factor.enrolled").actor_id == asha.pk

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t::text FROM accounts_totpdevice t UNION ALL SELECT r::text FROM accounts_recoverycode r"
        )
        kept = " ".join(row for (row,) in cursor.fetchall())
    assert secret not in kept
    assert secret.encode().hex() not in kept


def test_removing_takes_password_and_code_and_signs_everything_else_out() -> None:
    asha = person()
    here, elsewhere = tokens_of(asha)["access"], tokens_of(asha)["access"]
    secret = call("POST", "/auth/totp", access=here).json()["secret"]
    codes = call("POST", "/auth/totp/confirm", {"code": code_of(secret, steps=-1)}, access=here).json()
    code = code_of(secret)

    def remove(password: str, otp: str) -> tuple[int, str]:
        answer = call("DELETE", "/auth/totp", {"password": password, "otp": otp}, access=here)
        return answer.status_code, answer.json()["code"] if answer.content else ""

    assert remove("not-my-password", code) == (401, "credentials_invalid")
    assert remove(PASSWORD, no_code_of(secret)) == (401, "otp_invalid")
    assert User.objects.get(pk=asha.pk).second_factor
    # A wrong password used no code up.
    assert remove(PASSWORD, code) == (204, "")
    assert call("GET", "/me", access=here).json()["second_factor"] is False
    assert call("GET", "/me", access=elsewhere).status_code == 401
    assert not TotpDevice.objects.filter(user=asha).exists()
    assert refusal_of(
        lambda: second_factor.check(user=asha, code=codes["recovery_codes"][0], now=timezone.now())
    )() == ("otp_invalid")
    refusals = SecurityEvent.objects.filter(subject=asha, kind="factor.removed", result="REFUSED")
    assert set(refusals.values_list("reason", flat=True)) == {"credentials_invalid", "otp_invalid"}


def test_wrong_passwords_of_whoever_holds_a_token_are_counted() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    now = timezone.now()
    for _ in range(10):
        with pytest.raises(Refusal, match="credentials_invalid"):
            totp.remove(user=asha, password="wrong", code="1", keep=None, now=now)
    with pytest.raises(Refusal, match="too_many_tries"):
        totp.remove(user=asha, password=PASSWORD, code=code_of(secret), keep=None, now=now)


def test_secrets_are_sealed_anew_and_the_old_key_may_go() -> None:
    asha = person()
    secret, _ = enrolled(asha)
    old, new = settings.DATA_KEYS[0], secrets.token_bytes(32)
    with override_settings(DATA_KEYS=[new, old]):
        call_command("reseal", stdout=StringIO())
    with override_settings(DATA_KEYS=[new]):
        second_factor.check(user=asha, code=code_of(secret), now=timezone.now())
    with pytest.raises(Unreadable):
        second_factor.check(user=asha, code=code_of(secret, steps=1), now=timezone.now())
    with override_settings(DATA_KEYS=[old, new]):
        call_command("reseal", stdout=StringIO())
