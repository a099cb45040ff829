"""
What travels: an event in the structured JSON form of CloudEvents 1.0 (https://cloudevents.io, spec v1.0.2).

Its `data` is versioned by its `type` and described by the JSON Schema that `dataschema` names (docs/events). It holds
ids and amounts, never a name, an address or a note: whoever may know more reads it from the database.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

TOPIC: Final = "wallet.events"
CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
SPEC_VERSION: Final = "1.0"
SOURCE: Final = "urn:wallet:ledger"
# All that there are.
TYPES: Final = frozenset(
    {"wallet.transaction.pending.v1", "wallet.transaction.succeeded.v1", "wallet.transaction.failed.v1"}
)


class NotAnEvent(ValueError):
    """The bytes are no event of ours; the text says why and repeats nothing of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One thing that happened to one wallet.

    :ivar type: `wallet.transaction.succeeded.v1` and the like: what happened, and the version of `data`.
    :ivar subject: the wallet's public id; also the message's key, so that a wallet's events stay in order.
    :ivar time: when it was committed to the ledger, in UTC.
    """

    id: UUID
    type: str
    subject: str
    time: datetime
    data: Mapping[str, Any]

    @property
    def key(self) -> bytes:
        return self.subject.encode()

    def as_bytes(self) -> bytes:
        """The message's value, UTF-8."""
        return json.dumps(
            {
                "specversion": SPEC_VERSION,
                "id": str(self.id),
                "source": SOURCE,
                "type": self.type,
                "subject": self.subject,
                "time": self.time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "datacontenttype": "application/json",
                "dataschema": f"urn:wallet:events:{self.type}",
                "data": self.data,
            },
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()


def read_event(value: bytes) -> Event:
    """
    The event in a message's value. Attributes that we do not know are passed over, as the specification asks.

    :raises NotAnEvent:
    """
    try:
        found = json.loads(value)
    except ValueError as error:
        raise NotAnEvent("not JSON") from error
    if not isinstance(found, dict) or found.get("specversion") != SPEC_VERSION:
        raise NotAnEvent("not an event of CloudEvents 1.0")
    try:
        event = Event(
            id=UUID(found["id"]),
            type=found["type"],
            subject=found["subject"],
            time=datetime.fromisoformat(found["time"]),
            data=found["data"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotAnEvent("an attribute is missing or malformed") from error
    if not isinstance(event.type, str) or not isinstance(event.subject, str) or not isinstance(event.data, dict):
        raise NotAnEvent("an attribute is of another type")
    if event.time.tzinfo is None:
        raise NotAnEvent("its time has no zone")
    return event
