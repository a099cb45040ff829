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
ENROLLED: Final = "factor.enrolled"
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
        if code or not _is_fresh(shown_at, now):
            second_factor.check(user=user, code=code, now=now)
    except Refusal as refusal:
        audit.record(kind, now=now, actor=user, subject=user, refused=refusal.code)
        raise


def require_to_add(
    *, user: User, password: str, code: str, now: datetime, signed_in_at: datetime | None, shown_at: datetime | None
) -> None:
    """
    Before a factor is added: the password, and the factor of whoever has one. Otherwise an open page would be enough to
    own what proves payments.

    :param signed_in_at: when the session that asks began, where a sign-in of a moment ago stands for the password.
    :param shown_at: when a factor was last shown in that session, where a moment ago stands for the code.
    :raises Refusal: `credentials_invalid`, `otp_required`, `otp_invalid`, `too_many_tries`.
    """
    try:
        if password:
            check_own_password(user=user, password=password, now=now)
        elif not _is_fresh(signed_in_at, now):
            raise Refusal("credentials_invalid", "Write your password: you signed in a while ago.")
        if second_factor.is_on(user) and (code or not _is_fresh(shown_at, now)):
            if not code:
                raise Refusal("otp_required")
            second_factor.check(user=user, code=code, now=now)
    except Refusal as refusal:
        audit.record(ENROLLED, now=now, actor=user, subject=user, refused=refusal.code)
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
    actor: User | None = None,
) -> list[int]:
    """
    Says in the person's row whether they have a factor, ends every other session of theirs, and tells them.

    Access tokens and pages ask for their session's row each time, so all that was signed in before dies at its next
    request. `token_version` stays: it would end the session that made the change too, in the middle of it.

    The session that switches a first factor on has shown it. Adding a further one shows none of those before.

    :param kind: for the audit log, such as `factor.enrolled`.
    :param change: for the person, such as "authenticator app added".
    :param keep: the session that made the change; None ends them all.
    :param actor: who did it, where it was not the person.
    :returns: ids of the messages that now wait.
    """
    require_transaction("default")
    was_on, since = User.objects.values_list("second_factor", "second_factor_since").get(pk=user.pk)
    user.second_factor = (
        TotpDevice.objects.filter(user=user, confirmed=True).exists() or Passkey.objects.filter(user=user).exists()
    )
    if not user.second_factor:
        recovery_codes.forget(user=user)
    elif not was_on:
        # What was begun while nothing was on asked for none.
        TotpDevice.objects.filter(user=user, confirmed=False).delete()
    user.second_factor_since = (since if was_on else now) if user.second_factor else None
    User.objects.filter(pk=user.pk).update(
        second_factor=user.second_factor, second_factor_since=user.second_factor_since
    )
    sessions.end_others(user=user, but=keep or _NOBODYS, now=now)
    if not (was_on and user.second_factor):
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


def _is_fresh(at: datetime | None, now: datetime) -> bool:
    return at is not None and now - at <= FRESH
