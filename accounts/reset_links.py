"""
Links by which people who forgot their password set another: each in the message that holds a code for it, too.

A code has six digits, so wrong ones must be counted, and whoever knows an address can use all tries up. A link has more
than anybody can guess, so nothing is counted of it and nobody keeps its owner from using it.

A link's token is made from its message's id under CODE_PEPPER when the message is sent, so that it rests nowhere. It is
good for an hour, the window in which messages are counted: whoever gets none because strangers asked for too many has
one whose link is good. It dies with the codes: by a new password, or when a change of address is undone.
"""

import hmac
from datetime import datetime
from typing import Final

from django.conf import settings

from accounts.addresses import Address
from accounts.letter_tokens import MAC_BYTES, in_letters, mac_of, out_of_letters
from accounts.models import Channel, OutgoingMessage, User
from accounts.queries import owner_of
from accounts.verification import CODE_LIFETIME, RESETS_OF_AN_ADDRESS
from wallet_project.kernel.errors import Refusal

# The page that a link leads to (`page_urls`).
PAGE: Final = "password/reset/link"
PARAMETER: Final = "token"
LIFETIME: Final = RESETS_OF_AN_ADDRESS.window
_LONGER_THAN_A_CODE: Final = LIFETIME - CODE_LIFETIME
_ID_BYTES: Final = 8
_WORD: Final = "This link is no longer good. Ask for another."


def link_of(*, message: OutgoingMessage) -> str:
    """Where whoever got this message sets a new password."""
    return f"{settings.PUBLIC_URL}/{PAGE}?{PARAMETER}={_token_of(message)}"


def message_of(*, token: str, now: datetime) -> OutgoingMessage:
    """
    The message whose link this is, with its person.

    :raises Refusal: `code_invalid`: nobody's, too old, used, or the address is not theirs any more.
    """
    message = _named(token)
    # Codes stay when their own, shorter time is over; wherever they must die, they are deleted.
    is_good = (
        message is not None
        and hmac.compare_digest(_token_of(message), token)
        and message.codes.filter(expires_at__gt=now - _LONGER_THAN_A_CODE).exists()
        and message.user.status == User.Status.ACTIVE
        and owner_of(Address(Channel(message.channel), message.address)) == message.user
    )
    if message is None or not is_good:
        raise Refusal("code_invalid", _WORD)
    return message


def _named(token: str) -> OutgoingMessage | None:
    data = out_of_letters(token, length=_ID_BYTES + MAC_BYTES)
    if data is None:
        return None
    named = int.from_bytes(data[:_ID_BYTES])
    if named >= 2**63:
        return None
    resets = OutgoingMessage.objects.filter(purpose=OutgoingMessage.Purpose.RESET)
    return resets.select_related("user").filter(pk=named).first()


def _token_of(message: OutgoingMessage) -> str:
    """The id and what only we can make of it. With its time: a database restored anew gives ids a second time."""
    made_of = f"password reset {message.pk} {message.user.uuid} {message.requested_at.timestamp()}".encode()
    return in_letters(message.pk.to_bytes(_ID_BYTES) + mac_of(made_of))
