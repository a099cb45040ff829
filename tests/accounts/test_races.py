"""Identity under parallel callers, over real connections: what must happen once happens once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
from django.db import connection, connections
from django.utils import timezone

from accounts.actors import actor_of, system_actor
from accounts.addresses import any_address
from accounts.models import Actor, AddressTries, OutgoingMessage, Session, User
from accounts.verification import MESSAGES_TO_A_CLAIM, MOST_FAILURES_OF_A_CODE, TRIES_OF_AN_ADDRESS, resend, spend_try
from tests.accounts.people import (
    call,
    code_sent_to,
    new_email,
    person,
    register_by_api,
    tokens_of,
    verify_with,
    wrong,
)
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
T = TypeVar("T")
CALLERS = 12


def at_once(*calls: Callable[[], T]) -> tuple[list[T], set[int]]:
    """All calls at the same moment, each over a connection of its own: results, and the backends that served."""
    start = Barrier(len(calls))
    # Given back to the pool, which holds exactly as many as the callers need.
    connections.close_all()

    def run(one: Callable[[], T]) -> tuple[T, int]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                (backend,) = cursor.fetchone()
                start.wait(30)
            return one(), backend
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        done = list(threads.map(run, calls))
    return [result for result, _ in done], {backend for _, backend in done}


def refusal_of(one: Callable[[], object]) -> Callable[[], str]:
    def run() -> str:
        try:
            one()
        except Refusal as refusal:
            return refusal.code
        return "done"

    return run


def test_twelve_refreshes_of_one_token_give_one_pair_and_end_the_session() -> None:
    asha = person()
    pair = tokens_of(asha)

    def spend() -> Any:
        return call("POST", "/auth/token/refresh", {"refresh": pair["refresh"]})

    answers, backends = at_once(*[spend] * CALLERS)
    assert len(backends) == CALLERS
    fresh = [answer.json() for answer in answers if answer.status_code == 200]
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * (CALLERS - 1)
    assert Session.objects.get(user=asha).revoked_at is not None
    assert call("GET", "/me", access=fresh[0]["access"]).status_code == 401
    assert call("POST", "/auth/token/refresh", {"refresh": fresh[0]["refresh"]}).status_code == 401


def test_parallel_guesses_are_judged_no_oftener_than_the_limit() -> None:
    email = new_email()
    register_by_api(email=email)
    guess = wrong(code_sent_to(email))
    answers, _ = at_once(*[refusal_of(lambda: verify_with(email, guess))] * CALLERS)
    assert answers.count("code_invalid") == TRIES_OF_AN_ADDRESS.most
    assert answers.count("too_many_tries") == CALLERS - TRIES_OF_AN_ADDRESS.most


def test_one_code_is_held_against_no_more_guesses_than_its_limit() -> None:
    email, now = new_email(), timezone.now()
    register_by_api(email=email)
    code_sent_to(email)
    attempts, _ = at_once(*[lambda: spend_try(address=any_address(email), now=now)] * TRIES_OF_AN_ADDRESS.most)
    assert sum(1 for attempt in attempts if attempt.codes) == MOST_FAILURES_OF_A_CODE


@pytest.mark.parametrize("_round", range(5))
def test_of_two_who_race_to_verify_one_address_one_wins(_round: int) -> None:
    email = new_email()
    register_by_api(email=email)
    ashas = code_sent_to(email)
    register_by_api(email=email, full_name="Zoya")
    zoyas = code_sent_to(email)
    answers, _ = at_once(
        *[refusal_of(lambda: verify_with(email, ashas)), refusal_of(lambda: verify_with(email, zoyas))] * 2
    )
    assert sorted(answers) == ["code_invalid"] * 3 + ["done"]
    assert User.objects.get(email=email).has_verified_address


def test_one_code_sent_six_times_at_once_verifies_once() -> None:
    email = new_email()
    register_by_api(email=email)
    code = code_sent_to(email)
    answers, _ = at_once(*[refusal_of(lambda: verify_with(email, code))] * 6)
    assert sorted(answers) == ["code_invalid"] * 5 + ["done"]


def test_parallel_resends_stay_within_their_bound() -> None:
    email = new_email()
    register_by_api(email=email)
    at_once(*[lambda: resend(address=any_address(email), now=timezone.now())] * CALLERS)
    # One for the registration, which came from another network.
    assert OutgoingMessage.objects.filter(address=email).count() == 1 + MESSAGES_TO_A_CLAIM.most


@pytest.mark.parametrize("_round", range(5))
def test_registering_while_another_verifies_never_crashes(_round: int) -> None:
    email = new_email()
    register_by_api(email=email)
    code = code_sent_to(email)
    answers, _ = at_once(
        lambda: register_by_api(email=email, full_name="Zoya").status_code,
        lambda: call("POST", "/auth/verify", {"email": email, "code": code}).status_code,
        lambda: call("POST", "/auth/verify/resend", {"email": email}).status_code,
        lambda: register_by_api(email=email, full_name="Ravi").status_code,
    )
    assert answers == [201, 200, 202, 201]
    assert User.objects.filter(email=email, email_verified_at__isnull=False).count() == 1


def test_an_actor_is_made_once() -> None:
    ravi = User.objects.create(full_name="Ravi", email=new_email("ravi"), email_verified_at=timezone.now())
    actors, _ = at_once(*[lambda: actor_of(User.objects.get(pk=ravi.pk)).pk] * CALLERS)
    assert len(set(actors)) == 1
    names, _ = at_once(*[lambda: system_actor("beat").pk] * CALLERS)
    assert len(set(names)) == 1
    assert Actor.objects.filter(name="beat").count() == 1


def test_a_counter_purged_while_it_counts_is_made_again() -> None:
    email = any_address(new_email())

    def purge() -> str:
        AddressTries.objects.filter(address=email.value).delete()
        return "done"

    answers, _ = at_once(*[refusal_of(lambda: spend_try(address=email, now=timezone.now())), purge] * (CALLERS // 2))
    assert answers == ["done"] * CALLERS
