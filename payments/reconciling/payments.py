"""Payments captured at the gateway, and the ADDs that they brought."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q, QuerySet

from ledger.models import Transaction
from ledger.system_wallets import Purpose
from payments.gateways.base import RemotePayment
from payments.models import Case, GatewayOrder, PaymentAttempt
from payments.reconciling.comparing import BATCH, unless_unknown
from payments.reconciling.findings import NOTHING, ON_ITS_WAY, Difference, Judgement, Scope
from payments.settled_items import brought_as_read

CAPTURED: Final = "Payments captured"
_LONGEST_PENDING: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPayment:
    """
    :ivar attempt: None for a payment that was never heard of, of an order of ours.
    :ivar brought: the ADD that has its money, be it a person's or in suspense.
    """

    order: GatewayOrder
    attempt: PaymentAttempt | None
    brought: Transaction | None


class PaymentBooks:
    what = "Payment"

    def listed(self, scope: Scope) -> Iterator[RemotePayment]:
        return scope.gateway.payments_between(begin=scope.begin, end=scope.end)

    def known(self, there: Sequence[RemotePayment], scope: Scope) -> dict[str, KnownPayment]:
        attempts = _attempts(scope).filter(payment_id__in=[payment.id for payment in there])
        known = {attempt.payment_id: _known(attempt) for attempt in attempts}
        unheard = [payment for payment in there if payment.id not in known and payment.order_id]
        orders = GatewayOrder.objects.filter(
            gateway=scope.gateway.name, order_id__in=[payment.order_id for payment in unheard]
        )
        by_id = {order.order_id: order for order in orders}
        for payment in unheard:
            if payment.order_id in by_id:
                known[payment.id] = KnownPayment(order=by_id[payment.order_id], attempt=None, brought=None)
        return known

    def of_day(self, scope: Scope, *, after: int) -> list[KnownPayment]:
        """By when their money came in: the gateway may have made the payment on another day."""
        came = Transaction.objects.filter(
            type=Transaction.Type.ADD,
            status=Transaction.Status.SUCCESS,
            from_wallet__purpose=Purpose.GATEWAY_CLEARING,
            completed_at__gte=scope.begin,
            completed_at__lt=scope.end,
            # Of these two the index knows the second: no ADD is completed that long after it was begun.
            created_at__gte=scope.begin - _LONGEST_PENDING,
            created_at__lt=scope.end,
        ).values("pk")
        of_day = _attempts(scope).filter(Q(credited_by__in=came) | Q(parked__transaction__in=came), pk__gt=after)
        return [_known(attempt) for attempt in of_day.order_by("pk")[:BATCH]]

    def place(self, here: KnownPayment) -> tuple[int, str]:
        assert here.attempt is not None  # noqa: S101  (`of_day` starts from attempts)
        return here.attempt.pk, here.attempt.payment_id

    def again(self, there: RemotePayment, scope: Scope) -> RemotePayment | None:
        return _ask(there.order_id, there.id, scope) if there.order_id else there

    def find(self, here: KnownPayment, scope: Scope) -> RemotePayment | None:
        return _ask(here.order.order_id or "", self.place(here)[1], scope)

    def name(self, there: RemotePayment) -> tuple[str, datetime | None]:
        return there.id, there.created_at

    def judge(self, here: KnownPayment | None, there: RemotePayment | None, scope: Scope) -> Judgement:
        brought = None if here is None else here.brought
        captured = there if there is not None and there.was_captured else None
        if captured is None:
            return NOTHING if here is None or brought is None else _not_there(here, brought, there)
        if here is None or brought is None:
            if here is not None and scope.is_young(captured.created_at):
                return ON_ITS_WAY
            return _not_here(here, captured)
        here_minor = brought.money.minor
        difference = None
        if (here_minor, brought.currency) != (captured.amount_minor, captured.currency):
            difference = Difference(
                kind=Case.Kind.AMOUNT,
                what=self.what,
                subject=captured.id,
                currency=captured.currency,
                here="added",
                here_minor=here_minor,
                there="captured",
                there_minor=captured.amount_minor,
                suggestion="ADJUSTMENT of the difference between wallet and gateway_clearing, once it is known why.",
                transaction=brought.pk,
            )
        return Judgement(
            label=CAPTURED,
            currency=captured.currency,
            here_minor=here_minor,
            there_minor=captured.amount_minor,
            difference=difference,
        )


def _attempts(scope: Scope) -> QuerySet[PaymentAttempt]:
    attempts = PaymentAttempt.objects.filter(gateway=scope.gateway.name)
    return attempts.select_related("order", "credited_by", "parked__transaction")


def _known(attempt: PaymentAttempt) -> KnownPayment:
    return KnownPayment(order=attempt.order, attempt=attempt, brought=brought_as_read(attempt))


def _ask(order_id: str, payment_id: str, scope: Scope) -> RemotePayment | None:
    payments = unless_unknown(lambda: scope.gateway.payments_of(order_id=order_id)) or []
    return next((payment for payment in payments if payment.id == payment_id), None)


def _not_here(here: KnownPayment | None, there: RemotePayment) -> Judgement:
    return Judgement(
        label=CAPTURED,
        currency=there.currency,
        there_minor=there.amount_minor,
        difference=Difference(
            kind=Case.Kind.MISSING_HERE,
            what=PaymentBooks.what,
            subject=there.id,
            currency=there.currency,
            here="" if here is None else "not credited",
            there="captured",
            there_minor=there.amount_minor,
            suggestion=(
                "ADD gateway_clearing → suspense (nobody here knows its order), then a refund to whoever paid."
                if here is None
                else "Ask the gateway about its order again: ADD gateway_clearing → wallet."
            ),
            transaction=None if here is None else here.order.transaction_id,
        ),
    )


def _not_there(here: KnownPayment, brought: Transaction, there: RemotePayment | None) -> Judgement:
    """Credited, and the gateway does not know it, or says that it was never captured."""
    assert here.attempt is not None  # noqa: S101  (what brought money is an attempt)
    minor = brought.money.minor
    return Judgement(
        label=CAPTURED,
        currency=brought.currency,
        here_minor=minor,
        difference=Difference(
            kind=Case.Kind.MISSING_THERE if there is None else Case.Kind.STATE,
            what=PaymentBooks.what,
            subject=here.attempt.payment_id,
            currency=brought.currency,
            here="added",
            here_minor=minor,
            there="" if there is None else there.status,
            suggestion="ADJUSTMENT wallet → gateway_clearing, once the gateway has confirmed that it never had it.",
            transaction=brought.pk,
        ),
    )
