"""
Captured payments become money in a wallet: exactly once, however and how often the news of them arrives.

A callback, a confirmation, a webhook and the sweep all end here, and none of them is believed: the gateway is asked
which payments its order has. What it captured is posted as a fact: it credits if amount, currency and order are what
was stored, nothing else has paid the order, and it came in time or is within the limits all the same; and is parked and
given back otherwise. Two guards stand against a second credit: the kernel completes a PENDING transaction once, and at
most one attempt of an order has a transaction that credited it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from django.db.models import Sum

from accounts.actors import system_actor
from ledger.models import Transaction
from ledger.movements import Completion, Group, Outcome
from ledger.posting import post
from payments.cases import open_case
from payments.gateways import gateway_named
from payments.gateways.base import AUTHORIZED, REFUNDED, GatewayRefused, RemotePayment, RemoteRefund
from payments.late_captures import LateCapture, PastLimit
from payments.models import Case, GatewayOrder, GatewayRefund, ParkedPayment, PaymentAttempt
from payments.orders import GATEWAY_ACTOR, next_check
from payments.parking import park_payment, return_parked
from payments.refund_outcomes import take_in
from wallet_project.kernel.database import give_back_connection

log = structlog.get_logger("payments.captures")

_LONGEST_WORD: Final = {"status": 20, "method": 20, "error_code": 60, "error_reason": 100, "reference": 100}
_NUMBERS: Final = ("refunded_minor", "fee_minor", "tax_minor")


class _Parked(Exception):
    """The payment has been parked, by whoever had a newer answer: it credits nobody."""


def settle_order(*, order: GatewayOrder, now: datetime) -> None:
    """
    Ask the gateway for the truth about an order: each attempt to pay it is noted, the first captured one credits, any
    other is parked and goes back, and what has been refunded there is refunded here.

    Safe to run any number of times, at once too.

    :raises GatewayError: the gateway would not say; nothing is lost, ask again.
    :raises Refusal: `busy`.
    """
    if order.order_id is None:
        return
    for payment in _payments_of(order, now):
        attempt = _note(order, payment, now)
        if attempt is None:
            log.error("capture.of_another_order", order=order.order_id, payment=payment.id)
        elif payment.was_captured:
            refunds = _unknown_refunds(attempt, payment)
            brought = _take(order, attempt, payment, now)
            if brought is not None:
                _mind_refunds(attempt, refunds, brought, now)


def _payments_of(order: GatewayOrder, now: datetime) -> list[RemotePayment]:
    """
    The order's payments as they now are, an authorized one captured if the order still waits for it; the earliest
    first, but those that are all refunded last: what is still there pays the order.
    """
    assert order.order_id is not None  # noqa: S101  (the caller looked)
    give_back_connection()
    gateway = gateway_named(order.gateway)
    payments = gateway.payments_of(order_id=order.order_id)
    ours = (order.amount_minor, order.currency)
    waiting = [it for it in payments if it.status == AUTHORIZED and (it.amount_minor, it.currency) == ours]
    if waiting and not any(it.was_captured for it in payments) and _still_waits(order):
        # The same one for all who are here at once.
        first = min(waiting, key=lambda it: (it.created_at or now, it.id))
        give_back_connection()
        try:
            gateway.capture(payment_id=first.id, amount_minor=first.amount_minor, currency=first.currency)
        except GatewayRefused as error:
            # Captured by the gateway itself in between, or gone back: what counts is what it says now.
            log.info("capture.refused", order=order.order_id, payment=first.id, http_status=error.http_status)
        payments = gateway.payments_of(order_id=order.order_id)
    return sorted(payments, key=lambda it: (it.status == REFUNDED, it.created_at or now, it.id))


def _still_waits(order: GatewayOrder) -> bool:
    return GatewayOrder.objects.filter(pk=order.pk, state=GatewayOrder.State.OPEN).exists()


def _note(order: GatewayOrder, payment: RemotePayment, now: datetime) -> PaymentAttempt | None:
    """
    Keep what the gateway says of an attempt; what credited it, and what it was for, is not touched.

    :returns: None for a payment that is another order's.
    """
    if payment.order_id not in ("", order.order_id):
        return None
    words = {name: getattr(payment, name)[:longest] for name, longest in _LONGEST_WORD.items()}
    numbers = {name: getattr(payment, name) for name in _NUMBERS}
    attempt = PaymentAttempt(
        order=order,
        gateway=order.gateway,
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        first_seen_at=now,
        last_seen_at=now,
        **words,
        **numbers,
    )
    PaymentAttempt.objects.bulk_create(
        [attempt],
        update_conflicts=True,
        unique_fields=["gateway", "payment_id"],
        update_fields=[*words, *numbers, "last_seen_at"],
    )
    known = PaymentAttempt.objects.select_related("order__transaction")
    return known.filter(gateway=order.gateway, payment_id=payment.id, order=order).first()


def _unknown_refunds(attempt: PaymentAttempt, payment: RemotePayment) -> Sequence[RemoteRefund]:
    """
    The payment's refunds, where the gateway has given back another amount than we have.

    :raises GatewayError: it would not say.
    """
    ours = GatewayRefund.objects.filter(attempt=attempt).exclude(state=GatewayRefund.State.FAILED)
    there = payment.amount_minor if payment.status == REFUNDED else payment.refunded_minor
    if there == (ours.aggregate(total=Sum("amount_minor"))["total"] or 0):
        return ()
    give_back_connection()
    return gateway_named(attempt.gateway).refunds_of(payment_id=attempt.payment_id)


def _take(order: GatewayOrder, attempt: PaymentAttempt, payment: RemotePayment, now: datetime) -> Transaction | None:
    """
    A captured payment's money: credited, or parked.

    :returns: what brought it; None where it cannot be posted at all, which is a case.
    """
    if payment.currency != order.currency or payment.currency != attempt.currency:
        _open_case(order, payment, now)
        return None
    if payment.amount_minor != order.amount_minor or payment.amount_minor != attempt.amount_minor:
        # Never credited in part: it goes back to whoever paid it.
        return park_payment(attempt=attempt, reason=ParkedPayment.Reason.AMOUNT)
    credited = _credited(order)
    if credited is None and not _is_gone(payment):
        try:
            credited = _credit(order, attempt, now)
        except _Parked:
            log.info("capture.parked_meanwhile", order=order.order_id, payment=payment.id)
        except PastLimit:
            return park_payment(attempt=attempt, reason=ParkedPayment.Reason.LIMIT)
    if credited is None:
        return park_payment(attempt=attempt, reason=ParkedPayment.Reason.GONE)
    if credited.pk == attempt.pk:
        assert credited.credited_by is not None  # noqa: S101  (it is credited)
        return credited.credited_by
    return park_payment(attempt=attempt, reason=ParkedPayment.Reason.SECOND)


def _is_gone(payment: RemotePayment) -> bool:
    """All of it has gone back to whoever paid it."""
    return payment.status == REFUNDED or payment.refunded_minor >= payment.amount_minor


def _credited(order: GatewayOrder) -> PaymentAttempt | None:
    attempts = PaymentAttempt.objects.select_related("credited_by")
    return attempts.filter(order=order, credited_by__isnull=False).first()


def _credit(order: GatewayOrder, attempt: PaymentAttempt, now: datetime) -> PaymentAttempt:
    """
    :returns: the attempt that paid the order, be it this one or another that was faster.
    :raises _Parked: this one's money is in suspense already.
    :raises PastLimit: it came late, and no limit has room for it any more.
    """

    def remember(outcomes: Sequence[Outcome]) -> None:
        """Which payment it was, in the very posting that credits it."""
        outcome = outcomes[0]
        if outcome.kind != "posted":
            return
        transaction = (outcome.diverted or outcome.transactions)[0]
        if PaymentAttempt.objects.filter(pk=attempt.pk, credited_by=None).update(credited_by=transaction) != 1:
            raise RuntimeError(f"Payment {attempt.payment_id} has been credited before.")
        if ParkedPayment.objects.filter(attempt=attempt).exists():
            raise _Parked
        # A second payment may come whose webhook is lost.
        GatewayOrder.objects.filter(pk=order.pk).update(
            state=GatewayOrder.State.PAID, check_at=next_check(order=order, state=GatewayOrder.State.PAID, now=now)
        )
        if outcome.diverted:
            _tell_of_diversion(order, transaction, now)

    gateway = system_actor(GATEWAY_ACTOR).pk
    completion = Completion(transaction=order.transaction_id, status="SUCCESS")
    outcome = post([Group(initiator=gateway, movements=(completion,))], within=remember)[0]
    # A closed wallet's ADD fails too, in the very posting that credits suspense: somebody may just have done that.
    if outcome.kind == "unchanged" and outcome.code == Transaction.Status.FAILED and _credited(order) is None:
        late = LateCapture(order=order, initiator=gateway)

        def remember_late(outcomes: Sequence[Outcome]) -> None:
            remember(outcomes)
            late.note(outcomes[0])

        outcome = post([late.group], within=remember_late)[0]
    log.info("capture.credited" if outcome.kind == "posted" else "capture.known", order=order.order_id)
    credited = _credited(order)
    if credited is None:
        raise RuntimeError(f"Order {order.order_id} is paid, and nobody knows by which payment.")
    return credited


def _mind_refunds(
    attempt: PaymentAttempt, refunds: Sequence[RemoteRefund], brought: Transaction, now: datetime
) -> None:
    """What has been refunded there is refunded here, whoever began it; and what credits nobody goes back."""
    for remote in refunds:
        take_in(attempt=attempt, brought=brought, remote=remote, now=now)
    if ParkedPayment.objects.filter(attempt=attempt).exists():
        return_parked(attempt=attempt, brought=brought, now=now)


def _open_case(order: GatewayOrder, payment: RemotePayment, now: datetime) -> None:
    open_case(
        kind=Case.Kind.AMOUNT,
        gateway=order.gateway,
        subject=payment.id,
        transaction=order.transaction_id,
        amount_here_minor=order.amount_minor,
        amount_there_minor=payment.amount_minor,
        currency=payment.currency,
        reason=f"Order {order.order_id} is in {order.currency}, and was paid in {payment.currency}.",
        suggestion="Refund the payment at the gateway. Nothing of it is in the ledger.",
        now=now,
    )


def _tell_of_diversion(order: GatewayOrder, transaction: int, now: datetime) -> None:
    open_case(
        kind=Case.Kind.DIVERTED,
        gateway=order.gateway,
        subject=order.order_id or "",
        transaction=transaction,
        amount_here_minor=order.amount_minor,
        currency=order.currency,
        reason="A top-up was paid, and its wallet cannot take it: the money is in suspense.",
        suggestion="Refund it, or find out where its owner wants it.",
        now=now,
    )
