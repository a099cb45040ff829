"""
Sends the messages that wait in OutgoingMessage: once each if all goes well, again if it is not known, and not for ever.

A sender claims a message by counting an attempt and saying when the next may begin, and commits that before it sends;
so two never send one at once, and a sender that dies is followed by another. What a provider was handed when that
happened is looked for there first, where it can be (Twilio). Else the second is the same as the first to whoever gets
it: a mail has one Message-ID, a push one tag, and the demo's inbox holds a message once.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import address_undo, lost_factor_stops, not_me_links, reset_links, senders
from accounts.addresses import Address
from accounts.delivery_times import is_over, wait_after
from accounts.envelopes import NotSent, envelope_of
from accounts.letters import Message
from accounts.messages import (
    MORE,
    WITHOUT_NOT_ME,
    address_message,
    code_message,
    more_message,
    notice_message,
    own_address_message,
    reset_message,
    step_up_message,
    taken_message,
    told_message,
)
from accounts.models import Channel, LostFactor, OutgoingMessage
from accounts.verification import claiming, new_code

log = structlog.get_logger("accounts.sending")

# What `last_error` says of an attempt that may have succeeded; empty, nobody came back from it.
UNKNOWN: Final = "unknown: "
GONE: Final = "what it told of is gone"
_LONGEST_ERROR: Final = 60


def send_message(*, verification_id: int, now: datetime) -> bool:
    """
    Make the code if the message needs one, commit its digest, then send. Safe to run twice, and at once.

    :returns: False where nothing was sent: sent already, no longer wanted, given up, another's at this moment, or the
        provider failed (then the sweep tries again).
    """
    claimed = _claim(_ready(now).filter(pk=verification_id), now)
    return claimed is not None and _deliver(claimed, now)


def send_next_due(*, now: datetime) -> bool:
    """
    The one that has waited longest of those whose wake-up was lost or whose provider failed.

    :returns: False where there is none.
    """
    claimed = _claim(due(now=now), now)
    if claimed is not None:
        _deliver(claimed, now)
    return claimed is not None


def due(*, now: datetime) -> QuerySet[OutgoingMessage]:
    """What a sweep takes up, the oldest first."""
    waits = OutgoingMessage.objects.filter(sent_at=None, given_up_at=None)
    return waits.filter(Q(next_at=None) | Q(next_at__lte=now)).order_by("next_at")


def _ready(now: datetime) -> QuerySet[OutgoingMessage]:
    """What a wake-up may send: new, or due again."""
    waits = OutgoingMessage.objects.filter(sent_at=None, given_up_at=None)
    return waits.filter(Q(attempts=0) | Q(next_at=None) | Q(next_at__lte=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claimed:
    """
    What one sender alone may send for now.

    :ivar message: None where there is nothing to send.
    :ivar may_be_there: an attempt before this may have reached the provider.
    """

    row: OutgoingMessage
    message: Message | None
    may_be_there: bool


def _claim(rows: QuerySet[OutgoingMessage], now: datetime) -> _Claimed | None:
    with transaction.atomic():
        # What another holds is being sent.
        free = rows.select_for_update(of=("self",), no_key=True, skip_locked=True)
        row = free.select_related("user", "notification").first()
        if row is None:
            return None
        if is_over(message=row, now=now):
            _give_up(row, row.last_error or f"{UNKNOWN}no answer", now)
            return _Claimed(row=row, message=None, may_be_there=False)
        may_be_there = row.attempts > 0 and (not row.last_error or row.last_error.startswith(UNKNOWN))
        message = _composed(row, now)
        row.attempts += 1
        counted = {"attempts": row.attempts, "next_at": now + wait_after(row.attempts)}
        if row.given_up_at is None:
            counted["last_error"] = "" if message else "not composed"
        OutgoingMessage.objects.filter(pk=row.pk).update(**counted)
    return _Claimed(row=row, message=message, may_be_there=may_be_there)


def _deliver(claimed: _Claimed, now: datetime) -> bool:
    """Outside of every transaction: a provider that hangs holds no lock, and a code that arrives is in the database."""
    row, message = claimed.row, claimed.message
    if message is None:
        return False
    try:
        found = _found_again(row, message) if claimed.may_be_there else ""
        provider_id = found or senders.send(envelope=envelope_of(row), message=message)
    except NotSent as error:
        _failed(row, error, now)
        return False
    except Exception as error:
        # A bug, which must not keep this sender from all the other messages; nobody knows how far it got.
        log.exception("accounts.message_not_handed_over", message=row.pk, channel=row.channel)
        _failed(row, NotSent(type(error).__name__, is_unknown=True), now)
        return False
    OutgoingMessage.objects.filter(pk=row.pk).update(sent_at=now, provider_id=provider_id, last_error="")
    log.info("accounts.message_sent", message=row.pk, purpose=row.purpose, channel=row.channel, found_again=bool(found))
    return True


def _found_again(row: OutgoingMessage, message: Message) -> str:
    """The provider's id of this message from an attempt that nobody came back from, if it is there."""
    there = senders.found_again(envelope=envelope_of(row), message=message)
    others = OutgoingMessage.objects.filter(address=row.address, provider_id__in=there)
    known = set(others.values_list("provider_id", flat=True)) if there else set()
    return next((each for each in there if each not in known), "")


def _failed(row: OutgoingMessage, error: NotSent, now: datetime) -> None:
    reason = f"{UNKNOWN if error.is_unknown else ''}{error}"[:_LONGEST_ERROR]
    log.warning("accounts.message_not_sent", message=row.pk, channel=row.channel, reason=reason)
    if error.is_final or is_over(message=row, now=now):
        _give_up(row, reason, now)
    else:
        OutgoingMessage.objects.filter(pk=row.pk, sent_at=None).update(last_error=reason)


def _give_up(row: OutgoingMessage, reason: str, now: datetime) -> None:
    """
    Nobody tries any more, but support may have it tried again (`accounts.resending`). Of two senders, where one took so
    long that the next began, the later word may be that of the one that failed.
    """
    row.given_up_at, row.last_error = now, reason
    if not OutgoingMessage.objects.filter(pk=row.pk, sent_at=None).update(given_up_at=now, last_error=reason):
        return
    log.warning("accounts.message_given_up", message=row.pk, channel=row.channel, reason=reason)


def _composed(row: OutgoingMessage, now: datetime) -> Message | None:
    """None where that fails: a bug, which must not keep the sweep from all the others."""
    # What asks the database for nothing leaves nothing to be taken back.
    needs_a_savepoint = row.purpose != OutgoingMessage.Purpose.NOTICE
    try:
        with transaction.atomic() if needs_a_savepoint else nullcontext():
            message = _compose(row, now)
    except Exception:
        log.exception("accounts.message_not_composed", message=row.pk, purpose=row.purpose)
        return None
    if message is None:
        _give_up(row, GONE, now)
    return message


def _compose(row: OutgoingMessage, now: datetime) -> Message | None:
    """None where there is nothing left to say."""
    match OutgoingMessage.Purpose(row.purpose):
        case OutgoingMessage.Purpose.TAKEN:
            return taken_message()
        case OutgoingMessage.Purpose.NOTICE:
            return _notice(row)
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


def _notice(row: OutgoingMessage) -> Message | None:
    told, kind = row.notification, row.details.get("kind", "")
    if kind == MORE:
        return more_message()
    link = not_me_links.link_of(told.uuid) if told is not None and told.kind not in WITHOUT_NOT_ME else ""
    if kind:
        undo_link = _undo_link(row.details.get("undo", ""))
        return notice_message(details=row.details, undo_link=undo_link, not_me_link=link)
    return told_message(title=told.title, text=told.text, not_me_link=link) if told is not None else None


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
