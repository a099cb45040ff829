"""With the database or the broker away nothing is anybody's fault: members wait, and go on by themselves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import django.db
import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from django.db import connections
from psycopg_pool import PoolTimeout

from tests.environment import Database
from tests.payments.consuming import Stream, event, new_subject, take_effect, until
from wallet_project.kernel.events.consuming import Member, Patience
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.recording import is_database_away
from wallet_project.local.servers import Kafka, running
from wallet_project.local.state import State

pytestmark = pytest.mark.usefixtures("database")


@contextmanager
def lost_database(database: Database) -> Iterator[None]:
    """All sessions are ended, and nobody gets a new one."""
    with psycopg.connect(database.superuser_url, dbname="postgres", autocommit=True) as superuser:
        superuser.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS false')
        superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.name])
        try:
            yield
        finally:
            superuser.execute(f'ALTER DATABASE "{database.name}" ALLOW_CONNECTIONS true')


def test_a_database_that_is_away_buries_nothing_and_is_waited_for(
    kafka_servers: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**connections.settings["default"]["OPTIONS"]["pool"], "timeout": 0.2}
    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "pool", options)
    connections["default"].close()
    connections["default"].close_pool()  # type: ignore[attr-defined]
    stream = Stream(servers=kafka_servers, superuser_url=database.superuser_url).create()
    before, after = event(new_subject()), [event(new_subject()) for _ in range(3)]
    alive = tmp_path / "alive"
    # One message alone would be buried at once.
    impatient = Patience(tries=1, first_seconds=0.01, longest_seconds=0.02)
    with stream.member(patience=impatient, alive_file=alive):
        stream.publish(before)
        stream.wait_for(before)
        with lost_database(database):
            stream.publish(*after)
            alive.unlink()
            # It goes on turning, and says so.
            until(alive.exists, bool)
        stream.wait_for(*after)

    assert stream.effects([before, *after]) == {each.id: 1 for each in (before, *after)}
    assert stream.dead() == []


def test_a_member_that_starts_without_a_database_waits_for_it_and_can_be_stopped(
    kafka_servers: str, database: Database, tmp_path: Path
) -> None:
    stream = Stream(servers=kafka_servers, superuser_url=database.superuser_url)
    alive = tmp_path / "alive"
    with lost_database(database), stream.member(alive_file=alive) as stop:
        until(alive.exists, bool)
        stop.set()


def test_a_broker_that_comes_back_without_its_memory_is_read_from_its_new_beginning(
    database: Database, tmp_path: Path
) -> None:
    broker = Kafka(tmp_path, State(tmp_path))
    stream = Stream(servers=broker.bootstrap_servers, superuser_url=database.superuser_url)
    subject = new_subject()
    first = [event(subject, number) for number in range(1, 31)]
    second = [event(subject, number) for number in range(31, 41)]
    taken: list[Event] = []

    def take(events: Sequence[Event]) -> None:
        take_effect(events)
        taken.extend(events)

    # It is started before its broker is, and outlives it.
    with stream.member(take):
        with running(broker):
            stream.create()
            stream.publish(*first)
            stream.wait_for(*first)
        with running(broker):
            stream.create_topic()
            # Published again, as the sweep does: the log is shorter than what was read of the old one.
            stream.forget_producer()
            stream.publish(*first[-5:], *second)
            stream.wait_for(*second)

    assert stream.effects([*first, *second]) == {each.id: 1 for each in (*first, *second)}
    assert stream.sequences(subject) == list(range(1, 41))


def test_a_member_that_is_given_nothing_joins_once_more(
    kafka_servers: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it happened once in thirty restarts of a broker: the group was formed while the topic was being made."""
    given: list[int] = []

    def assigned(self: Member, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        given.append(len(partitions))
        if len(given) == 1:
            consumer.assign([])
        else:
            whole(self, consumer, partitions)

    whole = Member._assigned
    monkeypatch.setattr(Member, "_assigned", assigned)
    monkeypatch.setattr("wallet_project.kernel.events.consuming.EMPTY_SECONDS", 6.0)
    stream = Stream(servers=kafka_servers, superuser_url=database.superuser_url).create()
    told = event(new_subject())
    with stream.member():
        stream.publish(told)
        stream.wait_for(told)

    assert len(given) >= 2
    assert stream.effects([told]) == {told.id: 1}


@pytest.mark.parametrize(
    ("driver", "is_away"),
    [
        (psycopg.OperationalError("connection lost"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (PoolTimeout("couldn't get a connection"), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.TooManyConnections(), True),
        (psycopg.errors.DiskFull(), True),
        (psycopg.errors.LockNotAvailable(), True),
        (psycopg.errors.DeadlockDetected(), True),
        (psycopg.errors.ReadOnlySqlTransaction(), True),
        # The same statement would end the same way again.
        (psycopg.errors.QueryCanceled(), False),
        (psycopg.errors.ProgramLimitExceeded(), False),
        (psycopg.errors.UniqueViolation(), False),
        (psycopg.errors.UndefinedTable(), False),
        (psycopg.errors.NumericValueOutOfRange(), False),
    ],
)
def test_what_is_the_databases_fault_and_what_is_the_events(driver: psycopg.Error, is_away: bool) -> None:
    wrapped = django.db.OperationalError("as Django says it")
    wrapped.__cause__ = driver

    assert is_database_away(driver) is is_away
    assert is_database_away(wrapped) is is_away
    assert not is_database_away(LookupError("of the handler's own"))
    assert is_database_away(django.db.InterfaceError("connection already closed"))
