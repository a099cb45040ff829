"""
Undoing a change of address: by a link in the message that told of it, without signing in.

Whoever is robbed of their account is robbed of their sign-in, too; what is left is the mailbox or the telephone that
the account had before. What was changed after the change that is undone goes with it: all of it is the thief's.

A link's token is made from its change's id under CODE_PEPPER when the message is sent, so that it rests nowhere: not in
the database, which has its digest, nor in a queue.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import audit, notices
from accounts.addresses import Address
from accounts.letter_tokens import in_letters, mac_of
from accounts.models import AddressChange, Channel, OutgoingMessage, User, VerificationCode
from accounts.password_change import end_every_sign_in
from accounts.password_reset import forget_asking
from accounts.queries import owner_of
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id

# The page that a link leads to (`page_urls`).
PAGE: Final = "account/addresses/undo"
PARAMETER: Final = "token"
_WORD: Final = "This link is no longer good. If your wallet is not in your hands, write to support."
_TAKEN: Final = "That address opens another wallet by now. Write to support."


@dataclass(frozen=True, slots=True)
class Undone:
    """
    :ivar user: as they are from now on.
    :ivar messages: ids of the messages that now wait.
    """

    user: User
    messages: list[int]


def link_of(change: str) -> str:
    """
    Where one change can be undone.

    :param change: its public id.
    """
    uuid = parse_public_id(AddressChange.PREFIX, change)
    if uuid is None:
        raise ValueError("That is no change of address.")
    return f"{settings.PUBLIC_URL}/{PAGE}?{PARAMETER}={token_of(uuid)}"


def token_of(change: UUID) -> str:
    return in_letters(mac_of(b"address undo " + change.bytes))


def digest_of(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()


def change_of(*, token: str, now: datetime) -> AddressChange:
    """
    What this token would undo.

    :raises Refusal: `code_invalid`: nobody's, too old, or undone before.
    """
    found = AddressChange.objects.filter(
        undo_digest=digest_of(token), status=AddressChange.Status.DONE, undo_until__gt=now
    ).first()
    if found is None:
        raise Refusal("code_invalid", _WORD)
    return found


def undo(*, token: str, now: datetime) -> Undone:
    """
    The person's addresses are again what they were before this change; changes after it are undone with it. Everything
    that is signed in dies, and so do codes that are on their way. For as long as after any change large payments ask
    support: an undo changes the addresses, too, and may come in a change's last minute.

    :raises Refusal: `code_invalid`: nobody's, too old, undone before, or the old address is somebody else's by now.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=change_of(token=token, now=now).user_id)
        # Again, now that nobody else undoes or changes anything of theirs.
        change = change_of(token=token, now=now)
        of_theirs = AddressChange.objects.filter(user=user, status=AddressChange.Status.DONE)
        undone = list(of_theirs.filter(done_at__gte=change.done_at).order_by("-done_at", "-pk"))
        were = notices.verified_addresses(user)
        for each in undone:
            _restore(user, each, now)
        _save(user)
        AddressChange.objects.filter(pk__in=[each.pk for each in undone]).update(
            status=AddressChange.Status.UNDONE,
            undone_at=now,
            undo_digest=None,
            held_until=now + timedelta(hours=settings.ADDRESS_UNDO_HOURS),
        )
        AddressChange.objects.filter(user=user, status=AddressChange.Status.REQUESTED).update(
            status=AddressChange.Status.DROPPED
        )
        _forget_codes(user)
        forget_asking(user=user)
        end_every_sign_in(user=user, now=now)
        audit.record("address.undone", now=now, subject=user, object=change.public_id, changes=str(len(undone)))
        # The addresses of before are told as well: it may be that somebody undid what was right.
        told = list(dict.fromkeys([*notices.verified_addresses(user), *were]))
        messages = notices.notify_addresses(user=user, addresses=told, kind="address_undone", now=now)
    return Undone(user, messages)


def _restore(user: User, change: AddressChange, now: datetime) -> None:
    channel = Channel(change.channel)
    if change.old_value and owner_of(Address(channel, change.old_value)) not in (None, user):
        raise Refusal("code_invalid", _TAKEN)
    setattr(user, channel.value, change.old_value or None)
    setattr(user, f"{channel.value}_verified_at", now if change.old_value else None)


def _save(user: User) -> None:
    if not user.has_verified_address:
        raise Refusal("code_invalid", _WORD)
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "email_verified_at", "phone", "phone_verified_at"])
    except IntegrityError as error:
        # Verified by somebody else this very moment.
        raise Refusal("code_invalid", _TAKEN) from error


def _forget_codes(user: User) -> None:
    """Those that went to the address which is theirs no more, and those not sent yet."""
    VerificationCode.objects.filter(verification__user=user).delete()
    waiting = OutgoingMessage.objects.filter(user=user, sent_at=None)
    waiting.exclude(purpose__in=[OutgoingMessage.Purpose.NOTICE, OutgoingMessage.Purpose.TAKEN]).delete()
