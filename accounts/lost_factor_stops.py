"""
What stops the taking away of a second factor that somebody says is lost.

Showing it does: whoever signs in with it has it. And so does a link in every message that told of it, without signing
in, for whoever asked may have changed the password first. A password alone stops nothing, or a thief who knows it
could keep the person out for ever.

A link's token is made from the request's id under CODE_PEPPER when the message is sent, so that it rests nowhere.
"""

import hmac
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts import audit, notices
from accounts.letter_tokens import MAC_BYTES, in_letters, mac_of, out_of_letters
from accounts.models import LostFactor, User
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id

KIND: Final = "factor.lost_stopped"
# At the root of the pages.
PAGE: Final = "lost-factor/stop"
PARAMETER: Final = "token"
OPEN: Final = (LostFactor.Status.ASKED, LostFactor.Status.SEEN, LostFactor.Status.WAITING)
_ID_BYTES: Final = 16


def link_of(lost: str) -> str:
    """
    Where it can be stopped.

    :param lost: the request's public id.
    """
    uuid = parse_public_id(LostFactor.PREFIX, lost)
    if uuid is None:
        raise ValueError("That is no lost factor.")
    return f"{settings.PUBLIC_URL}/{PAGE}?{PARAMETER}={token_of(uuid)}"


def token_of(lost: UUID) -> str:
    """The id and what only we can make of it."""
    return in_letters(lost.bytes + mac_of(b"lost factor stop " + lost.bytes))


def stop(*, token: str, now: datetime) -> list[int]:
    """
    The second factor stays.

    :returns: ids of the messages that now wait.
    :raises Refusal: `code_invalid`: nobody's token, or there is nothing to stop any more.
    """
    lost = lost_of(token=token)
    with transaction.atomic():
        if not _end(lost, now):
            raise _over()
        audit.record(KIND, now=now, subject=lost.user, object=lost.public_id, by="link")
        return notices.notify(user=lost.user, kind="lost_factor_stopped", now=now)


def lost_of(*, token: str) -> LostFactor:
    """
    What this token would stop.

    :raises Refusal: `code_invalid`.
    """
    data = out_of_letters(token, length=_ID_BYTES + MAC_BYTES)
    if data is None:
        raise _over()
    uuid = UUID(bytes=data[:_ID_BYTES])
    if not hmac.compare_digest(token_of(uuid), token):
        raise _over()
    found = LostFactor.objects.select_related("user").filter(uuid=uuid, status__in=OPEN).first()
    if found is None:
        raise _over()
    return found


def stop_by_showing(*, user: User, now: datetime) -> None:
    """This person showed their second factor, so it is not lost."""
    lost = LostFactor.objects.filter(user=user, status__in=OPEN).first()
    if lost is not None and _end(lost, now):
        audit.record(KIND, now=now, actor=user, subject=user, object=lost.public_id, by="factor")


def _end(lost: LostFactor, now: datetime) -> bool:
    """One conditional UPDATE: of this and the taking away only one happens."""
    stopped = LostFactor.objects.filter(pk=lost.pk, status__in=OPEN)
    return stopped.update(status=LostFactor.Status.STOPPED, ended_at=now) == 1


def _over() -> Refusal:
    return Refusal("code_invalid", "There is nothing to stop any more. If this was not you, write to support.")
