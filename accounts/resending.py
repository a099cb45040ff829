"""Support has a message tried again that was given up: the provider works again, or the person's mailbox does."""

from datetime import datetime
from typing import Final

from django.db import transaction

from accounts import audit
from accounts.blocking import LONGEST_REASON
from accounts.delivery_times import MOST_ATTEMPTS_OF_A_NOTICE
from accounts.models import OutgoingMessage, User
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.reasons import read_reason

PERMISSION: Final = "accounts.resend_outgoingmessage"
KIND: Final = "message.resent"
# So often it is tried before it is given up once more.
MORE_ATTEMPTS: Final = 3


def send_again(*, message: OutgoingMessage, by: User, reason: str, now: datetime) -> list[int]:
    """
    To the address that it was for, and no other.

    :returns: its id, for the sender to be woken; nothing where it was not given up (any more).
    :raises Refusal: `permission_denied` (also of messages to oneself), `invalid` (no reason; a code, which is worth
        nothing by now: whoever wants one asks for another).
    """
    if not may_send_again(message=message, by=by):
        audit.record(
            KIND, now=now, actor=by, subject=message.user, refused="permission_denied", message=str(message.pk)
        )
        raise Refusal("permission_denied")
    reason = read_reason(reason, longest=LONGEST_REASON)
    if message.purpose != OutgoingMessage.Purpose.NOTICE:
        raise Refusal("invalid", "What held a code is not sent again: whoever wants one asks for another.")
    with transaction.atomic():
        given_up = OutgoingMessage.objects.filter(pk=message.pk, given_up_at__isnull=False)
        if not given_up.update(given_up_at=None, next_at=now, attempts=MOST_ATTEMPTS_OF_A_NOTICE - MORE_ATTEMPTS):
            return []
        audit.record(KIND, now=now, actor=by, subject=message.user, reason=reason, message=str(message.pk))
    return [message.pk]


def may_send_again(*, message: OutgoingMessage, by: User) -> bool:
    return by.has_perm(PERMISSION) and by.pk != message.user_id
