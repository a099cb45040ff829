"""Reads of requests for money back, as either side sees them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db.models import Q

from accounts.models import User
from ledger.models import Transaction
from ledger.queries import MOST_ROWS
from payments.models import MoneyBack
from payments.money_back import find, name_of, with_parties
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import public_id
from wallet_project.kernel.money import Money
from wallet_project.kernel.newest_first import newest_first
from wallets.models import Wallet

Role = Literal["asker", "asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMoneyBack:
    """
    :ivar role: which of the two sees it.
    :ivar note: the asker's word to the other.
    :ivar transaction, refund: public ids of the transfer and of what gave it back.
    :ivar closed_by_support: of one that is EXPIRED.
    """

    id: str
    role: Role
    status: str
    amount: Money
    counterparty_name: str
    counterparty_wallet: str | None
    note: str
    transaction: str
    refund: str | None
    asked_at: datetime
    held_at: datetime | None
    expires_at: datetime
    ended_at: datetime | None
    closed_by_support: bool

    @property
    def is_open(self) -> bool:
        return self.ended_at is None


@dataclass(frozen=True, slots=True)
class MoneyBackPage:
    rows: list[SeenMoneyBack]
    next: str | None


def of_person(
    *,
    user: User,
    role: Role | None = None,
    status: str | None = None,
    limit: int = MOST_ROWS,
    cursor: str | None = None,
) -> MoneyBackPage:
    """
    What this person asked for and was asked for, newest first.

    :param role: only as this side.
    :raises Refusal: `cursor_invalid`.
    """
    sides = {"asker": Q(asker=user), "asked": Q(asked=user)}
    theirs = MoneyBack.objects.filter(sides["asker"] | sides["asked"])
    wanted = theirs if role is None else MoneyBack.objects.filter(sides[role])
    if status is not None:
        wanted = wanted.filter(status=status)
    rows, following = newest_first(with_parties(wanted), limit=limit, cursor=cursor, places=theirs)
    return MoneyBackPage([seen_by(user=user, row=row) for row in rows], following)


def find_one(*, user: User, money_back: str) -> SeenMoneyBack:
    """
    :raises Refusal: `not_found`.
    """
    try:
        return seen_by(user=user, row=find(money_back=money_back, asker=user))
    except Refusal:
        return seen_by(user=user, row=find(money_back=money_back, asked=user))


def latest_about(*, user: User, transaction: int) -> SeenMoneyBack | None:
    """The newest request for the money of a transfer (its primary key), for one of its two sides."""
    theirs = MoneyBack.objects.filter(Q(asker=user) | Q(asked=user), transfer=transaction)
    row = with_parties(theirs).order_by("-pk").first()
    return None if row is None else seen_by(user=user, row=row)


def seen_by(*, user: User, row: MoneyBack) -> SeenMoneyBack:
    asks = row.asker_id == user.pk
    transfer = row.transfer
    other: Wallet | None = transfer.to_wallet if asks else transfer.from_wallet
    return SeenMoneyBack(
        id=row.public_id,
        role="asker" if asks else "asked",
        status=row.status,
        amount=row.money,
        counterparty_name=name_of(other),
        counterparty_wallet=None if other is None else other.public_id,
        note=row.note,
        transaction=transfer.public_id,
        refund=None if row.refund is None else public_id(Transaction.PREFIX, row.refund.uuid),
        asked_at=row.asked_at,
        held_at=row.held_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        closed_by_support=row.closed_by_id is not None,
    )
