"""Fund accounts: where a contact is paid, a bank account or a UPI address. They never change."""

import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

from payments.sandbox.contacts import find_contact
from payments.sandbox.errors import GatewayError, unknown_id
from payments.sandbox.fields import choice_of, needed, object_of, refuse_unknown
from payments.sandbox.idempotency import fingerprint
from payments.sandbox.identifiers import is_id, new_id
from payments.sandbox.listing import Window
from payments.sandbox.vpas import is_vpa

# Four letters of the bank, a zero, six of the branch (RBI).
IFSC = r"[A-Z]{4}0[A-Z0-9]{6}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FundAccountRequest:
    """A checked request for a fund account: either the first three, or an address."""

    contact_id: str
    account_type: str
    name: str | None = None
    ifsc: str | None = None
    account_number: str | None = None
    address: str | None = None


def fund_account_request(body: dict[str, Any]) -> FundAccountRequest:
    """
    :raises GatewayError: names the first field that is wrong.
    """
    contact_id = needed(body, "contact_id", longest=40)
    account_type = choice_of(body, "account_type", ("bank_account", "vpa"))
    refuse_unknown(body, {"contact_id", "account_type", account_type})
    if account_type == "vpa":
        address = needed(object_of(body, "vpa"), "address", longest=100, field="vpa.address")
        if not is_vpa(address.lower()):
            raise GatewayError("Invalid VPA. Please enter a valid Virtual Payment Address", field="vpa.address")
        return FundAccountRequest(contact_id=contact_id, account_type=account_type, address=address)
    bank = object_of(body, "bank_account")
    return FundAccountRequest(
        contact_id=contact_id,
        account_type=account_type,
        name=needed(bank, "name", shortest=3, longest=120, field="bank_account.name"),
        ifsc=needed(bank, "ifsc", shortest=11, longest=11, pattern=IFSC, field="bank_account.ifsc"),
        account_number=needed(
            bank,
            "account_number",
            shortest=5,
            longest=35,
            pattern=r"[A-Za-z0-9]+",
            field="bank_account.account_number",
        ),
    )


def create_fund_account(db: sqlite3.Connection, *, asked: FundAccountRequest, now: int) -> sqlite3.Row:
    """
    A new fund account, or the one that is alike.

    :raises GatewayError: no such contact.
    """
    find_contact(db, contact_id=asked.contact_id)
    mark = fingerprint(asdict(asked))
    db.execute(
        """
        INSERT INTO fund_accounts
            (id, fingerprint, contact_id, account_type, name, ifsc, account_number, address, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint) DO NOTHING
        """,
        [
            new_id("fa"),
            mark,
            asked.contact_id,
            asked.account_type,
            asked.name,
            asked.ifsc,
            asked.account_number,
            asked.address,
            now,
        ],
    )
    row: sqlite3.Row = db.execute("SELECT * FROM fund_accounts WHERE fingerprint = ?", [mark]).fetchone()
    return row


def find_fund_account(db: sqlite3.Connection, *, fund_account_id: str) -> sqlite3.Row:
    """
    :raises GatewayError: no such fund account.
    """
    known = is_id("fa", fund_account_id)
    row = db.execute("SELECT * FROM fund_accounts WHERE id = ?", [fund_account_id]).fetchone() if known else None
    if not isinstance(row, sqlite3.Row):
        raise unknown_id()
    return row


def list_fund_accounts(db: sqlite3.Connection, *, window: Window, contact_id: str | None) -> list[sqlite3.Row]:
    """Newest first; with `contact_id`, only that contact's."""
    return db.execute(
        """
        SELECT * FROM fund_accounts
        WHERE created_at BETWEEN :from_time AND :to_time AND (:contact_id IS NULL OR contact_id = :contact_id)
        ORDER BY seq DESC LIMIT :count OFFSET :skip
        """,
        {**window.parameters(), "contact_id": contact_id},
    ).fetchall()


def fund_account_entity(row: sqlite3.Row) -> dict[str, Any]:
    """A fund account as the gateway shows it."""
    entity = {
        "id": row["id"],
        "entity": "fund_account",
        "contact_id": row["contact_id"],
        "account_type": row["account_type"],
    }
    if row["account_type"] == "vpa":
        username, _, handle = row["address"].partition("@")
        entity["vpa"] = {"username": username, "handle": handle, "address": row["address"]}
    else:
        entity["bank_account"] = {
            "ifsc": row["ifsc"],
            "bank_name": f"Bank {row['ifsc'][:4]}",
            "name": row["name"],
            "notes": [],
            "account_number": row["account_number"],
        }
    return {**entity, "batch_id": None, "active": True, "created_at": row["created_at"]}
