"""What follows from every change of a person's second factors, whichever of them it was."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from accounts import audit, notices, recovery_codes, second_factor, sessions
from accounts.models import Passkey, Session, TotpDevice, User
from accounts.own_password import check_own_password
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal

# A factor that was shown so lately in a session need not be shown again for a change of factors.
FRESH: Final = timedelta(minutes=10)
_NOBODYS: Final = uuid.UUID(int=0)


def require_again(
    *, user: User, password: str, code: str, kind: str, now: datetime, shown_at: datetime | None = None
) -> None:
    """
    Password and second factor once more, before a factor is changed. A wrong password uses no code up.

    :param kind: for the audit log, where it is refused.
    :param shown_at: when a factor was last shown in the session that asks; a moment ago stands for the code.
    :raises Refusal: `credentials_invalid`, `otp_invalid`, `too_many_tries`.
    """
    try:
        check_own_password(user=user, password=password, now=now)
        if code or shown_at is None or now - shown_at > FRESH:
            second_factor.check(user=user, code=code, now=now)
    except Refusal as refusal:
        audit.record(kind, now=now, actor=user, subject=user, refused=refusal.code)
        raise


def lock_person(user: User) -> None:
    """Until the transaction ends nobody else changes this person's factors: taken before any of their rows."""
    require_transaction("default")
    list(User.objects.filter(pk=user.pk).select_for_update(no_key=True).values_list("pk"))


def after_change(
    *,
    user: User,
    kind: str,
    change: str,
    keep: uuid.UUID | None,
    now: datetime,
    shown: bool = False,
    actor: User | None = None,
) -> list[int]:
    """
    Says in the person's row whether they have a factor, ends every other session of theirs, and tells them.

    Access tokens and pages ask for their session's row each time, so all that was signed in before dies at its next
    request. `token_version` stays: it would end the session that made the change too, in the middle of it.

    :param kind: for the audit log, such as `factor.enrolled`.
    :param change: for the person, such as "authenticator app added".
    :param keep: the session that made the change; None ends them all.
    :param shown: a factor was shown in that session with this change.
    :param actor: who did it, where it was not the person.
    :returns: ids of the messages that now wait.
    """
    require_transaction("default")
    user.second_factor = (
        TotpDevice.objects.filter(user=user, confirmed=True).exists() or Passkey.objects.filter(user=user).exists()
    )
    if not user.second_factor:
        recovery_codes.forget(user=user)
    User.objects.filter(pk=user.pk).update(second_factor=user.second_factor)
    sessions.end_others(user=user, but=keep or _NOBODYS, now=now)
    if shown or not user.second_factor:
        Session.objects.filter(user=user, uuid=keep or _NOBODYS).update(factor_at=now if user.second_factor else None)
    audit.record(kind, now=now, actor=actor or user, subject=user, change=change)
    return notices.notify(user=user, kind="factor_changed", now=now, change=change)


@dataclass(frozen=True, slots=True)
class NewCodes:
    """
    :ivar recovery_codes: to be shown this once.
    :ivar messages: ids of the messages that now wait.
    """

    recovery_codes: list[str]
    messages: list[int]


def make_codes_anew(
    *, user: User, password: str, code: str, keep: uuid.UUID, now: datetime, shown_at: datetime | None
) -> NewCodes:
    """
    Ten new recovery codes; the old ones are good for nothing any more. Every other session ends.

    :param shown_at: when a factor was last shown in the session that asks.
    :raises Refusal: `credentials_invalid`, `otp_invalid`, `too_many_tries`.
    """
    require_again(user=user, password=password, code=code, kind="factor.codes_made", now=now, shown_at=shown_at)
    with transaction.atomic():
        lock_person(user)
        codes = recovery_codes.make(user=user, now=now)
        messages = after_change(
            user=user, kind="factor.codes_made", change="new recovery codes made", keep=keep, now=now
        )
    return NewCodes(codes, messages)


def take_all_away(*, user: User, by: User, now: datetime) -> list[int]:
    """
    After support believed that they are lost: the person signs in with their password alone, and every session ends.

    :returns: ids of the messages that now wait.
    """
    lock_person(user)
    TotpDevice.objects.filter(user=user).delete()
    Passkey.objects.filter(user=user).delete()
    return after_change(user=user, kind="factor.removed", change="taken away by support", keep=None, now=now, actor=by)
