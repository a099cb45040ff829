"""
Razorpay's documents, read into the wallet's own words. Their warts are borne: an `error_code` that is empty, `"NA"` or
`"null"`, an authorized payment that says `captured: true` (only `status` counts), a missing `created_at`.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Literal, TypeAlias, TypeVar

import structlog

from payments.gateways.base import (
    News,
    RemoteDispute,
    RemoteOrder,
    RemotePayment,
    RemotePayout,
    RemoteRefund,
    RemoteSettledItem,
    RemoteValidation,
)
from payments.gateways.documents import inner, moment, text, whole, whole_or_none, word
from payments.gateways.http import readable

log = structlog.get_logger("payments.razorpay")

# Where a refund carries our key back: `receipt` holds the reference.
KEY_NOTE: Final = "key"
_INDIA: Final = timezone(timedelta(hours=5, minutes=30))

_Document: TypeAlias = Mapping[str, Any]
_Entities: TypeAlias = Mapping[str, _Document]
_State = TypeVar("_State")

_REFUND_STATES: Final[Mapping[str, Literal["PENDING", "PROCESSED", "FAILED"]]] = {
    "pending": "PENDING",
    "processed": "PROCESSED",
    "failed": "FAILED",
}
_PAYOUT_STATES: Final[Mapping[str, Literal["QUEUED", "PROCESSING", "PROCESSED", "FAILED", "REVERSED"]]] = {
    "pending": "QUEUED",
    "queued": "QUEUED",
    "scheduled": "QUEUED",
    "processing": "PROCESSING",
    "processed": "PROCESSED",
    "reversed": "REVERSED",
    "failed": "FAILED",
    "rejected": "FAILED",
    "cancelled": "FAILED",
}
_DISPUTE_STATES: Final[Mapping[str, Literal["OPEN", "UNDER_REVIEW", "ACTION_REQUIRED", "WON", "LOST", "CLOSED"]]] = {
    "open": "OPEN",
    "under_review": "UNDER_REVIEW",
    "action_required": "ACTION_REQUIRED",
    "won": "WON",
    "lost": "LOST",
    "closed": "CLOSED",
}
_VALIDATION_STATES: Final[Mapping[str, Literal["ASKED", "VALID", "INVALID"]]] = {
    "active": "VALID",
    "invalid": "INVALID",
}


def order_of(document: _Document) -> RemoteOrder:
    with readable("order"):
        return RemoteOrder(
            id=text(document, "id"),
            amount_minor=whole(document, "amount"),
            currency=text(document, "currency"),
            receipt=word(document, "receipt"),
        )


def payment_of(document: _Document) -> RemotePayment:
    with readable("payment"):
        acquirer = inner(document, "acquirer_data")
        return RemotePayment(
            id=text(document, "id"),
            order_id=word(document, "order_id"),
            amount_minor=whole(document, "amount"),
            currency=text(document, "currency"),
            status=word(document, "status"),
            method=word(document, "method"),
            refunded_minor=whole_or_none(document, "amount_refunded") or 0,
            error_code=word(document, "error_code"),
            error_reason=word(document, "error_reason"),
            reference=word(acquirer, "rrn") or word(acquirer, "bank_transaction_id") or word(acquirer, "auth_code"),
            fee_minor=whole_or_none(document, "fee"),
            tax_minor=whole_or_none(document, "tax"),
            created_at=moment(document, "created_at"),
        )


def refund_of(document: _Document) -> RemoteRefund:
    with readable("refund"):
        status = word(document, "status")
        acquirer = inner(document, "acquirer_data")
        return RemoteRefund(
            id=text(document, "id"),
            payment_id=word(document, "payment_id"),
            amount_minor=whole(document, "amount"),
            currency=text(document, "currency"),
            state=_state("refund", status, _REFUND_STATES, "PENDING"),
            status=status,
            reference=word(acquirer, "arn") or word(acquirer, "rrn"),
            key=word(inner(document, "notes"), KEY_NOTE),
            reason=word(document, "error_description") or word(document, "error_reason"),
            created_at=moment(document, "created_at"),
        )


def payout_of(document: _Document) -> RemotePayout:
    """A status that nobody knows decides nothing: it counts as on its way."""
    with readable("payout"):
        status = word(document, "status")
        state = _state("payout", status, _PAYOUT_STATES, "PROCESSING")
        details = inner(document, "status_details") or inner(document, "error")
        is_charged = state in ("PROCESSED", "REVERSED")
        return RemotePayout(
            id=text(document, "id"),
            reference=word(document, "reference_id"),
            amount_minor=whole(document, "amount"),
            currency=text(document, "currency"),
            state=state,
            status=status,
            utr=word(document, "utr"),
            reason=word(details, "description") or word(details, "reason") or word(document, "failure_reason"),
            fee_minor=whole_or_none(document, "fees") if is_charged else None,
            tax_minor=whole_or_none(document, "tax") if is_charged else None,
            created_at=moment(document, "created_at"),
        )


def validation_of(document: _Document) -> RemoteValidation:
    """`status` says whether the bank has answered, `results` what."""
    with readable("validation"):
        results = inner(document, "results") or inner(document, "validation_results")
        answered = word(document, "status") == "completed"
        return RemoteValidation(
            id=text(document, "id"),
            state=_VALIDATION_STATES.get(word(results, "account_status"), "INVALID") if answered else "ASKED",
            registered_name=word(results, "registered_name"),
        )


def dispute_of(document: _Document) -> RemoteDispute:
    with readable("dispute"):
        status = word(document, "status")
        return RemoteDispute(
            id=text(document, "id"),
            payment_id=word(document, "payment_id"),
            amount_minor=whole(document, "amount"),
            currency=text(document, "currency"),
            state=_state("dispute", status, _DISPUTE_STATES, "OPEN"),
            reason=word(document, "reason_code"),
            deducted_minor=whole_or_none(document, "amount_deducted") or 0,
            respond_by=moment(document, "respond_by"),
            created_at=moment(document, "created_at"),
        )


def settled_item_of(document: _Document) -> RemoteSettledItem:
    with readable("settled item"):
        settled_at = moment(document, "settled_at")
        if settled_at is None:
            raise ValueError("settled_at")
        kind, entity_id = word(document, "type"), text(document, "entity_id")
        return RemoteSettledItem(
            settlement_id=word(document, "settlement_id"),
            entity_id=entity_id,
            kind=kind,
            debit_minor=whole_or_none(document, "debit") or 0,
            credit_minor=whole_or_none(document, "credit") or 0,
            amount_minor=whole(document, "amount"),
            fee_minor=whole_or_none(document, "fee") or 0,
            tax_minor=whole_or_none(document, "tax") or 0,
            currency=text(document, "currency"),
            payment_id=word(document, "payment_id") or (entity_id if kind == "payment" else ""),
            utr=word(document, "settlement_utr"),
            settled_at=settled_at,
            dispute_id=word(document, "dispute_id"),
        )


def failed_order_of(metadata: str) -> str:
    """Empty where it cannot be read: a browser may bring anything."""
    try:
        return word(json.loads(metadata), "order_id")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""


def news_of(document: Any) -> News:
    """
    :raises TypeError, AttributeError, KeyError: it is no event at all.
    """
    name = word(document, "event")
    entities = {kind: part["entity"] for kind, part in document["payload"].items()}
    for prefix, read in _READERS:
        if name.startswith(prefix):
            return read(name, entities, moment(document, "created_at"))
    return News(name=name)


def _news_of_payment(name: str, entities: _Entities, _at: datetime | None) -> News:
    payment = entities.get("payment", {})
    order_id = word(payment, "order_id") or word(entities.get("order", {}), "id")
    if not order_id:
        return News(name=name)
    return News(name=name, about="order", order_id=order_id, payment_id=word(payment, "id"))


def _news_of_refund(name: str, entities: _Entities, _at: datetime | None) -> News:
    refund = entities.get("refund", {})
    refund_id, payment_id = word(refund, "id"), word(refund, "payment_id")
    if not refund_id:
        return News(name=name)
    return News(name=name, about="refund", refund_id=refund_id, payment_id=payment_id)


def _news_of_payout(name: str, entities: _Entities, _at: datetime | None) -> News:
    payout = entities.get("payout", {})
    payout_id, reference = word(payout, "id"), word(payout, "reference_id")
    if not payout_id:
        return News(name=name)
    return News(name=name, about="payout", payout_id=payout_id, reference=reference)


def _news_of_dispute(name: str, entities: _Entities, _at: datetime | None) -> News:
    dispute = entities.get("dispute", {})
    dispute_id = word(dispute, "id")
    payment_id = word(dispute, "payment_id") or word(entities.get("payment", {}), "id")
    return (
        News(name=name, about="dispute", dispute_id=dispute_id, payment_id=payment_id)
        if dispute_id
        else News(name=name)
    )


def _news_of_settlement(name: str, entities: _Entities, at: datetime | None) -> News:
    """The day of the settlement, or else of the letter."""
    settled = moment(entities.get("settlement", {}), "created_at") or at
    return News(name=name, about="settlement", on=settled.astimezone(_INDIA).date()) if settled else News(name=name)


# The longer one first: a dispute's event begins as a payment's does.
_READERS: Final = (
    ("payment.dispute.", _news_of_dispute),
    ("payment.", _news_of_payment),
    ("order.", _news_of_payment),
    ("refund.", _news_of_refund),
    ("payout.", _news_of_payout),
    ("settlement.", _news_of_settlement),
)


def _state(kind: str, status: str, states: Mapping[str, _State], otherwise: _State) -> _State:
    """A word that nobody knows decides nothing, and somebody hears of it."""
    if status not in states:
        log.error("gateway.status_unknown", gateway="razorpay", kind=kind, status=status[:40])
    return states.get(status, otherwise)
