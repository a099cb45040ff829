"""The relay against a real broker: at rest, without one, and after one has lost its memory."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from django.utils import timezone

from ledger import waking
from ledger.events import render
from ledger.posting import post
from tests.environment import Database
from tests.ledger.factories import asha, group, member, ravi, transfer
from tests.ledger.relays import Listener, nothing_waits, relaying, until
from wallet_project.kernel.events import producing
from wallet_project.kernel.events import relaying as relaying_module
from wallet_project.kernel.events.envelope import TOPIC, read_event
from wallet_project.kernel.events.outbox import Cursor, Flight, Row
from wallet_project.kernel.events.producing import BrokerAway
from wallet_project.kernel.events.relaying import Relay
from wallet_project.kernel.events.republishing import publish_all_again, republishing
from wallet_project.kernel.models import ConsumedEvent, ConsumerGroup, OutboxEvent
from wallet_project.local.servers import Kafka, running
from wallet_project.local.state import State

pytestmark = pytest.mark.usefixtures("database")

AT_REST = 20


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Kafka:
    """One of this module's own, not started yet: its memory ends with it."""
    home = tmp_path_factory.mktemp("broker")
    kafka = Kafka(home, State(home))
    # Told to end it would wait for its clients.
    kafka.stop_signal = "SIGKILL"
    return kafka


@pytest.fixture
def nothing_else(database: Database) -> Iterator[None]:
    """What other tests left waiting is not this one's, nor its groups theirs."""

    def empty() -> None:
        with psycopg.connect(database.superuser_url, autocommit=True) as server:
            server.execute("TRUNCATE kernel_outboxevent, kernel_consumergroup CASCADE")

    empty()
    yield
    empty()


def registered(name: str = "group") -> ConsumerGroup:
    return ConsumerGroup.objects.create(name=name, registered_at=timezone.now())


def record(consumers: ConsumerGroup, event_ids: set[UUID]) -> None:
    ConsumedEvent.objects.bulk_create(
        [ConsumedEvent(group=consumers, event_id=event_id, recorded_at=timezone.now()) for event_id in event_ids]
    )


def test_at_rest_an_event_is_at_the_broker_within_a_second_of_its_commit(kafka_servers: str) -> None:
    payer, payee = asha(balance="100"), ravi()
    listener = Listener(kafka_servers, {payee.wallet.public_id})
    with relaying(kafka_servers):
        until(nothing_waits)
        listener.read(0.2)
        slowest = 0.0
        for count in range(1, AT_REST + 1):
            post([group(payer, transfer(payer, payee, "1"))])
            slowest = max(slowest, until(lambda count=count: len(listener.read()) == count))
    listener.close()
    assert [event.data["sequence"] for event in listener.events] == list(range(1, AT_REST + 1))
    assert slowest < 1


def test_a_posting_wakes_a_relay_that_would_not_look_for_seconds(
    kafka_servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, payee = asha(balance="100"), ravi()
    monkeypatch.setattr(relaying_module, "SWEEP_SECONDS", 4.0)
    monkeypatch.setattr(relaying_module, "BRISK_SECONDS", 0.0)
    monkeypatch.setattr(waking, "QUIET_SECONDS", 0.0)
    with relaying(kafka_servers):
        until(nothing_waits)
        for _ in range(3):
            post([group(payer, transfer(payer, payee, "1"))])
            assert until(nothing_waits) < 3


def test_what_nobody_told_the_relay_it_finds_by_itself(kafka_servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    payer, payee = asha(balance="100"), ravi()
    monkeypatch.setattr(waking, "QUIET_SECONDS", 3600.0)
    with relaying(kafka_servers):
        until(nothing_waits)
        post([group(payer, transfer(payer, payee, "1"))])
        assert until(nothing_waits) < 5


def test_a_wake_up_that_fails_fails_no_posting(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    payer, payee = asha(balance="100"), ravi()
    monkeypatch.setattr(waking, "CHANNEL", "no such; channel")
    monkeypatch.setattr(waking, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(waking, "_failed_at", -waking.QUIET_AFTER_FAILURE_SECONDS)
    (outcome,) = post([group(payer, transfer(payer, payee, "1"))])
    assert (outcome.kind, payee.balance) == ("posted", 1)
    (outcome,) = post([group(payer, transfer(payer, payee, "1"))])
    assert (outcome.kind, payee.balance) == ("posted", 2)


def test_a_wake_up_that_is_waited_for_in_vain_holds_up_one_posting_and_not_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[bytes] = []

    class Stuck:
        def execute(self, statement: bytes) -> None:
            tried.append(statement)
            raise psycopg.errors.LockNotAvailable

    monkeypatch.setattr(waking, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(waking, "_failed_at", -waking.QUIET_AFTER_FAILURE_SECONDS)
    for _ in range(5):
        waking.wake_relay(cast(Any, Stuck()))
    assert tried == [b"NOTIFY outbox"]
    monkeypatch.setattr(waking, "QUIET_AFTER_FAILURE_SECONDS", 0.0)
    waking.wake_relay(cast(Any, Stuck()))
    assert len(tried) == 2


@pytest.mark.usefixtures("nothing_else")
def test_without_a_broker_events_wait_and_are_all_told_when_it_is_there(
    broker: Kafka, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ensure_topics = producing.ensure_topics
    monkeypatch.setattr(producing, "ensure_topics", lambda *a, **k: (asked.append("again"), ensure_topics(*a, **k)))
    payer, payee = asha(balance="100"), ravi()
    with relaying(broker.bootstrap_servers):
        for _ in range(5):
            post([group(payer, transfer(payer, payee, "1"))])
        until(lambda: len(asked) > 2)
        assert caplog.text.count("events.wait") == 1
        assert OutboxEvent.objects.filter(published_at__isnull=True).count() == 11
        with running(broker):
            until(nothing_waits)
            listener = Listener(broker.bootstrap_servers, {payer.wallet.public_id, payee.wallet.public_id})
            until(lambda: len(listener.read()) == 11)
            listener.close()


@pytest.mark.usefixtures("nothing_else")
def test_a_broker_that_lost_its_memory_is_told_again_what_a_group_has_not_recorded(broker: Kafka) -> None:
    consumers = registered()
    payer, payee = asha(balance="100"), ravi()
    mine = {payer.wallet.public_id, payee.wallet.public_id}
    with relaying(broker.bootstrap_servers, chores=[republishing(0.5)]):
        with running(broker):
            for _ in range(5):
                post([group(payer, transfer(payer, payee, "1"))])
            until(nothing_waits)
            listener = Listener(broker.bootstrap_servers, mine)
            until(lambda: len(listener.ids()) == 11)
            listener.close()
            recorded = {event.id for event in listener.events[:4]}
            record(consumers, recorded)
        with running(broker):
            post([group(payer, transfer(payer, payee, "1"))])
            later = Listener(broker.bootstrap_servers, mine)
            until(lambda: len(later.ids() - recorded) == 9)
            assert not later.ids() & recorded
            record(consumers, later.ids())
            until(lambda: not OutboxEvent.objects.filter(settled_at__isnull=True).exists())
            later.close()


@pytest.mark.usefixtures("nothing_else")
def test_a_broker_that_was_killed_in_the_midst_is_told_all_at_once_and_in_order(broker: Kafka) -> None:
    registered()
    people = [member(balance="100") for _ in range(4)]
    both = [group(one, transfer(one, people[place - 1], "1")) for place, one in enumerate(people)] * 25
    with relaying(broker.bootstrap_servers, after_amnesia=publish_all_again):
        with running(broker):
            until(nothing_waits)
            published = OutboxEvent.objects.filter(published_at__isnull=False)
            before = published.count()
            post(both)
            post(both)
            until(lambda: published.count() > before)
        with running(broker):
            post(both)
            until(nothing_waits)
            listener = Listener(broker.bootstrap_servers, {person.wallet.public_id for person in people})
            until(lambda: len(listener.ids()) == OutboxEvent.objects.count())
            listener.close()
    for person in people:
        sequences = [event.data["sequence"] for event in listener.firsts(person.wallet.public_id)]
        assert sequences == list(range(1, 1 + 1 + 3 * 50))


@pytest.mark.usefixtures("nothing_else")
def test_a_broker_that_forgot_its_topic_and_was_never_missed_is_told_again(
    broker: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart within a tenth of a second; and what it has no topic for it would acknowledge all the same."""
    monkeypatch.setattr("wallet_project.kernel.events.producing.LOOK_SECONDS", 0.2)
    registered()
    payer, payee = asha(balance="100"), ravi()
    with running(broker), relaying(broker.bootstrap_servers, after_amnesia=publish_all_again):
        post([group(payer, transfer(payer, payee, "1"))])
        until(nothing_waits)
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        admin.delete_topics([TOPIC])[TOPIC].result(10)
        until(lambda: TOPIC in admin.list_topics(timeout=10).topics)
        listener = Listener(broker.bootstrap_servers, {payer.wallet.public_id, payee.wallet.public_id})
        until(lambda: len(listener.ids()) == 3)
        listener.close()


@pytest.mark.usefixtures("nothing_else")
def test_a_relay_that_lost_its_connection_has_lost_its_lanes_and_takes_them_anew(
    database: Database, kafka_servers: str
) -> None:
    payer, payee = asha(balance="100"), ravi()
    with relaying(kafka_servers):
        until(nothing_waits)
        with psycopg.connect(database.superuser_url) as server:
            ended = server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'wallet relay' AND datname = current_database()"
            ).fetchall()
        assert ended == [(True,)]
        post([group(payer, transfer(payer, payee, "1"))])
        until(nothing_waits)


class Scripted:
    """A publisher that delivers what it is told to, and notes what it was sent."""

    def __init__(self, deliveries: Sequence[int]) -> None:
        """:param deliveries: after so many each, the broker is gone."""
        self.deliveries = list(deliveries)
        self.sent: list[list[UUID]] = []
        self.tokens: list[int] = []
        self.is_open = False

    def open(self) -> bool:
        if not self.is_open:
            self.is_open, self.tokens = True, []
            self.sent.append([])
        return False

    def send(self, token: int, *, value: bytes, **_: Any) -> None:
        self.sent[-1].append(read_event(value).id)
        self.tokens.append(token)

    def collect(self, _wait: float) -> list[int]:
        if not self.tokens:
            return []
        if not self.deliveries:
            delivered, self.tokens = self.tokens, []
            return delivered
        if self.deliveries[0]:
            delivered = self.tokens[: self.deliveries[0]]
            self.tokens, self.deliveries[0] = self.tokens[self.deliveries[0] :], 0
            return delivered
        self.deliveries.pop(0)
        self.is_open, self.tokens = False, []
        raise BrokerAway("as told")

    def abandon(self) -> None:
        self.is_open = False


@contextmanager
def in_a_thread(relay: Relay) -> Iterator[None]:
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    yield
    relay.stop()
    thread.join(15)
    assert not thread.is_alive()


@pytest.mark.usefixtures("nothing_else")
def test_a_delivery_that_fails_holds_back_all_that_comes_after_it() -> None:
    payer = asha(balance="100")
    payee = ravi()
    for _ in range(4):
        post([group(payer, transfer(payer, payee, "1"))])
    OutboxEvent.objects.filter(wallet_id=payee.wallet.pk).delete()
    ids = list(OutboxEvent.objects.order_by("number").values_list("event_id", flat=True))
    publisher = Scripted([2, 1])
    with in_a_thread(Relay(publisher=publisher, render=render)):  # type: ignore[arg-type]
        until(nothing_waits)
    assert publisher.sent == [ids, ids[2:], ids[3:]]
    assert set(OutboxEvent.objects.values_list("publications", flat=True)) == {1}


def test_of_a_wallet_nothing_counts_as_delivered_before_which_something_is_not() -> None:
    flight = Flight()
    row = Row(1, 1, UUID(int=1), 1, 17, "SUCCESS", 1, timezone.now())
    first, second, third = (flight.launch(row._replace(number=number)) for number in (1, 2, 3))
    beside = flight.launch(row._replace(number=4, wallet_id=33))
    for token in (first, third, beside):
        flight.land(token)
    assert (flight.busy, flight.take_whole_lanes()) == ({1}, [])
    assert [landed.number for landed in flight.take_landed()] == [1, 4]
    flight.land(second)
    assert [landed.number for landed in flight.take_whole_lanes()] == [2]
    assert flight.busy == set()


@pytest.mark.usefixtures("nothing_else")
def test_a_lane_that_cannot_be_rendered_holds_no_other_back(kafka_servers: str) -> None:
    people = [member(balance="1") for _ in range(3)]
    assert len({person.wallet.pk % 16 for person in people}) == 3
    broken = people[1].wallet.pk

    def falling(cursor: Cursor, rows: Sequence[Row]) -> Any:
        if any(row.wallet_id == broken for row in rows):
            raise LookupError("no such thing")
        return render(cursor, rows)

    publisher = Scripted([])
    with in_a_thread(Relay(publisher=publisher, render=falling)):  # type: ignore[arg-type]
        until(lambda: OutboxEvent.objects.filter(published_at__isnull=True).count() == 1)
    assert OutboxEvent.objects.get(published_at__isnull=True).wallet_id == broken


def test_a_relay_says_that_it_is_alive_whatever_it_waits_for(broker: Kafka, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    with relaying(broker.bootstrap_servers, alive_file=alive):
        until(alive.exists)
