"""Reads of wallets: a person's own, their balances, and those of two people about to deal with one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal, TypeVar
from uuid import UUID

from django.db.models import Case, IntegerField, QuerySet, When
from django.db.models.functions import Now

from accounts.models import User
from wallet_project.kernel.database import read_prepared
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money
from wallets.models import Merchant, Wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A wallet's money at one moment of the database's clock."""

    wallet: Wallet
    balance: Money
    available: Money
    as_of: datetime


def wallet_of(*, user: User, wanted: str | None = None) -> Wallet:
    """
    A person's own USER wallet, or the one of theirs that `wanted` (a `wal_` id) names.

    A closed wallet is found only where there is no open one, or by its id.

    :raises Refusal: `not_found`, for unknown ids as for other people's.
    """
    return _first(_own(user, wanted))


def balance_of(*, user: User, wanted: str | None = None) -> Balance:
    """
    What is in a person's wallet now, and what of it may leave.

    :raises Refusal: `not_found`.
    """
    wallet = _first(_own(user, wanted).annotate(read_at=Now()))
    return Balance(wallet=wallet, balance=wallet.money, available=wallet.available, as_of=vars(wallet)["read_at"])


_STATE: Final = "SELECT entry_count, held, status FROM wallets_wallet WHERE uuid = %(uuid)s AND owner_id = %(owner)s"
_STATE_BYTES: Final = 8


def state_now(*, user: User, wanted: str) -> str:
    """
    `state_of` a person's own wallet, as it is now: asked by every open page, every other second.

    :raises Refusal: `not_found`, for unknown ids as for other people's.
    """
    uuid = parse_public_id(Wallet.PREFIX, wanted)
    rows = [] if uuid is None else read_prepared(_STATE, {"uuid": uuid, "owner": user.pk})
    if not rows:
        raise Refusal("not_found", "There is no such wallet.")
    return _state(*rows[0])


def state_of(wallet: Wallet) -> str:
    """A few letters that change with whatever moves in a wallet, and tell nothing of it."""
    return _state(wallet.entry_count, wallet.held, wallet.status)


def _state(*marks: object) -> str:
    return blake2b(repr([str(mark) for mark in marks]).encode(), digest_size=_STATE_BYTES).hexdigest()


W = TypeVar("W", bound=Wallet)


def _own(user: User, wanted: str | None) -> QuerySet[Wallet]:
    wallets = Wallet.objects.filter(owner=user)
    if wanted is None:
        closed_last = Case(When(status=Wallet.Status.CLOSED, then=1), default=0, output_field=IntegerField())
        return wallets.filter(kind=Wallet.Kind.USER).order_by(closed_last, "pk")
    uuid = parse_public_id(Wallet.PREFIX, wanted)
    return wallets.filter(uuid=uuid) if uuid is not None else wallets.none()


def _first(wallets: QuerySet[W]) -> W:
    found = wallets.first()
    if found is None:
        raise Refusal("not_found", "There is no such wallet.")
    return found


def wallets_of(*, user: User) -> list[Wallet]:
    """All of a person's wallets, closed ones too, oldest first."""
    return list(Wallet.objects.filter(owner=user).select_related("merchant").order_by("pk"))


@dataclass(frozen=True, slots=True)
class Holding:
    """
    A person and one of their wallets, or a person who has none (`wallet` is None).

    :ivar keeps_away: this person blocks whoever asks; `is_kept_away`, the other way round.
    """

    owner: int
    owner_status: str
    full_name: str
    keeps_away: bool
    is_kept_away: bool
    wallet: int | None
    uuid: UUID | None
    kind: str | None
    status: str | None
    currency: str | None
    merchant_name: str | None
    merchant_uuid: UUID | None
    handle: str | None


How = Literal["email", "phone", "wallet", "merchant", "handle"]

# Who an address belongs to. Claims that nobody verified find nobody; a system wallet has no owner.
_OWNERS: Final[dict[How, str]] = {
    "email": "SELECT id FROM accounts_user WHERE email = %(value)s AND email_verified_at IS NOT NULL",
    "phone": "SELECT id FROM accounts_user WHERE phone = %(value)s AND phone_verified_at IS NOT NULL",
    "wallet": "SELECT owner_id FROM wallets_wallet WHERE uuid = %(value)s",
    "merchant": (
        "SELECT w.owner_id FROM wallets_merchant m JOIN wallets_wallet w ON w.id = m.wallet_id WHERE m.uuid = %(value)s"
    ),
    "handle": (
        "SELECT w.owner_id FROM wallets_merchant m JOIN wallets_wallet w ON w.id = m.wallet_id "
        "WHERE m.handle = %(value)s"
    ),
}
_HOLDINGS: Final = """
WITH other AS MATERIALIZED (SELECT ({owner}) AS id)
SELECT (SELECT id FROM other), u.id, u.status, u.full_name,
       EXISTS (SELECT FROM accounts_personblock b WHERE b.blocker_id = u.id AND b.blocked_id = %(person)s),
       EXISTS (SELECT FROM accounts_personblock b WHERE b.blocker_id = %(person)s AND b.blocked_id = u.id),
       w.id, w.uuid, w.kind, w.status, w.currency, m.display_name, m.uuid, m.handle
FROM accounts_user u
LEFT JOIN wallets_wallet w ON w.owner_id = u.id
LEFT JOIN wallets_merchant m ON m.wallet_id = w.id
WHERE u.id = ANY (ARRAY[%(person)s, (SELECT id FROM other)])
ORDER BY (w.status = 'CLOSED'), w.id
"""


def holdings(*, user: User, how: How, value: str | UUID) -> tuple[list[Holding], list[Holding]]:
    """
    Everything that a payment between two people asks about them, in one query: `user`'s wallets, and those of
    whoever `value` belongs to (empty when it is nobody's). Open ones first.
    """
    rows = read_prepared(_HOLDINGS.format(owner=_OWNERS[how]), {"person": user.pk, "value": value})
    own = [Holding(*row[1:]) for row in rows if row[1] == user.pk]
    others = [Holding(*row[1:]) for row in rows if row[1] == row[0]]
    return own, others


def choose_own(own: Sequence[Holding], wanted: str | None) -> Holding:
    """
    `wallet_of`, over holdings already read.

    :raises Refusal: `not_found`.
    """
    uuid = parse_public_id(Wallet.PREFIX, wanted) if wanted is not None else None
    for holding in own:
        if holding.wallet is not None and (
            holding.kind == Wallet.Kind.USER if wanted is None else holding.uuid == uuid
        ):
            return holding
    raise Refusal("not_found", "There is no such wallet.")


def wallets_found_by(term: str) -> QuerySet[Wallet]:
    """
    For support: the wallets meant by an e-mail address, a phone number, a `wal_`, `usr_` or `mer_` id, or a
    merchant's handle, typed whole. Each is found by its index.
    """
    term = term.strip()
    wallets = Wallet.objects.all()
    if "@" in term:
        return wallets.filter(owner__email=term.lower())
    if term.startswith("+"):
        return wallets.filter(owner__phone=term.replace(" ", ""))
    for prefix, field in ((Wallet.PREFIX, "uuid"), (User.PREFIX, "owner__uuid"), (Merchant.PREFIX, "merchant__uuid")):
        uuid = parse_public_id(prefix, term)
        if uuid is not None:
            return wallets.filter(**{field: uuid})
    return wallets.filter(merchant__handle=term.lower())
