"""
Consumer groups of the tests' own: their effects are rows without any unique key, so that a second effect shows.

A test has a topic and a group of its own, on whatever broker there is. Members run in a thread of this process or, run
as a program (`python -m tests.payments.consuming SERVERS TOPIC GROUP [slow|die]`), in one of their own.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.ids import new_uuid, public_id

if TYPE_CHECKING:
    from wallet_project.kernel.models import DeadLetter

PARTITIONS: Final = 4
# The embedded broker gives a new member its partitions after three seconds, and after a rebalance some more.
LONGEST_SECONDS: Final = 40.0
TYPE: Final = "wallet.transaction.succeeded.v1"
T = TypeVar("T")


def until(read: Callable[[], T], is_so: Callable[[T], bool]) -> T:
    """Ask again and again until the answer is so."""
    began = time.monotonic()
    while not is_so(answer := read()):
        assert time.monotonic() - began < LONGEST_SECONDS, f"after {LONGEST_SECONDS} s it is still {answer}"
        time.sleep(0.05)
    return answer


@dataclass
class Stream:
    """A topic and a group of one test's own, and what came of its events."""

    servers: str
    superuser_url: str
    topic: str = field(default_factory=lambda: f"tests.{new_uuid().hex}")
    group: str = field(default_factory=lambda: f"t{new_uuid().hex}")
    _producer: Producer | None = None

    def create(self) -> "Stream":
        self.create_topic()
        self.create_table()
        return self

    def create_table(self) -> None:
        with psycopg.connect(self.superuser_url) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS effect"
                " (event_id uuid, subject text, sequence bigint, actor text, at serial)"
            )
            connection.execute("GRANT ALL ON effect, effect_at_seq TO PUBLIC")

    def create_topic(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])[self.topic].result(20)

    def publish(self, *messages: Event | bytes, partition: int | None = None) -> None:
        """An event goes by its key, unless a partition is named; bytes go to the first one."""
        if self._producer is None:
            self._producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True, "log_level": 0})
        producer = self._producer
        for message in messages:
            if isinstance(message, Event):
                where = {} if partition is None else {"partition": partition}
                producer.produce(self.topic, key=message.key, value=message.as_bytes(), **where)
            else:
                producer.produce(self.topic, value=message, partition=partition or 0)
        assert producer.flush(20) == 0

    def forget_producer(self) -> None:
        """After its broker has lost its memory."""
        self._producer = None

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def effects(self, events: Sequence[Event]) -> Counter[UUID]:
        """How often each of these events had its effect."""
        rows = self.rows("SELECT event_id FROM effect WHERE event_id = ANY(%s)", [event.id for event in events])
        return Counter(event_id for (event_id,) in rows)

    def sequences(self, subject: str) -> list[int]:
        rows = self.rows("SELECT sequence FROM effect WHERE subject = %s ORDER BY at", subject)
        return [sequence for (sequence,) in rows]

    def actors(self, events: Sequence[Event]) -> set[str]:
        rows = self.rows("SELECT DISTINCT actor FROM effect WHERE event_id = ANY(%s)", [event.id for event in events])
        return {actor for (actor,) in rows}

    def dead(self) -> "list[DeadLetter]":
        from wallet_project.kernel.models import DeadLetter

        return list(DeadLetter.objects.filter(group__name=self.group).order_by("pk"))

    def committed(self) -> int:
        """The sum of the group's offsets at the broker: how many messages it has done with."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": f"wallet.{self.group}", "log_level": 0})
        try:
            places = consumer.committed([TopicPartition(self.topic, each) for each in range(PARTITIONS)], timeout=10)
        finally:
            consumer.close()
        return sum(max(place.offset, 0) for place in places)

    def read_dead_topic(self, count: int) -> list[Message]:
        """The first so many messages of the group's dead-letter topic."""
        topic = f"wallet.events.dead.{self.group}"
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": topic, "log_level": 0})
        # Not as a member of that group, which would first have to be let in.
        partitions = consumer.list_topics(timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        try:
            found: list[Message] = []

            def more() -> list[Message]:
                found.extend(message for message in consumer.consume(count, 0.5) if message.error() is None)
                return found

            return until(more, lambda messages: len(messages) >= count)
        finally:
            consumer.close()

    def wait_for(self, *events: Event) -> None:
        """Until each of them had its effect."""
        until(lambda: len(self.effects(events)), lambda count: count == len(events))

    @contextmanager
    def member(
        self, handler: "Callable[[Sequence[Event]], None] | None" = None, **options: Any
    ) -> Iterator[threading.Event]:
        """A member in a thread. Setting what is yielded stops it; it has left when the block ends."""
        stop, errors = threading.Event(), []

        def run() -> None:
            try:
                member_of(self, handler or take_effect, **options).run(stop)
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield stop
        finally:
            stop.set()
            thread.join(LONGEST_SECONDS)
        assert not thread.is_alive()
        assert errors == []

    @contextmanager
    def process(self, *arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
        """A member in a process of its own, killed when the block ends."""
        command = [sys.executable, "-m", "tests.payments.consuming", self.servers, self.topic, self.group, *arguments]
        process = subprocess.Popen(command, env=os.environ.copy(), stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)


def member_of(stream: Stream, handler: Any, **options: Any) -> Any:
    from wallet_project.kernel.events.consuming import Member, Patience

    quick = Patience(tries=3, first_seconds=0.05, longest_seconds=0.2)
    return Member(
        group=stream.group,
        handler=handler,
        servers=stream.servers,
        topic=stream.topic,
        **{"patience": quick, **options},
    )


def event(subject: str, sequence: int = 1, *, type: str = TYPE, time: datetime | None = None, **data: Any) -> Event:
    from django.utils import timezone

    return Event(
        id=new_uuid(), type=type, subject=subject, time=time or timezone.now(), data={"sequence": sequence, **data}
    )


def new_subject() -> str:
    return public_id("wal", new_uuid())


class Poison(Exception):
    """What a handler says of an event that it cannot take."""


# Events that are taken after all, by members in this process.
cured: set[UUID] = set()


def take_effect(events: Sequence[Event]) -> None:
    """One row for each event; a poisonous one is refused after its row was written."""
    from django.db import connection

    actor = f"{os.getpid()}/{threading.current_thread().name}"
    with connection.cursor() as cursor:
        for each in events:
            cursor.execute(
                "INSERT INTO effect (event_id, subject, sequence, actor) VALUES (%s, %s, %s, %s)",
                [each.id, each.subject, each.data["sequence"], actor],
            )
            if each.data.get("poison") and each.id not in cured:
                _refuse(each.data["poison"])


def _refuse(poison: str) -> None:
    from django.db import connection

    if poison == "too slow":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 20")
            cursor.execute("SELECT pg_sleep(5)")
    raise Poison(f"No thanks, says {poison}.\nNot for the eyes of others")


def headers_of(message: Message) -> Mapping[str, str]:
    return {name: value.decode() for name, value in message.headers() or []}


def main(servers: str, topic: str, group: str, manner: str = "") -> None:
    """As a program: one that is `slow`, or one that is to `die` between its commit and the broker's."""
    import django

    django.setup()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def take(events: Sequence[Event]) -> None:
        take_effect(events)
        if manner == "slow":
            # So a signal comes in the midst of a batch.
            stop.wait(1.0)

    member = member_of(Stream(servers=servers, superuser_url="", topic=topic, group=group), take)
    if manner == "die":
        # Its effect is committed, and the broker has not heard of it.
        member._finish = lambda _batch: os.kill(os.getpid(), signal.SIGKILL)
    member.run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
