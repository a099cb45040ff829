"""Disputes at the gateway, and the holds and chargebacks that they led to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import QuerySet

from payments.disputes import UNDECIDED
from payments.gateways.base import RemoteDispute
from payments.models import Case, Dispute, PaymentAttempt
from payments.reconciling.comparing import BATCH, unless_unknown
from payments.reconciling.findings import NOTHING, ON_ITS_WAY, Difference, Judgement, Scope

LOST: Final = "Disputes lost"
State = Dispute.State


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDispute:
    """
    :ivar dispute: None for one that was never heard of, of a payment of ours.
    """

    attempt: PaymentAttempt
    dispute: Dispute | None


class DisputeBooks:
    what = "Dispute"

    def listed(self, scope: Scope) -> Iterator[RemoteDispute]:
        return scope.gateway.disputes_between(begin=scope.begin, end=scope.end)

    def known(self, there: Sequence[RemoteDispute], scope: Scope) -> dict[str, KnownDispute]:
        disputes = _disputes(scope).filter(dispute_id__in=[each.id for each in there])
        known = {dispute.dispute_id: KnownDispute(attempt=dispute.attempt, dispute=dispute) for dispute in disputes}
        unheard = [each for each in there if each.id not in known]
        payments = PaymentAttempt.objects.filter(
            gateway=scope.gateway.name, payment_id__in=[each.payment_id for each in unheard]
        )
        attempts = {attempt.payment_id: attempt for attempt in payments}
        for each in unheard:
            if each.payment_id in attempts:
                known[each.id] = KnownDispute(attempt=attempts[each.payment_id], dispute=None)
        return known

    def of_day(self, scope: Scope, *, after: int) -> list[KnownDispute]:
        opened = _disputes(scope).filter(opened_at__gte=scope.begin, opened_at__lt=scope.end, pk__gt=after)
        return [KnownDispute(attempt=each.attempt, dispute=each) for each in opened.order_by("pk")[:BATCH]]

    def place(self, here: KnownDispute) -> tuple[int, str]:
        assert here.dispute is not None  # noqa: S101  (`of_day` starts from disputes)
        return here.dispute.pk, here.dispute.dispute_id

    def again(self, there: RemoteDispute, scope: Scope) -> RemoteDispute | None:
        return _ask(there.id, scope)

    def find(self, here: KnownDispute, scope: Scope) -> RemoteDispute | None:
        return _ask(self.place(here)[1], scope)

    def name(self, there: RemoteDispute) -> tuple[str, datetime | None]:
        return there.id, there.created_at

    def judge(self, here: KnownDispute | None, there: RemoteDispute | None, scope: Scope) -> Judgement:
        dispute = None if here is None else here.dispute
        if there is None:
            return NOTHING if dispute is None else _judgement(dispute, None, kind=Case.Kind.MISSING_THERE)
        if dispute is None:
            if there.state in (State.WON, State.CLOSED):
                # Over, and nothing ever moved.
                return NOTHING
            if here is not None and scope.is_young(there.created_at):
                return ON_ITS_WAY
            return _judgement(None, there, kind=Case.Kind.MISSING_HERE)
        if dispute.state != there.state and not (dispute.state in UNDECIDED and there.state in UNDECIDED):
            if dispute.state in UNDECIDED and scope.is_being_asked(dispute.check_at):
                return ON_ITS_WAY
            return _judgement(dispute, there, kind=Case.Kind.STATE)
        if (_minor_here(dispute), dispute.currency) != (_minor_there(there), there.currency):
            return _judgement(dispute, there, kind=Case.Kind.AMOUNT)
        return _judgement(dispute, there)


def _disputes(scope: Scope) -> QuerySet[Dispute]:
    return Dispute.objects.filter(gateway=scope.gateway.name).select_related("attempt", "lost_by")


def _minor_here(dispute: Dispute) -> int:
    """What the ledger gave the gateway, of a lost one; what is disputed, of any other."""
    if dispute.lost_by is not None:
        return dispute.lost_by.money.minor
    # Of some nothing was left to lose.
    return 0 if dispute.state == State.LOST else dispute.amount_minor


def _minor_there(there: RemoteDispute) -> int:
    return (there.deducted_minor or there.amount_minor) if there.state == State.LOST else there.amount_minor


def _ask(dispute_id: str, scope: Scope) -> RemoteDispute | None:
    return unless_unknown(lambda: scope.gateway.dispute_of(dispute_id=dispute_id))


_SUGGESTIONS: Final[dict[str, str]] = {
    Case.Kind.MISSING_HERE: "Ask the gateway about it again: the money is held, and a loss posted as CHARGEBACK.",
    Case.Kind.MISSING_THERE: "Ask the gateway; if there is none, the hold is released or the CHARGEBACK given back.",
    Case.Kind.STATE: "Ask the gateway about it again; an end that it changed is an ADJUSTMENT against chargebacks.",
    Case.Kind.AMOUNT: "ADJUSTMENT of the difference between chargebacks and gateway_clearing.",
}


def _judgement(dispute: Dispute | None, there: RemoteDispute | None, *, kind: str = "") -> Judgement:
    """Counted where it is lost, on each side for itself."""
    here_minor = None if dispute is None else _minor_here(dispute)
    there_minor = None if there is None else _minor_there(there)
    currency = there.currency if dispute is None and there is not None else dispute.currency if dispute else ""
    difference = None
    if kind:
        difference = Difference(
            kind=kind,
            what=DisputeBooks.what,
            subject=there.id if there is not None else dispute.dispute_id if dispute else "",
            currency=currency,
            here="" if dispute is None else dispute.state.lower(),
            here_minor=here_minor,
            there="" if there is None else there.state.lower(),
            there_minor=there_minor,
            suggestion=_SUGGESTIONS[kind],
            transaction=None if dispute is None else dispute.lost_by_id,
        )
    return Judgement(
        label=LOST,
        currency=currency,
        here_minor=here_minor if dispute is not None and dispute.state == State.LOST else None,
        there_minor=there_minor if there is not None and there.state == State.LOST else None,
        difference=difference,
    )
