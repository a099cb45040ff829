"""
Refunds: captured money on its way back to its payer. Amounts are whole paise.

`pending → processed | failed`. The amount leaves the payment when the refund is made, and comes back when it
fails. Every deed here runs inside the caller's unit of work.
"""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from payments.sandbox.errors import GatewayError, unknown_id
from payments.sandbox.events import Letterhead, write_event
from payments.sandbox.idempotency import conflict
from payments.sandbox.identifiers import is_id, new_id, new_reference
from payments.sandbox.later import put_off
from payments.sandbox.listing import Window
from payments.sandbox.payments import find_payment, payment_entity, webhook_copies

PROCESSED_AFTER_SECONDS = 1
# What a refund can be told to do: by its own note `{"sandbox": "fail"}`, or, for all of them, at the operator's.
COURSES = ("process", "fail", "stay")
_SWITCH = "refund_course"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """A checked request for a refund; no amount is all that is left."""

    amount: int | None
    speed: Literal["normal", "optimum"]
    receipt: str | None
    notes: dict[str, str]


def create_refund(
    db: sqlite3.Connection, *, payment_id: str, asked: RefundRequest, letterhead: Letterhead, now: int
) -> sqlite3.Row:
    """
    Begin to give a captured payment back, or part of it.

    :raises GatewayError: no such payment; it is not captured; more than is left of it.
    """
    payment = find_payment(db, payment_id=payment_id)
    metadata = {"payment_id": payment_id, "order_id": payment["order_id"]}
    if payment["status"] == "refunded":
        raise _refusal("The payment has been fully refunded already", metadata)
    if payment["status"] != "captured":
        raise _refusal("The payment status should be captured for action to be taken", metadata)
    left = payment["amount"] - payment["amount_refunded"]
    amount = left if asked.amount is None else asked.amount
    if amount > left:
        raise _refusal("The refund amount provided is greater than amount captured", metadata, field="amount")
    if amount < 100:
        raise _refusal("The amount must be atleast INR 1.00", metadata, field="amount")
    refund_id = new_id("rfnd")
    db.execute(
        """
        INSERT INTO refunds (id, payment_id, amount, currency, receipt, speed, notes, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """,
        [
            refund_id,
            payment_id,
            amount,
            payment["currency"],
            asked.receipt,
            asked.speed,
            json.dumps(asked.notes),
            now,
        ],
    )
    _take_from_payment(db, payment_id=payment_id, amount=amount)
    course = asked.notes.get("sandbox") or refund_course(db)
    if course != "stay":
        deed = "refund.fail" if course == "fail" else "refund.process"
        put_off(db, deed=deed, subject=refund_id, seconds=PROCESSED_AFTER_SECONDS)
    return _tell(db, name="refund.created", refund_id=refund_id, letterhead=letterhead, now=now)


def create_refund_once(
    db: sqlite3.Connection,
    *,
    key: str,
    fingerprint: str,
    payment_id: str,
    asked: RefundRequest,
    letterhead: Letterhead,
    now: int,
) -> sqlite3.Row:
    """
    As `create_refund`; asked again under the same key, the refund as it now stands.

    :raises GatewayError: as `create_refund`; 409, the key stands for another request.
    """
    known = db.execute("SELECT fingerprint, refund_id FROM refund_keys WHERE key = ?", [key]).fetchone()
    if known is None:
        refund = create_refund(db, payment_id=payment_id, asked=asked, letterhead=letterhead, now=now)
        db.execute(
            "INSERT INTO refund_keys (key, fingerprint, refund_id) VALUES (?, ?, ?)", [key, fingerprint, refund["id"]]
        )
        return refund
    if known["fingerprint"] != fingerprint:
        raise conflict("A request with the same idempotency key but another body was made before.")
    return find_refund(db, refund_id=known["refund_id"])


def process_refund(db: sqlite3.Connection, *, refund_id: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    """
    The payer's bank has taken the money.

    :raises GatewayError: no such refund, or it is not pending.
    """
    _pending(db, refund_id=refund_id)
    db.execute("UPDATE refunds SET status = 'processed', rrn = ? WHERE id = ?", [new_reference(), refund_id])
    return _tell(db, name="refund.processed", refund_id=refund_id, letterhead=letterhead, now=now)


def fail_refund(db: sqlite3.Connection, *, refund_id: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    """
    The payer's bank will not have the money: its payment gets it back.

    :raises GatewayError: no such refund, or it is not pending.
    """
    refund = _pending(db, refund_id=refund_id)
    db.execute("UPDATE refunds SET status = 'failed' WHERE id = ?", [refund_id])
    _take_from_payment(db, payment_id=refund["payment_id"], amount=-refund["amount"])
    return _tell(db, name="refund.failed", refund_id=refund_id, letterhead=letterhead, now=now)


def refund_course(db: sqlite3.Connection) -> str:
    """What refunds do after a second, unless their notes say otherwise."""
    row = db.execute("SELECT value FROM switches WHERE name = ?", [_SWITCH]).fetchone()
    return str(row["value"]) if row else COURSES[0]


def choose_refund_course(db: sqlite3.Connection, *, course: str) -> None:
    """
    Have all refunds made from now on go that way: `process`, `fail`, or `stay` pending until they are moved.

    :raises GatewayError: no such course.
    """
    if course not in COURSES:
        raise GatewayError(f"A refund can be told to {', '.join(COURSES)}.", field="course")
    db.execute(
        "INSERT INTO switches (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [_SWITCH, course],
    )


def find_refund(db: sqlite3.Connection, *, refund_id: str, payment_id: str | None = None) -> sqlite3.Row:
    """
    :raises GatewayError: no such refund, or it is not that payment's.
    """
    known = is_id("rfnd", refund_id)
    row = db.execute("SELECT * FROM refunds WHERE id = ?", [refund_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row) or payment_id not in (None, row["payment_id"]):
        raise unknown_id()
    return row


def list_refunds(db: sqlite3.Connection, *, window: Window, payment_id: str | None = None) -> list[sqlite3.Row]:
    """
    Newest first; with `payment_id`, only those of that payment.

    :raises GatewayError: no such payment.
    """
    if payment_id is not None:
        find_payment(db, payment_id=payment_id)
    return db.execute(
        """
        SELECT * FROM refunds
        WHERE created_at BETWEEN :from_time AND :to_time AND (:payment_id IS NULL OR payment_id = :payment_id)
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        {**window.parameters(), "payment_id": payment_id},
    ).fetchall()


def _pending(db: sqlite3.Connection, *, refund_id: str) -> sqlite3.Row:
    refund = find_refund(db, refund_id=refund_id)
    if refund["status"] != "pending":
        raise GatewayError(f"The refund is {refund['status']} already.", reason="refund_not_pending", step="refund")
    return refund


def _take_from_payment(db: sqlite3.Connection, *, payment_id: str, amount: int) -> None:
    """A negative amount gives back. The table itself keeps the sum between nothing and all of it."""
    db.execute(
        """
        UPDATE payments SET amount_refunded = amount_refunded + :amount,
            status = CASE WHEN amount_refunded + :amount = amount THEN 'refunded' ELSE 'captured' END
        WHERE id = :payment_id
        """,
        {"amount": amount, "payment_id": payment_id},
    )


def _tell(db: sqlite3.Connection, *, name: str, refund_id: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    refund = find_refund(db, refund_id=refund_id)
    payment = find_payment(db, payment_id=refund["payment_id"])
    entities = {"refund": refund_entity(refund), "payment": payment_entity(payment)}
    # A silent payment keeps its own secret; what is done to it afterwards is told.
    copies = max(1, webhook_copies(payment))
    write_event(db, name=name, entities=entities, letterhead=letterhead, now=now, copies=copies)
    return refund


def _refusal(description: str, metadata: dict[str, str], *, field: str | None = None) -> GatewayError:
    return GatewayError(description, field=field, step="refund", metadata=metadata)


def refund_entity(row: sqlite3.Row) -> dict[str, Any]:
    """A refund as the gateway shows it."""
    return {
        "id": row["id"],
        "entity": "refund",
        "amount": row["amount"],
        "currency": row["currency"],
        "payment_id": row["payment_id"],
        "notes": json.loads(row["notes"]) or [],
        "receipt": row["receipt"],
        "acquirer_data": {"arn": None, "rrn": row["rrn"]},
        "created_at": row["created_at"],
        "batch_id": None,
        "status": row["status"],
        "speed_processed": "normal",
        "speed_requested": row["speed"],
    }
