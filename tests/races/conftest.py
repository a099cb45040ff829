"""The four processes, once for each module of races, and two sessions that are none of the application's."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.environment import Database
from tests.ledger.proofs import assert_books_hold
from tests.races.callers import PROCESSES, Callers, callers


@pytest.fixture(scope="module")
def four(database: Database) -> Iterator[Callers]:
    """At the end of the module the books must hold."""
    with callers() as processes:
        assert len(set(processes.backends)) == PROCESSES >= 4, "each process must post through its own session"
        yield processes
    assert_books_hold(database.superuser_url)


@pytest.fixture
def stranger(superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Holds locks until it rolls back."""
    with psycopg.connect(superuser_url) as session:
        yield session
        session.rollback()


@pytest.fixture
def watcher(superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Looks at who waits for whom, each time anew."""
    with psycopg.connect(superuser_url, autocommit=True) as session:
        yield session


def anybody_waits_for(watcher: psycopg.Connection[Any], backend: int) -> bool:
    found = watcher.execute("SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", [backend])
    return found.fetchone() is not None
