"""The demo's people."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.actors import system_actor
from accounts.addresses import email_address
from accounts.consents import agree_by_registration
from accounts.models import User
from accounts.queries import owner_of
from accounts.registration import enrol_verified
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD, appoint, appoint_superuser
from ledger.models import Transaction
from ledger.movements import Group, Key, Movement
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money
from wallets.opening import open_merchant, open_wallet

PASSWORD: Final = "wallet-demo-2026"  # noqa: S105  (the demo's, published in its documentation)
_ACTOR: Final = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One of the cast. `handle` makes a merchant, `group` staff."""

    name: str
    email: str
    rupees: int = 0
    handle: str = ""
    group: str = ""
    is_superuser: bool = False


CAST: Final = (
    Person(name="Asha Rao", email="asha@example.com", rupees=10_000),
    Person(name="Ravi Kumar", email="ravi@example.com", rupees=2_500),
    Person(name="Meera Nair", email="meera@example.com", handle="meera-books"),
    Person(name="Dev Singh", email="support@example.com", group=SUPPORT),
    Person(name="Leela Menon", email="lead@example.com", group=SUPPORT_LEAD),
    Person(name="Anil Das", email="auditor@example.com", group=AUDITOR),
    Person(name="Root", email="root@example.com", is_superuser=True),
)


class Command(BaseCommand):
    """`python manage.py seed_demo`: everybody once, however often it runs. Only where WALLET_DEMO is set."""

    help = "Make the demo's people, each once. Refused unless WALLET_DEMO is set."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not settings.WALLET_DEMO:
            raise CommandError("WALLET_DEMO is not set: the demo's people have a published password.")
        for person in CAST:
            user = _enrol(person)
            if person.rupees:
                _fund(user, person)
            self.stdout.write(f"{person.email} is there.")


def _enrol(person: Person) -> User:
    """Made whole or not at all; somebody who is there already is left as they are."""
    address = email_address(person.email)
    with transaction.atomic():
        user = owner_of(address)
        if user is not None:
            return user
        user = enrol_verified(full_name=person.name, password=PASSWORD, email=address, now=timezone.now())
        agree_by_registration(user=user)
        open_wallet(user=user)
        if person.handle:
            open_merchant(user=user, handle=person.handle, display_name="Meera Books")
        if person.group:
            appoint(user=user, group=person.group)
        if person.is_superuser:
            appoint_superuser(user=user)
    return user


def _fund(user: User, person: Person) -> None:
    """A posted ADD under a key of its own, so that a second run moves nothing. It comes from the escrow account: the
    gateway's books know nothing of it."""
    amount = Money(Decimal(person.rupees), "INR")
    movement = Movement(
        type=Transaction.Type.ADD,
        amount=amount.amount,
        currency=amount.currency,
        from_wallet=system_wallet(Purpose.BANK, amount.currency),
        to_wallet=open_wallet(user=user).pk,
        note="Welcome to the demo",
        fact=True,
    )
    key = Key(key=f"seed:{person.email}", fingerprint=fingerprint("seed", email=person.email, amount=amount.text))
    post([Group(initiator=system_actor(_ACTOR).pk, movements=(movement,), key=key)])
