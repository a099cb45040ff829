"""
A member of a consumer group: fetches events, has them taken in, and only then commits its offsets.

All of it happens in one thread. A message waits in its partition's queue until it has been taken in or buried, and a
partition with something waiting is paused, so a queue stays short and the broker sees a member that lives.

- The database is away: no message's fault. Everything waits, for ever, and is tried again now and then.
- A batch fails: its messages are tried each by itself, and the first that fails in a partition holds that one alone
  back. It is tried a few times, at growing distances; then it becomes a dead letter and its successors go on.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from django.db import connection, transaction
from django.utils import timezone

from wallet_project.kernel.events import progress
from wallet_project.kernel.events.dead_letters import Place, Teller, bury
from wallet_project.kernel.events.envelope import TOPIC
from wallet_project.kernel.events.received import Received
from wallet_project.kernel.events.recording import Handler, NotGenuine, is_database_away, register, take_in

log = structlog.get_logger("wallet.events.consumer")

MOST_AT_ONCE: Final = 200
# After a first message, so long for others to join its batch; and how long to wait for a first one.
GATHER_SECONDS: Final = 0.02
IDLE_SECONDS: Final = 0.25
PROGRESS_SECONDS: Final = 5.0
ALIVE_SECONDS: Final = 5.0
_COMMITTED_SECONDS: Final = 1.0
# Whoever joined in the very moment in which a broker that had lost its memory made the topic anew may be given nothing,
# and is asked no more: so it joins once more, ever more rarely, for a group of many has members that only stand by.
EMPTY_SECONDS: Final = 10.0
_MOST_DOUBLINGS: Final = 5
# What fails slowly, one after the other, is left off after so long: a member that does not poll for five minutes
# (`max.poll.interval.ms`) counts as dead, its partitions go to the next, and nothing would ever be tried often enough.
MOST_SECONDS_A_TURN: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often one message is tried by itself, and how long between: doubled each time, give or take a half."""

    tries: int = 5
    first_seconds: float = 1.0
    longest_seconds: float = 10.0

    def pause(self, failures: int) -> float:
        seconds = min(self.first_seconds * 2.0 ** (min(failures, 32) - 1), self.longest_seconds)
        return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter


@dataclass(slots=True)
class _Queue:
    """What of one partition was fetched and is not done with. `tries` is of its first message, by itself."""

    waiting: deque[Received] = field(default_factory=deque)
    tries: int = 0
    again_at: float = 0.0
    is_paused: bool = False
    done: int | None = None


class Member:
    """
    One member of the group `wallet.<group>`.

    :param handler: see `recording.Handler`.
    :param patience: of one message by itself; the database is waited for at the same distances, without end.
    :param alive_file: touched every few seconds while the member goes on, whoever it waits for.
    """

    def __init__(
        self,
        *,
        group: str,
        handler: Handler,
        servers: str,
        patience: Patience | None = None,
        topic: str = TOPIC,
        alive_file: Path | None = None,
    ) -> None:
        self._group = group
        self._handler = handler
        self._servers = servers
        self._patience = patience or Patience()
        self._topic = topic
        self._alive_file = alive_file
        self._alive_until = 0.0
        self._queues: dict[int, _Queue] = {}
        self._group_id = 0
        self._away = 0
        self._away_until = 0.0
        self._say_at = 0.0
        self._joins = 0
        self._join_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then the batch in hand is finished, and the group left."""
        while not self._register():
            if stop.wait(max(0.0, self._away_until - time.monotonic())):
                return
        self._teller = Teller(group_id=self._group_id, group=self._group, servers=self._servers)
        self._consumer = Consumer(self._configuration())
        self._join()
        log.info("consumer.started", group=self._group)
        try:
            while not stop.is_set():
                self._live()
                self._fetch()
                self._work(stop)
                self._steer()
                self._join_again()
                self._report()
        finally:
            # What was committed is sent before the group is left.
            self._consumer.close()
            self._teller.close()
            log.info("consumer.stopped", group=self._group)

    def _configuration(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._servers,
            "group.id": f"wallet.{self._group}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            # Eager: the embedded broker loses partitions on the way between members that cooperate.
            "partition.assignment.strategy": "range",
            # A member that was killed is missed after so long, the least that Kafka allows; a living one says that it
            # lives from a thread of its own. The embedded broker also waits half of it before it gives out partitions.
            "session.timeout.ms": 6_000,
            "heartbeat.interval.ms": 1_500,
            # So a topic that comes into being later is found, and so are its new partitions.
            "topic.metadata.refresh.interval.ms": 5_000,
            # The embedded broker looks for news only twice in that time.
            "fetch.wait.max.ms": 100,
            "reconnect.backoff.max.ms": 2_000,
            "queued.max.messages.kbytes": 8_192,
            "log_level": 0,
            "error_cb": self._broker_error,
        }

    def _broker_error(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            log.warning("consumer.broker_away", group=self._group)

    def _join(self) -> None:
        self._consumer.subscribe(
            [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        self._join_at = time.monotonic() + EMPTY_SECONDS * 2 ** min(self._joins, _MOST_DOUBLINGS)

    def _join_again(self) -> None:
        """Where nothing was given for so long; see EMPTY_SECONDS."""
        if self._queues:
            self._joins, self._join_at = 0, time.monotonic() + EMPTY_SECONDS
        elif time.monotonic() > self._join_at:
            self._joins += 1
            log.info("consumer.joins_again", group=self._group)
            self._consumer.unsubscribe()
            self._join()

    def _live(self) -> None:
        if self._alive_file is not None and time.monotonic() > self._alive_until:
            self._alive_file.touch()
            self._alive_until = time.monotonic() + ALIVE_SECONDS

    def _register(self) -> bool:
        self._live()
        try:
            self._group_id = register(group=self._group, now=timezone.now())
        except Exception as error:
            if not is_database_away(error):
                raise
            self._wait_for_database(error)
            return False
        finally:
            connection.close()
        return True

    # What librdkafka calls from within a poll, in this thread and between batches.

    def _assigned(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for each in partitions:
            self._queues[each.partition] = _Queue()
        log.info("consumer.assigned", group=self._group, partitions=sorted(self._queues))

    def _revoked(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        """What waits is left to whoever gets the partition next; what is done was committed when it was."""
        for each in partitions:
            self._queues.pop(each.partition, None)
        log.info("consumer.revoked", group=self._group, partitions=sorted(each.partition for each in partitions))

    # A turn of the loop.

    def _fetch(self) -> None:
        first = self._consumer.poll(self._idle_seconds())
        if first is None:
            return
        for message in (first, *self._consumer.consume(MOST_AT_ONCE - 1, GATHER_SECONDS)):
            self._queue(message)

    def _idle_seconds(self) -> float:
        """How long there is nothing to do but wait for messages."""
        now = time.monotonic()
        due = [queue.again_at for queue in self._queues.values() if queue.waiting]
        soonest = max(min(due, default=now + IDLE_SECONDS), self._away_until)
        return min(max(soonest - now, 0.0), IDLE_SECONDS)

    def _queue(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            log.warning("consumer.fetch_failed", group=self._group, reason=error.name())
            return
        received = Received.of(message)
        queue = self._queues.get(received.partition)
        # None: fetched just before the partition was taken away.
        if queue is not None:
            queue.waiting.append(received)

    def _work(self, stop: threading.Event) -> None:
        if time.monotonic() < self._away_until:
            return
        ready = [one for queue in self._queues.values() if not queue.tries for one in queue.waiting][:MOST_AT_ONCE]
        until = time.monotonic() + MOST_SECONDS_A_TURN
        if ready and not self._take_in_together(ready):
            self._take_in_singly(ready, stop, until)
        for partition, queue in sorted(self._queues.items(), key=lambda each: each[1].again_at):
            now = time.monotonic()
            if queue.tries and queue.again_at <= now < until and not stop.is_set():
                self._take_in_alone(partition, queue)

    def _take_in_together(self, batch: Sequence[Received]) -> bool:
        """False where it has to be tried one by one."""
        try:
            self._take_in(batch)
        except Exception as error:
            if is_database_away(error):
                self._wait_for_database(error)
                return True
            log.warning("consumer.batch_failed", group=self._group, size=len(batch), reason=type(error).__name__)
            return False
        return True

    def _take_in_singly(self, batch: Sequence[Received], stop: threading.Event, until: float) -> None:
        for one in batch:
            queue = self._queues[one.partition]
            if stop.is_set() or not self._away_until <= time.monotonic() < until:
                return
            if not queue.tries:
                self._take_in_alone(one.partition, queue)

    def _take_in_alone(self, partition: int, queue: _Queue) -> None:
        """The first message of a partition by itself, for the first time or again."""
        one = queue.waiting[0]
        try:
            self._take_in([one])
        except Exception as error:
            if is_database_away(error):
                self._wait_for_database(error)
                return
            queue.tries += 1
            queue.again_at = time.monotonic() + self._patience.pause(queue.tries)
            log.warning(
                "consumer.event_failed",
                group=self._group,
                event_id=str(one.event_id),
                partition=partition,
                tries=queue.tries,
                exc_info=error,
            )
            if queue.tries >= self._patience.tries or isinstance(error, NotGenuine):
                self._bury(one, error, queue.tries)

    def _take_in(self, batch: Sequence[Received]) -> None:
        """In one transaction. Bytes that are no event never will be one, so they are buried at once."""
        now = timezone.now()
        try:
            with transaction.atomic():
                events = [one.event for one in batch if one.event is not None]
                take_in(group_id=self._group_id, handler=self._handler, events=events, now=now)
                for one in batch:
                    if one.not_an_event is not None:
                        self._lay_down(one, one.not_an_event, 1)
        finally:
            # Back to the pool, which throws a broken one away.
            connection.close()
        self._finish(batch)

    def _bury(self, one: Received, error: Exception, tries: int) -> None:
        try:
            with transaction.atomic():
                self._lay_down(one, error, tries)
        except Exception as failure:
            # The message waits, and so will its dead letter.
            if not is_database_away(failure):
                raise
            self._wait_for_database(failure)
            return
        finally:
            connection.close()
        self._finish([one])

    def _lay_down(self, one: Received, error: Exception, tries: int) -> None:
        place = Place(partition=one.partition, offset=one.offset, value=one.value)
        name = one.id_to_bury(error)
        bury(group_id=self._group_id, event_id=name, place=place, error=error, tries=tries, now=timezone.now())
        self._say_at = 0.0  # the broker is told in this turn

    def _finish(self, batch: Iterable[Received]) -> None:
        """Done with, in PostgreSQL; that the broker hears it is a convenience, and is not waited for."""
        self._away = 0
        partitions = set()
        for one in batch:
            queue = self._queues[one.partition]
            queue.waiting.popleft()
            queue.tries, queue.done = 0, one.offset + 1
            partitions.add(one.partition)
        offsets = [TopicPartition(self._topic, each, self._queues[each].done or 0) for each in partitions]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            log.warning("consumer.commit_failed", group=self._group, reason=error.args[0].name())

    def _wait_for_database(self, error: BaseException) -> None:
        # The pool looks for a server that it lost ever more rarely; a new one looks at once.
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        self._away += 1
        pause = self._patience.pause(self._away)
        self._away_until = time.monotonic() + pause
        log.warning("consumer.database_away", group=self._group, reason=type(error).__name__, seconds=round(pause, 1))

    def _steer(self) -> None:
        """Fetch no more of a partition whose messages wait, and go on with it once they are done."""
        for full in (True, False):
            changed = [
                partition
                for partition, queue in self._queues.items()
                if bool(queue.waiting) is full and queue.is_paused is not full
            ]
            if not changed:
                continue
            (self._consumer.pause if full else self._consumer.resume)(
                [TopicPartition(self._topic, partition) for partition in changed]
            )
            for partition in changed:
                self._queues[partition].is_paused = full

    def _report(self) -> None:
        """Every few seconds: how far we are, and which dead letters the broker has not been told of."""
        now = time.monotonic()
        if now < max(self._say_at, self._away_until):
            return
        self._say_at = now + PROGRESS_SECONDS
        try:
            progress.say(group_id=self._group_id, at=self._positions(), now=timezone.now())
            self._teller.tell(now=timezone.now())
        except Exception as error:
            if not is_database_away(error):
                raise
            self._wait_for_database(error)
        finally:
            connection.close()

    def _positions(self) -> dict[int, tuple[int, int]]:
        """By partition: what comes next, and the end as the last fetch told it. A partition yet unread is left out."""
        found = {}
        for partition, queue in self._queues.items():
            each = TopicPartition(self._topic, partition)
            start, end = self._consumer.get_watermark_offsets(each, cached=True)
            if end < 0:
                continue
            if queue.waiting:
                found[partition] = (queue.waiting[0].offset, end)
            elif queue.done is not None:
                found[partition] = (queue.done, end)
            else:
                found[partition] = (max(self._committed(each), start, 0), end)
        return found

    def _committed(self, partition: TopicPartition) -> int:
        """Where we begin, asked for until a first message comes; below zero for the start."""
        try:
            return int(self._consumer.committed([partition], timeout=_COMMITTED_SECONDS)[0].offset)
        except KafkaException:
            return -1
