"""A word to people about what happened to their account: in the app, and to every address that they verified."""

from datetime import datetime

from django.db import transaction

from accounts import notifications, outgoing, senders
from accounts.addresses import Address
from accounts.messages import NOTICES
from accounts.models import Channel, Notification, OutgoingMessage, User
from accounts.verification import request_message


def notify(*, user: User, kind: str, now: datetime, **details: str) -> list[int]:
    """
    Note that this person must be told, in the caller's transaction or else in one of its own.

    :param kind: one of `accounts.messages.NOTICES`.
    :param details: what the text names: `device`, `address`, `change`, `decision`, `reason` … (`accounts.messages`).
        Never a code or a secret.
    :returns: ids of the messages that now wait; the door wakes the sender.
    """
    return notify_addresses(user=user, addresses=verified_addresses(user), kind=kind, now=now, **details)


def notify_addresses(*, user: User, addresses: list[Address], kind: str, now: datetime, **details: str) -> list[int]:
    """As `notify`, to addresses that the caller names: one that was theirs until now is told as well."""
    if kind not in NOTICES:
        raise ValueError(f"There is no text for {kind!r}.")
    messages: list[int] = []
    with transaction.atomic():
        told = notifications.note(user=user, kind=kind, details=details, now=now)
        for address in addresses:
            if senders.can_reach(address.channel):
                messages += _to_address(user, address, told, {"kind": kind, **details}, now)
        messages += _to_browsers(user, told, now)
    return messages


def _to_address(user: User, address: Address, told: Notification, details: dict[str, str], now: datetime) -> list[int]:
    """Past a limit of its kind one message says that there is more: nothing is dropped without a word."""
    messages = request_message(
        user=user,
        address=address,
        purpose=OutgoingMessage.Purpose.NOTICE,
        details=details,
        notification=told,
        now=now,
    )
    if not messages:
        by = OutgoingMessage.By(address.channel)
        outgoing.fold(places={(user.pk, by): [address.value]}, now=now)
    return messages


def _to_browsers(user: User, told: Notification, now: datetime) -> list[int]:
    rows = [
        outgoing.row_of(user=user, by=OutgoingMessage.By.PUSH, address=browser, notification=told, now=now)
        for browser in outgoing.browsers_of([user.pk]).get(user.pk, [])
    ]
    return [row.pk for row in OutgoingMessage.objects.bulk_create(rows)]


def verified_addresses(user: User) -> list[Address]:
    """E-mail first."""
    found = []
    if user.email is not None and user.email_verified_at is not None:
        found.append(Address(Channel.EMAIL, user.email))
    if user.phone is not None and user.phone_verified_at is not None:
        found.append(Address(Channel.PHONE, user.phone))
    return found
