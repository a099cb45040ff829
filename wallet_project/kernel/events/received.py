"""A message as it came from the broker: an event, or bytes that are none."""

import hashlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from confluent_kafka import Message

from wallet_project.kernel.events.envelope import Event, NotAnEvent, read_event

_NO_EVENTS: Final = UUID("aaebf1db-4fac-4675-bf65-26c8a4e0153b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """
    :ivar event: None where the bytes are no event; `not_an_event` then says why.
    :ivar event_id: of bytes that are no event, made from where they lay and what they are: a broker that lost its
        memory counts from zero again.
    """

    partition: int
    offset: int
    value: bytes
    event_id: UUID
    event: Event | None = None
    not_an_event: Exception | None = None

    @classmethod
    def of(cls, message: Message) -> "Received":
        # Whatever was fetched lies somewhere; only what is yet to be sent does not.
        partition, offset, value = message.partition() or 0, message.offset() or 0, message.value() or b""
        try:
            event = read_event(value)
        except (NotAnEvent, RecursionError) as error:
            name = f"{message.topic()}/{partition}/{offset}/{hashlib.sha256(value).hexdigest()}"
            return cls(
                partition=partition,
                offset=offset,
                value=value,
                event_id=uuid5(_NO_EVENTS, name),
                not_an_event=error,
            )
        return cls(partition=partition, offset=offset, value=value, event_id=event.id, event=event)
