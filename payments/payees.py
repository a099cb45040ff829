"""Who is to be paid: what people type, read strictly, and the wallet behind it."""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from accounts.addresses import MalformedAddress, email_address, phone_address
from accounts.models import User
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallets.display_names import display_name
from wallets.models import Merchant, Wallet
from wallets.queries import Holding, How, choose_own, holdings

_HANDLE: Final = re.compile(r"[a-z0-9](?:-?[a-z0-9])*\Z")
_LONGEST_HANDLE: Final = 40
# What stands in the history of whoever tried to pay a person who keeps them away, or is blocked, in place of a name
# that a look-up would not tell them either.
_SOMEBODY: Final = "somebody"


@dataclass(frozen=True, slots=True)
class Address:
    """A well-formed way to name a payee; whether anybody is behind it is another question."""

    how: How
    value: str | UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """
    Payer and payee of one payment.

    :param payer: the wallet that pays (primary key), in `currency`.
    :param payee: the wallet that is paid; None where a known payee has none.
    :param refuse: `recipient_unavailable`, or empty.
    :param payee_name: as the payer may see it.
    """

    payer: int
    currency: str
    payee: int | None
    refuse: str
    payee_name: str


def read_payee(text: str) -> Address:
    """
    An e-mail address (any case), a phone number in E.164, or a `wal_` id.

    :raises Refusal: `invalid`, for anything else.
    """
    if "@" in text:
        try:
            return Address("email", email_address(text).value)
        except MalformedAddress as error:
            raise Refusal.of_field("to", str(error)) from error
    if text.startswith("+"):
        try:
            return Address("phone", phone_address(text).value)
        except MalformedAddress as error:
            raise Refusal.of_field("to", str(error)) from error
    wallet = parse_public_id(Wallet.PREFIX, text)
    if wallet is None:
        raise Refusal.of_field("to", "Write an e-mail address, a phone number such as +919876543210, or a wallet id.")
    return Address("wallet", wallet)


def read_merchant(text: str) -> Address:
    """
    A `mer_` id or a handle (any case).

    :raises Refusal: `invalid`, for anything else.
    """
    merchant = parse_public_id(Merchant.PREFIX, text)
    if merchant is not None:
        return Address("merchant", merchant)
    handle = text.lower()
    if len(handle) > _LONGEST_HANDLE or not _HANDLE.match(handle):
        raise Refusal.of_field("merchant", "Write the merchant's id or handle, such as meera-books.")
    return Address("handle", handle)


def find_parties(*, payer: User, wanted: str | None, address: Address) -> Parties:
    """
    The payer's wallet and the payee's, in one query.

    :param wanted: another wallet of the payer's than the USER one.
    :raises Refusal: `not_found` (no such wallet of the payer's), `payee_not_found`, `unblock_first`.
    """
    own, others = holdings(user=payer, how=address.how, value=address.value)
    paying = choose_own(own, wanted)
    payee = _choose(others, address, currency=str(paying.currency))
    assert paying.wallet is not None  # noqa: S101  (choose_own finds wallets only)
    if payee.is_kept_away and _is_a_person(payee):
        raise Refusal("unblock_first", "You have blocked this person. Unblock them first, if you mean to pay them.")
    refuse = "" if _can_receive(payee) else "recipient_unavailable"
    # Alike, whichever it is: an attempt that is kept for ever tells neither who it was nor who keeps its payer away.
    is_nameless = _is_a_person(payee) and (payee.keeps_away or payee.owner_status == User.Status.BLOCKED)
    return Parties(
        payer=paying.wallet,
        currency=str(paying.currency),
        payee=None if is_nameless else payee.wallet,
        refuse=refuse,
        payee_name=_SOMEBODY if is_nameless else _name_of(payee),
    )


def find_payee_name(*, asker: User, to: str) -> str:
    """
    The name to show before a payment is confirmed: a person's masked, a merchant's as it is.

    :raises Refusal: `invalid`, `payee_not_found`, `recipient_unavailable`.
    """
    address = read_payee(to)
    _, others = holdings(user=asker, how=address.how, value=address.value)
    payee = _choose(others, address, currency="")
    if not _can_receive(payee):
        raise Refusal("recipient_unavailable")
    return _name_of(payee)


def _choose(others: list[Holding], address: Address, *, currency: str) -> Holding:
    """
    The wallet that this address means, of its owner's (open ones come first): the one named; or a person's own
    USER wallet, in the payer's currency if there is one.
    """
    if not others:
        raise Refusal("payee_not_found")
    match address.how:
        case "wallet":
            return next(holding for holding in others if holding.uuid == address.value)
        case "merchant":
            return next(holding for holding in others if holding.merchant_uuid == address.value)
        case "handle":
            return next(holding for holding in others if holding.handle == address.value)
    personal = [holding for holding in others if holding.kind == Wallet.Kind.USER]
    is_open = [holding for holding in personal if holding.status != Wallet.Status.CLOSED]
    same = [holding for holding in is_open if holding.currency == currency]
    if same or is_open or personal:
        return (same or is_open or personal)[0]
    first = others[0]
    return Holding(first.owner, first.owner_status, first.full_name, first.keeps_away, first.is_kept_away, *(None,) * 8)


def _is_a_person(payee: Holding) -> bool:
    """A shop sells to everybody: whom its owner keeps away from themselves is nothing that its customers learn."""
    return payee.kind != Wallet.Kind.MERCHANT


def _can_receive(payee: Holding) -> bool:
    """A known payee with an open wallet, who is not blocked, and does not keep the payer away."""
    is_open = payee.wallet is not None and payee.status != Wallet.Status.CLOSED
    is_unwelcome = payee.keeps_away and _is_a_person(payee)
    return is_open and payee.owner_status != User.Status.BLOCKED and not is_unwelcome


def _name_of(payee: Holding) -> str:
    return display_name(full_name=payee.full_name, merchant_name=payee.merchant_name)
