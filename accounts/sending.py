"""Sends the messages that wait in OutgoingMessage: once each if all goes well, again if it is not known."""

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import address_undo, lost_factor_stops, reset_links, senders
from accounts.addresses import Address
from accounts.messages import (
    address_message,
    code_message,
    notice_message,
    own_address_message,
    reset_message,
    step_up_message,
    taken_message,
)
from accounts.models import Channel, LostFactor, OutgoingMessage
from accounts.verification import claiming, new_code

log = structlog.get_logger("accounts.sending")

MOST_ATTEMPTS: Final = 5
# A sender that was woken needs this long at most; then the sweep takes the message up, later each time.
FIRST_WAIT: Final = timedelta(seconds=15)
GIVEN_UP_AFTER: Final = timedelta(hours=1)
MOST_IN_ONE_SWEEP: Final = 100


def send_message(*, verification_id: int, now: datetime) -> bool:
    """
    Make the code if the message needs one, commit its digest, then send. Safe to run twice.

    :returns: False where nothing was sent: sent already, no longer wanted, given up, or the provider failed
        (then the sweep tries again).
    """
    with transaction.atomic():
        waiting = OutgoingMessage.objects.select_for_update(of=("self",), no_key=True).select_related("user")
        row = waiting.filter(pk=verification_id, sent_at=None, attempts__lt=MOST_ATTEMPTS).first()
        if row is None:
            return False
        address = Address(Channel(row.channel), row.address)
        message = _compose(row, now)
        row.attempts = F("attempts") + 1
        row.save(update_fields=["attempts"])
    try:
        # Outside: a provider that hangs must hold no lock, and a code that arrives must be in the database.
        senders.send(to=address, message=message)
    except senders.NotSent as error:
        log.warning("accounts.message_not_sent", verification=verification_id, reason=str(error))
        return False
    OutgoingMessage.objects.filter(pk=verification_id).update(sent_at=now)
    log.info("accounts.message_sent", verification=verification_id, purpose=row.purpose, channel=row.channel)
    return True


def unsent(*, now: datetime) -> list[int]:
    """Messages whose wake-up was lost or whose provider failed, oldest first: 15 s old, then 30, 60, 120."""
    rows = OutgoingMessage.objects.filter(
        sent_at=None,
        attempts__lt=MOST_ATTEMPTS,
        requested_at__lte=now - FIRST_WAIT,
        requested_at__gt=now - GIVEN_UP_AFTER,
    ).order_by("requested_at")
    due = [
        row.pk
        for row in rows.only("attempts", "requested_at")
        if row.requested_at <= now - FIRST_WAIT * 2**row.attempts
    ]
    return due[:MOST_IN_ONE_SWEEP]


def _compose(row: OutgoingMessage, now: datetime) -> senders.Message:
    match OutgoingMessage.Purpose(row.purpose):
        case OutgoingMessage.Purpose.TAKEN:
            return taken_message()
        case OutgoingMessage.Purpose.NOTICE:
            return notice_message(details=row.details, undo_link=_undo_link(row.details.get("undo", "")))
        case OutgoingMessage.Purpose.CODE:
            code = new_code(message=row, now=now)
            return code_message(full_name=row.user.full_name, code=code, registered=_registered(row))
        case OutgoingMessage.Purpose.RESET:
            link = reset_links.link_of(message=row)
            return reset_message(full_name=row.user.full_name, code=new_code(message=row, now=now), link=link)
        case OutgoingMessage.Purpose.ADDRESS if "change" in row.details:
            return own_address_message(details=row.details, code=new_code(message=row, now=now))
        case OutgoingMessage.Purpose.ADDRESS:
            return address_message(full_name=row.user.full_name, code=new_code(message=row, now=now))
        case OutgoingMessage.Purpose.STEP_UP:
            return step_up_message(details=row.details, code=new_code(message=row, now=now))


def _registered(row: OutgoingMessage) -> str:
    """When, where it is not the only registration of that address."""
    others = claiming(address=Address(Channel(row.channel), row.address)).exclude(pk=row.user_id)
    return f"{timezone.localtime(row.user.created_at):%d %b, %H:%M}" if others.exists() else ""


def _undo_link(what: str) -> str:
    """Where that can be undone, by its public id; nothing of what cannot."""
    if not what:
        return ""
    if what.startswith(f"{LostFactor.PREFIX}_"):
        return lost_factor_stops.link_of(what)
    return address_undo.link_of(what)
