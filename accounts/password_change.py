"""A new password, and what dies with the old one: every token, every session, every page."""

from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import audit, notices
from accounts.models import OutgoingMessage, PushSubscription, Session, User
from accounts.own_password import check_own_password
from accounts.passwords import check_password_is_fit
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal


def change_password(*, user: User, old_password: str, new_password: str, now: datetime) -> list[int]:
    """
    Somebody who is signed in chooses another password. They are signed out everywhere, here too.

    :returns: ids of the messages that now wait.
    :raises Refusal: `credentials_invalid` (the old one is wrong), `too_many_tries`, `invalid` (the new one is unfit).
    """
    check_own_password(user=user, password=old_password, now=now)
    check_password_is_fit(password=new_password, user=user, field="new_password")
    hashed = make_password(new_password)  # outside of any transaction: it takes its time
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if locked.password != user.password:
            # Of two who change it at once the second knew a password that is none any more.
            raise Refusal("credentials_invalid", "That is not your password.")
        return replace_password(user=locked, hashed=hashed, kind="password.changed", now=now)


def replace_password(*, user: User, hashed: str, kind: str, now: datetime, **details: str) -> list[int]:
    """
    The caller has locked the person and judged who asks. Codes for a new password die with it.

    :param hashed: as a hasher made it.
    :param kind: for the audit log.
    :param details: what the person is told of it beside.
    :returns: ids of the messages that now wait.
    """
    require_transaction("default")
    user.password = hashed
    user.save(update_fields=["password"])
    end_every_sign_in(user=user, now=now)
    user.verifications.filter(purpose=OutgoingMessage.Purpose.RESET).delete()
    audit.record(kind, now=now, actor=user, subject=user)
    return notices.notify(user=user, kind="password_changed", now=now, **details)


def end_every_sign_in(*, user: User, now: datetime) -> None:
    """
    Tokens and pages of before die at their next request: of `token_version`, and of their session's row. No browser is
    woken any more either, not even one whose session has long run out.
    """
    require_transaction("default")
    user.token_version += 1
    user.save(update_fields=["token_version"])
    Session.objects.filter(user=user, revoked_at=None).update(revoked_at=now)
    PushSubscription.objects.filter(user=user).delete()
