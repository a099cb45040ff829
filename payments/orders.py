"""
Orders at the gateway: one for each top-up, made by one request at a time and found again by its receipt.

The network is never touched inside a transaction. A lease on the order's row lets one of several equal requests
talk to the gateway; the others wait a few seconds for what it brings, and are then told to come again. A lease ends
by itself, so a killed process stops nobody for long; should two requests meet at the gateway after all, the receipt
and a conditional UPDATE still leave one order.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from accounts.actors import system_actor
from ledger.models import IdempotencyKey, Transaction
from ledger.movements import Completion, Group, Outcome
from ledger.posting import post
from payments.asking import next_ask
from payments.gateways import DEFAULT, gateway_named
from payments.gateways.base import Gateway, GatewayRefused, RemoteOrder
from payments.models import GatewayOrder
from payments.spending import give_spending_back
from wallet_project.kernel.database import give_back_connection, is_posting
from wallet_project.kernel.errors import GatewayError, Refusal
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.orders")

# Longer than asking by receipt and then creating can take.
LEASE: Final = timedelta(seconds=45)
LONGEST_WAIT_SECONDS: Final = 4.0
_POLL_SECONDS: Final = 0.1
_RETRY_AFTER_SECONDS: Final = 2
# For how long a payment that failed may still be captured, or another of a paid order turn up.
LISTENING: Final = timedelta(days=4)
GATEWAY_ACTOR: Final = "gateway"
_GIVEN_UP: Final = (GatewayOrder.State.EXPIRED, GatewayOrder.State.REFUSED)


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where to pay, and whether this call made it (or another had before)."""

    fields: dict[str, Any] | None
    is_fresh: bool


def open_order(*, transaction: Transaction, amount: Money, lease: UUID, now: datetime) -> GatewayOrder:
    """
    The order's row, within the posting that makes its ADD; leased to whoever asked for it.

    :raises RuntimeError: outside of a posting.
    """
    if not is_posting():
        raise RuntimeError("An order is written with its ADD or not at all.")
    expires_at = now + timedelta(seconds=settings.ADD_ORDER_LIFETIME_SECONDS)
    return GatewayOrder.objects.create(
        transaction=transaction,
        gateway=DEFAULT,
        amount_minor=amount.minor,
        currency=amount.currency,
        lease=lease,
        leased_until=Now() + LEASE,
        created_at=now,
        expires_at=expires_at,
        check_at=expires_at,
    )


def checkout_of(*, transaction: int, initiator: int, key: str, lease: UUID, now: datetime) -> Checkout:
    """
    Where this ADD is to be paid: as first given, or from an order made now.

    :param lease: the caller's own name in the lease.
    :returns: no fields, where the ADD ended before it had an order.
    :raises Refusal: `gateway_unavailable`, `idempotency_key_in_progress`: the same request may be sent again.
    """
    mine = IdempotencyKey.objects.filter(initiator=initiator, key=key)
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        first_given = mine.values_list("checkout", flat=True).get()
        if first_given is not None:
            return Checkout(first_given, is_fresh=False)
        order = GatewayOrder.objects.select_related("transaction").get(transaction=transaction)
        if order.transaction.status != Transaction.Status.PENDING:
            return Checkout(None, is_fresh=False)
        if order.order_id is not None:
            # A sweep found what an earlier request had made and died over.
            return Checkout(_give_checkout(order, initiator=initiator, key=key), is_fresh=True)
        if _take_lease(order, lease):
            return Checkout(_make(order, initiator=initiator, key=key, lease=lease, now=now), is_fresh=True)
        if time.monotonic() > until:
            raise Refusal("idempotency_key_in_progress", retry_after_seconds=_RETRY_AFTER_SECONDS)
        give_back_connection()
        time.sleep(_POLL_SECONDS)


def find_at_gateway(order: GatewayOrder) -> bool:
    """
    For an order whose making was never heard the end of: whether the gateway has it. Notes its id if so.

    :raises GatewayError:
    """
    give_back_connection()
    remote = gateway_named(order.gateway).find_order(receipt=order.receipt)
    if remote is None:
        return False
    _check_same(order, remote)
    _note_id(order, remote)
    return True


def remote_of(order: GatewayOrder) -> RemoteOrder:
    """An order whose id is known, as the gateway has it."""
    assert order.order_id is not None  # noqa: S101  (the caller looked)
    return RemoteOrder(
        id=order.order_id, amount_minor=order.amount_minor, currency=order.currency, receipt=order.receipt
    )


def next_check(*, order: GatewayOrder, state: str, now: datetime) -> datetime | None:
    """
    When the gateway is next asked, of itself, about an order in this state.

    By schedule, but at its expiry in any case. One that is not decided yet is asked about until it is, however long
    the gateway is away; one given up for some days more. A paid one a few times: each time when it is four times as
    old as it was the time before.
    """
    at = next_ask(asked=order.checks, now=now)
    if state in (GatewayOrder.State.NEW, GatewayOrder.State.OPEN):
        return min(at, order.expires_at) if now < order.expires_at else at
    if state == GatewayOrder.State.PAID:
        at = max(next_ask(asked=0, now=now), now + 3 * (now - order.created_at))
    return at if at < order.created_at + LISTENING else None


def fail_order(*, order: GatewayOrder, code: str, state: str, now: datetime) -> None:
    """The ADD ends unpaid. Safe to run twice; whoever credits it at the same moment wins or loses whole."""

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            GatewayOrder.objects.filter(pk=order.pk).update(state=state)
            give_spending_back(transaction=order.transaction_id, now=now)

    completion = Completion(transaction=order.transaction_id, status="FAILED", failure_code=code)
    post([Group(initiator=system_actor(GATEWAY_ACTOR).pk, movements=(completion,))], within=remember)


def _take_lease(order: GatewayOrder, lease: UUID) -> bool:
    """By the database's clock, so that no two processes disagree about the time."""
    free = Q(lease=None) | Q(lease=lease) | Q(leased_until__lt=Now())
    taken = GatewayOrder.objects.filter(free, pk=order.pk, order_id=None).update(
        lease=lease, leased_until=Now() + LEASE
    )
    return taken == 1


def _make(order: GatewayOrder, *, initiator: int, key: str, lease: UUID, now: datetime) -> dict[str, Any] | None:
    """The lease is ours: have the order made, or found, and note it together with the checkout."""
    gateway = gateway_named(order.gateway)
    try:
        give_back_connection()
        remote = _obtain(gateway, order, is_first=order.lease == lease)
        _check_same(order, remote)
    except GatewayRefused as error:
        log.error("order.refused", transaction=order.receipt, reason=error.reason, http_status=error.http_status)
        if error.http_status in (401, 403):
            _end_lease(order, lease)
            raise Refusal("gateway_unavailable", retry_after_seconds=_RETRY_AFTER_SECONDS) from error
        fail_order(order=order, code="gateway_refused", state=GatewayOrder.State.REFUSED, now=now)
        return None
    except GatewayError as error:
        log.warning("order.gateway_unavailable", transaction=order.receipt, http_status=error.http_status)
        _end_lease(order, lease)
        raise Refusal("gateway_unavailable", retry_after_seconds=_RETRY_AFTER_SECONDS) from error
    with transaction.atomic():
        _note_id(order, remote, check_at=next_ask(asked=0, now=now))
        if GatewayOrder.objects.filter(pk=order.pk, state__in=_GIVEN_UP).exists():
            return None
        return _give_checkout(order, remote, initiator=initiator, key=key)


def _give_checkout(
    order: GatewayOrder, remote: RemoteOrder | None = None, *, initiator: int, key: str
) -> dict[str, Any] | None:
    """As first given: should another request have been here before us after all, its word stands."""
    if remote is None:
        remote = remote_of(order)
    fields = gateway_named(order.gateway).checkout_of(remote)
    mine = IdempotencyKey.objects.filter(initiator=initiator, key=key)
    mine.filter(checkout__isnull=True).update(checkout=fields)
    return mine.values_list("checkout", flat=True).get()


def _obtain(gateway: Gateway, order: GatewayOrder, *, is_first: bool) -> RemoteOrder:
    """A retry looks its receipt up before it creates; so does whoever is told that the receipt is taken."""
    receipt = order.receipt
    found = None if is_first else gateway.find_order(receipt=receipt)
    if found is not None:
        return found
    try:
        return gateway.create_order(amount_minor=order.amount_minor, currency=order.currency, receipt=receipt)
    except GatewayRefused:
        found = gateway.find_order(receipt=receipt)
        if found is None:
            raise
        return found


def _check_same(order: GatewayOrder, remote: RemoteOrder) -> None:
    if (remote.amount_minor, remote.currency) != (order.amount_minor, order.currency):
        raise GatewayRefused("The gateway's order is for another amount than ours.")


def _note_id(order: GatewayOrder, remote: RemoteOrder, check_at: datetime | None = None) -> None:
    """One that has ended stays so, for its ADD has failed; a late payment of it is found by its id all the same."""
    states = GatewayOrder.State
    GatewayOrder.objects.filter(pk=order.pk, order_id=None).update(
        order_id=remote.id,
        state=Case(When(state=states.NEW, then=Value(states.OPEN)), default=F("state")),
        lease=None,
        leased_until=None,
        check_at=check_at or order.check_at,
    )


def _end_lease(order: GatewayOrder, lease: UUID) -> None:
    """A retry need not wait for the lease to run out."""
    GatewayOrder.objects.filter(pk=order.pk, lease=lease).update(lease=None, leased_until=None)
