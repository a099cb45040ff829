"""What follows from every change of a person's second factors, whichever of them it was."""

import uuid
from datetime import datetime

from accounts import audit, notices, recovery_codes
from accounts.models import Passkey, Session, TotpDevice, User
from wallet_project.kernel.database import require_transaction


def lock_person(user: User) -> None:
    """Until the transaction ends nobody else changes this person's factors: taken before any of their rows."""
    require_transaction("default")
    list(User.objects.filter(pk=user.pk).select_for_update(no_key=True).values_list("pk"))


def after_change(
    *, user: User, kind: str, change: str, keep: uuid.UUID | None, now: datetime, actor: User | None = None
) -> list[int]:
    """
    Says in the person's row whether they have a factor, ends every other session of theirs, and tells them.

    Access tokens and pages ask for their session's row each time, so all that was signed in before dies at its next
    request. `token_version` stays: it would end the session that made the change too, in the middle of it.

    :param kind: for the audit log, such as `factor.enrolled`.
    :param change: for the person, such as "authenticator app added".
    :param keep: the session that made the change; None ends them all.
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
    living = Session.objects.filter(user=user, revoked_at=None)
    living.exclude(uuid=keep).update(revoked_at=now)
    # Whoever stays has just shown the factor, or has none to show any more.
    living.filter(uuid=keep).update(factor_at=now if user.second_factor else None)
    audit.record(kind, now=now, actor=actor or user, subject=user, change=change)
    return notices.notify(user=user, kind="factor_changed", now=now, change=change)


def take_all_away(*, user: User, by: User, now: datetime) -> list[int]:
    """
    After support believed that they are lost: the person signs in with their password alone, and every session ends.

    :returns: ids of the messages that now wait.
    """
    lock_person(user)
    TotpDevice.objects.filter(user=user).delete()
    Passkey.objects.filter(user=user).delete()
    return after_change(user=user, kind="factor.removed", change="taken away by support", keep=None, now=now, actor=by)
