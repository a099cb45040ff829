"""Stripe's documents, read into the wallet's own words. Its currencies are in small letters, ours are not."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from payments.gateways.base import (
    AUTHORIZED,
    CAPTURED,
    REFUNDED,
    News,
    RemoteDispute,
    RemoteOrder,
    RemotePayment,
    RemotePayout,
    RemoteRefund,
    RemoteSettledItem,
)
from payments.gateways.documents import inner, moment, text, whole, whole_or_none, word
from payments.gateways.http import readable

_PAYOUT_STATES: Final[Mapping[str, Literal["QUEUED", "PROCESSING", "PROCESSED", "FAILED"]]] = {
    "pending": "QUEUED",
    "in_transit": "PROCESSING",
    "paid": "PROCESSED",
    "failed": "FAILED",
    "canceled": "FAILED",
}
_REFUND_STATES: Final[Mapping[str, Literal["PROCESSED", "FAILED"]]] = {
    "succeeded": "PROCESSED",
    "failed": "FAILED",
    "canceled": "FAILED",
}
_DISPUTE_STATES: Final[Mapping[str, Literal["UNDER_REVIEW", "WON", "LOST", "CLOSED"]]] = {
    "under_review": "UNDER_REVIEW",
    "warning_under_review": "UNDER_REVIEW",
    "won": "WON",
    "lost": "LOST",
    "warning_closed": "CLOSED",
    "prevented": "CLOSED",
}
_SETTLED_KINDS: Final = {
    "charge": "payment",
    "payment": "payment",
    "refund": "refund",
    "payment_refund": "refund",
    "adjustment": "adjustment",
}


def order_of(intent: Mapping[str, Any]) -> RemoteOrder:
    with readable("payment intent"):
        return RemoteOrder(
            id=text(intent, "id"),
            amount_minor=whole(intent, "amount"),
            currency=_currency(intent),
            receipt=word(inner(intent, "metadata"), "receipt"),
        )


def payment_of(charge: Mapping[str, Any]) -> RemotePayment:
    with readable("charge"):
        amount, refunded = whole(charge, "amount"), whole_or_none(charge, "amount_refunded") or 0
        booked = inner(charge, "balance_transaction")
        return RemotePayment(
            id=text(charge, "id"),
            order_id=word(charge, "payment_intent"),
            amount_minor=amount,
            currency=_currency(charge),
            status=_status_of(charge, amount, refunded),
            method=word(inner(charge, "payment_method_details"), "type"),
            refunded_minor=refunded,
            error_code=word(charge, "failure_code"),
            error_reason=word(inner(charge, "outcome"), "reason"),
            reference=word(charge, "receipt_number"),
            fee_minor=whole_or_none(booked, "fee"),
            tax_minor=_tax_of(booked) if booked else None,
            created_at=moment(charge, "created"),
        )


def _status_of(charge: Mapping[str, Any], amount: int, refunded: int) -> str:
    status = word(charge, "status")
    if status != "succeeded":
        return "failed" if status == "failed" else "created"
    if charge.get("captured") is not True:
        return AUTHORIZED
    return REFUNDED if refunded >= amount else CAPTURED


def refund_of(refund: Mapping[str, Any]) -> RemoteRefund:
    with readable("refund"):
        details = inner(refund, "destination_details")
        status = word(refund, "status")
        return RemoteRefund(
            id=text(refund, "id"),
            payment_id=word(refund, "charge"),
            amount_minor=whole(refund, "amount"),
            currency=_currency(refund),
            state=_REFUND_STATES.get(status, "PENDING"),
            status=status,
            reference=word(inner(details, word(details, "type")), "reference"),
            key=word(inner(refund, "metadata"), "key"),
            reason=word(refund, "failure_reason"),
            created_at=moment(refund, "created"),
        )


def payout_of(payout: Mapping[str, Any]) -> RemotePayout:
    """Its fee is not told here: standard payouts have none."""
    with readable("payout"):
        status = word(payout, "status")
        return RemotePayout(
            id=text(payout, "id"),
            reference=word(inner(payout, "metadata"), "reference"),
            amount_minor=whole(payout, "amount"),
            currency=_currency(payout),
            state=_PAYOUT_STATES.get(status, "PROCESSING"),
            status=status,
            utr=word(inner(payout, "trace_id"), "value"),
            reason=word(payout, "failure_message") or word(payout, "failure_code"),
            created_at=moment(payout, "created"),
        )


def dispute_of(dispute: Mapping[str, Any]) -> RemoteDispute:
    with readable("dispute"):
        booked = dispute.get("balance_transactions") or []
        return RemoteDispute(
            id=text(dispute, "id"),
            payment_id=word(dispute, "charge"),
            amount_minor=whole(dispute, "amount"),
            currency=_currency(dispute),
            state=_DISPUTE_STATES.get(word(dispute, "status"), "OPEN"),
            reason=word(dispute, "reason"),
            deducted_minor=max(0, -sum(whole(each, "amount") for each in booked)),
            respond_by=moment(inner(dispute, "evidence_details"), "due_by"),
            created_at=moment(dispute, "created"),
        )


def settled_item_of(item: Mapping[str, Any], payout: Mapping[str, Any], day: datetime) -> RemoteSettledItem:
    with readable("balance transaction"):
        kind, net, source = (
            _SETTLED_KINDS.get(word(item, "type"), "transfer"),
            whole(item, "net"),
            inner(item, "source"),
        )
        return RemoteSettledItem(
            settlement_id=text(payout, "id"),
            entity_id=word(source, "id") or text(item, "id"),
            kind=kind,
            debit_minor=max(0, -net),
            credit_minor=max(0, net),
            amount_minor=abs(whole(item, "amount")),
            fee_minor=whole_or_none(item, "fee") or 0,
            tax_minor=_tax_of(item),
            currency=_currency(item),
            payment_id=word(source, "id") if kind == "payment" else word(source, "charge"),
            utr=word(inner(payout, "trace_id"), "value"),
            settled_at=moment(payout, "arrival_date") or day,
        )


def news_of(name: str, subject: Mapping[str, Any]) -> News:
    kind, own = word(subject, "object"), word(subject, "id")
    if kind == "payment_intent":
        return News(name=name, about="order", order_id=own)
    if kind == "charge" and (order_id := word(subject, "payment_intent")):
        return News(name=name, about="order", order_id=order_id, payment_id=own)
    if kind == "refund":
        return News(name=name, about="refund", refund_id=own, payment_id=word(subject, "charge"))
    if kind == "dispute":
        return News(name=name, about="dispute", dispute_id=own, payment_id=word(subject, "charge"))
    if kind == "payout" and subject.get("automatic") is True:
        arrives = moment(subject, "arrival_date")
        return News(name=name, about="settlement", on=arrives.date()) if arrives else News(name=name)
    if kind == "payout":
        return News(name=name, about="payout", payout_id=own, reference=word(inner(subject, "metadata"), "reference"))
    return News(name=name)


def _tax_of(booked: Mapping[str, Any]) -> int:
    details = booked.get("fee_details") or []
    return sum(whole(each, "amount") for each in details if word(each, "type") == "tax")


def _currency(document: Mapping[str, Any]) -> str:
    return text(document, "currency").upper()
