"""Payouts at the bank's side, and the WITHDRAWs that they carry out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from django.db.models import Exists, OuterRef, Q, QuerySet

from ledger.models import Transaction
from payments.gateways.base import RemotePayout
from payments.models import Case, Payout
from payments.reconciling.comparing import BATCH, unless_unknown
from payments.reconciling.findings import NOTHING, ON_ITS_WAY, Difference, Judgement, Scope
from wallet_project.kernel.ids import parse_public_id

PROCESSED: Final = "Payouts processed"
REVERSED: Final = "Payouts reversed"

# Where the money is: on its way, at the bank, or back with the person.
Place = Literal["moving", "paid", "back"]
_PLACES: Final[dict[str, Place]] = {
    "QUEUED": "moving",
    "PROCESSING": "moving",
    "PROCESSED": "paid",
    "FAILED": "back",
    "REVERSED": "back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPayout:
    """
    :ivar place: where the money is, says the ledger.
    """

    payout: Payout
    place: Place


class PayoutBooks:
    what = "Payout"

    def listed(self, scope: Scope) -> Iterator[RemotePayout]:
        return scope.gateway.payouts_between(begin=scope.begin, end=scope.end)

    def known(self, there: Sequence[RemotePayout], scope: Scope) -> dict[str, KnownPayout]:
        """By the gateway's id, or by our reference where its answer never came."""
        by_reference = {
            uuid: payout.id
            for payout in there
            if (uuid := parse_public_id(Transaction.PREFIX, payout.reference)) is not None
        }
        named = Q(payout_id__in=[payout.id for payout in there]) | Q(
            payout_id=None, transaction__uuid__in=list(by_reference)
        )
        return {
            payout.payout_id or by_reference[payout.transaction.uuid]: _known(payout)
            for payout in _payouts(scope).filter(named)
        }

    def of_day(self, scope: Scope, *, after: int) -> list[KnownPayout]:
        """Those made on the day, and those that came back on it."""
        day = Q(created_at__gte=scope.begin, created_at__lt=scope.end) | Q(
            transaction__reversals__type=Transaction.Type.REVERSAL,
            transaction__reversals__completed_at__gte=scope.begin,
            transaction__reversals__completed_at__lt=scope.end,
        )
        return [_known(payout) for payout in _payouts(scope).filter(day, pk__gt=after).order_by("pk")[:BATCH]]

    def place(self, here: KnownPayout) -> tuple[int, str]:
        return here.payout.pk, here.payout.payout_id or ""

    def again(self, there: RemotePayout, scope: Scope) -> RemotePayout | None:
        return _ask(there.id, scope)

    def find(self, here: KnownPayout, scope: Scope) -> RemotePayout | None:
        if here.payout.payout_id:
            return _ask(here.payout.payout_id, scope)
        if here.payout.sent_at is None:
            return None
        return scope.gateway.find_payout(reference=here.payout.transaction.public_id)

    def name(self, there: RemotePayout) -> tuple[str, datetime | None]:
        return there.id, there.created_at

    def judge(self, here: KnownPayout | None, there: RemotePayout | None, scope: Scope) -> Judgement:
        if there is None:
            return NOTHING if here is None else _not_there(here, scope)
        place = _PLACES[there.state]
        if here is None:
            # One of ours is written down before it is sent: this one is somebody else's.
            return NOTHING if place == "back" else _different(None, there, place)
        minor = here.payout.transaction.money.minor
        if (minor, here.payout.currency) != (there.amount_minor, there.currency):
            return _different(here, there, place, kind=Case.Kind.AMOUNT)
        if here.place != place:
            waits = here.place == "moving" or (here.place, place) == ("paid", "back")
            if waits and scope.is_being_asked(here.payout.check_at):
                return ON_ITS_WAY
            return _different(here, there, place)
        return Judgement(
            label=_label(there, place), currency=there.currency, here_minor=minor, there_minor=there.amount_minor
        )


def _payouts(scope: Scope) -> QuerySet[Payout]:
    reversal = Transaction.objects.filter(reverses=OuterRef("transaction"), type=Transaction.Type.REVERSAL)
    payouts = Payout.objects.filter(gateway=scope.gateway.name).annotate(is_reversed=Exists(reversal))
    return payouts.select_related("transaction").distinct()


def _known(payout: Payout) -> KnownPayout:
    # Annotated by `_payouts`.
    is_reversed = vars(payout)["is_reversed"]
    status = payout.transaction.status
    if is_reversed or status == Transaction.Status.FAILED:
        return KnownPayout(payout=payout, place="back")
    return KnownPayout(payout=payout, place="moving" if status == Transaction.Status.PENDING else "paid")


def _label(there: RemotePayout | None, place: Place) -> str:
    if place == "paid":
        return PROCESSED
    # What failed never left: neither book counts it.
    return REVERSED if there is not None and there.state == "REVERSED" else ""


def _ask(payout_id: str, scope: Scope) -> RemotePayout | None:
    return unless_unknown(lambda: scope.gateway.payout_of(payout_id=payout_id))


def _not_there(here: KnownPayout, scope: Scope) -> Judgement:
    payout = here.payout
    if here.place == "back" and payout.payout_id is None:
        # Given up before anything was paid.
        return NOTHING
    if here.place == "moving" and (scope.is_young(payout.created_at) or scope.is_being_asked(payout.check_at)):
        return ON_ITS_WAY
    return Judgement(
        label=_label(None, here.place),
        currency=payout.currency,
        here_minor=payout.transaction.money.minor,
        difference=Difference(
            kind=Case.Kind.MISSING_THERE,
            what=PayoutBooks.what,
            subject=payout.payout_id or payout.transaction.public_id,
            currency=payout.currency,
            here=payout.state.lower(),
            here_minor=payout.transaction.money.minor,
            suggestion="Only once the bank has confirmed that it did not pay: REVERSAL payout_clearing → wallet.",
            transaction=payout.transaction_id,
        ),
    )


_SUGGESTIONS: Final[dict[tuple[Place | None, Place], str]] = {
    (None, "moving"): "Ask who made it. Once it is processed: ADJUSTMENT suspense → bank.",
    (None, "paid"): "Ask who made it. ADJUSTMENT suspense → bank.",
    ("moving", "paid"): "Ask the gateway again: the WITHDRAW succeeds, SETTLEMENT payout_clearing → bank.",
    ("moving", "back"): "Ask the gateway again: REVERSAL payout_clearing → wallet.",
    ("paid", "back"): "REVERSAL payout_clearing → wallet, SETTLEMENT bank → payout_clearing.",
    ("paid", "moving"): "Nothing yet: ask the gateway which of the two holds.",
    ("back", "paid"): "Paid, and given back too: ADJUSTMENT wallet → bank; what the wallet lacks is owed to us.",
    ("back", "moving"): "Have it stopped at once: the person has the money back already.",
}


def _different(here: KnownPayout | None, there: RemotePayout, place: Place, *, kind: str = "") -> Judgement:
    payout = None if here is None else here.payout
    minor = None if payout is None else payout.transaction.money.minor
    suggestion = _SUGGESTIONS.get((None if here is None else here.place, place))
    return Judgement(
        label=_label(there, place),
        currency=there.currency,
        here_minor=minor if here is not None and here.place == place else None,
        there_minor=there.amount_minor,
        difference=Difference(
            kind=kind or (Case.Kind.MISSING_HERE if here is None else Case.Kind.STATE),
            what=PayoutBooks.what,
            subject=there.id,
            currency=there.currency,
            here="" if payout is None else payout.state.lower(),
            here_minor=minor,
            there=there.status,
            there_minor=there.amount_minor,
            suggestion=suggestion or "Ask the gateway what it paid, and post the difference as an ADJUSTMENT.",
            transaction=None if payout is None else payout.transaction_id,
        ),
    )
