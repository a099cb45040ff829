"""What is asked of the posting kernel, and what it answers: plain values, no database."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from wallet_project.kernel.money import BOUND, decimals_of, to_units

_LARGEST: Final = Decimal(10) ** 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """
    Money from one wallet to another; becomes one Transaction.

    :param from_wallet: primary keys, as `to_wallet`, which may be None only to record
        `recipient_unavailable` of a known payee who has no wallet.
    :param status: SUCCESS, or PENDING: an ADD without entries, a WITHDRAW with its two.
    :param fact: money that a bank or gateway already moved; never refused. Where its wallet cannot take
        it, it goes to suspense; where its wallet has not got it, it comes from chargebacks, which is owed it.
    :param refuse: a refusal that the caller has already decided on and that is to be recorded.
    :param captures: a hold on `from_wallet` that this money comes out of; what is left of it is free again.
    """

    type: str
    amount: Decimal
    currency: str
    from_wallet: int
    to_wallet: int | None
    status: Literal["SUCCESS", "PENDING"] = "SUCCESS"
    reverses: int | None = None
    note: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    fact: bool = False
    refuse: str = ""
    captures: int | None = None
    # The amount as an integer of 1/10,000.
    units: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", to_units(self.amount))
        if not 0 < self.amount < _LARGEST:
            raise ValueError("A movement's amount is above zero and has at most fifteen digits.")
        if self.amount != round(self.amount, decimals_of(self.currency)):
            raise ValueError(f"{self.currency} has {decimals_of(self.currency)} decimals.")
        if self.to_wallet is None and self.refuse != "recipient_unavailable":
            raise ValueError("Only a recipient who cannot receive may be without a wallet.")
        if self.status == "PENDING" and self.type not in ("ADD", "WITHDRAW"):
            raise ValueError("Only an ADD or a WITHDRAW can be PENDING.")
        if self.fact and (self.refuse or self.amount >= BOUND):
            raise ValueError("A fact cannot be refused, and its amount stays within the bound.")
        if not all(isinstance(value, str) for value in self.metadata.values()):
            raise TypeError("The values of metadata are strings.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """
    The end of a PENDING transaction: SUCCESS posts an ADD's entries (a fact, never refused); FAILED needs
    a code. A WITHDRAW that fails after its debit is completed together with its REVERSAL, in one group.
    """

    transaction: int
    status: Literal["SUCCESS", "FAILED"]
    failure_code: str = ""

    def __post_init__(self) -> None:
        if (self.status == "FAILED") != bool(self.failure_code):
            raise ValueError("A failure, and only a failure, has a code.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceHold:
    """
    Promise a part of a wallet's balance. Becomes one Hold; the same `reference` again changes nothing.

    :param reference: the caller's name for it, unique among all holds.
    :param expires_at: from then on it cannot be captured any more (by the database's clock); None for never.
    :param fact: demanded by a bank or gateway; never refused. It holds what there is, down to nothing at all.
    """

    wallet: int
    amount: Decimal
    currency: str
    reason: str
    reference: str
    expires_at: datetime | None = None
    fact: bool = False
    units: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", to_units(self.amount))
        if not 0 < self.amount < BOUND or self.amount != round(self.amount, decimals_of(self.currency)):
            raise ValueError("A hold's amount is above zero, within the bound, and has its currency's decimals.")
        if not 1 <= len(self.reference) <= 100 or not 1 <= len(self.reason) <= 20:
            raise ValueError("A hold has a reason of 1 to 20 characters and a reference of 1 to 100.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold:
    """
    The promise ends and nothing moved. `expired`: because its time is over, and only then.
    """

    hold: int
    expired: bool = False


Act = Movement | Completion | PlaceHold | ReleaseHold


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """
    An idempotency key of the group's initiator.

    :param fingerprint: 32 bytes that are equal exactly for equal requests.
    :param http_status: what a replay answers when the group was posted.
    """

    key: str
    fingerprint: bytes
    http_status: int = 201

    def __post_init__(self) -> None:
        visible = self.key.isascii() and self.key.isprintable() and " " not in self.key
        if not 1 <= len(self.key) <= 255 or not visible or len(self.fingerprint) != 32:
            raise ValueError("A key has 1 to 255 visible ASCII characters, its fingerprint 32 bytes.")


class LockedWallet(NamedTuple):
    """A wallet as read under its lock. Amounts in units of 1/10,000."""

    id: int
    owner_id: int | None
    kind: str
    currency: str
    decimals: int
    status: str
    balance_units: int
    held_units: int
    minimum_units: int
    entry_count: int
    head: bytes
    moved_at: datetime | None

    @property
    def is_system(self) -> bool:
        return self.kind == "SYSTEM"


@dataclass(frozen=True, slots=True)
class GuardView:
    """What a guard may look at: its group, and the wallets as they stand after the groups before it."""

    group: "Group"
    wallets: Mapping[int, LockedWallet]
    now: datetime


# Handed down by `payments` (limits). Reads the database, writes nothing, returns a refusal's code or None.
Guard = Callable[[GuardView], str | None]
# Handed down by `payments` (step-up), and asked before anything is judged. It reads the database, and raises what is to
# end the whole posting: nothing of it is kept, and its key may be used again.
Gate = Callable[[GuardView], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    What happens together or not at all. The first movement is the one that people see.

    Holds alone leave no transaction, so a group of nothing else has no key, and its refusal is not recorded.
    """

    initiator: int
    movements: tuple[Act, ...]
    key: Key | None = None
    guards: tuple[Guard, ...] = ()
    gates: tuple[Gate, ...] = ()

    def __post_init__(self) -> None:
        if not self.movements:
            raise ValueError("A group has at least one movement.")
        completing = [movement.transaction for movement in self.movements if isinstance(movement, Completion)]
        if completing and self.key is not None:
            raise ValueError("A completion is keyed by its transaction.")
        if len(set(completing)) < len(completing):
            raise ValueError("A transaction is completed once.")
        ending = self.ending
        if len(set(ending)) < len(ending):
            raise ValueError("A hold ends once.")
        if self.key is not None and not isinstance(self.movements[0], Movement):
            raise ValueError("A key stands for a movement.")

    @property
    def ending(self) -> list[int]:
        """The holds that end in this group."""
        captured = [act.captures for act in self.movements if isinstance(act, Movement) and act.captures is not None]
        return captured + [act.hold for act in self.movements if isinstance(act, ReleaseHold)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    What became of one group.

    `posted`: it happened now. `refused`: recorded as FAILED with `code`. `replayed`: it had happened before
    under this key. `key_reused`: the key stands for another request; nothing recorded. `unchanged`: it is as it was:
    the transaction had already been completed, the hold been placed or ended (`code` is that status), or the
    transaction been reversed (`code` is REVERSED, `transactions` the reversal).

    :param transactions: primary keys, the group's first movement first; for `key_reused`, and for holds alone, none.
    :param diverted: the transactions whose credit went to suspense, because its wallet could not take it, or whose
        debit came from chargebacks, because its wallet had not got it.
    :param holds: primary keys of the holds that were placed, or found under their reference; fewer than were asked
        for where a fact found nothing to hold.
    """

    kind: Literal["posted", "refused", "replayed", "key_reused", "unchanged"]
    transactions: tuple[int, ...] = ()
    code: str = ""
    http_status: int = 0
    diverted: tuple[int, ...] = field(default=())
    holds: tuple[int, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a group would get now. `balances` are Decimals after it, by wallet; as they are, if it is refused."""

    code: str
    balances: Mapping[int, Decimal]
