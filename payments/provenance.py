"""
What stands behind a transaction at gateways and banks, and which others belong to it: for its receipt.

Reads only, and only for a person who was found to see the transaction.
"""

from dataclasses import dataclass
from typing import Final

from django.db.models import Q

from accounts.models import User
from ledger.models import Hold, Transaction
from ledger.queries import SeenTransaction
from payments.models import Dispute, GatewayOrder, GatewayRefund, PaymentAttempt, Payout
from wallet_project.kernel.money import Money

MOST_RELATED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Another transaction of this person's that belongs to it. `transaction` is its public id."""

    kind: str
    transaction: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """
    :ivar payment: what brought an ADD's money, or what a REFUND or CHARGEBACK takes back.
    :ivar dispute: the latest about that payment; of a CHARGEBACK the one that took it.
    :ivar relatives: of kind `refund`, `chargeback`, `disputed`, `late` (a payment that came after its time was over)
        and `begun` (what such a payment was meant for).
    """

    order: GatewayOrder | None = None
    payment: PaymentAttempt | None = None
    payout: Payout | None = None
    refund: GatewayRefund | None = None
    dispute: Dispute | None = None
    relatives: tuple[Relative, ...] = ()


def provenance_of(*, user: User, seen: SeenTransaction) -> Provenance:
    """
    :param seen: as this very person sees it.
    """
    match seen.type:
        case Transaction.Type.ADD:
            return _of_topup(user, seen.pk)
        case Transaction.Type.WITHDRAW:
            payouts = Payout.objects.select_related("bank_account")
            return Provenance(payout=payouts.filter(transaction=seen.pk).first())
        case Transaction.Type.REFUND:
            refund = GatewayRefund.objects.select_related("attempt").filter(transaction=seen.pk).first()
            return Provenance(refund=refund, payment=refund.attempt if refund else None)
        case Transaction.Type.CHARGEBACK:
            return _of_chargeback(user, seen.pk)
    return Provenance()


def _of_topup(user: User, add: int) -> Provenance:
    attempts = PaymentAttempt.objects.select_related("order__transaction__to_wallet")
    payment = attempts.filter(credited_by=add).first()
    order = payment.order if payment else GatewayOrder.objects.filter(transaction=add).first()
    dispute = (
        Dispute.objects.filter(attempt=payment).select_related("hold").order_by("-pk").first() if payment else None
    )
    related = _among(user, Q(reverses=add, type=Transaction.Type.REFUND), "refund")
    if payment is not None:
        related += _among(user, Q(captured_hold__dispute__attempt=payment), "chargeback")
    if payment is not None and payment.order.transaction_id != add:
        related += _among(user, Q(pk=payment.order.transaction_id), "begun")
    elif order is not None and payment is None:
        related += _among(user, Q(paid_by__order=order, type=Transaction.Type.ADD), "late")
    return Provenance(order=order, payment=payment, dispute=dispute, relatives=tuple(related))


def _of_chargeback(user: User, chargeback: int) -> Provenance:
    holds = Hold.objects.select_related("dispute__attempt").filter(captured_by=chargeback, dispute__isnull=False)
    hold = holds.first()
    if hold is None:
        return Provenance()
    payment = hold.dispute.attempt
    related = _among(user, Q(paid_by=payment), "disputed")
    return Provenance(payment=payment, dispute=hold.dispute, relatives=tuple(related))


def _among(user: User, which: Q, kind: str) -> list[Relative]:
    """Of this person's alone: what went to suspense is nobody's to see."""
    own = Q(from_wallet__owner=user) | Q(to_wallet__owner=user)
    failed = Q(status=Transaction.Status.FAILED) & ~Q(type=Transaction.Type.ADD)
    found = Transaction.objects.filter(own, which).exclude(failed).order_by("pk")[:MOST_RELATED]
    return [Relative(kind=kind, transaction=row.public_id, amount=Money(row.amount, row.currency)) for row in found]
