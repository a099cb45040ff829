"""
"This wasn't me": the link in a message by which whoever was told of something stops it, without signing in.

Whoever is robbed of their sign-in, or has no time to look for it, still has the mailbox or the telephone. The most that
a stranger with such a link can do is to stop somebody's wallet, so it is good for a month, and no longer.

A link's token is its notification's id and what only we can make of it under CODE_PEPPER. It rests nowhere: it is made
when the message is sent, and again whenever it is shown.
"""

import hmac
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings

from accounts.letter_tokens import MAC_BYTES, in_letters, mac_of, out_of_letters

# The page that a link leads to (`payments.page_urls`: what it stops is money).
PAGE: Final = "not-me/<str:token>"
# Counted from when the notification was made, however late or often its message was sent.
LIFETIME: Final = timedelta(days=30)
_ID_BYTES: Final = 16


def link_of(notification: UUID) -> str:
    """
    Where whoever got this notification says that it was not them.

    :param notification: its `uuid`.
    """
    return f"{settings.PUBLIC_URL}/{PAGE.replace('<str:token>', token_of(notification))}"


def token_of(notification: UUID) -> str:
    return in_letters(notification.bytes + mac_of(b"not me " + notification.bytes))


def notification_of(token: str) -> UUID | None:
    """Whose token this is: a notification's `uuid`, or None for what we never made. Says nothing of its age."""
    data = out_of_letters(token, length=_ID_BYTES + MAC_BYTES)
    if data is None:
        return None
    notification = UUID(bytes=data[:_ID_BYTES])
    return notification if hmac.compare_digest(token_of(notification), token) else None
