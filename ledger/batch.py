"""A list of groups made ready for posting: which wallets, keys and transactions it touches."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from ledger.models import Transaction
from ledger.movements import Completion, Group, Movement
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
    suspense: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, groups: Sequence[Group]) -> Self:
        """
        Read what never changes (a transaction's wallets), outside the posting transaction.

        :raises LookupError: a completion of a transaction that does not exist.
        """
        wallets: set[int] = set()
        keys: dict[tuple[int, str], None] = {}
        completing: list[int] = []
        ids: dict[MovementPlace, UUID] = {}
        for place, group in enumerate(groups):
            if group.key is not None:
                keys[(group.initiator, group.key.key)] = None
            for position, movement in enumerate(group.movements):
                if isinstance(movement, Completion):
                    completing.append(movement.transaction)
                    continue
                ids[(place, position)] = new_uuid()
                wallets.add(movement.from_wallet)
                if movement.to_wallet is not None:
                    wallets.add(movement.to_wallet)
        if completing:
            found = Transaction.objects.filter(pk__in=completing).values_list("pk", "from_wallet_id", "to_wallet_id")
            parties = {pk: (from_wallet, to_wallet) for pk, from_wallet, to_wallet in found}
            for transaction in completing:
                if transaction not in parties:
                    raise LookupError(f"There is no transaction {transaction} to complete.")
                wallets.update(pk for pk in parties[transaction] if pk is not None)
        return cls(groups=groups, wallets=wallets, keys=list(keys), completing=completing, ids=ids)

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
        self.suspense[needs.currency] = wallet
        self.wallets.add(wallet)
