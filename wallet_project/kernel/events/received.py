"""A message as it came from the broker: an event, or bytes that are none."""

import hashlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from confluent_kafka import Message

from wallet_project.kernel.events.envelope import TOPIC, Event, NotAnEvent, read_event
from wallet_project.kernel.events.recording import NotGenuine

_NO_EVENTS: Final = UUID("aaebf1db-4fac-4675-bf65-26c8a4e0153b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """
    :ivar event: None where the bytes are no event; `not_an_event` then says why.
    :ivar event_id: of bytes that are no event, made from where they lay and what they are.
    """

    partition: int
    offset: int
    value: bytes
    event_id: UUID
    topic: str = TOPIC
    event: Event | None = None
    not_an_event: Exception | None = None

    @classmethod
    def of(cls, message: Message) -> "Received":
        # Whatever was fetched lies somewhere; only what is yet to be sent does not.
        partition, offset, value = message.partition() or 0, message.offset() or 0, message.value() or b""
        topic = message.topic() or TOPIC
        try:
            event = read_event(value)
        except (NotAnEvent, RecursionError) as error:
            return cls(
                topic=topic,
                partition=partition,
                offset=offset,
                value=value,
                event_id=_place_id(topic, partition, offset, value),
                not_an_event=error,
            )
        return cls(topic=topic, partition=partition, offset=offset, value=value, event_id=event.id, event=event)

    def id_to_bury(self, error: BaseException) -> UUID:
        """Under the id that a forged message bears, the event itself would pass for done with."""
        if isinstance(error, NotGenuine):
            return _place_id(self.topic, self.partition, self.offset, self.value)
        return self.event_id


def _place_id(topic: str, partition: int, offset: int, value: bytes) -> UUID:
    """No event's. The bytes as well: a broker that lost its memory counts from zero again."""
    return uuid5(_NO_EVENTS, f"{topic}/{partition}/{offset}/{hashlib.sha256(value).hexdigest()}")
