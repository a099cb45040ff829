"""Orders: what a merchant asks to be paid. Amounts are whole paise."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, Literal

from payments.sandbox.errors import GatewayError, unknown_id
from payments.sandbox.identifiers import is_id, new_id
from payments.sandbox.listing import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A checked request for an order."""

    amount: int
    currency: str
    receipt: str | None
    notes: dict[str, str]
    capture: Literal["automatic", "manual"]


def create_order(db: sqlite3.Connection, *, asked: OrderRequest, now: int) -> sqlite3.Row:
    """
    Open an order, unpaid.

    :raises GatewayError: an order with that receipt exists.
    """
    order_id = new_id("order")
    try:
        db.execute(
            """
            INSERT INTO orders (id, amount, currency, receipt, capture, notes, created_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [order_id, asked.amount, asked.currency, asked.receipt, asked.capture, json.dumps(asked.notes), now],
        )
    except sqlite3.IntegrityError as error:
        if "orders.receipt" not in str(error):
            raise
        raise GatewayError("Order receipt should be unique.", field="receipt") from error
    return find_order(db, order_id=order_id)


def find_order(db: sqlite3.Connection, *, order_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such order.
    """
    known = is_id("order", order_id)
    row = db.execute("SELECT * FROM orders WHERE id = ?", [order_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def list_orders(db: sqlite3.Connection, *, window: Window, receipt: str | None) -> list[sqlite3.Row]:
    """Newest first; with `receipt`, only the order that carries it."""
    return db.execute(
        """
        SELECT * FROM orders
        WHERE created_at BETWEEN :from_time AND :to_time AND (:receipt IS NULL OR receipt = :receipt)
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        {**window.parameters(), "receipt": receipt},
    ).fetchall()


def count_attempt(db: sqlite3.Connection, *, order_id: str) -> None:
    """Someone tried to pay this order."""
    db.execute(
        """
        UPDATE orders SET attempts = attempts + 1,
            status = CASE status WHEN 'created' THEN 'attempted' ELSE status END
        WHERE id = ?
        """,
        [order_id],
    )


def mark_paid(db: sqlite3.Connection, *, order_id: str, amount: int) -> bool:
    """
    Whether this payment is the one that pays the order: not for a paid order, and not with less than it asks.

    Less than it asks shows as `amount_paid` all the same: the gateway has it.
    """
    short = db.execute(
        "UPDATE orders SET amount_paid = max(amount_paid, :amount) WHERE id = :id AND :amount < amount",
        {"amount": amount, "id": order_id},
    )
    if short.rowcount:
        return False
    paid = db.execute(
        "UPDATE orders SET status = 'paid', amount_paid = ? WHERE id = ? AND status <> 'paid'", [amount, order_id]
    )
    return paid.rowcount == 1


def order_entity(row: sqlite3.Row) -> dict[str, Any]:
    """An order as the gateway shows it."""
    return {
        "id": row["id"],
        "entity": "order",
        "amount": row["amount"],
        "amount_paid": row["amount_paid"],
        "amount_due": max(0, row["amount"] - row["amount_paid"]),
        "currency": row["currency"],
        "receipt": row["receipt"],
        "offer_id": None,
        "status": row["status"],
        "attempts": row["attempts"],
        # The gateway's own wart: empty notes are a list, others an object.
        "notes": json.loads(row["notes"]) or [],
        "created_at": row["created_at"],
    }
