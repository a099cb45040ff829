"""Opening wallets: with a person's verification, and for those who become merchants."""

from datetime import datetime

from django.db import transaction

from accounts.addresses import Address
from accounts.consents import agree_by_registration
from accounts.models import User
from accounts.names import clean_full_name
from accounts.verification import spend_try, verify
from wallet_project.kernel.money import decimals_of
from wallets.models import Merchant, Wallet

DEFAULT_CURRENCY = "INR"


def verify_and_open_wallet(*, address: Address, code: str, registration: str | None = None, now: datetime) -> User:
    """
    A person is verified and has a wallet, or neither: there is no verified person without one.

    The try is counted whatever comes of it (see `accounts.verification`).

    :param registration: only this one, by its person's public id.
    :raises Refusal: `code_invalid`, `too_many_tries`, `blocked`.
    """
    attempt = spend_try(address=address, registration=registration, now=now)
    with transaction.atomic():
        user = verify(attempt=attempt, code=code, now=now)
        agree_by_registration(user=user)
        open_wallet(user=user)
    return user


def open_wallet(*, user: User, kind: str = Wallet.Kind.USER, currency: str = DEFAULT_CURRENCY) -> Wallet:
    """
    This person's open wallet of that kind, made if there is none: safe to call twice, and twice at once, for one
    that is not closed is unique.
    """
    wallet, _ = Wallet.objects.exclude(status=Wallet.Status.CLOSED).get_or_create(
        owner=user, kind=kind, currency=currency, defaults={"decimals": decimals_of(currency)}
    )
    return wallet


def open_merchant(*, user: User, handle: str, display_name: str) -> Merchant:
    """
    This person becomes a merchant: a handle that people type, and a wallet of kind MERCHANT. Safe to call twice.

    :raises Refusal: `invalid`: not a name.
    """
    display_name = clean_full_name(display_name, field="display_name")
    with transaction.atomic():
        wallet = open_wallet(user=user, kind=Wallet.Kind.MERCHANT)
        merchant, _ = Merchant.objects.get_or_create(
            wallet=wallet, defaults={"handle": handle, "display_name": display_name}
        )
    return merchant
