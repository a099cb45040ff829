"""Settled items: what the gateway says that it paid into our bank account, and what of it the ledger has there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from payments.gateways.base import RemoteSettledItem
from payments.models import Case, SettledItem
from payments.reconciling.clearing import into_bank
from payments.reconciling.comparing import BATCH
from payments.reconciling.findings import NOTHING, ON_ITS_WAY, Difference, Judgement, Scope
from payments.settlements import subject_of

SETTLED: Final = "Settled into the bank"
# They are collected every hour.
_COLLECTED_WITHIN: Final = timedelta(minutes=75)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownItem:
    """
    :ivar bank_minor: what the ledger put into (or took from) the bank for it; None for an item that is not posted.
    :ivar case_kind: of the case that stands open about it, if one does.
    """

    item: SettledItem
    bank_minor: int | None
    case_kind: str = ""


class SettlementBooks:
    what = "Settled item"

    def listed(self, scope: Scope) -> Iterator[RemoteSettledItem]:
        return scope.gateway.settled_on(day=scope.date)

    def known(self, there: Sequence[RemoteSettledItem], scope: Scope) -> dict[str, KnownItem]:
        items = list(_items(scope).filter(entity_id__in=[each.entity_id for each in there]))
        return {subject_of(known.item): known for known in _known(items, scope)}

    def of_day(self, scope: Scope, *, after: int) -> list[KnownItem]:
        settled = _items(scope).filter(settled_at__gte=scope.begin, settled_at__lt=scope.end, pk__gt=after)
        return _known(list(settled.order_by("pk")[:BATCH]), scope)

    def place(self, here: KnownItem) -> tuple[int, str]:
        return here.item.pk, subject_of(here.item)

    def again(self, there: RemoteSettledItem, scope: Scope) -> RemoteSettledItem:  # noqa: ARG002
        """A report does not change, and items cannot be asked for one by one."""
        return there

    def find(self, here: KnownItem, scope: Scope) -> RemoteSettledItem | None:  # noqa: ARG002
        """What is not in the day's report is not settled."""
        return None

    def name(self, there: RemoteSettledItem) -> tuple[str, datetime | None]:
        return subject_of(there), there.settled_at

    def judge(self, here: KnownItem | None, there: RemoteSettledItem | None, scope: Scope) -> Judgement:
        bank_minor = None if here is None else here.bank_minor
        if there is None:
            return NOTHING if here is None or bank_minor is None else _differs(here, None, Case.Kind.MISSING_THERE)
        net = there.credit_minor - there.debit_minor
        if here is None or bank_minor is None:
            if here is None and scope.is_young(there.settled_at, within=_COLLECTED_WITHIN):
                return ON_ITS_WAY
            # Whoever collected it may have said already what is wrong with it: that is the same case.
            kind = Case.Kind.MISSING_HERE if here is None or not here.case_kind else here.case_kind
            return _differs(here, there, kind)
        if (bank_minor, here.item.currency) != (net, there.currency):
            return _differs(here, there, Case.Kind.AMOUNT)
        return Judgement(label=SETTLED, currency=there.currency, here_minor=bank_minor, there_minor=net)


def _items(scope: Scope) -> QuerySet[SettledItem]:
    return SettledItem.objects.filter(gateway=scope.gateway.name)


def _known(items: Sequence[SettledItem], scope: Scope) -> list[KnownItem]:
    bank = into_bank(items)
    subjects = [subject_of(item) for item in items]
    open_cases = Case.objects.filter(gateway=scope.gateway.name, state=Case.State.OPEN, subject__in=subjects)
    kinds = dict(open_cases.values_list("subject", "kind"))
    return [
        KnownItem(item=item, bank_minor=bank.get(item.pk), case_kind=kinds.get(subject_of(item), "")) for item in items
    ]


def _differs(here: KnownItem | None, there: RemoteSettledItem | None, kind: str) -> Judgement:
    item = there if there is not None else here.item if here is not None else None
    assert item is not None  # noqa: S101  (one of the two is there)
    bank_minor = None if here is None else here.bank_minor
    net = None if there is None else there.credit_minor - there.debit_minor
    return Judgement(
        label=SETTLED,
        currency=item.currency,
        here_minor=bank_minor,
        there_minor=net,
        difference=Difference(
            kind=kind,
            what=SettlementBooks.what,
            subject=subject_of(item),
            currency=item.currency,
            here="" if here is None else "not posted" if bank_minor is None else "in the bank",
            here_minor=bank_minor,
            there="" if there is None else f"settled ({there.kind})",
            there_minor=net,
            suggestion=(
                "Collect the day's settlements again; if it stays, its own case says what does not fit."
                if bank_minor is None
                else "Ask for a corrected report; ADJUSTMENT between bank and gateway_clearing if it stands."
            ),
            transaction=None if here is None else here.item.transaction_id,
        ),
    )
