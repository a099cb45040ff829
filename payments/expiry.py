"""
Orders that nobody told us about: asked about on a schedule, and given up when their time is over.

This finds payments whose callback and webhook were lost, and goes on asking for days after an order was given up, for
the gateway may capture a payment that it had called failed; and after it was paid, for somebody may pay it twice.
"""

from datetime import UTC, datetime
from typing import Any, Final

import structlog

from payments.asking import is_overdue
from payments.captures import settle_order
from payments.cases import open_case, settle_case
from payments.models import Case, GatewayOrder
from payments.orders import fail_order, find_at_gateway, next_check
from payments.sweeping import Errand, sweep_due

log = structlog.get_logger("payments.expiry")


def sweep_orders(*, now: datetime, longest_seconds: float = 60.0) -> int:
    """
    Ask the gateway about the orders that are due, as `sweep_due` goes on with rows.

    :returns: how many were asked about.
    """
    return sweep_due(
        rows=GatewayOrder.objects.exclude(leased_until__gt=now).select_related("transaction"),
        errand=_ERRAND,
        now=now,
        longest_seconds=longest_seconds,
    )


def check_order(*, order: GatewayOrder, now: datetime) -> None:
    """
    Credit what was paid; give the order up if its time is over.

    :raises GatewayError: the gateway would not say, so nothing is decided.
    :raises Refusal: `busy`.
    """
    try:
        _ask(order, now)
    finally:
        _mind_overdue(order, now)


def _ask(order: GatewayOrder, now: datetime) -> None:
    if order.order_id is None and find_at_gateway(order):
        order.refresh_from_db()
    settle_order(order=order, now=now)
    order.refresh_from_db(fields=["state"])
    if _is_unpaid(order) and order.expires_at <= now:
        fail_order(order=order, code="order_expired", state=GatewayOrder.State.EXPIRED, now=now)
        log.info("order.expired", transaction=order.receipt)


def _mind_overdue(order: GatewayOrder, now: datetime) -> None:
    """Nobody may give an order up before the gateway has said that nothing was paid; somebody must see to it then."""
    if not is_overdue(since=order.expires_at, now=now):
        return
    order.refresh_from_db(fields=["state"])
    about: dict[str, Any] = {"gateway": order.gateway, "subject": order.receipt, "now": now}
    if not _is_unpaid(order):
        settle_case(kind=Case.Kind.UNKNOWN_OUTCOME, **about, resolution="The gateway has said what became of it.")
        return
    over = order.expires_at.astimezone(UTC)
    open_case(
        kind=Case.Kind.UNKNOWN_OUTCOME,
        **about,
        transaction=order.transaction_id,
        amount_here_minor=order.amount_minor,
        currency=order.currency,
        reason=f"Its time was over at {over:%Y-%m-%d %H:%M} UTC; the gateway has not said whether it was paid.",
        suggestion="Ask the gateway. Until it has said that nothing was paid, the top-up stays open.",
    )


def _is_unpaid(order: GatewayOrder) -> bool:
    return order.state in (GatewayOrder.State.NEW, GatewayOrder.State.OPEN)


_ERRAND: Final[Errand[GatewayOrder]] = Errand(
    work=lambda order, now: check_order(order=order, now=now),
    next_check=lambda order, now: next_check(order=order, state=order.state, now=now),
    names=lambda order: {"transaction": order.receipt},
    log=log,
    put_off="order.not_checked",
    failed="order.failed_to_check",
)
