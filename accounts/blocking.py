"""Blocking and unblocking people: always by somebody, always for a reason, on record for ever."""

from datetime import datetime
from typing import Final

import structlog
from django.db import transaction

from accounts import audit
from accounts.models import PushSubscription, Session, StatusChange, User
from accounts.notices import notify
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.reasons import read_reason

log = structlog.get_logger("accounts.blocking")

PERMISSION: Final = "accounts.block_user"
LONGEST_REASON: Final = 500


def block(*, user: User, by: User, reason: str, now: datetime) -> list[int]:
    """
    From now on this person may do nothing: tokens, sessions and pages die at their next request. Money still
    reaches nobody through them; their wallet keeps what is in it. Blocking twice changes nothing.

    :returns: ids of the messages that tell them.
    :raises Refusal: `invalid` (no reason, somebody who never verified, a closed account), `permission_denied` (also
        oneself, and staff for all but a superuser); who tried that stands in the audit log.
    """
    return _change(user=user, by=by, reason=reason, status=User.Status.BLOCKED, now=now)


def unblock(*, user: User, by: User, reason: str, now: datetime) -> list[int]:
    """
    This person may sign in again; what was signed in before stays signed out.

    :returns: as `block`.
    :raises Refusal: as `block`.
    """
    return _change(user=user, by=by, reason=reason, status=User.Status.ACTIVE, now=now)


def may_change_status(*, user: User, by: User) -> bool:
    """Support blocks customers. Only a superuser blocks staff, and nobody themselves."""
    return by.has_perm(PERMISSION) and by != user and (by.is_superuser or not (user.is_staff or user.is_superuser))


def can_change_status(*, user: User) -> bool:
    """Whether there is an account to be blocked: a registration that nobody verified is none, nor is a closed one."""
    return user.has_verified_address and user.status != User.Status.CLOSED


def _change(*, user: User, by: User, reason: str, status: User.Status, now: datetime) -> list[int]:
    blocking = status == User.Status.BLOCKED
    kind = "person.blocked" if blocking else "person.unblocked"
    if not may_change_status(user=user, by=by):
        # Outside of any transaction: what was tried is kept.
        audit.record(kind, now=now, actor=by, subject=user, refused="permission_denied")
        raise Refusal("permission_denied")
    reason = read_reason(reason, longest=LONGEST_REASON)
    with transaction.atomic():
        # Two people of support who act at once are put in order; the second changes nothing.
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if not can_change_status(user=locked):
            raise Refusal.of_field("user", "There is no account to block: it was never verified, or it is closed.")
        if locked.status == status:
            return []
        locked.status = status
        if blocking:
            locked.token_version += 1
            Session.objects.filter(user=locked, revoked_at=None).update(revoked_at=now)
            PushSubscription.objects.filter(user=locked).delete()
        locked.save(update_fields=["status", "token_version"])
        StatusChange.objects.create(user=locked, by=by, status=status, reason=reason, created_at=now)
        audit.record(kind, now=now, actor=by, subject=locked, reason=reason)
        messages = notify(user=locked, kind="blocked" if blocking else "unblocked", now=now)
    log.info("accounts.status_changed", user=user.public_id, by=by.public_id, status=status)
    return messages
