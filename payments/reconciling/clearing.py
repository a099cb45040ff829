"""
Whether each settled payment, refund and lost dispute returned the gateway's clearing to zero, entry against entry.

What an item settles stands in the metadata of its posting, so this reads the ledger alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from django.db.models import Q

from ledger.models import Transaction
from ledger.system_wallets import Purpose
from payments.models import Case, SettledItem
from payments.reconciling.comparing import BATCH
from payments.reconciling.findings import Difference, Findings, Judgement, Scope
from payments.settled_items import SETTLES
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money


def into_bank(items: Sequence[SettledItem]) -> dict[int, int]:
    """
    By the primary key of each item that is posted: what came to the bank by it, in minor units. (An asset's wallet
    stands below zero, so money that comes lowers it.)
    """
    groups = _groups_of(items)
    return {
        item.pk: Money(-_moved(groups[item.transaction_id], Purpose.BANK), item.currency).minor
        for item in items
        if item.transaction_id is not None
    }


def check_clearing(*, scope: Scope, findings: Findings) -> None:
    """A difference for each item that left something standing in clearing."""
    after = 0
    while items := list(
        SettledItem.objects.filter(
            gateway=scope.gateway.name,
            transaction__isnull=False,
            settled_at__gte=scope.begin,
            settled_at__lt=scope.end,
            pk__gt=after,
        ).order_by("pk")[:BATCH]
    ):
        after = items[-1].pk
        groups = _groups_of(items)
        settled = _settled_by(groups)
        for item in items:
            assert item.transaction_id is not None  # noqa: S101  (filtered)
            group = groups[item.transaction_id]
            original = settled.get(item.transaction_id)
            left = _moved(group, Purpose.GATEWAY_CLEARING)
            if original is not None:
                left += _moved([original], Purpose.GATEWAY_CLEARING)
            if left or original is None or _shards([*group, original]) != 1:
                findings.take(_left_standing(item, left, original), what="Clearing")


def _groups_of(items: Sequence[SettledItem]) -> dict[int, list[Transaction]]:
    """The postings of each posted item, by the first of them."""
    first = [item.transaction_id for item in items if item.transaction_id is not None]
    postings = Transaction.objects.filter(Q(pk__in=first) | Q(group__in=first), status=Transaction.Status.SUCCESS)
    groups: defaultdict[int, list[Transaction]] = defaultdict(list)
    for posting in postings.select_related("from_wallet", "to_wallet"):
        groups[posting.group or posting.pk].append(posting)
    return groups


def _settled_by(groups: dict[int, list[Transaction]]) -> dict[int, Transaction]:
    """What each group settles, by its first posting."""
    names = {first: str(group[0].metadata.get(SETTLES, "")) for first, group in groups.items()}
    uuids = {first: parse_public_id(Transaction.PREFIX, name) for first, name in names.items()}
    found = Transaction.objects.filter(uuid__in=[uuid for uuid in uuids.values() if uuid is not None])
    by_uuid = {each.uuid: each for each in found.select_related("from_wallet", "to_wallet")}
    return {first: by_uuid[uuid] for first, uuid in uuids.items() if uuid is not None and uuid in by_uuid}


def _moved(postings: Sequence[Transaction], purpose: str) -> Decimal:
    """By how much they raise (or, below zero, lower) the balances of a purpose."""
    total = Decimal(0)
    for posting in postings:
        if posting.to_wallet is not None and posting.to_wallet.purpose == purpose:
            total += posting.amount
        if posting.from_wallet.purpose == purpose:
            total -= posting.amount
    return total


def _shards(postings: Sequence[Transaction]) -> int:
    """How many wallets of the gateway's clearing they touch: more than one leaves two of them standing."""
    wallets = [wallet for each in postings for wallet in (each.from_wallet, each.to_wallet) if wallet is not None]
    return len({wallet.pk for wallet in wallets if wallet.purpose == Purpose.GATEWAY_CLEARING})


def _left_standing(item: SettledItem, left: Decimal, original: Transaction | None) -> Judgement:
    return Judgement(
        difference=Difference(
            kind=Case.Kind.AMOUNT,
            what="Clearing of",
            subject=f"clearing/{item.entity_id}",
            currency=item.currency,
            here="left standing" if original is not None else "posted for nothing that is known",
            here_minor=Money(left, item.currency).minor,
            there="settled",
            there_minor=item.credit_minor - item.debit_minor,
            suggestion="ADJUSTMENT of what is left between gateway_clearing and suspense, once it is known why.",
            transaction=item.transaction_id,
        )
    )
