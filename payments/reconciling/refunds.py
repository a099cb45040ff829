"""Refunds at the gateway, and the REFUNDs that stand for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from ledger.models import Transaction
from payments.gateways.base import RemoteRefund
from payments.models import Case, GatewayRefund, PaymentAttempt
from payments.reconciling.comparing import BATCH, unless_unknown
from payments.reconciling.findings import NOTHING, ON_ITS_WAY, Difference, Judgement, Scope

REFUNDED: Final = "Refunds"
State = GatewayRefund.State
_OPEN: Final = (State.NEW, State.UNKNOWN, State.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRefund:
    """
    :ivar attempt: the payment that is refunded, of ours.
    :ivar refund: None for one that was never heard of.
    :ivar is_gone: the money left for the payer and has not come back, says the ledger.
    """

    attempt: PaymentAttempt
    refund: GatewayRefund | None
    is_gone: bool = False


class RefundBooks:
    what = "Refund"

    def listed(self, scope: Scope) -> Iterator[RemoteRefund]:
        return scope.gateway.refunds_between(begin=scope.begin, end=scope.end)

    def known(self, there: Sequence[RemoteRefund], scope: Scope) -> dict[str, KnownRefund]:
        """By the gateway's id, or by our key where its answer never came."""
        by_key = {refund.key: refund.id for refund in there if refund.key}
        named = Q(refund_id__in=[refund.id for refund in there]) | Q(refund_id=None, key__in=list(by_key))
        known = {refund.refund_id or by_key[refund.key]: _known(refund) for refund in _refunds(scope).filter(named)}
        unheard = [each for each in there if each.id not in known]
        payments = PaymentAttempt.objects.filter(
            gateway=scope.gateway.name, payment_id__in=[each.payment_id for each in unheard]
        )
        attempts = {attempt.payment_id: attempt for attempt in payments}
        for each in unheard:
            if each.payment_id in attempts:
                known[each.id] = KnownRefund(attempt=attempts[each.payment_id], refund=None)
        return known

    def of_day(self, scope: Scope, *, after: int) -> list[KnownRefund]:
        made = _refunds(scope).filter(created_at__gte=scope.begin, created_at__lt=scope.end, pk__gt=after)
        return [_known(refund) for refund in made.order_by("pk")[:BATCH]]

    def place(self, here: KnownRefund) -> tuple[int, str]:
        assert here.refund is not None  # noqa: S101  (`of_day` starts from refunds)
        return here.refund.pk, here.refund.refund_id or ""

    def again(self, there: RemoteRefund, scope: Scope) -> RemoteRefund | None:
        return _ask(there.id, scope)

    def find(self, here: KnownRefund, scope: Scope) -> RemoteRefund | None:
        assert here.refund is not None  # noqa: S101  (`of_day` starts from refunds)
        if here.refund.refund_id:
            return _ask(here.refund.refund_id, scope)
        refunds = unless_unknown(lambda: scope.gateway.refunds_of(payment_id=here.attempt.payment_id)) or []
        return next((refund for refund in refunds if here.refund.key and refund.key == here.refund.key), None)

    def name(self, there: RemoteRefund) -> tuple[str, datetime | None]:
        return there.id, there.created_at

    def judge(self, here: KnownRefund | None, there: RemoteRefund | None, scope: Scope) -> Judgement:
        alive = there if there is not None and there.state != "FAILED" else None
        refund = here.refund if here is not None and here.is_gone else None
        if alive is None and refund is None:
            return NOTHING
        if alive is None:
            assert refund is not None  # noqa: S101  (one of the two is there)
            return _only_here(refund, there, scope)
        if refund is None:
            if here is not None and here.refund is None and scope.is_young(alive.created_at):
                return ON_ITS_WAY
            return _only_there(here, alive)
        minor = refund.transaction.money.minor
        differs = (minor, refund.transaction.currency) != (alive.amount_minor, alive.currency)
        lags = alive.state == "PROCESSED" and refund.state in _OPEN and not scope.is_being_asked(refund.check_at)
        difference = None
        if differs or lags:
            difference = Difference(
                kind=Case.Kind.AMOUNT if differs else Case.Kind.STATE,
                what=self.what,
                subject=alive.id,
                currency=alive.currency,
                here=refund.state.lower(),
                here_minor=minor,
                there=alive.status,
                there_minor=alive.amount_minor,
                suggestion=(
                    "REFUND of what is missing, or REVERSAL and a REFUND of the gateway's amount."
                    if differs
                    else "Nothing to post: ask the gateway about it again."
                ),
                transaction=refund.transaction_id,
            )
        return Judgement(
            label=REFUNDED,
            currency=alive.currency,
            here_minor=minor,
            there_minor=alive.amount_minor,
            difference=difference,
        )


def _refunds(scope: Scope) -> QuerySet[GatewayRefund]:
    reversal = Transaction.objects.filter(reverses=OuterRef("transaction"), type=Transaction.Type.REVERSAL)
    refunds = GatewayRefund.objects.filter(gateway=scope.gateway.name).annotate(is_reversed=Exists(reversal))
    return refunds.select_related("attempt", "transaction")


def _known(refund: GatewayRefund) -> KnownRefund:
    # Annotated by `_refunds`.
    is_reversed = vars(refund)["is_reversed"]
    is_gone = refund.transaction.status == Transaction.Status.SUCCESS and not is_reversed
    return KnownRefund(attempt=refund.attempt, refund=refund, is_gone=is_gone)


def _ask(refund_id: str, scope: Scope) -> RemoteRefund | None:
    return unless_unknown(lambda: scope.gateway.refund_of(refund_id=refund_id))


def _only_here(refund: GatewayRefund, there: RemoteRefund | None, scope: Scope) -> Judgement:
    """The ledger has it, and the gateway does not, or says that it failed."""
    lags = refund.state in _OPEN and scope.is_being_asked(refund.check_at)
    if lags or (there is None and scope.is_young(refund.created_at)):
        return ON_ITS_WAY
    minor = refund.transaction.money.minor
    return Judgement(
        label=REFUNDED,
        currency=refund.currency,
        here_minor=minor,
        difference=Difference(
            kind=Case.Kind.MISSING_THERE if there is None else Case.Kind.STATE,
            what=RefundBooks.what,
            subject=refund.refund_id or refund.transaction.public_id,
            currency=refund.currency,
            here=refund.state.lower(),
            here_minor=minor,
            there="" if there is None else there.status,
            suggestion="REVERSAL gateway_clearing → wallet, once the gateway has confirmed that it was not made.",
            transaction=refund.transaction_id,
        ),
    )


def _only_there(here: KnownRefund | None, there: RemoteRefund) -> Judgement:
    """The gateway gave money back, and the ledger says that it did not, or knows nothing of it."""
    refund = None if here is None else here.refund
    credited_by = None if here is None else here.attempt.credited_by_id
    return Judgement(
        label=REFUNDED,
        currency=there.currency,
        there_minor=there.amount_minor,
        difference=Difference(
            kind=Case.Kind.MISSING_HERE if refund is None else Case.Kind.STATE,
            what=RefundBooks.what,
            subject=there.id,
            currency=there.currency,
            here="" if refund is None else f"{refund.state.lower()}, given back",
            there=there.status,
            there_minor=there.amount_minor,
            suggestion=(
                "REFUND suspense → gateway_clearing: nobody here knows its payment."
                if here is None
                else "REFUND wallet → gateway_clearing that names the ADD; what the wallet lacks is owed to us."
            ),
            transaction=credited_by if refund is None else refund.transaction_id,
        ),
    )
