"""A list of groups made ready for posting: which wallets, keys and transactions it touches."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from ledger.models import Hold, Transaction
from ledger.movements import Act, Completion, Group, Movement, PlaceHold
from ledger.system_wallets import system_wallet
from wallet_project.kernel.ids import new_uuid

MovementPlace = tuple[int, int]  # which group, which movement of it


class NeedsWallets(Exception):
    """The walk met a wallet that had not been locked: run again with it."""

    def __init__(self, purpose: str, currency: str) -> None:
        super().__init__(purpose, currency)
        self.purpose = purpose
        self.currency = currency


@dataclass(slots=True)
class Batch:
    """
    What stays the same over all runs of one `post`.

    Each movement has its UUID before the first run: after an unknown outcome it tells whether that run
    has happened.
    """

    groups: Sequence[Group]
    wallets: set[int]
    keys: list[tuple[int, str]]
    completing: list[int]
    ids: dict[MovementPlace, UUID]
    # Transactions that are given back, holds that end, references of holds to be placed.
    reversing: list[int] = field(default_factory=list)
    ending: list[int] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    # System wallets that a run found it needed, by purpose and currency.
    needed: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Self:
        """
        Read what never changes (a transaction's wallets), outside the posting transaction.

        :raises LookupError: a transaction to be completed or given back, or a hold to be ended, that does not exist.
        """
        batch = cls(groups=groups, wallets=set(), keys=[], completing=[], ids={})
        keys: dict[tuple[int, str], None] = {}
        for place, group in enumerate(groups):
            if group.key is not None:
                keys[(group.initiator, group.key.key)] = None
            batch.ending += group.ending
            for position, act in enumerate(group.movements):
                batch._take(act, (place, position))
        batch.keys = list(keys)
        batch._find_parties()
        return batch

    def _take(self, act: Act, place: MovementPlace) -> None:
        if isinstance(act, Completion):
            self.completing.append(act.transaction)
        elif isinstance(act, PlaceHold):
            self.ids[place] = new_uuid()
            self.references.append(act.reference)
            self.wallets.add(act.wallet)
        elif isinstance(act, Movement):
            self.ids[place] = new_uuid()
            self.wallets.add(act.from_wallet)
            if act.to_wallet is not None:
                self.wallets.add(act.to_wallet)
            if act.reverses is not None:
                self.reversing.append(act.reverses)

    def _find_parties(self) -> None:
        """The wallets of what is only named: under their locks nobody else completes, gives back or ends it."""
        named = {*self.completing, *self.reversing}
        if named:
            found = Transaction.objects.filter(pk__in=named).values_list("pk", "from_wallet_id", "to_wallet_id")
            parties = {pk: (from_wallet, to_wallet) for pk, from_wallet, to_wallet in found}
            for transaction in sorted(named):
                if transaction not in parties:
                    raise LookupError(f"There is no transaction {transaction}.")
                self.wallets.update(pk for pk in parties[transaction] if pk is not None)
        if self.ending:
            holders = dict(Hold.objects.filter(pk__in=self.ending).values_list("pk", "wallet_id"))
            missing = [hold for hold in self.ending if hold not in holders]
            if missing:
                raise LookupError(f"There are no holds {missing}.")
            self.wallets.update(holders.values())

    @property
    def is_hot(self) -> bool:
        """Lists and system or merchant wallets pass the turnstile alone; only one plain transfer goes together."""
        if len(self.groups) > 1:
            return True
        movements = self.groups[0].movements
        first = movements[0]
        return len(movements) > 1 or not isinstance(first, Movement) or first.type != Transaction.Type.TRANSFER

    @property
    def uuids(self) -> list[UUID]:
        return list(self.ids.values())

    def require_wallets(self, found: Container[int]) -> None:
        """
        Who names a wallet must have looked it up.

        :raises LookupError: a movement between wallets that do not exist.
        """
        missing = [pk for pk in sorted(self.wallets) if pk not in found]
        if missing:
            raise LookupError(f"There are no wallets {missing}.")

    def add(self, needs: NeedsWallets) -> None:
        """Lock this system wallet too on the next run."""
        wallet = system_wallet(needs.purpose, needs.currency)
        self.needed[(needs.purpose, needs.currency)] = wallet
        self.wallets.add(wallet)
