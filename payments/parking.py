"""
Captured payments that credit nobody: a second one of an order, one of another amount than the order's, one whose money
the gateway had given back before anybody here heard of it, or one that came late and past the limits.

Their money is a fact, so it is posted, into suspense; and it goes back to its payer, all of it, as any refund does.
Nothing happens off the ledger.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog

from accounts.actors import system_actor
from ledger.models import Transaction
from ledger.movements import Group, Key, Movement, Outcome
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from payments.cases import open_case
from payments.models import Case, ParkedPayment, PaymentAttempt
from payments.orders import GATEWAY_ACTOR
from payments.refund_outcomes import left_of, open_refund, refund_movement
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.parking")


class _Credited(Exception):
    """Somebody who had an older answer was here first, and it credited its order."""


def park_payment(*, attempt: PaymentAttempt, reason: str) -> Transaction:
    """
    Put a captured payment's money into suspense, once. Safe to run any number of times, at once too.

    :param reason: one of `ParkedPayment.Reason`.
    :returns: what brought the money there; or to a person, if it has credited its order meanwhile.
    :raises Refusal: `busy`.
    """
    known = ParkedPayment.objects.select_related("transaction").filter(attempt=attempt).first()
    if known is not None:
        return known.transaction

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind != "posted":
            return
        # Either posting moves the same shard of clearing, so of two at once the later one sees the other's.
        if PaymentAttempt.objects.filter(pk=attempt.pk, credited_by__isnull=False).exists():
            raise _Credited
        ParkedPayment.objects.create(
            attempt=attempt, transaction_id=outcomes[0].transactions[0], reason=ParkedPayment.Reason(reason)
        )

    order = attempt.order
    movement = Movement(
        type=Transaction.Type.ADD,
        amount=Money.from_minor(attempt.amount_minor, attempt.currency).amount,
        currency=attempt.currency,
        from_wallet=order.transaction.from_wallet_id,
        to_wallet=system_wallet(Purpose.SUSPENSE, attempt.currency),
        metadata={"order": order.order_id or "", "payment": attempt.payment_id, "parked": str(reason)},
        fact=True,
    )
    name = f"{attempt.gateway}:{attempt.payment_id}"
    key = Key(key=f"parked:{name}", fingerprint=fingerprint("parked payment", payment=name))
    try:
        outcome = post([_group(movement, key)], within=remember)[0]
    except _Credited:
        return Transaction.objects.get(paid_by=attempt)
    log.error("payment.parked", order=order.order_id, payment=attempt.payment_id, reason=str(reason))
    return Transaction.objects.get(pk=outcome.transactions[0])


def return_parked(*, attempt: PaymentAttempt, brought: Transaction, now: datetime) -> None:
    """
    Begin to give a parked payment back: whatever of it has not gone back yet. Once, however it ends: where the gateway
    refuses, somebody must find another way.

    :raises Refusal: `busy`.
    """
    name = f"{attempt.gateway}:{attempt.payment_id}"
    left = left_of(brought=brought)
    if left.amount <= 0:
        return

    def remember(outcomes: Sequence[Outcome]) -> None:
        outcome = outcomes[0]
        if outcome.kind == "posted":
            open_refund(attempt=attempt, transaction=outcome.transactions[0], amount=left, now=now)
        elif outcome.kind == "refused":
            open_case(
                kind=Case.Kind.REFUND_FAILED,
                gateway=attempt.gateway,
                subject=attempt.payment_id,
                transaction=brought.pk,
                amount_here_minor=left.minor,
                currency=left.currency,
                reason=f"A payment that credits nobody could not be given back ({outcome.code}).",
                suggestion="See how much of it is still in suspense, and give that back.",
                now=now,
            )

    movement = refund_movement(brought=brought, amount=left, metadata={"payment": attempt.payment_id})
    key = Key(key=f"return:{name}", fingerprint=fingerprint("return of a parked payment", payment=name))
    outcome = post([_group(movement, key)], within=remember)[0]
    if outcome.kind == "posted":
        log.info("payment.returning", payment=attempt.payment_id, transaction=outcome.transactions[0])


def _group(movement: Movement, key: Key) -> Group:
    return Group(initiator=system_actor(GATEWAY_ACTOR).pk, movements=(movement,), key=key)
