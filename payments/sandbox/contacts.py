"""Contacts: whom the merchant pays out to."""

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from payments.sandbox.errors import unknown_id
from payments.sandbox.fields import needed, notes_of, refuse_unknown, text_of
from payments.sandbox.idempotency import fingerprint
from payments.sandbox.identifiers import is_id, new_id
from payments.sandbox.listing import Window

_FIELDS = {"name", "email", "contact", "type", "reference_id", "notes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRequest:
    """A checked request for a contact."""

    name: str
    email: str | None
    contact: str | None
    type: str | None
    reference_id: str | None
    notes: dict[str, str]


def contact_request(body: dict[str, Any]) -> ContactRequest:
    """
    :raises GatewayError: names the first field that is wrong.
    """
    refuse_unknown(body, _FIELDS)
    return ContactRequest(
        name=needed(body, "name", shortest=3, longest=50),
        email=text_of(body, "email", longest=254, pattern=r"[^@\s]+@[^@\s]+\.[^@\s]+"),
        contact=text_of(body, "contact", longest=15, pattern=r"\+?[0-9]{8,14}"),
        type=text_of(body, "type", longest=40),
        reference_id=text_of(body, "reference_id", longest=40),
        notes=notes_of(body.get("notes")),
    )


def create_contact(db: sqlite3.Connection, *, asked: ContactRequest, now: int) -> sqlite3.Row:
    """A new contact, or the one that is alike in every field."""
    mark = fingerprint(asdict(asked))
    db.execute(
        """
        INSERT INTO contacts (id, fingerprint, name, email, contact, type, reference_id, notes, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING
        """,
        [
            new_id("cont"),
            mark,
            asked.name,
            asked.email,
            asked.contact,
            asked.type,
            asked.reference_id,
            json.dumps(asked.notes),
            now,
        ],
    )
    row: sqlite3.Row = db.execute("SELECT * FROM contacts WHERE fingerprint = ?", [mark]).fetchone()
    return row


def find_contact(db: sqlite3.Connection, *, contact_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such contact.
    """
    known = is_id("cont", contact_id)
    row = db.execute("SELECT * FROM contacts WHERE id = ?", [contact_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def list_contacts(db: sqlite3.Connection, *, window: Window) -> list[sqlite3.Row]:
    """Newest first."""
    return db.execute(
        """
        SELECT * FROM contacts WHERE created_at BETWEEN :from_time AND :to_time
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        window.parameters(),
    ).fetchall()


def contact_entity(row: sqlite3.Row) -> dict[str, Any]:
    """A contact as the gateway shows it."""
    return {
        "id": row["id"],
        "entity": "contact",
        "name": row["name"],
        "contact": row["contact"],
        "email": row["email"],
        "type": row["type"],
        "reference_id": row["reference_id"],
        "batch_id": None,
        "active": True,
        "notes": json.loads(row["notes"]) or [],
        "created_at": row["created_at"],
    }
