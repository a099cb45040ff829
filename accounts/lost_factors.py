"""
A second factor that is lost, and the recovery codes with it.

Whoever knows the password says so, and how they can prove who they are. Two of support look at that, one after the
other; then a day passes (LOST_FACTOR_WAIT_HOURS), in which every address of the person is told and can stop it
(`accounts.lost_factor_stops`). Only then are the factors taken away, and everything that is signed in ends.
"""

from datetime import datetime, timedelta
from typing import Final, NoReturn

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit, notices
from accounts.factor_changes import lock_person, take_all_away
from accounts.lost_factor_stops import OPEN
from accounts.models import LostFactor, User
from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.errors import Refusal

log = structlog.get_logger("accounts.lost_factors")

PERMISSION: Final = "accounts.decide_lostfactor"
LONGEST_TEXT: Final = 500
# By whoever knows the password: each brings messages to the person and work to support.
MOST_ASKED: Final = 3
ASKED_WITHIN: Final = timedelta(days=7)
# What nobody decided about by then is over, and can be asked again.
LIFETIME: Final = timedelta(days=14)
# How many a sweep works off at most; the next one goes on.
MOST_AT_ONCE: Final = 100

_Status = LostFactor.Status


def open_of(*, user: User) -> LostFactor | None:
    """What is under way for this person."""
    return LostFactor.objects.filter(user=user, status__in=OPEN).first()


def ask(*, user: User, statement: str, now: datetime) -> list[int]:
    """
    Put it before support. Asked again while one is under way it is that one.

    :param user: whose password was right a moment ago.
    :param statement: how they can prove who they are.
    :returns: ids of the messages that now wait.
    :raises Refusal: `invalid` (nothing said, a card number), `too_many_tries`.
    """
    statement = _said("statement", statement)
    with transaction.atomic():
        lock_person(user)
        if open_of(user=user) is not None:
            return []
        lately = LostFactor.objects.filter(user=user, asked_at__gt=now - ASKED_WITHIN)
        oldest = lately.order_by("-asked_at").values_list("asked_at", flat=True)[MOST_ASKED - 1 : MOST_ASKED].first()
        if oldest is not None:
            wait = int((oldest + ASKED_WITHIN - now).total_seconds()) + 1
            raise Refusal("too_many_tries", "You asked for this often. Write to support.", retry_after_seconds=wait)
        lost = LostFactor.objects.create(user=user, statement=statement, asked_at=now)
        audit.record("factor.lost_asked", now=now, subject=user, object=lost.public_id)
        return _tell(lost, "lost_factor_asked", now, until="it is decided")


def may_decide(*, lost: LostFactor, by: User) -> bool:
    """Support decides about people, a superuser alone about staff, and nobody about themselves."""
    of_staff = lost.user.is_staff or lost.user.is_superuser
    return by.has_perm(PERMISSION) and by.pk != lost.user_id and (by.is_superuser or not of_staff)


def is_second(*, lost: LostFactor, by: User) -> bool:
    """Whether this person's yes would be the one that counts: another has said yes."""
    return lost.status == _Status.SEEN and lost.first_by_id != by.pk


def decide(*, lost: LostFactor, by: User, approve: bool, reason: str, now: datetime) -> list[int]:
    """
    One of support's yes or no. After the second yes, by another, the waiting begins; a no ends it, also then.

    :param reason: what convinced them, or why not: of a no the person reads it.
    :returns: ids of the messages that now wait.
    :raises Refusal: `permission_denied`: may not decide this, said the first yes, or whoever did may not any longer;
        `invalid` (no reason); `proposal_over`: it ended, or two have agreed before.
    """
    if not may_decide(lost=lost, by=by):
        _refuse(lost, by, now)
    reason = _said("reason", reason)
    with transaction.atomic():
        # One decision at a time. `no_key`, for rows that point here need not wait.
        locked = LostFactor.objects.select_for_update(no_key=True).get(pk=lost.pk)
        if locked.status not in OPEN or (approve and locked.status == _Status.WAITING):
            raise Refusal("proposal_over")
        messages = None if approve and locked.first_by_id == by.pk else _decided(locked, by, approve, reason, now)
    if messages is None:
        _refuse(lost, by, now)
    return messages


def take_away_due(*, now: datetime) -> list[int]:
    """
    Those whose day has passed; and what nobody decided about in time is over. Safe to run any number of times, at once
    too.

    :returns: ids of the messages that now wait.
    """
    forgotten = LostFactor.objects.filter(status__in=[_Status.ASKED, _Status.SEEN], asked_at__lte=now - LIFETIME)
    forgotten.update(status=_Status.REFUSED, ended_at=now)
    # Who is blocked meanwhile keeps what they have until they are not.
    due = LostFactor.objects.filter(status=_Status.WAITING, ready_at__lte=now, user__status=User.Status.ACTIVE)
    messages: list[int] = []
    for lost in due.select_related("user", "second_by").order_by("ready_at")[:MOST_AT_ONCE]:
        try:
            messages += _take_away(lost, now)
        except Exception:
            # One that cannot be done keeps no other from it.
            log.exception("lost_factor.failed", lost=lost.public_id)
    return messages


def _decided(lost: LostFactor, by: User, approve: bool, reason: str, now: datetime) -> list[int]:
    is_first = lost.first_by_id in (None, by.pk)
    if is_first:
        lost.first_by, lost.first_reason = by, reason
    elif lost.status == _Status.SEEN:
        lost.second_by, lost.second_reason = by, reason
    if not approve:
        lost.status, lost.ended_at = _Status.REFUSED, now
    elif is_first:
        lost.status = _Status.SEEN
    else:
        if not (lost.first_by and may_decide(lost=lost, by=lost.first_by)):
            raise Refusal("permission_denied", "Whoever approved this first may not do so any longer.")
        lost.status, lost.ready_at = _Status.WAITING, now + timedelta(hours=settings.LOST_FACTOR_WAIT_HOURS)
    lost.save()
    kind = "factor.lost_approved" if approve else "factor.lost_refused"
    audit.record(kind, now=now, actor=by, subject=lost.user, object=lost.public_id, reason=reason)
    if not approve:
        return notices.notify(user=lost.user, kind="lost_factor_refused", now=now, reason=reason)
    if lost.ready_at is None:
        return []
    return _tell(lost, "lost_factor_ready", now, until=f"{timezone.localtime(lost.ready_at):%d %b, %H:%M}")


def _take_away(lost: LostFactor, now: datetime) -> list[int]:
    with transaction.atomic():
        # Before the request's own row, as whoever asks does.
        lock_person(lost.user)
        # One conditional UPDATE: of this and the stopping only one happens, and this once.
        waiting = LostFactor.objects.filter(pk=lost.pk, status=_Status.WAITING)
        if not waiting.update(status=_Status.DONE, ended_at=now) or lost.second_by is None:
            return []
        log.info("lost_factor.taken_away", lost=lost.public_id, user=lost.user.public_id)
        return take_all_away(user=lost.user, by=lost.second_by, now=now)


def _tell(lost: LostFactor, kind: str, now: datetime, *, until: str) -> list[int]:
    return notices.notify(user=lost.user, kind=kind, now=now, until=until, undo=lost.public_id)


def _refuse(lost: LostFactor, by: User, now: datetime) -> NoReturn:
    """An attempt that must not be made is on record, outside of anything that is rolled back."""
    audit.record(
        "factor.lost_approved",
        now=now,
        actor=by,
        subject=lost.user,
        object=lost.public_id,
        refused="permission_denied",
    )
    raise Refusal("permission_denied", "Another of support has to look at this.")


def _said(field: str, text: str) -> str:
    text = text.strip()
    if not text or len(text) > LONGEST_TEXT or "\0" in text:
        raise Refusal.of_field(field, f"Write something, of at most {LONGEST_TEXT} characters.")
    refuse_card_number(field=field, text=text)
    return text
