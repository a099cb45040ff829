"""A database that is busy or gone is nobody's bug: the API answers 503 `busy`, a page says to try again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client

from tests.accounts.people import PASSWORD, new_email
from tests.environment import Database

pytestmark = pytest.mark.usefixtures("database")


def caller() -> Client:
    return Client(raise_request_exception=False)


@contextmanager
def exhausted_pool() -> Iterator[None]:
    """Somebody else has every connection of this process."""
    connections["default"].close()
    pool: Any = connections["default"].pool  # type: ignore[attr-defined]
    pool.open()
    patience, taken = pool.timeout, [pool.getconn() for _ in range(pool.max_size)]
    pool.timeout = 0.2
    try:
        yield
    finally:
        pool.timeout = patience
        for connection in taken:
            pool.putconn(connection)


@contextmanager
def lost_database(database: Database) -> Iterator[None]:
    """The application's sessions are ended, and it gets no new one."""
    with psycopg.connect(database.superuser_url, dbname="postgres", autocommit=True) as superuser:
        superuser.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS false')
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [database.name],
        )
        try:
            yield
        finally:
            superuser.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS true')
            # The pool asks ever more rarely; a new one asks at once.
            connections["default"].close()
            connections["default"].close_pool()  # type: ignore[attr-defined]


def try_a_code(client: Client) -> Any:
    given = {"email": new_email(), "code": "000000"}
    return client.post("/api/v1/auth/verify", given, content_type="application/json")


def assert_busy(answer: Any) -> None:
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert answer.json()["code"] == "busy"
    assert answer["Retry-After"] == "1"


def test_a_lock_that_is_not_given_up_is_busy(database: Database) -> None:
    with psycopg.connect(database.superuser_url) as holder:
        holder.execute("LOCK TABLE accounts_addresstries IN EXCLUSIVE MODE")
        assert_busy(try_a_code(caller()))
    assert try_a_code(caller()).status_code == 400


def test_an_exhausted_pool_is_busy() -> None:
    with exhausted_pool():
        assert_busy(try_a_code(caller()))
    assert try_a_code(caller()).status_code == 400


def test_a_database_that_goes_in_the_middle_is_busy(database: Database) -> None:
    assert try_a_code(caller()).status_code == 400  # the connection is open
    with lost_database(database):
        assert_busy(try_a_code(caller()))
    assert try_a_code(caller()).status_code == 400


def test_a_page_says_to_try_again_and_asks_the_database_nothing_more() -> None:
    client = caller()
    # Whose session this is has to be asked.
    client.cookies["session"] = "of-somebody-who-was-signed-in-once"
    with exhausted_pool():
        answer = client.get("/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert "try again in a moment" in answer.content.decode()
    assert client.get("/").status_code == 200


def test_a_page_whose_session_cannot_be_saved_says_so_too(database: Database) -> None:
    """The view has answered by then."""
    with psycopg.connect(database.superuser_url) as holder:
        holder.execute("LOCK TABLE django_session IN EXCLUSIVE MODE")
        body = {"full_name": "Asha Rao", "address": new_email(), "password": PASSWORD, "accepts": "on"}
        answer = caller().post("/register", body)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert "try again in a moment" in answer.content.decode()
