"""
Sessions: one row for each device that is signed in, at the pages or with tokens; begun, listed and ended here.

A session dies with its row (`revoked_at`), with its time, and with its person's `token_version` or block, and each of
them is looked at with every request.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction

from accounts import audit, known_devices, lost_factor_stops, notices
from accounts.models import PushSubscription, Session, User
from accounts.tokens import REFRESH_LIFETIME
from wallet_project.kernel.clients import client
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid, parse_public_id
from wallet_project.kernel.newest_first import newest_first

log = structlog.get_logger("accounts.sessions")

# Of tokens; each refresh begins it anew.
API_LIFETIME: Final = REFRESH_LIFETIME
# Of pages, however much they are used: then the password is asked for again. SESSION_COOKIE_AGE is no shorter.
PAGES_LIFETIME: Final = timedelta(hours=12)
# A page that is used writes down when, but no oftener.
USED_EVERY: Final = timedelta(minutes=1)
MOST_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Begun:
    """
    :ivar device_tokens: what the device is to show at its next sign-in; its own for this person comes first.
    :ivar messages: outgoing messages to be sent.
    """

    session: Session
    device_tokens: tuple[str, ...]
    messages: list[int]


@dataclass(frozen=True, slots=True)
class SessionsPage:
    sessions: list[Session]
    next: str | None


def begin(*, user: User, kind: Session.Kind, device_tokens: Sequence[str], factor: bool, now: datetime) -> Begun:
    """
    Somebody proved who they are: their session, on a device that is known from now on.

    :param device_tokens: what the device shows (`known_devices.tokens_in`).
    :param user: as they were when it was judged.
    :param factor: whether they showed a second factor, too.
    :raises Refusal: what was judged holds no longer: `otp_required`, `blocked`, `credentials_invalid`.
    """
    try:
        return _begin(user, kind, device_tokens, factor, now)
    except Refusal as refusal:
        audit.record("sign_in", now=now, subject=user, refused=refusal.code)
        raise


def _begin(user: User, kind: Session.Kind, device_tokens: Sequence[str], factor: bool, now: datetime) -> Begun:
    of_api = kind == Session.Kind.API
    at_other_end = client.get()
    with transaction.atomic():
        _lock_as_judged(user, factor)
        seen = known_devices.remember(user=user, tokens=device_tokens, client=at_other_end, now=now)
        session = Session.objects.create(
            user=user,
            kind=kind,
            refresh_id=new_uuid() if of_api else None,
            device=seen.device,
            label=known_devices.label_of(at_other_end.agent),
            address=at_other_end.address or None,
            factor_at=now if factor else None,
            created_at=now,
            last_used_at=now,
            expires_at=now + (API_LIFETIME if of_api else PAGES_LIFETIME),
        )
        if factor:
            lost_factor_stops.stop_by_showing(user=user, now=now)
        audit.record("sign_in", now=now, actor=user, subject=user, object=session.public_id, kind_of_session=kind.value)
        messages: list[int] = []
        if seen.is_new and not seen.is_first:
            audit.record("device.new", now=now, actor=user, subject=user, object=session.public_id)
            messages = notices.notify(
                user=user, kind="new_device", now=now, device=session.label, address=at_other_end.address
            )
    return Begun(session, seen.tokens, messages)


def _lock_as_judged(user: User, factor: bool) -> None:
    """
    A password takes its time to judge. Whoever blocked this person, changed their password or switched a factor on
    meanwhile ended every session there was; the one that begins now must not outlive that.
    """
    locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if locked.status == User.Status.BLOCKED:
        raise Refusal("blocked")
    if locked.status != User.Status.ACTIVE or locked.token_version != user.token_version:
        raise Refusal("credentials_invalid")
    if locked.second_factor and not factor:
        raise Refusal("otp_required")


def begun_at(*, session: uuid.UUID) -> datetime | None:
    """When somebody signed in there; a refresh changes nothing of it."""
    return Session.objects.filter(uuid=session).values_list("created_at", flat=True).first()


def is_open(*, session: Session, now: datetime) -> bool:
    """Neither ended nor over, and its person may sign in. Whether `token_version` is still theirs, its bearer shows."""
    active = session.user.status == User.Status.ACTIVE and session.user.has_verified_address
    return active and session.revoked_at is None and session.expires_at > now


def note_use(*, session: Session, now: datetime) -> None:
    """Once a minute at most, however many pages are opened."""
    if now - session.last_used_at >= USED_EVERY:
        Session.objects.filter(pk=session.pk, last_used_at__lte=now - USED_EVERY).update(last_used_at=now)
        session.last_used_at = now


def open_sessions_of(*, user: User, now: datetime, limit: int = MOST_LISTED, cursor: str | None = None) -> SessionsPage:
    """
    Where this person is signed in, newest first.

    :raises Refusal: `cursor_invalid`.
    """
    theirs = Session.objects.filter(user=user)
    still_open = theirs.filter(revoked_at=None, expires_at__gt=now)
    return SessionsPage(*newest_first(still_open, limit=limit, cursor=cursor, places=theirs))


def end(*, user: User, session: str, now: datetime) -> None:
    """
    End one of one's own sessions: its access tokens, its refresh tokens and its page die with the next request. Twice
    is as good as once.

    :param session: its public id.
    :raises Refusal: `not_found`, for unknown ids and other people's alike.
    """
    wanted = parse_public_id(Session.PREFIX, session)
    found = None if wanted is None else Session.objects.filter(user=user, uuid=wanted).first()
    if found is None:
        raise Refusal("not_found", "There is no such session.")
    _end(user=user, sessions=[found.pk], now=now, what=found.public_id)


def end_others(*, user: User, but: uuid.UUID, now: datetime) -> int:
    """
    End all of a person's sessions but one, and wake the browser of no other any more, however long ago its session ran
    out. Returns how many sessions there were.
    """
    PushSubscription.objects.filter(user=user).exclude(session__uuid=but).delete()
    others = list(
        Session.objects.filter(user=user, revoked_at=None, expires_at__gt=now)
        .exclude(uuid=but)
        .values_list("pk", flat=True)
    )
    return _end(user=user, sessions=others, now=now, what="")


def _end(*, user: User, sessions: Sequence[int], now: datetime, what: str) -> int:
    with transaction.atomic():
        ended = Session.objects.filter(pk__in=sessions, revoked_at=None).update(revoked_at=now)
        if ended:
            audit.record("session.revoked", now=now, actor=user, subject=user, object=what, sessions=str(ended))
    return ended
