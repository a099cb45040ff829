"""Adding money: a PENDING ADD, an order at the gateway, and the payer's return from its checkout."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from django.db.models import F

from accounts.actors import actor_of
from accounts.models import User
from ledger.models import Transaction
from ledger.movements import Group, Key, Movement, Outcome
from ledger.system_wallets import Purpose, system_wallet
from payments.authorising import post_asked_for
from payments.captures import settle_order
from payments.gateways import DEFAULT, gateway_named
from payments.idempotency import Answer, look_up
from payments.models import GatewayOrder, PaymentAttempt
from payments.orders import checkout_of, open_order
from payments.spending import Payee
from wallet_project.kernel.errors import GatewayError, Refusal
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.money import Money
from wallets.models import Wallet
from wallets.queries import wallet_of

log = structlog.get_logger("payments.topups")


def add_money(*, user: User, amount: Money, key: str, wallet: str | None = None, now: datetime) -> Answer:
    """
    Begin to add money: the ADD is PENDING and `checkout` says where to pay.

    The ADD is committed before the gateway is asked, so that no payment can ever be without one. Whatever happens
    then, the same request goes on where the first stopped.

    :param wallet: another wallet of this person's than the USER one (a `wal_` id).
    :returns: with `checkout` as first given (None if the ADD ended without one); or refused with a code that is
        kept: `limit_exceeded` (also below the gateway's smallest amount), `currency_mismatch`,
        `recipient_unavailable` (the wallet is closed).
    :raises Refusal: `not_found`, `idempotency_key_reused`, `idempotency_key_in_progress`, `gateway_unavailable`,
        `busy`.
    """
    actor, lease = actor_of(user), new_uuid()
    request = Key(
        key=key,
        fingerprint=fingerprint("wallet/add", amount=amount.text, currency=amount.currency, wallet=wallet),
    )
    found = look_up(lambda: wallet_of(user=user, wanted=wallet), initiator=actor, key=request)
    if isinstance(found, Answer):
        return found

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            add = Transaction.objects.get(pk=outcomes[0].transactions[0])
            open_order(transaction=add, amount=amount, lease=lease, now=now)

    group = Group(initiator=actor.pk, movements=(_movement(found, amount),), key=request)
    answer = post_asked_for(
        user=user, group=group, payee=Payee(), payee_name="", step_up=None, now=now, within=remember
    )
    if answer.code:
        return answer
    checkout = checkout_of(transaction=answer.transaction, initiator=actor.pk, key=key, lease=lease, now=now)
    return replace(answer, checkout=checkout.fields, replayed=answer.replayed and not checkout.is_fresh)


def confirm_payment(*, user: User, order_id: str, payment_id: str, signature: str, now: datetime) -> int:
    """
    The payer's own program brings the checkout's signed result. It may be brought any number of times.

    :returns: the primary key of the ADD as it now stands: SUCCESS if the gateway captured the payment.
    :raises Refusal: `not_found` (no order of this person's), `signature_invalid` (nothing is credited),
        `gateway_unavailable` (the gateway cannot be asked now; the payment is not lost).
    """
    order = GatewayOrder.objects.filter(order_id=order_id, transaction__to_wallet__owner=user).first()
    if order is None:
        raise Refusal("not_found", "There is no such order.")
    _check_return(order, payment_id, signature)
    try:
        return _settle(order, payment_id, now)
    except GatewayError as error:
        log.warning("topup.gateway_unavailable", order=order_id, http_status=error.http_status)
        raise Refusal("gateway_unavailable", retry_after_seconds=2) from error


def return_from_checkout(*, gateway: str, order_id: str, payment_id: str, signature: str, now: datetime) -> str:
    """
    A browser comes back from the checkout. Whoever it belongs to: only the signature and our own order count.

    :returns: the public id of the ADD, credited or not yet.
    :raises Refusal: `not_found`, `signature_invalid`.
    """
    order = GatewayOrder.objects.filter(gateway=gateway, order_id=order_id).first()
    if order is None:
        raise Refusal("not_found", "There is no such order.")
    _check_return(order, payment_id, signature)
    add = order.transaction_id
    try:
        add = _settle(order, payment_id, now)
    except (GatewayError, Refusal) as error:
        # The webhook or the sweep will bring it; nobody is kept waiting for the gateway here.
        log.warning("topup.not_settled_at_return", order=order_id, reason=type(error).__name__)
    return Transaction.objects.get(pk=add).public_id


def _movement(wallet: Wallet, amount: Money) -> Movement:
    too_little = amount.currency == wallet.currency and amount.minor < gateway_named(DEFAULT).least_minor
    return Movement(
        type=Transaction.Type.ADD,
        amount=amount.amount,
        currency=amount.currency,
        from_wallet=system_wallet(Purpose.GATEWAY_CLEARING, wallet.currency),
        to_wallet=wallet.pk,
        status="PENDING",
        refuse="limit_exceeded" if too_little else "",
    )


def _check_return(order: GatewayOrder, payment_id: str, signature: str) -> None:
    """Against the order id that we stored, not the one that came along."""
    gateway = gateway_named(order.gateway)
    if not gateway.is_genuine_return(order_id=order.order_id or "", payment_id=payment_id, signature=signature):
        log.warning("topup.signature_invalid", order=order.order_id)
        raise Refusal("signature_invalid")


def _settle(order: GatewayOrder, payment_id: str, now: datetime) -> int:
    """
    What this payment was credited by; or the ADD itself, where that still waits, or where its wallet could not take
    the money and suspense did, which is nobody's to see. The gateway is asked unless it had been.
    """
    attempts = PaymentAttempt.objects.filter(order=order, payment_id=payment_id)
    if not attempts.filter(credited_by__isnull=False).exists():
        settle_order(order=order, now=now)
    credited = attempts.filter(credited_by__to_wallet=F("order__transaction__to_wallet")).first()
    return order.transaction_id if credited is None else credited.credited_by_id or order.transaction_id
