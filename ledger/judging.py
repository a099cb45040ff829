"""
May this group happen? The rules of the kernel, over wallets already locked and read.

Pure Python over integers of 1/10,000. `post` and `preview` both ask here, so that a review page and the
posting have one truth.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.conf import settings

from ledger.movements import Completion, Group, GuardView, LockedWallet, Movement, PlaceHold, ReleaseHold
from ledger.store import KnownGivenBack, KnownHold, KnownTransaction, in_microseconds
from wallet_project.kernel.money import BOUND, to_units

BOUND_UNITS: Final = to_units(BOUND)


class State:
    """A wallet on its way through the list: as it was read, then as each group leaves it."""

    __slots__ = ("balance", "entry_count", "head", "held", "moved_at", "wallet")

    def __init__(self, wallet: LockedWallet) -> None:
        self.wallet = wallet
        self.balance = wallet.balance_units
        self.held = wallet.held_units
        self.entry_count = wallet.entry_count
        self.head = wallet.head
        self.moved_at = in_microseconds(wallet.moved_at) or 0

    def can_take(self, units: int) -> bool:
        """Whether a credit fits: the wallet is not closed, and its balance stays within the bound."""
        return self.balance + units < BOUND_UNITS and (self.wallet.is_system or self.wallet.status != "CLOSED")

    @property
    def is_changed(self) -> bool:
        return self.entry_count != self.wallet.entry_count or self.held != self.wallet.held_units

    @property
    def spare(self) -> int:
        """What may still leave or be promised. A system wallet has no least balance but the bound."""
        least = 1 - BOUND_UNITS if self.wallet.is_system else self.wallet.minimum_units
        return self.balance - self.held - least

    def as_locked(self) -> LockedWallet:
        return self.wallet._replace(
            balance_units=self.balance, held_units=self.held, entry_count=self.entry_count, head=self.head
        )


States = Mapping[int, State]


@dataclass(slots=True)
class Books:
    """
    What a list is judged against, as the groups before have left it.

    :ivar pending: the transactions to be completed.
    :ivar holds: the holds that end, and those already placed under a wanted reference, by primary key.
    :ivar given_back: what has been given back of the transactions that are to be given back.
    """

    states: Mapping[int, State]
    pending: dict[int, KnownTransaction] = field(default_factory=dict)
    holds: dict[int, KnownHold] = field(default_factory=dict)
    given_back: dict[int, KnownGivenBack] = field(default_factory=dict)


def judge(group: Group, books: Books, now: datetime) -> str:
    """The code of the refusal that `group` gets, or an empty string."""
    for act in group.movements:
        if isinstance(act, Movement):
            code = _judge_parties(act, books.states) or _judge_origin(act, books, now)
        elif isinstance(act, PlaceHold):
            code = _judge_promise(act, books.states)
        else:
            code = ""
            if isinstance(act, Completion):
                _check_completion(act, group, books.pending[act.transaction])
        if code:
            return code
    if group.guards:
        view = GuardView(group=group, wallets={pk: state.as_locked() for pk, state in books.states.items()}, now=now)
        for guard in group.guards:
            code = guard(view) or ""
            if code:
                return code
    return _judge_funds(group, books)


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


def _judge_origin(movement: Movement, books: Books, now: datetime) -> str:
    """What the money comes out of: a hold, or what an earlier movement brought."""
    if movement.captures is not None:
        hold = books.holds[movement.captures]
        if hold.wallet != movement.from_wallet or hold.units < movement.units:
            raise ValueError("A capture takes at most what is held, from the wallet that holds it.")
        if hold.is_over(now) and not movement.fact:
            return "hold_expired"
    refunds = movement.reverses if movement.type == "REFUND" else None
    if refunds is not None and movement.units > books.given_back[refunds].left_units:
        if movement.fact:
            raise ValueError("A refund that happened is larger than what is left of what it gives back.")
        return "refund_exceeds"
    return ""


def _judge_promise(hold: PlaceHold, states: States) -> str:
    """Everything but the funds."""
    wallet = states[hold.wallet].wallet
    if wallet.is_system:
        raise ValueError("Nothing is held in a system wallet.")
    if hold.currency != wallet.currency:
        return "currency_mismatch"
    return "" if hold.fact or wallet.status == "ACTIVE" else "wallet_frozen"


def _judge_funds(group: Group, books: Books) -> str:
    """Funds and bounds, each act after the ones before it."""
    states = books.states
    balances: defaultdict[int, int] = defaultdict(int)
    helds: defaultdict[int, int] = defaultdict(int)
    for act in group.movements:
        if isinstance(act, PlaceHold):
            if not act.fact:
                if states[act.wallet].spare + balances[act.wallet] - helds[act.wallet] < act.units:
                    return "insufficient_funds"
                helds[act.wallet] += act.units
            continue
        ended = act.hold if isinstance(act, ReleaseHold) else act.captures if isinstance(act, Movement) else None
        if ended is not None:
            helds[books.holds[ended].wallet] -= books.holds[ended].units
        if not isinstance(act, Movement) or act.fact or not moves_money(act):
            continue
        assert act.to_wallet is not None  # noqa: S101  (refused before)
        payer, payee = states[act.from_wallet], states[act.to_wallet]
        left = payer.balance + balances[act.from_wallet] - act.units
        if payer.wallet.is_system:
            if left <= -BOUND_UNITS:
                return "limit_exceeded"
        elif left - payer.held - helds[act.from_wallet] < payer.wallet.minimum_units:
            return "insufficient_funds"
        if payee.balance + balances[act.to_wallet] + act.units >= BOUND_UNITS:
            return "limit_exceeded"
        balances[act.from_wallet] -= act.units
        balances[act.to_wallet] += act.units
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
