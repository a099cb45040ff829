"""
The cast with wallets and money in them, made anew for each test: rows as the deeds leave them, without their cost.

Passwords are unusable (hashing is slow on purpose); who signs in comes from tests/accounts/people.py.
Money arrives as it does in life, as a fact from the gateway's clearing, through the kernel.
"""

import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone
from factory.django import DjangoModelFactory

from accounts.models import Actor, User
from ledger.movements import Group, Key, Movement
from ledger.posting import post
from ledger.system_wallets import system_wallet
from wallet_project.kernel.money import decimals_of
from wallets.models import Merchant, Wallet


class UserFactory(DjangoModelFactory[User]):
    """Somebody whose e-mail is verified."""

    class Meta:
        model = User

    full_name = "Asha Rao"
    email = factory.LazyAttribute(
        lambda user: f"{user.full_name.split()[0].lower()}.{secrets.token_hex(6)}@example.com"
    )
    email_verified_at = factory.LazyFunction(timezone.now)
    password = "!"


class ActorFactory(DjangoModelFactory[Actor]):
    class Meta:
        model = Actor

    kind = Actor.Kind.PERSON
    user = factory.SubFactory(UserFactory)


class WalletFactory(DjangoModelFactory[Wallet]):
    """An empty wallet of its own new owner, unless one is given."""

    class Meta:
        model = Wallet

    owner = factory.SubFactory(UserFactory)
    kind = Wallet.Kind.USER
    currency = "INR"
    decimals = factory.LazyAttribute(lambda wallet: decimals_of(wallet.currency))


class MerchantFactory(DjangoModelFactory[Merchant]):
    """A handle that can be paid, with its wallet and the person who owns it."""

    class Meta:
        model = Merchant

    handle = factory.LazyFunction(lambda: f"shop-{secrets.token_hex(6)}")
    display_name = "Meera's Books"
    wallet = factory.SubFactory(WalletFactory, kind=Wallet.Kind.MERCHANT, owner__full_name="Meera Iyer")


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the cast: their primary keys are all that the kernel asks for."""

    user: User
    actor: Actor
    wallet: Wallet

    @property
    def balance(self) -> Decimal:
        """What the database says now."""
        return Wallet.objects.get(pk=self.wallet.pk).balance


def member(full_name: str = "Asha Rao", *, balance: Decimal | str = "0", **wallet: Any) -> Member:
    """A customer with a wallet, and `balance` in it. Further arguments are the wallet's columns."""
    opened = WalletFactory.create(owner__full_name=full_name, **wallet)
    assert opened.owner is not None
    actor = ActorFactory.create(user=opened.owner)
    if Decimal(balance):
        fund(opened, balance)
    return Member(user=opened.owner, actor=actor, wallet=opened)


def asha(**wallet: Any) -> Member:
    return member("Asha Rao", **wallet)


def ravi(**wallet: Any) -> Member:
    return member("Ravi Menon", **wallet)


def meera(**wallet: Any) -> Member:
    """The merchant; her handle is `member.wallet.merchant.handle`."""
    found = member("Meera Iyer", kind=Wallet.Kind.MERCHANT, **wallet)
    MerchantFactory.create(wallet=found.wallet)
    return found


def clearing(currency: str = "INR") -> int:
    """The wallet that top-ups come from: this process's shard of the gateway's clearing."""
    return system_wallet(Wallet.Purpose.GATEWAY_CLEARING, currency)


def gateway_actor() -> Actor:
    return Actor.objects.get_or_create(kind=Actor.Kind.SYSTEM, name="gateway")[0]


def fund(wallet: Wallet, amount: Decimal | str) -> int:
    """Money from the gateway, as a top-up that has been captured brings it. The transaction's primary key."""
    (outcome,) = post(
        [
            Group(
                initiator=gateway_actor().pk,
                movements=(
                    Movement(
                        type="ADD",
                        amount=Decimal(amount),
                        currency=wallet.currency,
                        from_wallet=clearing(wallet.currency),
                        to_wallet=wallet.pk,
                        fact=True,
                    ),
                ),
            )
        ]
    )
    assert outcome.kind == "posted", outcome
    return outcome.transactions[0]


def transfer(sender: Member, recipient: Member, amount: Decimal | str, **movement: Any) -> Movement:
    return Movement(
        **{
            "type": "TRANSFER",
            "amount": Decimal(amount),
            "currency": sender.wallet.currency,
            "from_wallet": sender.wallet.pk,
            "to_wallet": recipient.wallet.pk,
            **movement,
        }
    )


def group(sender: Member, *movements: Any, key: Key | None = None, guards: tuple[Any, ...] = ()) -> Group:
    return Group(initiator=sender.actor.pk, movements=movements, key=key, guards=guards)


def key(text: str | None = None, *, request: str = "the same request", http_status: int = 201) -> Key:
    """An idempotency key; two requests are equal exactly when their `request` is."""
    fingerprint = request.encode().ljust(32, b".")[:32]
    return Key(key=text or secrets.token_hex(12), fingerprint=fingerprint, http_status=http_status)
