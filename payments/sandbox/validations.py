"""Validations: whether a bank account exists, and whose name its bank knows. The answer takes a second."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from payments.sandbox.endings import NOBODYS
from payments.sandbox.errors import GatewayError, unknown_id
from payments.sandbox.fields import amount_of, currency_of, needed, notes_of, object_of, refuse_unknown
from payments.sandbox.fund_accounts import find_fund_account, fund_account_entity
from payments.sandbox.identifiers import is_id, new_id
from payments.sandbox.later import put_off

COMPLETED_AFTER_SECONDS = 1
# The penny that the real gateway drops into the account.
AMOUNT_USUAL = 100
_FIELDS = {"account_number", "fund_account", "amount", "currency", "notes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRequest:
    """A checked request to validate a fund account."""

    fund_account_id: str
    amount: int
    notes: dict[str, str]


def validation_request(body: dict[str, Any]) -> ValidationRequest:
    """
    :raises GatewayError: names the first field that is wrong.
    """
    refuse_unknown(body, _FIELDS)
    amount = amount_of(body) if body.get("amount") is not None else AMOUNT_USUAL
    if body.get("currency") is not None:
        currency_of(body)
    return ValidationRequest(
        fund_account_id=needed(object_of(body, "fund_account"), "id", longest=40, field="fund_account.id"),
        amount=amount,
        notes=notes_of(body.get("notes")),
    )


def begin_validation(db: sqlite3.Connection, *, asked: ValidationRequest, now: int) -> sqlite3.Row:
    """
    Ask the account's bank; a second later it has answered.

    :raises GatewayError: no such fund account.
    """
    find_fund_account(db, fund_account_id=asked.fund_account_id)
    validation_id = new_id("fav")
    db.execute(
        "INSERT INTO validations (id, fund_account_id, amount, notes, created_at) VALUES (?, ?, ?, ?, ?)",
        [validation_id, asked.fund_account_id, asked.amount, json.dumps(asked.notes), now],
    )
    put_off(db, deed="validation.complete", subject=validation_id, seconds=COMPLETED_AFTER_SECONDS)
    return find_validation(db, validation_id=validation_id)


def complete_validation(db: sqlite3.Connection, *, validation_id: str) -> sqlite3.Row:
    """
    The bank has answered.

    :raises GatewayError: no such validation, or it is completed already.
    """
    validation = find_validation(db, validation_id=validation_id)
    if validation["status"] != "created":
        raise GatewayError("The validation is completed already.")
    account = find_fund_account(db, fund_account_id=validation["fund_account_id"])
    exists = not (account["account_number"] or "").startswith(NOBODYS)
    db.execute(
        "UPDATE validations SET status = 'completed', account_status = ?, registered_name = ? WHERE id = ?",
        ["active" if exists else "invalid", account["name"] if exists else None, validation_id],
    )
    return find_validation(db, validation_id=validation_id)


def find_validation(db: sqlite3.Connection, *, validation_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such validation.
    """
    known = is_id("fav", validation_id)
    row = db.execute("SELECT * FROM validations WHERE id = ?", [validation_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def validation_entity(row: sqlite3.Row, *, account: sqlite3.Row) -> dict[str, Any]:
    """A validation as the gateway shows it, with the account in it."""
    return {
        "id": row["id"],
        "entity": "fund_account.validation",
        "fund_account": fund_account_entity(account),
        "status": row["status"],
        "amount": row["amount"],
        "currency": "INR",
        "notes": json.loads(row["notes"]) or [],
        "results": {"account_status": row["account_status"], "registered_name": row["registered_name"]},
        "created_at": row["created_at"],
        "utr": None,
    }
