"""
Settlements: what the gateway pays into the merchant's bank account, item by item. Amounts are whole paise.

A payment is a credit of its amount less its fee (tax included); a refund, and the adjustment for a lost dispute,
a debit. Every deed here runs inside the caller's unit of work.
"""

import datetime
import sqlite3
from typing import Any

from payments.sandbox.errors import unknown_id
from payments.sandbox.events import Letterhead, write_event
from payments.sandbox.identifiers import is_id, new_id, new_reference
from payments.sandbox.listing import Window

# India knows one time zone and no summer time; the days of the reports are its days.
INDIA = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


def settle(db: sqlite3.Connection, *, letterhead: Letterhead, now: int) -> sqlite3.Row | None:
    """
    Settle every captured payment, processed refund and lost dispute that no settlement has yet.

    :returns: the settlement, or None if there was nothing to settle. Its amount is below zero if more goes back
        than comes in: the real gateway would wait for better days, this one shows the debit at once.
    """
    settlement_id = new_id("setl")
    db.execute(
        "INSERT INTO settlements (id, amount, fees, tax, utr, created_at) VALUES (?, 0, 0, 0, ?, ?)",
        [settlement_id, new_reference(), now],
    )
    _collect_payments(db, settlement_id=settlement_id)
    _collect_refunds(db, settlement_id=settlement_id)
    _collect_lost_disputes(db, settlement_id=settlement_id, now=now)
    sums = db.execute(
        """
        SELECT count(*) AS items, sum(credit) - sum(debit) AS amount, sum(fee) AS fees, sum(tax) AS tax
        FROM settlement_items WHERE settlement_id = ?
        """,
        [settlement_id],
    ).fetchone()
    if not sums["items"]:
        db.execute("DELETE FROM settlements WHERE id = ?", [settlement_id])
        return None
    db.execute(
        "UPDATE settlements SET amount = ?, fees = ?, tax = ? WHERE id = ?",
        [sums["amount"], sums["fees"], sums["tax"], settlement_id],
    )
    settlement = find_settlement(db, settlement_id=settlement_id)
    entities = {"settlement": settlement_entity(settlement)}
    write_event(db, name="settlement.processed", entities=entities, letterhead=letterhead, now=now)
    return settlement


def _collect_payments(db: sqlite3.Connection, *, settlement_id: str) -> None:
    """A payment that was refunded meanwhile came in all the same: its refund is an item of its own."""
    db.execute(
        """
        INSERT INTO settlement_items
            (settlement_id, entity_id, type, debit, credit, amount, fee, tax, payment_id, created_at)
        SELECT ?, id, 'payment', 0, amount - fee, amount, fee, tax, id, created_at
        FROM payments
        WHERE status IN ('captured', 'refunded') AND id NOT IN (SELECT entity_id FROM settlement_items)
        ORDER BY seq
        """,
        [settlement_id],
    )


def _collect_refunds(db: sqlite3.Connection, *, settlement_id: str) -> None:
    db.execute(
        """
        INSERT INTO settlement_items (settlement_id, entity_id, type, debit, credit, amount, payment_id, created_at)
        SELECT ?, id, 'refund', amount, 0, amount, payment_id, created_at
        FROM refunds
        WHERE status = 'processed' AND id NOT IN (SELECT entity_id FROM settlement_items)
        ORDER BY seq
        """,
        [settlement_id],
    )


def _collect_lost_disputes(db: sqlite3.Connection, *, settlement_id: str, now: int) -> None:
    lost = db.execute(
        """
        SELECT id, payment_id, amount_deducted FROM disputes
        WHERE status = 'lost'
            AND id NOT IN (SELECT dispute_id FROM settlement_items WHERE dispute_id IS NOT NULL)
        ORDER BY seq
        """
    ).fetchall()
    db.executemany(
        """
        INSERT INTO settlement_items
            (settlement_id, entity_id, type, debit, credit, amount, payment_id, dispute_id, created_at)
        VALUES (?, ?, 'adjustment', ?, 0, ?, ?, ?, ?)
        """,
        [
            (
                settlement_id,
                new_id("adj"),
                row["amount_deducted"],
                row["amount_deducted"],
                row["payment_id"],
                row["id"],
                now,
            )
            for row in lost
        ],
    )


def find_settlement(db: sqlite3.Connection, *, settlement_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such settlement.
    """
    known = is_id("setl", settlement_id)
    row = db.execute("SELECT * FROM settlements WHERE id = ?", [settlement_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def list_settlements(db: sqlite3.Connection, *, window: Window) -> list[sqlite3.Row]:
    """Newest first."""
    return db.execute(
        """
        SELECT * FROM settlements WHERE created_at BETWEEN :from_time AND :to_time
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        window.parameters(),
    ).fetchall()


def settled_items(
    db: sqlite3.Connection, *, first: datetime.date, after: datetime.date, count: int, skip: int
) -> list[sqlite3.Row]:
    """The items of all settlements from the day `first` until before the day `after`, India's days, as settled."""
    return db.execute(
        """
        SELECT i.*, s.created_at AS settled_at, s.utr, p.order_id, p.currency, o.receipt
        FROM settlement_items i
        JOIN settlements s ON s.id = i.settlement_id
        JOIN payments p ON p.id = i.payment_id
        JOIN orders o ON o.id = p.order_id
        WHERE s.created_at >= ? AND s.created_at < ?
        ORDER BY i.seq LIMIT ? OFFSET ?
        """,
        [_midnight(first), _midnight(after), count, skip],
    ).fetchall()


def _midnight(day: datetime.date) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), INDIA).timestamp())


def settlement_entity(row: sqlite3.Row) -> dict[str, Any]:
    """A settlement as the gateway shows it. `fees` contain the tax."""
    return {
        "id": row["id"],
        "entity": "settlement",
        "amount": row["amount"],
        "status": "processed",
        "fees": row["fees"],
        "tax": row["tax"],
        "utr": row["utr"],
        "created_at": row["created_at"],
    }


def item_entity(row: sqlite3.Row) -> dict[str, Any]:
    """One line of the reconciliation report."""
    return {
        "entity_id": row["entity_id"],
        "type": row["type"],
        "debit": row["debit"],
        "credit": row["credit"],
        "amount": row["amount"],
        "currency": row["currency"],
        "fee": row["fee"],
        "tax": row["tax"],
        "on_hold": False,
        "settled": True,
        "created_at": row["created_at"],
        "settled_at": row["settled_at"],
        "settlement_id": row["settlement_id"],
        "posted_at": None,
        "credit_type": "default",
        "description": None,
        "notes": None,
        # The real report leaves a payment's own payment_id empty.
        "payment_id": None if row["type"] == "payment" else row["payment_id"],
        "settlement_utr": row["utr"],
        "order_id": row["order_id"],
        "order_receipt": row["receipt"],
        "method": "upi",
        "card_network": None,
        "card_issuer": None,
        "card_type": None,
        "dispute_id": row["dispute_id"],
    }
