"""
May this group happen? The rules of the kernel, over wallets already locked and read.

Pure Python over integers of 1/10,000. `post` and `preview` both ask here, so that a review page and the
posting have one truth.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.conf import settings

from ledger.movements import Completion, Group, GuardView, LockedWallet, Movement
from ledger.store import KnownTransaction, in_microseconds
from wallet_project.kernel.money import BOUND, to_units

BOUND_UNITS: Final = to_units(BOUND)


class State:
    """A wallet on its way through the list: as it was read, then as each group leaves it."""

    __slots__ = ("balance", "entry_count", "head", "moved_at", "wallet")

    def __init__(self, wallet: LockedWallet) -> None:
        self.wallet = wallet
        self.balance = wallet.balance_units
        self.entry_count = wallet.entry_count
        self.head = wallet.head
        self.moved_at = in_microseconds(wallet.moved_at) or 0

    def can_take(self, units: int) -> bool:
        """Whether a credit fits: the wallet is not closed, and its balance stays within the bound."""
        return self.balance + units < BOUND_UNITS and (self.wallet.is_system or self.wallet.status != "CLOSED")

    def as_locked(self) -> LockedWallet:
        return self.wallet._replace(balance_units=self.balance, entry_count=self.entry_count, head=self.head)


States = Mapping[int, State]


def judge(group: Group, states: States, pending: Mapping[int, KnownTransaction], now: datetime) -> str:
    """The code of the refusal that `group` gets, or an empty string."""
    for movement in group.movements:
        if isinstance(movement, Completion):
            _check_completion(movement, group, pending[movement.transaction])
        else:
            code = _judge_parties(movement, states)
            if code:
                return code
    if group.guards:
        view = GuardView(group=group, wallets={pk: states[pk].as_locked() for pk in states}, now=now)
        for guard in group.guards:
            code = guard(view) or ""
            if code:
                return code
    return _judge_funds(group, states)


def _judge_parties(movement: Movement, states: States) -> str:
    """Everything but the funds."""
    if movement.refuse or movement.to_wallet is None:
        return movement.refuse
    payer, payee = states[movement.from_wallet].wallet, states[movement.to_wallet].wallet
    if payer.id == payee.id:
        return "same_wallet"
    if movement.currency != payer.currency or movement.currency != payee.currency:
        return "currency_mismatch"
    if movement.fact:
        return ""
    if movement.amount > settings.LARGEST_MOVEMENT or movement.amount >= BOUND:
        return "limit_exceeded"
    if not payer.is_system and payer.status != "ACTIVE":
        return "wallet_frozen"
    if not payee.is_system and payee.status == "CLOSED":
        return "recipient_unavailable"
    return ""


def _judge_funds(group: Group, states: States) -> str:
    """Funds and bounds, each movement after the ones before it."""
    changes: dict[int, int] = {}
    for movement in group.movements:
        if isinstance(movement, Completion) or movement.fact or not moves_money(movement):
            continue
        assert movement.to_wallet is not None  # noqa: S101  (refused before)
        units = movement.units
        payer, payee = states[movement.from_wallet], states[movement.to_wallet]
        left = payer.balance + changes.get(movement.from_wallet, 0) - units
        if payer.wallet.is_system:
            if left <= -BOUND_UNITS:
                return "limit_exceeded"
        elif left - payer.wallet.held_units < payer.wallet.minimum_units:
            return "insufficient_funds"
        if payee.balance + changes.get(movement.to_wallet, 0) + units >= BOUND_UNITS:
            return "limit_exceeded"
        changes[movement.from_wallet] = left - payer.balance
        changes[movement.to_wallet] = changes.get(movement.to_wallet, 0) + units
    return ""


def moves_money(movement: Movement) -> bool:
    """A PENDING ADD is a promise of money to come; every other movement has its two entries at once."""
    return not (movement.status == "PENDING" and movement.type == "ADD")


def _check_completion(completion: Completion, group: Group, transaction: KnownTransaction) -> None:
    """
    A failed withdrawal gives all of its money back in the same breath, or the books would lie in between.

    The money is there again, so its REVERSAL is a fact: a wallet closed meanwhile does not stop it.
    """
    if transaction.type == "WITHDRAW" and completion.status == "FAILED" and transaction.status == "PENDING":
        reversed_here = any(
            isinstance(other, Movement)
            and other.type == "REVERSAL"
            and other.fact
            and (other.reverses, other.from_wallet, other.to_wallet, other.units)
            == (transaction.id, transaction.to_wallet, transaction.from_wallet, transaction.amount_units)
            for other in group.movements
        )
        if not reversed_here:
            raise ValueError("A WITHDRAW fails together with the REVERSAL of all its money, in one group, as a fact.")
