"""
Registration: a claim to an address, which only a code can make good.

Several people may claim one address; each claim is a row of its own with its own codes. Whether an address
already has an owner shows neither in the answer nor in the time it takes.
"""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import senders
from accounts.actors import actor_of
from accounts.addresses import Address
from accounts.models import Channel, OutgoingMessage, User
from accounts.names import clean_full_name
from accounts.passwords import check_password_is_fit
from accounts.queries import owner_of
from accounts.verification import CODE_LIFETIME, request_message
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal


@dataclass(frozen=True, slots=True)
class Registration:
    """
    :ivar user: invented, and in no table, when every address had an owner.
    :ivar messages: ids of the messages that now wait to be sent; the door wakes the sender.
    """

    user: User
    channel: Channel
    expires_at: datetime
    messages: tuple[int, ...]


def register(
    *, full_name: str, password: str, email: Address | None = None, phone: Address | None = None, now: datetime
) -> Registration:
    """
    Claim an address, or an e-mail and a phone; the code goes to the e-mail where there is one.

    :raises Refusal: `invalid` (no address, a name or password that will not do, no way to send an SMS).
    """
    addresses = [address for address in (email, phone) if address is not None]
    if not addresses:
        raise Refusal.of_field("email", "Give an e-mail address or a phone number.", "required")
    if not senders.can_reach(addresses[0].channel):
        raise Refusal.of_field("phone", "Phone numbers cannot be verified here; give an e-mail address.", "unavailable")
    user = User(
        full_name=clean_full_name(full_name),
        email=email.value if email else None,
        phone=phone.value if phone else None,
    )
    check_password_is_fit(password=password, user=user)
    # Hashed before the first look at who owns what: the slow part is the same for everybody.
    user.password = make_password(password)
    with transaction.atomic():
        messages = _claim(user, addresses, now)
    return Registration(
        user=user, channel=addresses[0].channel, expires_at=now + CODE_LIFETIME, messages=tuple(messages)
    )


def _claim(user: User, addresses: list[Address], now: datetime) -> list[int]:
    owners = {address: owner_of(address) for address in addresses}
    # Also with one address taken: that claim can never be verified, and says so to nobody.
    is_claim = None in owners.values()
    # Written in any case, and undone where nothing can come of it: so it takes as long.
    with transaction.atomic():
        user.save(force_insert=True)
        if not is_claim:
            transaction.set_rollback(True)
    if not is_claim:
        user.pk = None
    messages = []
    for address, owner in owners.items():
        if owner is not None:
            messages += request_message(user=owner, address=address, purpose=OutgoingMessage.Purpose.TAKEN, now=now)
        elif address == addresses[0]:
            messages += request_message(user=user, address=address, purpose=OutgoingMessage.Purpose.CODE, now=now)
    return messages


def enrol_verified(
    *, full_name: str, password: str, email: Address | None = None, phone: Address | None = None, now: datetime
) -> User:
    """
    A person whose addresses somebody vouches for: staff made by an operator, the people of the demo.

    :raises Refusal: `invalid`.
    """
    require_transaction("default")
    user = User(
        full_name=clean_full_name(full_name),
        email=email.value if email else None,
        phone=phone.value if phone else None,
        email_verified_at=now if email else None,
        phone_verified_at=now if phone else None,
    )
    check_password_is_fit(password=password, user=user)
    user.password = make_password(password)
    user.save(force_insert=True)
    actor_of(user)
    return user
