"""
Disputes: payers who ask their bank for their money back. Amounts are whole paise.

Every deed here runs inside the caller's unit of work.
"""

import sqlite3
from typing import Any

from payments.sandbox.errors import GatewayError, unknown_id
from payments.sandbox.events import Letterhead, write_event
from payments.sandbox.identifiers import is_id, new_id
from payments.sandbox.listing import Window
from payments.sandbox.payments import find_payment, payment_entity, webhook_copies

RESPOND_WITHIN_SECONDS = 7 * 24 * 60 * 60
REASON_LONGEST = 100

# What may follow what. Nothing follows the last three.
FOLLOWS: dict[str, frozenset[str]] = {
    "open": frozenset({"under_review", "action_required", "won", "lost", "closed"}),
    "under_review": frozenset({"action_required", "won", "lost", "closed"}),
    "action_required": frozenset({"under_review", "won", "lost", "closed"}),
    "won": frozenset(),
    "lost": frozenset(),
    "closed": frozenset(),
}


def open_dispute(
    db: sqlite3.Connection,
    *,
    payment_id: str,
    amount: int | None = None,
    reason: str = "chargeback",
    letterhead: Letterhead,
    now: int,
) -> sqlite3.Row:
    """
    A payer disputes a captured payment, or part of it; no amount is all of it.

    :raises GatewayError: no such payment; it was never captured; it is disputed already; an amount beyond it.
    """
    payment = find_payment(db, payment_id=payment_id)
    if payment["status"] not in ("captured", "refunded"):
        raise _refusal("Only a captured payment can be disputed.", payment_id=payment_id)
    amount = payment["amount"] if amount is None else amount
    if not 100 <= amount <= payment["amount"]:
        raise _refusal("The amount must be between INR 1.00 and the payment's.", payment_id=payment_id, field="amount")
    if not 0 < len(reason) <= REASON_LONGEST:
        raise _refusal(f"The reason must have 1 to {REASON_LONGEST} characters.", payment_id=payment_id, field="reason")
    if any(FOLLOWS[row["status"]] for row in _disputes_of(db, payment_id=payment_id)):
        raise _refusal("The payment is disputed already.", payment_id=payment_id)
    dispute_id = new_id("disp")
    db.execute(
        """
        INSERT INTO disputes (id, payment_id, amount, currency, reason_code, respond_by, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        [dispute_id, payment_id, amount, payment["currency"], reason, now + RESPOND_WITHIN_SECONDS, now],
    )
    return _tell(db, name="payment.dispute.created", dispute_id=dispute_id, letterhead=letterhead, now=now)


def move_dispute(db: sqlite3.Connection, *, dispute_id: str, to: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    """
    The bank has decided something. A loss is deducted in the next settlement.

    :raises GatewayError: no such dispute; that may not follow its present status.
    """
    dispute = find_dispute(db, dispute_id=dispute_id)
    if to not in FOLLOWS[dispute["status"]]:
        raise _refusal(
            f"A dispute that is {dispute['status']} cannot become {to[:40]}.", payment_id=dispute["payment_id"]
        )
    deducted = dispute["amount"] if to == "lost" else 0
    db.execute("UPDATE disputes SET status = ?, amount_deducted = ? WHERE id = ?", [to, deducted, dispute_id])
    return _tell(db, name=f"payment.dispute.{to}", dispute_id=dispute_id, letterhead=letterhead, now=now)


def find_dispute(db: sqlite3.Connection, *, dispute_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such dispute.
    """
    known = is_id("disp", dispute_id)
    row = db.execute("SELECT * FROM disputes WHERE id = ?", [dispute_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def list_disputes(db: sqlite3.Connection, *, window: Window) -> list[sqlite3.Row]:
    """Newest first."""
    return db.execute(
        """
        SELECT * FROM disputes WHERE created_at BETWEEN :from_time AND :to_time
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        window.parameters(),
    ).fetchall()


def _disputes_of(db: sqlite3.Connection, *, payment_id: str) -> list[sqlite3.Row]:
    return db.execute("SELECT status FROM disputes WHERE payment_id = ?", [payment_id]).fetchall()


def _refusal(description: str, *, payment_id: str, field: str | None = None) -> GatewayError:
    return GatewayError(description, field=field, step="dispute", metadata={"payment_id": payment_id})


def _tell(db: sqlite3.Connection, *, name: str, dispute_id: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    dispute = find_dispute(db, dispute_id=dispute_id)
    payment = find_payment(db, payment_id=dispute["payment_id"])
    entities = {"payment": payment_entity(payment), "dispute": dispute_entity(dispute)}
    copies = max(1, webhook_copies(payment))
    write_event(db, name=name, entities=entities, letterhead=letterhead, now=now, copies=copies)
    return dispute


def dispute_entity(row: sqlite3.Row) -> dict[str, Any]:
    """A dispute as the gateway shows it."""
    return {
        "id": row["id"],
        "entity": "dispute",
        "payment_id": row["payment_id"],
        "amount": row["amount"],
        "currency": row["currency"],
        "amount_deducted": row["amount_deducted"],
        "reason_code": row["reason_code"],
        "respond_by": row["respond_by"],
        "status": row["status"],
        "phase": "chargeback",
        "created_at": row["created_at"],
    }
