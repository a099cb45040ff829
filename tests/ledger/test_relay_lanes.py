"""Lanes: shared fairly, one owner each, handed over in order and freed by death."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.environment import Database
from wallet_project.kernel.events import lanes as lanes_module
from wallet_project.kernel.events.lanes import LANES, Lanes, Session, open_session

pytestmark = pytest.mark.usefixtures("database")

ALL = set(range(LANES))


@contextmanager
def relays(count: int) -> Iterator[list[tuple[Session, Lanes]]]:
    sessions = [open_session() for _ in range(count)]
    try:
        yield [(session, Lanes(session)) for session in sessions]
    finally:
        for session in sessions:
            session.close()


def shares(*relays: Lanes) -> list[int]:
    owned = [set(relay.owned) for relay in relays]
    assert sum(map(len, owned)) == len(set().union(*owned)), "a lane has two owners"
    return sorted(map(len, owned))


def test_alone_a_relay_owns_every_lane_and_three_share_them() -> None:
    with relays(1) as ((_, first),):
        first.balance(set())
        assert first.owned == ALL
        with relays(2) as ((_, second), (_, third)):
            second.balance(set())
            assert second.owned == set()
            for relay in (first, second, third):
                relay.balance(set())
            assert shares(first, second, third) == [5, 5, 6]
            assert first.owned | second.owned | third.owned == ALL


def test_a_lane_with_something_in_flight_is_handed_over_only_once_that_has_arrived() -> None:
    with relays(1) as ((_, first),):
        first.balance(set())
        with relays(1) as ((_, second),):
            first.balance(ALL)
            # Nothing more is sent in those that are left, and nobody else has them yet.
            assert len(first.owned) == 8
            leaving = ALL - first.owned
            second.balance(set())
            assert second.owned == set()
            (still_busy, *_) = leaving
            first.release({still_busy})
            second.balance(set())
            assert second.owned == leaving - {still_busy}
            first.release(set())
            second.balance(set())
            assert second.owned == leaving


def test_what_dies_or_loses_its_connection_has_no_lanes_and_can_read_nothing(database: Database) -> None:
    with relays(2) as ((lost, first), (_, second)):
        first.balance(set())
        second.balance(set())
        assert shares(first, second) == [8, 8]
        with psycopg.connect(database.superuser_url) as server:
            server.execute("SELECT pg_terminate_backend(%s, 5000)", [lost.info.backend_pid])
        second.balance(set())
        assert second.owned == ALL
        with pytest.raises(psycopg.OperationalError):
            lost.execute("SELECT count(*) FROM kernel_outboxevent")


def test_a_relay_that_hangs_is_thrown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lanes_module._OPTIONS, "idle_session_timeout", "300ms")
    with relays(1) as ((_, hanging),):
        hanging.balance(set())
        assert hanging.owned == ALL
        monkeypatch.setitem(lanes_module._OPTIONS, "idle_session_timeout", "15s")
        with relays(1) as ((session, waiting),):
            session.execute("SELECT pg_sleep(0.6)")
            waiting.balance(set())
            assert waiting.owned == ALL


def test_only_one_relay_sweeps_and_another_does_once_that_is_gone() -> None:
    with relays(1) as ((_, second),):
        with relays(1) as ((_, first),):
            assert (first.may_sweep(), second.may_sweep(), first.may_sweep()) == (True, False, True)
        session = second._session
        # PostgreSQL frees the lock as soon as it sees that the connection is gone.
        for _ in range(100):
            if second.may_sweep():
                break
            session.execute("SELECT pg_sleep(0.02)")
        assert second.may_sweep()


def test_more_relays_than_lanes_stand_by() -> None:
    with relays(LANES + 1) as many:
        for _, relay in many:
            relay.balance(set())
        assert shares(*(relay for _, relay in many)) == [0] + [1] * LANES
