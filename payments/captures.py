"""
Captured payments become money in a wallet: exactly once, however and how often the news of them arrives.

A callback, a confirmation, a webhook and the sweep all end here, and none of them is believed: the gateway is asked
which payments its order has. What it captured is posted as a fact. Two guards stand against a second credit: the
kernel completes a PENDING transaction once, and at most one attempt of an order has a transaction that credited it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from accounts.actors import system_actor
from ledger.models import Transaction
from ledger.movements import Completion, Group, Key, Movement, Outcome
from ledger.posting import post
from payments.gateways import gateway_named
from payments.gateways.base import CAPTURED, RemotePayment
from payments.models import GatewayOrder, PaymentAttempt
from payments.orders import GATEWAY_ACTOR
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.captures")

_LONGEST_WORD: Final = {"status": 20, "method": 20, "error_code": 60, "error_reason": 100}


def settle_order(*, order: GatewayOrder, now: datetime) -> None:
    """
    Ask the gateway for the truth about an order, note each attempt to pay it, and credit the one that did.

    Safe to run any number of times, at once too.

    :raises GatewayError: the gateway would not say; nothing is lost, ask again.
    """
    if order.order_id is None:
        return
    give_back_connection()
    payments = gateway_named(order.gateway).payments_of(order_id=order.order_id)
    for payment in payments:
        if payment.order_id not in ("", order.order_id):
            log.error("capture.of_another_order", order=order.order_id, payment=payment.id)
            continue
        _note(order, payment, now)
        if payment.is_captured:
            _credit(order, payment)
        elif payment.refunded_minor and payment.status == CAPTURED:
            # Refunded in part before we heard of it: somebody must decide what the rest is.
            log.error("capture.partly_refunded", order=order.order_id, payment=payment.id)


def _note(order: GatewayOrder, payment: RemotePayment, now: datetime) -> None:
    """Keep what the gateway says of an attempt; what credited it is not touched."""
    attempt = PaymentAttempt(
        order=order,
        gateway=order.gateway,
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        first_seen_at=now,
        last_seen_at=now,
        **{name: getattr(payment, name)[:longest] for name, longest in _LONGEST_WORD.items()},
    )
    PaymentAttempt.objects.bulk_create(
        [attempt],
        update_conflicts=True,
        unique_fields=["gateway", "payment_id"],
        update_fields=[*_LONGEST_WORD, "last_seen_at"],
    )


def _credit(order: GatewayOrder, payment: RemotePayment) -> None:
    if (payment.amount_minor, payment.currency) != (order.amount_minor, order.currency):
        # Never credited in part: it goes back to whoever paid it.
        log.error("capture.wrong_amount", order=order.order_id, payment=payment.id)
        return
    attempts = PaymentAttempt.objects.filter(order=order, credited_by__isnull=False)
    credited = attempts.first()
    if credited is not None:
        if credited.payment_id != payment.id:
            log.error("capture.second_payment", order=order.order_id, payment=payment.id)
        return

    def remember(outcomes: Sequence[Outcome]) -> None:
        """Which payment it was, in the very posting that credits it."""
        outcome = outcomes[0]
        if outcome.kind != "posted":
            return
        transaction = (outcome.diverted or outcome.transactions)[0]
        attempts = PaymentAttempt.objects.filter(gateway=order.gateway, payment_id=payment.id, credited_by=None)
        if attempts.update(credited_by=transaction) != 1:
            raise RuntimeError(f"Payment {payment.id} has been credited before.")
        GatewayOrder.objects.filter(pk=order.pk).update(state=GatewayOrder.State.PAID, check_at=None)

    gateway = system_actor(GATEWAY_ACTOR).pk
    completion = Completion(transaction=order.transaction_id, status="SUCCESS")
    outcome = post([Group(initiator=gateway, movements=(completion,))], within=remember)[0]
    # A closed wallet's ADD fails too, in the very posting that credits suspense: somebody may just have done that.
    if outcome.kind == "unchanged" and outcome.code == Transaction.Status.FAILED and not attempts.exists():
        outcome = post([_late(order, gateway)], within=remember)[0]
    log.info("capture.credited" if outcome.kind == "posted" else "capture.known", order=order.order_id)


def _late(order: GatewayOrder, gateway: int) -> Group:
    """The ADD was given up before its payment came: a new one, once for each order, that names it."""
    add = Transaction.objects.get(pk=order.transaction_id)
    assert add.to_wallet_id is not None  # noqa: S101  (an ADD has a wallet)
    movement = Movement(
        type=Transaction.Type.ADD,
        amount=Money.from_minor(order.amount_minor, order.currency).amount,
        currency=order.currency,
        from_wallet=add.from_wallet_id,
        to_wallet=add.to_wallet_id,
        metadata={"order": order.order_id or "", "instead_of": add.public_id},
        fact=True,
    )
    key = Key(key=f"late:{add.public_id}", fingerprint=fingerprint("late capture", order=order.order_id))
    return Group(initiator=gateway, movements=(movement,), key=key)
