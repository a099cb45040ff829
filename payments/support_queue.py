"""Reads of the support queue: how much stands open, and which rows its cases are about."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from django.db.models import Q

from payments.models import (
    Case,
    Dispute,
    GatewayOrder,
    GatewayRefund,
    PaymentAttempt,
    Payout,
    SettledItem,
    WebhookEvent,
)

# What a case can be about.
Subject = GatewayOrder | PaymentAttempt | Payout | GatewayRefund | Dispute | SettledItem | WebhookEvent

# Counting further tells nobody anything new.
MOST_COUNTED: Final = 1000
_Found = Iterable[tuple[str, str, Subject]]


def count_open_cases() -> int:
    """No further than `MOST_COUNTED`."""
    return len(Case.objects.filter(state=Case.State.OPEN).values_list("pk")[:MOST_COUNTED])


def subjects_of(cases: Sequence[Case]) -> dict[int, Subject]:
    """
    The row that each case is about, by the case's primary key: the one that its subject names, else the one that
    its transaction belongs to. None for what no row knows: a payment of the gateway's that never came here, or a
    day's forged webhooks.

    :param cases: a page of them; each kind of row is asked for once.
    """
    words = {(case.gateway, case.subject) for case in cases}
    found: dict[tuple[str, str], Subject] = {}
    for look_up in _LOOK_UPS:
        missing = words - found.keys()
        if not missing:
            break
        gateways, names = {gateway for gateway, _ in missing}, {name for _, name in missing}
        for gateway, name, row in look_up(gateways, names):
            if (gateway, name) in missing:
                found.setdefault((gateway, name), row)
    by_name = {case.pk: found[case.gateway, case.subject] for case in cases if (case.gateway, case.subject) in found}
    return by_name | _by_transaction([case for case in cases if case.pk not in by_name])


def _by_transaction(cases: Sequence[Case]) -> dict[int, Subject]:
    wanted = {case.transaction_id for case in cases if case.transaction_id is not None}
    found: dict[int | None, Subject] = {}
    if wanted:
        for order in GatewayOrder.objects.filter(transaction__in=wanted).select_related("transaction"):
            found[order.transaction_id] = order
        for attempt in PaymentAttempt.objects.filter(credited_by__in=wanted).select_related("order__transaction"):
            found[attempt.credited_by_id] = attempt
        for model in (Payout, GatewayRefund, SettledItem):
            found |= {row.transaction_id: row for row in model.objects.filter(transaction__in=wanted)}
    return {case.pk: found[case.transaction_id] for case in cases if case.transaction_id in found}


def _payments(gateways: set[str], names: set[str]) -> _Found:
    rows = PaymentAttempt.objects.filter(gateway__in=gateways, payment_id__in=names)
    return ((row.gateway, row.payment_id, row) for row in rows.select_related("order__transaction"))


def _orders(gateways: set[str], names: set[str]) -> _Found:
    rows = GatewayOrder.objects.filter(gateway__in=gateways, order_id__in=names)
    return ((row.gateway, row.order_id or "", row) for row in rows.select_related("transaction"))


def _payouts(gateways: set[str], names: set[str]) -> _Found:
    for row in Payout.objects.filter(Q(key__in=names) | Q(payout_id__in=names), gateway__in=gateways):
        yield row.gateway, row.key, row
        yield row.gateway, row.payout_id or "", row


def _refunds(gateways: set[str], names: set[str]) -> _Found:
    rows = GatewayRefund.objects.filter(Q(key__in=names - {""}) | Q(refund_id__in=names), gateway__in=gateways)
    for row in rows.select_related("attempt"):
        yield row.gateway, row.key, row
        yield row.gateway, row.refund_id or "", row


def _disputes(gateways: set[str], names: set[str]) -> _Found:
    rows = Dispute.objects.filter(gateway__in=gateways, dispute_id__in=names)
    return ((row.gateway, row.dispute_id, row) for row in rows)


def _events(gateways: set[str], names: set[str]) -> _Found:
    # Not their bodies: a page of cases has no use for them.
    rows = WebhookEvent.objects.filter(gateway__in=gateways, event_id__in=names).defer("body")
    return ((row.gateway, row.event_id, row) for row in rows)


def _settled_items(gateways: set[str], names: set[str]) -> _Found:
    """As `payments.settlements.subject_of` names them."""
    parts = [name.partition("/") for name in names if "/" in name]
    if not parts:
        return
    rows = SettledItem.objects.filter(
        gateway__in=gateways,
        settlement_id__in={settlement for settlement, _, _ in parts},
        entity_id__in={entity for _, _, entity in parts},
    )
    for row in rows:
        yield row.gateway, f"{row.settlement_id}/{row.entity_id}", row


# In this order a name is looked up that several could have.
_LOOK_UPS: Final[tuple[Callable[[set[str], set[str]], _Found], ...]] = (
    _payments,
    _orders,
    _payouts,
    _refunds,
    _disputes,
    _settled_items,
    _events,
)
