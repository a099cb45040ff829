"""
Payouts: money to a bank account or a UPI address. Amounts are whole paise.

Every deed here runs inside the caller's unit of work.
"""

import json
import sqlite3
from typing import Any

from payments.sandbox.endings import Ending, ending_of
from payments.sandbox.errors import GatewayError, unknown_id
from payments.sandbox.events import Letterhead, write_event
from payments.sandbox.fund_accounts import find_fund_account
from payments.sandbox.identifiers import is_id, new_id, new_reference
from payments.sandbox.later import put_off
from payments.sandbox.listing import Window
from payments.sandbox.payout_requests import PayoutRequest

# What may follow what. `processed → reversed` can come days later, and banks take back failures, too.
FOLLOWS: dict[str, frozenset[str]] = {
    "pending": frozenset({"queued", "scheduled", "processing", "rejected"}),
    "scheduled": frozenset({"processing", "cancelled"}),
    "queued": frozenset({"processing", "cancelled"}),
    "processing": frozenset({"processed", "reversed", "failed"}),
    "processed": frozenset({"reversed"}),
    "failed": frozenset({"reversed"}),
    "reversed": frozenset({"failed"}),
    "rejected": frozenset(),
    "cancelled": frozenset(),
}
# The documentation names no event for `scheduled` and `cancelled`: they are an update.
EVENTS = {
    "pending": "payout.pending",
    "scheduled": "payout.updated",
    "queued": "payout.queued",
    "processing": "payout.initiated",
    "processed": "payout.processed",
    "reversed": "payout.reversed",
    "failed": "payout.failed",
    "rejected": "payout.rejected",
    "cancelled": "payout.updated",
}
# What the payer is charged on top once the bank has it: ₹5.90, of which ₹0.90 GST.
FEES = 590
TAX = 90
ENDS_AFTER_SECONDS = 1
KEYS_KEPT_SECONDS = 7 * 24 * 60 * 60

# Description, source and reason, by status.
_DETAILS: dict[str, tuple[str | None, str | None, str | None]] = {
    "pending": ("Payout awaits approval.", "business", "pending_approval"),
    "scheduled": ("Payout is scheduled.", "business", "payout_scheduled"),
    "queued": ("Payout is queued as there is not enough balance in your account.", "business", "low_balance"),
    "processing": (
        "Payout is being processed by our partner bank. Please check the final status after some time.",
        "beneficiary_bank",
        "payout_bank_processing",
    ),
    "processed": (
        "Payout is processed and the money has been credited into the beneficiary account.",
        "beneficiary_bank",
        "payout_processed",
    ),
    "reversed": (
        "Payout was returned by the beneficiary bank. The amount is back in your account.",
        "beneficiary_bank",
        "beneficiary_bank_rejected",
    ),
    "failed": (
        "Payout failed at the beneficiary bank. Contact the beneficiary before you try again.",
        "beneficiary_bank",
        "beneficiary_bank_failure",
    ),
    "rejected": ("Payout was rejected by an approver.", "business", "rejected_by_approver"),
    "cancelled": ("Payout was cancelled.", "business", "payout_cancelled"),
}


def create_payout_once(
    db: sqlite3.Connection, *, key: str, fingerprint: str, asked: PayoutRequest, letterhead: Letterhead, now: int
) -> tuple[sqlite3.Row, bool]:
    """
    Pay out; asked again under the same key, nothing but the payout as it now stands.

    :returns: the payout, and whether it was made just now.
    :raises GatewayError: the key stands for another request; no such fund account; a mode that cannot reach it;
        low balance, and it may not be queued.
    """
    db.execute("DELETE FROM payout_keys WHERE created_at < ?", [now - KEYS_KEPT_SECONDS])
    known = db.execute("SELECT fingerprint, payout_id FROM payout_keys WHERE key = ?", [key]).fetchone()
    if known is not None:
        if known["fingerprint"] != fingerprint:
            raise GatewayError(
                "Different request body sent for the same Idempotency Header.", field="X-Payout-Idempotency"
            )
        return find_payout(db, payout_id=known["payout_id"]), False
    payout = _create_payout(db, asked=asked, letterhead=letterhead, now=now)
    db.execute(
        "INSERT INTO payout_keys (key, fingerprint, payout_id, created_at) VALUES (?, ?, ?, ?)",
        [key, fingerprint, payout["id"], now],
    )
    return payout, True


def _create_payout(db: sqlite3.Connection, *, asked: PayoutRequest, letterhead: Letterhead, now: int) -> sqlite3.Row:
    account = find_fund_account(db, fund_account_id=asked.fund_account_id)
    if (asked.mode == "UPI") != (account["account_type"] == "vpa"):
        raise GatewayError(f"Invalid mode {asked.mode} for the fund account.", field="mode")
    begins = ending_of(account).begins
    if begins == "queued" and not asked.may_queue:
        raise GatewayError(
            "Your account does not have enough balance to carry out the payout operation.", reason="low_balance"
        )
    payout_id = new_id("pout")
    db.execute(
        """
        INSERT INTO payouts (id, fund_account_id, amount, currency, mode, purpose, reference_id, narration, notes,
            status, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?)
        """,
        [
            payout_id,
            asked.fund_account_id,
            asked.amount,
            asked.currency,
            asked.mode,
            asked.purpose,
            asked.reference_id,
            asked.narration,
            json.dumps(asked.notes),
            now,
        ],
    )
    # A note `{"sandbox": "pending"}` leaves it with whoever approves payouts, on the operator's page.
    if asked.notes.get("sandbox") == "pending":
        return _tell(db, payout_id=payout_id, letterhead=letterhead, now=now)
    return move_payout(db, payout_id=payout_id, to=begins, letterhead=letterhead, now=now)


def move_payout(db: sqlite3.Connection, *, payout_id: str, to: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    """
    Bring a payout into another status, and plan what its account makes of that.

    :raises GatewayError: no such payout; that may not follow its present status.
    """
    payout = find_payout(db, payout_id=payout_id)
    if to not in FOLLOWS[payout["status"]]:
        raise GatewayError(f"A payout that is {payout['status']} cannot become {to[:40]}.", reason="invalid_status")
    ending = ending_of(find_fund_account(db, fund_account_id=payout["fund_account_id"]))
    db.execute("UPDATE payouts SET status = ? WHERE id = ?", [to, payout_id])
    if to == "processing":
        db.execute("UPDATE payouts SET fees = ?, tax = ? WHERE id = ?", [FEES, TAX, payout_id])
    elif to == "processed":
        db.execute("UPDATE payouts SET utr = ? WHERE id = ?", [new_reference(), payout_id])
    elif payout["status"] == "processing":
        # It never arrived, so it costs nothing. One that is reversed after it arrived has had its cost.
        db.execute("UPDATE payouts SET fees = 0, tax = 0 WHERE id = ?", [payout_id])
    _plan(db, payout_id=payout_id, status=to, ending=ending)
    return _tell(db, payout_id=payout_id, letterhead=letterhead, now=now)


def _plan(db: sqlite3.Connection, *, payout_id: str, status: str, ending: Ending) -> None:
    if status == "processing" and ending.ends is not None:
        put_off(db, deed=f"payout.{ending.ends}", subject=payout_id, seconds=ENDS_AFTER_SECONDS)
    if status == "processed" and ending.reversed_after_seconds is not None:
        put_off(db, deed="payout.reversed", subject=payout_id, seconds=ending.reversed_after_seconds)


def cancel_payout(db: sqlite3.Connection, *, payout_id: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    """
    Take a payout back before the bank has it.

    :raises GatewayError: no such payout, or it is not queued.
    """
    if find_payout(db, payout_id=payout_id)["status"] != "queued":
        raise GatewayError("Only queued payouts can be cancelled.", reason="invalid_status")
    return move_payout(db, payout_id=payout_id, to="cancelled", letterhead=letterhead, now=now)


def stumble(db: sqlite3.Connection, *, key: str, fund_account_id: str) -> str | None:
    """
    How the gateway's own machinery fails this request before any payout is made, if it does: see `Ending.stumbles`.

    :raises GatewayError: no such fund account.
    """
    stumbles = ending_of(find_fund_account(db, fund_account_id=fund_account_id)).stumbles
    if not stumbles:
        return None
    row = db.execute("SELECT count FROM payout_stumbles WHERE key = ?", [key]).fetchone()
    count = row["count"] if row else 0
    if count >= len(stumbles):
        return None
    db.execute(
        "INSERT INTO payout_stumbles (key, count) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET count = count + 1",
        [key],
    )
    return stumbles[count]


def drops_reply(db: sqlite3.Connection, *, payout: sqlite3.Row) -> bool:
    """Whether whoever made this payout hears nothing of it."""
    return ending_of(find_fund_account(db, fund_account_id=payout["fund_account_id"])).drops_reply


def find_payout(db: sqlite3.Connection, *, payout_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such payout.
    """
    known = is_id("pout", payout_id)
    row = db.execute("SELECT * FROM payouts WHERE id = ?", [payout_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def list_payouts(
    db: sqlite3.Connection,
    *,
    window: Window,
    reference_id: str | None = None,
    fund_account_id: str | None = None,
    status: str | None = None,
) -> list[sqlite3.Row]:
    """Newest first; with filters, only those that match all of them."""
    return db.execute(
        """
        SELECT * FROM payouts
        WHERE created_at BETWEEN :from_time AND :to_time
            AND (:reference_id IS NULL OR reference_id = :reference_id)
            AND (:fund_account_id IS NULL OR fund_account_id = :fund_account_id)
            AND (:status IS NULL OR status = :status)
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        {
            **window.parameters(),
            "reference_id": reference_id,
            "fund_account_id": fund_account_id,
            "status": status,
        },
    ).fetchall()


def _tell(db: sqlite3.Connection, *, payout_id: str, letterhead: Letterhead, now: int) -> sqlite3.Row:
    payout = find_payout(db, payout_id=payout_id)
    entities = {"payout": payout_entity(payout)}
    write_event(db, name=EVENTS[payout["status"]], entities=entities, letterhead=letterhead, now=now)
    return payout


def payout_entity(row: sqlite3.Row) -> dict[str, Any]:
    """A payout as the gateway shows it."""
    description, source, reason = _DETAILS[row["status"]]
    return {
        "id": row["id"],
        "entity": "payout",
        "fund_account_id": row["fund_account_id"],
        "amount": row["amount"],
        "currency": row["currency"],
        "notes": json.loads(row["notes"]) or [],
        "fees": row["fees"],
        "tax": row["tax"],
        "status": row["status"],
        "purpose": row["purpose"],
        "utr": row["utr"],
        "mode": row["mode"],
        "reference_id": row["reference_id"],
        "narration": row["narration"],
        "batch_id": None,
        "failure_reason": description if row["status"] in ("failed", "reversed") else None,
        "status_details": {"description": description, "source": source, "reason": reason},
        "created_at": row["created_at"],
    }
