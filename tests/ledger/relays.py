"""Relays, brokers and what lies in a topic, for the tests of the outbox."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from confluent_kafka import Consumer, TopicPartition

from ledger.events import render
from tests.running import CHECKOUT
from wallet_project.kernel.events.envelope import TOPIC, Event, read_event
from wallet_project.kernel.events.producing import PARTITIONS, Publisher
from wallet_project.kernel.events.relaying import Relay
from wallet_project.kernel.models import OutboxEvent

_TICK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 30.0


def until(holds: Callable[[], object], *, seconds: float = _PATIENCE_SECONDS, what: str = "") -> float:
    """Wait until it holds; how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what or holds}"
        time.sleep(_TICK_SECONDS)
    return time.monotonic() - began


def nothing_waits() -> bool:
    return not OutboxEvent.objects.filter(published_at__isnull=True).exists()


@contextmanager
def relaying(servers: str, **options: Any) -> Iterator[Relay]:
    """A relay in a thread of this process, with database and broker as they are; told to stop at the end."""
    relay = Relay(publisher=Publisher(servers, topic=TOPIC, retention_days=1), render=render, **options)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            relay.run()
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join(15)
        assert not thread.is_alive(), "the relay did not stop"
        assert not failed, failed


def relay_process(servers: str, *words: str, **variables: str) -> "subprocess.Popen[bytes]":
    """`manage.py relay_outbox` on this module's database. Its output is the test's."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "relay_outbox", *words],
        cwd=CHECKOUT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": servers, **variables},
    )


@dataclass(slots=True)
class Listener:
    """Reads a whole topic from its beginning, without a group; keeps what concerns some wallets, as it comes."""

    servers: str
    wallets: set[str]
    partitions: int = PARTITIONS
    events: list[Event] = field(default_factory=list)
    _consumer: Consumer | None = None

    def read(self, seconds: float = 0.05) -> Sequence[Event]:
        """All so far."""
        if self._consumer is None:
            self._consumer = Consumer(
                {
                    "bootstrap.servers": self.servers,
                    "group.id": "nobody",
                    "enable.auto.commit": False,
                    "fetch.wait.max.ms": 20,
                    "fetch.error.backoff.ms": 20,
                    "log_level": 0,
                }
            )
            self._consumer.assign([TopicPartition(TOPIC, place, 0) for place in range(self.partitions)])
        for message in self._consumer.consume(1000, seconds):
            value = message.value()
            if not message.error() and value is not None:
                event = read_event(value)
                assert message.key() == event.key
                if event.subject in self.wallets:
                    self.events.append(event)
        return self.events

    def ids(self) -> set[UUID]:
        return {event.id for event in self.read()}

    def firsts(self, wallet: str) -> list[Event]:
        """A wallet's events, each where it came first."""
        seen: dict[UUID, Event] = {}
        for event in self.events:
            if event.subject == wallet:
                seen.setdefault(event.id, event)
        return list(seen.values())

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
