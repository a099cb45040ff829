"""
The producer: idempotent, acknowledged by all replicas, in order for each key, and made anew whenever that is in doubt.

librdkafka keeps the order of what it was given as long as it neither gives up on a message nor lets another overtake
it. So no message ever times out here, and any doubt (a fatal error, a failed delivery, a broker that was out of reach,
one that stays silent) ends the producer as a whole: everything in flight counts as not delivered, and the caller
gives it to the next producer from the oldest on. What the log then holds of a key is a few runs, each in order and none
beginning after a gap: events may stand there twice, but whoever takes the first of each sees them in order.

A broker that comes back without its memory (the embedded one does) knows neither topics nor producers, hands out
the ids of producers again, and so might take two for one. Hence the new producer after every loss of all brokers. One
that is back within a tenth of a second is never missed, and the embedded one acknowledges what it has no topic for as
well: so the topic is looked for every other second.
"""

import time
from collections.abc import Sequence
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

log = structlog.get_logger("kernel.producing")

# Of the topic of events, where we have to make it: as many members of a group can share its work.
PARTITIONS: Final = 12
# With nothing delivered for so long the producer is given up; above what a broker needs to choose a new leader.
SILENT_SECONDS: Final = 20.0
# How often to look whether the broker still has the topic.
LOOK_SECONDS: Final = 2.0
_ASK_SECONDS: Final = 1.0
_QUIET: Final = 0
_DAY_MILLISECONDS: Final = 86_400_000


class BrokerAway(Exception):
    """No broker answers; the text says how it was noticed."""


class Publisher:
    """
    One producer after another, for one thread.

    A message is sent with a number of the caller's, by which `collect` says that it was delivered. Once `BrokerAway`
    was raised nothing is in flight any more, and `open` begins anew.
    """

    def __init__(self, servers: str, *, topic: str, retention_days: float) -> None:
        """
        :param retention_days: how long the topic keeps events, where it has to be made.
        """
        self._servers = servers
        self._topic = topic
        self._retention_days = retention_days
        self._producer: Producer | None = None
        self._delivered: list[int] = []
        self._doubt = ""
        self._in_flight = 0
        self._heard_at = 0.0
        self._look_at = 0.0

    @property
    def is_open(self) -> bool:
        return self._producer is not None

    def open(self) -> bool:
        """
        Make the topic if it is missing, and a producer if there is none.

        :returns: whether the topic had to be made: then the broker has nothing of what it ever acknowledged.
        :raises BrokerAway: or the broker has forgotten the topic; nothing is in flight any more.
        """
        if self._producer is not None:
            self._look(self._producer)
            return False
        made = ensure_topics(self._servers, [self._topic], retention_days=self._retention_days)
        self._delivered, self._doubt, self._in_flight = [], "", 0
        self._producer = Producer(
            {
                "bootstrap.servers": self._servers,
                "enable.idempotence": True,
                "acks": "all",
                "enable.gapless.guarantee": True,
                # Never: `SILENT_SECONDS` ends all of them together, for one alone would let the next overtake it.
                "message.timeout.ms": 0,
                "linger.ms": 5,
                "compression.type": "lz4",
                # As clients in Java do it: the same key is in the same partition, whoever sends it.
                "partitioner": "murmur2_random",
                "reconnect.backoff.max.ms": 1000,
                "error_cb": self._note,
                # What goes wrong is told by the relay, once.
                "log_level": _QUIET,
                # Else a broker makes a topic that it has forgotten by itself, and nobody sees that it had.
                "allow.auto.create.topics": False,
            }
        )
        self._look_at = time.monotonic() + LOOK_SECONDS
        return bool(made)

    def _look(self, producer: Producer) -> None:
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            # All of them, as below.
            there = producer.list_topics(timeout=_ASK_SECONDS).topics
        except KafkaException:
            # Whatever that is, deliveries will say so.
            return
        if self._topic not in there:
            self._give_up("topic_forgotten")

    def send(self, number: int, *, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        """
        Hand one message over. It is delivered only when `collect` says so.

        :raises BrokerAway: it and all else in flight are not.
        """
        if self._producer is None:
            raise BrokerAway("not opened")

        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            self._in_flight -= 1
            if error is None:
                self._delivered.append(number)
                self._heard_at = time.monotonic()
            else:
                self._doubt = self._doubt or error.name()

        if not self._in_flight:
            self._heard_at = time.monotonic()
        try:
            self._producer.produce(self._topic, value, key, headers=list(headers), on_delivery=on_delivery)
        except (BufferError, KafkaException) as error:
            self._give_up(_name_of(error))
        self._in_flight += 1

    def collect(self, wait_seconds: float) -> list[int]:
        """
        The numbers of what was delivered since, waiting for one if there is none yet.

        :raises BrokerAway: at the call after the one that said what still was delivered.
        """
        if self._producer is None:
            raise BrokerAway("not opened")
        try:
            self._producer.poll(wait_seconds)
        except KafkaException as error:
            self._doubt = self._doubt or _name_of(error)
        if self._in_flight and time.monotonic() - self._heard_at > SILENT_SECONDS:
            self._doubt = self._doubt or "silent"
        delivered, self._delivered = self._delivered, []
        if self._doubt and not delivered:
            self._give_up(self._doubt)
        return delivered

    def abandon(self) -> None:
        """Give up what is in flight, and the producer with it. What a broker has already got, it may keep."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # Callbacks of what is thrown away must not count for the next producer.
        producer.purge(in_queue=True, in_flight=True, blocking=False)
        try:
            producer.poll(0)
        except KafkaException:
            log.debug("producer.purged")
        self._delivered, self._in_flight = [], 0

    def _give_up(self, reason: str) -> None:
        self.abandon()
        raise BrokerAway(reason)

    def _note(self, error: KafkaError) -> None:
        """From librdkafka, inside `poll`: one broker of several may be gone, that is its own affair."""
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._doubt = self._doubt or error.name()


def ensure_topics(servers: str, topics: Sequence[str], *, retention_days: float) -> list[str]:
    """
    Make those of these topics that are missing, with the broker's own number of replicas.

    :returns: what was missing and was made here, not by somebody else meanwhile.
    :raises BrokerAway:
    """
    found: list[str] = []
    admin = AdminClient({"bootstrap.servers": servers, "log_level": _QUIET, "socket.connection.setup.timeout.ms": 1000})
    try:
        # All of them: asked for one by its name, some brokers make it, and not as we would.
        there = admin.list_topics(timeout=_ASK_SECONDS).topics
        missing = [
            NewTopic(
                topic,
                num_partitions=PARTITIONS,
                replication_factor=-1,
                config={"retention.ms": str(int(retention_days * _DAY_MILLISECONDS))},
            )
            for topic in topics
            if topic not in there
        ]
        made = admin.create_topics(missing, operation_timeout=_ASK_SECONDS) if missing else {}
        for topic, future in made.items():
            try:
                future.result(_ASK_SECONDS)
                found.append(topic)
                log.info("topic.made", topic=topic)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    except (KafkaException, TimeoutError) as error:
        raise BrokerAway(_name_of(error)) from error
    return found


def _name_of(error: BaseException) -> str:
    """librdkafka's word for it; its sentences name addresses."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return str(error.args[0].name())
    return type(error).__name__
