"""What the operator's page shows, read in parts of bounded size, newest first."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from payments.sandbox import disputes as disputing
from payments.sandbox import payouts as paying_out
from payments.sandbox.configuration import Configuration
from payments.sandbox.deliveries import endpoint_disabled_at
from payments.sandbox.misbehaviour import switched_on
from payments.sandbox.refunds import refund_course
from payments.sandbox.rotation import secret_in_use

PART_MOST = 50
OVERVIEW_MOST = 5
# Of one order, or of one delivery: what is beyond is in the API, and in the state file.
NESTED_MOST = 25

DELIVERY_FILTERS = {
    "all": "1",
    "pending": "d.status = 'pending'",
    "failed": "d.status = 'exhausted' OR (d.status = 'pending' AND d.tries > 0)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The `most` newest rows whose number is below `before`; zero for the newest of all."""

    most: int = PART_MOST
    before: int = 0

    @classmethod
    def asked_by(cls, query: Mapping[str, str]) -> "Part":
        """A page's link is followed as it stands; anything else begins at the newest."""
        before = query.get("before", "")
        return cls(before=int(before) if before.isascii() and before.isdigit() and len(before) <= 15 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One part of a list, and where the next part begins, if there is one."""

    items: list[dict[str, Any]]
    before: int | None


def orders(db: sqlite3.Connection, *, part: Part) -> Listed:
    """Orders, each with its payments, those with their refunds and disputes."""
    listed = _part_of(db, "orders", part)
    payments = _of_each(db, "payments", "order_id", (order["id"] for order in listed.items))
    flat = [payment for each in payments.values() for payment in each]
    refunds_of = _of_each(db, "refunds", "payment_id", (payment["id"] for payment in flat))
    disputes_of = _of_each(db, "disputes", "payment_id", (payment["id"] for payment in flat))
    for payment in flat:
        payment["refunds"] = refunds_of[payment["id"]]
        payment["disputes"] = [_with_what_follows(each, disputing.FOLLOWS) for each in disputes_of[payment["id"]]]
        payment["disputable"] = payment["status"] in ("captured", "refunded") and not any(
            dispute["follows"] for dispute in payment["disputes"]
        )
    for order in listed.items:
        order["payments"] = payments[order["id"]]
    return listed


def refunds(db: sqlite3.Connection, *, part: Part) -> Listed:
    return _part_of(db, "refunds", part)


def payouts(db: sqlite3.Connection, *, part: Part) -> Listed:
    """Payouts with where they go, of which only the last four digits are shown."""
    listed = _part_of(db, "payouts", part)
    accounts = _of_each(db, "fund_accounts", "id", (payout["fund_account_id"] for payout in listed.items))
    for payout in listed.items:
        [account] = accounts[payout["fund_account_id"]]
        payout["payee"] = account["name"] or account["address"]
        payout["account"] = f"•••• {account['account_number'][-4:]}" if account["account_number"] else "UPI"
        _with_what_follows(payout, paying_out.FOLLOWS)
    return listed


def disputes(db: sqlite3.Connection, *, part: Part) -> Listed:
    listed = _part_of(db, "disputes", part)
    for dispute in listed.items:
        _with_what_follows(dispute, disputing.FOLLOWS)
    return listed


def settlements(db: sqlite3.Connection, *, part: Part) -> Listed:
    """Settlements with their first items, and how many items there are."""
    listed = _part_of(db, "settlements", part)
    for settlement in listed.items:
        mine = [settlement["id"]]
        counted = db.execute("SELECT count(*) AS n FROM settlement_items WHERE settlement_id = ?", mine)
        settlement["count"] = counted.fetchone()["n"]
        rows = db.execute(
            "SELECT * FROM settlement_items WHERE settlement_id = ? ORDER BY seq LIMIT ?", [*mine, NESTED_MOST]
        )
        settlement["items"] = [dict(row) for row in rows]
    return listed


def deliveries(db: sqlite3.Connection, *, part: Part, status: str) -> Listed:
    """Deliveries with their event's body, and their latest tries first; an unknown filter shows all."""
    chosen = DELIVERY_FILTERS.get(status, DELIVERY_FILTERS["all"])
    rows = db.execute(
        f"""
        SELECT d.id, d.event_id, d.status, d.tries AS tried, d.due_at,
            e.name AS event, e.body, e.signature, e.created_at
        FROM deliveries d JOIN events e ON e.id = d.event_id
        WHERE (:before = 0 OR d.id < :before) AND ({chosen}) ORDER BY d.id DESC LIMIT :limit
        """,  # noqa: S608  (one of three conditions above)
        {"before": part.before, "limit": part.most + 1},
    ).fetchall()
    items = [dict(row) | {"body": json.loads(row["body"])} for row in rows[: part.most]]
    for item in items:
        tries = db.execute(
            "SELECT * FROM delivery_tries WHERE delivery_id = ? ORDER BY try DESC LIMIT ?", [item["id"], NESTED_MOST]
        )
        item["tries"] = [dict(row) for row in tries]
    return Listed(items=items, before=items[-1]["id"] if len(rows) > part.most else None)


def standing(db: sqlite3.Connection, *, configuration: Configuration) -> dict[str, Any]:
    """What is switched on or chosen just now."""
    place, known = secret_in_use(db), len(configuration.webhook_secrets)
    return {
        "misbehaving": switched_on(db),
        "endpoint": configuration.webhook_url,
        "endpoint_disabled_at": endpoint_disabled_at(db),
        "secret": place if place <= known else 1,
        "secrets": known,
        "refund_course": refund_course(db),
    }


def _part_of(db: sqlite3.Connection, table: str, part: Part) -> Listed:
    rows = db.execute(
        f"SELECT * FROM {table} WHERE (:before = 0 OR seq < :before) ORDER BY seq DESC LIMIT :limit",  # noqa: S608
        {"before": part.before, "limit": part.most + 1},
    ).fetchall()
    items = [dict(row) for row in rows[: part.most]]
    return Listed(items=items, before=items[-1]["seq"] if len(rows) > part.most else None)


def _of_each(
    db: sqlite3.Connection, table: str, column: str, ids: Iterable[str]
) -> defaultdict[str, list[dict[str, Any]]]:
    """The newest rows of `table` that belong to each of the ids."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in set(ids):
        rows = db.execute(
            f"SELECT * FROM {table} WHERE {column} = ? ORDER BY seq DESC LIMIT ?",  # noqa: S608
            [each, NESTED_MOST],
        )
        found[each] = [dict(row) for row in rows]
    return found


def _with_what_follows(row: dict[str, Any], follows: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    row["follows"] = sorted(follows[row["status"]])
    return row
