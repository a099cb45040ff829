"""
What an operator can do, one act for each path; the page's buttons and the programs' doors share them.

An act runs in the caller's unit of work. Its fields are JSON values, and every one is optional to the doors: the
act says what is missing.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from payments.sandbox.configuration import Configuration
from payments.sandbox.deliveries import enable_endpoint, redeliver
from payments.sandbox.disputes import dispute_entity, move_dispute, open_dispute
from payments.sandbox.errors import GatewayError
from payments.sandbox.events import Letterhead
from payments.sandbox.misbehaviour import FAULTS, Switch, SwitchRefused, switch_off, switch_on, switched_on
from payments.sandbox.payouts import move_payout, payout_entity
from payments.sandbox.refunds import choose_refund_course, fail_refund, process_refund, refund_entity
from payments.sandbox.rotation import secret_in_use, use_secret
from payments.sandbox.settlements import settle, settlement_entity


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an act is asked to do: `subject` is the id in its path, or empty."""

    subject: str
    fields: Mapping[str, Any]
    configuration: Configuration
    letterhead: Letterhead
    now: int

    def word(self, name: str) -> str:
        """
        :raises GatewayError: the field is missing, or is no text.
        """
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise GatewayError(f"The {name} field is required.", field=name, step="operator")
        return value


class Act(Protocol):
    """Answers with what it leaves behind, as a JSON document."""

    def __call__(self, db: sqlite3.Connection, asked: Request) -> dict[str, Any]: ...


def _move_payout(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    payout = move_payout(db, payout_id=asked.subject, to=asked.word("to"), letterhead=asked.letterhead, now=asked.now)
    return payout_entity(payout)


def _process_refund(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    return refund_entity(process_refund(db, refund_id=asked.subject, letterhead=asked.letterhead, now=asked.now))


def _fail_refund(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    return refund_entity(fail_refund(db, refund_id=asked.subject, letterhead=asked.letterhead, now=asked.now))


def _choose_refund_course(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    course = asked.word("course")
    choose_refund_course(db, course=course)
    return {"course": course}


def _open_dispute(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    amount = asked.fields.get("amount")
    if amount is not None and (not isinstance(amount, int) or isinstance(amount, bool)):
        raise GatewayError("The amount must be an integer.", field="amount", step="dispute")
    reason = asked.word("reason") if "reason" in asked.fields else "chargeback"
    dispute = open_dispute(
        db, payment_id=asked.subject, amount=amount, reason=reason, letterhead=asked.letterhead, now=asked.now
    )
    return dispute_entity(dispute)


def _move_dispute(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    dispute = move_dispute(
        db, dispute_id=asked.subject, to=asked.word("to"), letterhead=asked.letterhead, now=asked.now
    )
    return dispute_entity(dispute)


def _settle(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    settlement = settle(db, letterhead=asked.letterhead, now=asked.now)
    return {"settlement": None if settlement is None else settlement_entity(settlement)}


def _redeliver(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    # Fifteen digits fit SQLite's integers.
    known = asked.subject.isascii() and asked.subject.isdigit() and len(asked.subject) <= 15
    delivery_id = int(asked.subject) if known else 0
    redeliver(db, delivery_id=delivery_id, now=asked.now)
    return {"id": delivery_id, "status": "pending"}


def _enable_endpoint(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    enable_endpoint(db, now=asked.now)
    return {"disabled_at": None}


def _use_secret(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    """`secret` is the secret itself, or its place in the list, counted from one. It is never shown."""
    secrets = asked.configuration.webhook_secrets
    wanted = asked.fields.get("secret")
    if isinstance(wanted, str) and wanted in secrets:
        place = secrets.index(wanted) + 1
    elif isinstance(wanted, int) and not isinstance(wanted, bool) and 1 <= wanted <= len(secrets):
        place = wanted
    else:
        raise GatewayError(
            "The secret must be one of RAZORPAY_WEBHOOK_SECRETS, or its place in that list.",
            field="secret",
            step="operator",
        )
    use_secret(db, place=place)
    return {"place": secret_in_use(db), "of": len(secrets)}


def _switch_on(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    try:
        switch = Switch.asked_by(dict(asked.fields))
    except SwitchRefused as error:
        raise GatewayError(str(error), field=error.field, step="operator") from error
    switch_on(db, switch=switch)
    return misbehaviour_document(db)


def _switch_off(db: sqlite3.Connection, asked: Request) -> dict[str, Any]:
    if asked.subject and asked.subject not in FAULTS:
        raise GatewayError(f"The fault must be one of {', '.join(FAULTS)}.", field="fault", step="operator")
    switch_off(db, fault=asked.subject or None)
    return misbehaviour_document(db)


def misbehaviour_document(db: sqlite3.Connection) -> dict[str, Any]:
    """What is switched on."""
    return {"on": [switch.document() for switch in switched_on(db)]}


# Below /operator and /operator/api alike, all by POST.
ACTS: dict[str, Act] = {
    "payouts/<subject>/move": _move_payout,
    "refunds/<subject>/process": _process_refund,
    "refunds/<subject>/fail": _fail_refund,
    "refund-course": _choose_refund_course,
    "payments/<subject>/dispute": _open_dispute,
    "disputes/<subject>/move": _move_dispute,
    "settle": _settle,
    "deliveries/<subject>/redeliver": _redeliver,
    "webhook-endpoint/enable": _enable_endpoint,
    "webhook-secret": _use_secret,
    "misbehaviour": _switch_on,
    "misbehaviour/off": _switch_off,
    "misbehaviour/<subject>/off": _switch_off,
}
