"""What a message is sent in, and why it did not leave."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from accounts.letter_tokens import in_letters, mac_of
from accounts.models import OutgoingMessage

# Of our credentials, our addresses and our haste; those get better.
_OURS: Final = (401, 403, 404, 408, 425, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """
    Where a message goes, and what stays the same however often it is sent.

    :ivar number: the OutgoingMessage's pk.
    :ivar key: made from its row, of 32 letters; whoever gets it twice can tell by it that it is one.
    """

    by: OutgoingMessage.By
    to: str
    requested_at: datetime
    number: int | None = None
    key: str = ""


class NotSent(Exception):
    """
    The provider did not take the message. Its words are ours: they hold neither the message nor an address.

    :ivar is_final: it never will.
    :ivar is_unknown: or it did, and we were not told.
    """

    def __init__(self, reason: str, *, is_final: bool = False, is_unknown: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final
        self.is_unknown = is_unknown


def envelope_of(row: OutgoingMessage) -> Envelope:
    # With its time: a database restored anew gives numbers a second time.
    made_of = f"message {row.pk} {row.requested_at.timestamp()}".encode()
    key = in_letters(mac_of(made_of, length=16))
    return Envelope(
        by=OutgoingMessage.By(row.channel), to=row.address, requested_at=row.requested_at, number=row.pk, key=key
    )


def refused(status: int, code: str = "") -> NotSent:
    """
    What an HTTP status says that is no success. Of what it would never take a provider says 400 to 499.

    :param code: the provider's own number for why.
    """
    code = code if re.fullmatch(r"[0-9]{1,5}", code) else ""
    return NotSent(f"HTTP {status} {code}".strip(), is_final=400 <= status < 500 and status not in _OURS)
