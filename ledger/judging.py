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

from ledger.movements import Act, Completion, Group, GuardView, LockedWallet, Movement, PlaceHold, ReleaseHold
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
        view = view_of(group, books, now)
        for guard in group.guards:
            code = guard(view) or ""
            if code:
                return code
    return foresee(group, books)[0]


def view_of(group: Group, books: Books, now: datetime) -> GuardView:
    """What the group's guards and gates are shown."""
    return GuardView(group=group, wallets={pk: state.as_locked() for pk, state in books.states.items()}, now=now)


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


@dataclass(slots=True)
class Changes:
    """What a group makes of its wallets, in units, as far as it has been followed."""

    balances: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    helds: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def spare(self, state: State) -> int:
        pk = state.wallet.id
        return state.spare + self.balances[pk] - self.helds[pk]

    def can_take(self, state: State, units: int) -> bool:
        return state.can_take(units + self.balances[state.wallet.id])

    def move(self, from_wallet: int, to_wallet: int, units: int) -> None:
        self.balances[from_wallet] -= units
        self.balances[to_wallet] += units


def foresee(group: Group, books: Books) -> tuple[str, Changes]:
    """
    Follow a group act by act, each after the ones before it: the first refusal for want of funds or room, and what
    changes until then. Facts are never refused, but what they take is not there for those that follow.
    """
    changes = Changes()
    for act in group.movements:
        code = _foresee(act, books, changes)
        if code:
            return code, changes
    return "", changes


def _foresee(act: Act, books: Books, changes: Changes) -> str:
    if isinstance(act, Completion):
        known = books.pending[act.transaction]
        if known.type == "ADD" and act.status == "SUCCESS":
            _foresee_fact(changes, books.states[known.from_wallet], books.states[known.to_wallet], known.amount_units)
        return ""
    if isinstance(act, PlaceHold):
        spare = changes.spare(books.states[act.wallet])
        if spare < act.units and not act.fact:
            return "insufficient_funds"
        changes.helds[act.wallet] += min(act.units, max(0, spare))
        return ""
    ended = act.hold if isinstance(act, ReleaseHold) else act.captures
    if ended is not None:
        changes.helds[books.holds[ended].wallet] -= books.holds[ended].units
    if isinstance(act, ReleaseHold) or not moves_money(act) or act.to_wallet is None:
        return ""
    payer, payee = books.states[act.from_wallet], books.states[act.to_wallet]
    if act.fact:
        _foresee_fact(changes, payer, payee, act.units)
        return ""
    if changes.spare(payer) < act.units:
        return "limit_exceeded" if payer.wallet.is_system else "insufficient_funds"
    if payee.balance + changes.balances[act.to_wallet] + act.units >= BOUND_UNITS:
        return "limit_exceeded"
    changes.move(act.from_wallet, act.to_wallet, act.units)
    return ""


def _foresee_fact(changes: Changes, payer: State, payee: State, units: int) -> None:
    """Whichever side cannot, a system wallet stands in for it."""
    lands = changes.can_take(payee, units)
    if payer.wallet.is_system or changes.spare(payer) >= units:
        changes.balances[payer.wallet.id] -= units
    if lands:
        changes.balances[payee.wallet.id] += units


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
