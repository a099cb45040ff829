"""
Events: what happened, as a signed letter to the merchant, in one unit of work with what happened.

Body and signature are fixed when the event is written: the payload is a snapshot, and after a rotation
of secrets the retries of old events keep the old one, as with the real gateway.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from payments.sandbox.identifiers import new_token
from payments.sandbox.misbehaviour import webhook_due_at
from payments.sandbox.rotation import secret_in_use
from payments.sandbox.signatures import sign

RETRIED_FOR_SECONDS = 24 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """
    In whose name events are written, and with which secret they are signed: `secret`, unless the operator
    has chosen one of the `others`.
    """

    account_id: str
    secret: str
    others: tuple[str, ...] = ()

    def secret_chosen(self, db: sqlite3.Connection) -> str:
        """The secret that signs new events."""
        secrets = (self.secret, *self.others)
        place = secret_in_use(db) - 1
        # There may be fewer of them now than when the choice was made.
        return secrets[place] if place < len(secrets) else self.secret


def write_event(
    db: sqlite3.Connection,
    *,
    name: str,
    entities: dict[str, dict[str, Any]],
    letterhead: Letterhead,
    now: int,
    copies: int = 1,
    retried_for_seconds: int = RETRIED_FOR_SECONDS,
) -> None:
    """
    Record an event and what must be delivered of it: `copies` deliveries under one event id, due at once
    unless a switch holds webhooks up.

    :param entities: `{"payment": {…}, "order": {…}}`, as the API shows them.
    """
    document = {
        "entity": "event",
        "account_id": letterhead.account_id,
        "event": name,
        "contains": list(entities),
        "payload": {kind: {"entity": entity} for kind, entity in entities.items()},
        "created_at": now,
    }
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    event_id = new_token()
    db.execute(
        "INSERT INTO events (id, name, body, signature, created_at) VALUES (?, ?, ?, ?, ?)",
        [event_id, name, body, sign(secret=letterhead.secret_chosen(db), message=body), now],
    )
    due_at = webhook_due_at(db, now=now)
    give_up_at = now if not retried_for_seconds else due_at + retried_for_seconds
    db.executemany(
        "INSERT INTO deliveries (event_id, due_at, give_up_at) VALUES (?, ?, ?)",
        [(event_id, due_at, give_up_at)] * copies,
    )
