"""
Payments: attempts to pay an order, and what becomes of them. Amounts are whole paise.

`created → authorized → captured`, or `failed`; and `failed → authorized → captured`, for a bank may find out
late that it has paid. Every deed here runs inside the caller's unit of work,
so a payment, its order and the webhooks that tell of both are written together or not at all.
"""

import secrets
import sqlite3
from typing import Any

from payments.sandbox.errors import GatewayError, unknown_id
from payments.sandbox.events import Letterhead, write_event
from payments.sandbox.fields import AMOUNT_LEAST
from payments.sandbox.identifiers import is_id, new_id, new_reference
from payments.sandbox.later import put_off
from payments.sandbox.listing import Window
from payments.sandbox.orders import count_attempt, find_order, mark_paid, order_entity
from payments.sandbox.vpas import VPAS, Vpa

# What the gateway keeps of a captured payment: 2 %, and 18 % GST on that.
FEE_PERCENT = 2
GST_PERCENT = 18


class OrderAlreadyPaid(Exception):
    """The order has its money; nothing was attempted."""


class OrderTooSmall(Exception):
    """A payment that much shorter than the order would be below the least; nothing was attempted."""


def attempt_payment(
    db: sqlite3.Connection, *, order_id: str, vpa: Vpa, letterhead: Letterhead, now: int
) -> sqlite3.Row:
    """
    Try to pay an order from a test address, and see it through as that address behaves.

    :returns: the payment as it stands afterwards; of several, the first.
    :raises GatewayError: no such order.
    :raises OrderAlreadyPaid: the order is paid; the book is as before.
    :raises OrderTooSmall: the address pays less than it is asked for, and less would be too little.
    """
    order = find_order(db, order_id=order_id)
    if order["status"] == "paid":
        raise OrderAlreadyPaid
    if order["amount"] - vpa.short_by < AMOUNT_LEAST:
        raise OrderTooSmall
    attempts = [_attempt_once(db, order=order, vpa=vpa, letterhead=letterhead, now=now) for _ in range(vpa.payments)]
    return find_payment(db, payment_id=attempts[0])


def _attempt_once(db: sqlite3.Connection, *, order: sqlite3.Row, vpa: Vpa, letterhead: Letterhead, now: int) -> str:
    payment_id = new_id("pay")
    db.execute(
        "INSERT INTO payments (id, order_id, amount, currency, vpa, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        [payment_id, order["id"], order["amount"] - vpa.short_by, order["currency"], vpa.address, now],
    )
    count_attempt(db, order_id=order["id"])
    if vpa.outcome == "paid":
        _authorize(db, payment_id=payment_id)
        if order["capture"] == "automatic":
            _capture(db, payment_id=payment_id, letterhead=letterhead, now=now)
        else:
            _tell(db, name="payment.authorized", payment_id=payment_id, letterhead=letterhead, now=now)
    elif vpa.outcome == "declined":
        _decline(db, payment_id=payment_id)
        _tell(db, name="payment.failed", payment_id=payment_id, letterhead=letterhead, now=now)
    if vpa.recovers_after_seconds is not None:
        put_off(db, deed="payment.recover", subject=payment_id, seconds=vpa.recovers_after_seconds)
    if vpa.forged_webhook:
        _forge_capture(db, payment_id=payment_id, letterhead=letterhead, now=now)
    return payment_id


def recover_payment(db: sqlite3.Connection, *, payment_id: str, letterhead: Letterhead, now: int) -> None:
    """
    The bank that declined has paid after all. Its money is taken even if the order has been paid meanwhile.

    :raises GatewayError: no such payment, or it has not failed.
    """
    payment = find_payment(db, payment_id=payment_id)
    if payment["status"] != "failed":
        raise GatewayError(f"The payment is {payment['status']} and has not failed.", step="payment_authorization")
    _authorize(db, payment_id=payment_id)
    _tell(db, name="payment.authorized", payment_id=payment_id, letterhead=letterhead, now=now)
    if find_order(db, order_id=payment["order_id"])["capture"] == "automatic":
        _capture(db, payment_id=payment_id, letterhead=letterhead, now=now)


def capture_payment(
    db: sqlite3.Connection, *, payment_id: str, amount: int, letterhead: Letterhead, now: int
) -> sqlite3.Row:
    """
    Take the money of an authorized payment.

    :raises GatewayError: no such payment; another state than authorized; another amount than authorized;
        the order was paid by another payment meanwhile.
    """
    payment = find_payment(db, payment_id=payment_id)
    order = find_order(db, order_id=payment["order_id"])
    metadata = {"payment_id": payment_id, "order_id": payment["order_id"]}
    if payment["status"] in ("captured", "refunded"):
        raise GatewayError("This payment has already been captured", step="capture", metadata=metadata)
    if payment["status"] != "authorized":
        raise GatewayError(
            "Only payments which have been authorized and not yet captured can be captured",
            step="capture",
            metadata=metadata,
        )
    if amount != payment["amount"]:
        raise GatewayError(
            "Capture amount must be equal to the amount authorized", field="amount", step="capture", metadata=metadata
        )
    if order["status"] == "paid":
        raise GatewayError("The order has already been paid", step="capture", metadata=metadata)
    _capture(db, payment_id=payment_id, letterhead=letterhead, now=now)
    return find_payment(db, payment_id=payment_id)


def find_payment(db: sqlite3.Connection, *, payment_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such payment.
    """
    known = is_id("pay", payment_id)
    row = db.execute("SELECT * FROM payments WHERE id = ?", [payment_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def list_payments(db: sqlite3.Connection, *, window: Window) -> list[sqlite3.Row]:
    """Newest first."""
    return db.execute(
        """
        SELECT * FROM payments WHERE created_at BETWEEN :from_time AND :to_time
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        window.parameters(),
    ).fetchall()


def payments_of_order(db: sqlite3.Connection, *, order_id: str) -> list[sqlite3.Row]:
    """
    Every attempt on one order, newest first: the call to reconcile with, so it is never cut off.

    :raises GatewayError: no such order.
    """
    find_order(db, order_id=order_id)
    return db.execute("SELECT * FROM payments WHERE order_id = ? ORDER BY seq DESC", [order_id]).fetchall()


def _authorize(db: sqlite3.Connection, *, payment_id: str) -> None:
    db.execute(
        """
        UPDATE payments SET status = 'authorized', rrn = ?, error_code = NULL, error_description = NULL,
            error_source = NULL, error_step = NULL, error_reason = NULL
        WHERE id = ?
        """,
        [new_reference(), payment_id],
    )


def _capture(db: sqlite3.Connection, *, payment_id: str, letterhead: Letterhead, now: int) -> None:
    payment = find_payment(db, payment_id=payment_id)
    fee_before_tax = (payment["amount"] * FEE_PERCENT + 50) // 100
    tax = (fee_before_tax * GST_PERCENT + 50) // 100
    db.execute(
        "UPDATE payments SET status = 'captured', fee = ?, tax = ? WHERE id = ?",
        [fee_before_tax + tax, tax, payment_id],
    )
    pays = mark_paid(db, order_id=payment["order_id"], amount=payment["amount"])
    _tell(db, name="payment.captured", payment_id=payment_id, letterhead=letterhead, now=now)
    if pays:
        _tell(db, name="order.paid", payment_id=payment_id, letterhead=letterhead, now=now, with_order=True)


def _decline(db: sqlite3.Connection, *, payment_id: str) -> None:
    db.execute(
        """
        UPDATE payments SET status = 'failed', error_code = 'BAD_REQUEST_ERROR',
            error_description = 'Payment was unsuccessful as the bank declined it. Try another UPI ID.',
            error_source = 'bank', error_step = 'payment_authorization', error_reason = 'payment_failed'
        WHERE id = ?
        """,
        [payment_id],
    )


def _tell(
    db: sqlite3.Connection, *, name: str, payment_id: str, letterhead: Letterhead, now: int, with_order: bool = False
) -> None:
    payment = find_payment(db, payment_id=payment_id)
    entities = {"payment": payment_entity(payment)}
    if with_order:
        entities["order"] = order_entity(find_order(db, order_id=payment["order_id"]))
    write_event(db, name=name, entities=entities, letterhead=letterhead, now=now, copies=webhook_copies(payment))


def webhook_copies(payment: sqlite3.Row) -> int:
    """How often each event of this payment is sent at once: its payer's address decides."""
    return VPAS[payment["vpa"]].webhook_copies


def _forge_capture(db: sqlite3.Connection, *, payment_id: str, letterhead: Letterhead, now: int) -> None:
    """A letter from somebody who knows the payment but not the secret. A forger does not try again."""
    payment = payment_entity(find_payment(db, payment_id=payment_id))
    claimed = payment | {"status": "captured", "captured": True}
    forger = Letterhead(account_id=letterhead.account_id, secret=secrets.token_hex(32))
    write_event(
        db,
        name="payment.captured",
        entities={"payment": claimed},
        letterhead=forger,
        now=now,
        retried_for_seconds=0,
    )


def payment_entity(row: sqlite3.Row) -> dict[str, Any]:
    """A payment as the gateway shows it. It knows no payer, so it puts its own placeholders for one."""
    refunded = row["amount_refunded"]
    return {
        "id": row["id"],
        "entity": "payment",
        "amount": row["amount"],
        "currency": row["currency"],
        "status": row["status"],
        "order_id": row["order_id"],
        "invoice_id": None,
        "international": False,
        "method": "upi",
        "amount_refunded": refunded,
        "refund_status": None if refunded == 0 else "full" if refunded == row["amount"] else "partial",
        "captured": row["status"] in ("captured", "refunded"),
        "description": None,
        "card_id": None,
        "bank": None,
        "wallet": None,
        "vpa": row["vpa"],
        "email": "void@razorpay.com",
        "contact": "+919999999999",
        "notes": [],
        "fee": row["fee"],
        "tax": row["tax"],
        "error_code": row["error_code"],
        "error_description": row["error_description"],
        "error_source": row["error_source"],
        "error_step": row["error_step"],
        "error_reason": row["error_reason"],
        "acquirer_data": {"rrn": row["rrn"]},
        "created_at": row["created_at"],
    }
