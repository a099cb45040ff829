"""Blocking and unblocking people: always by somebody, always for a reason, on record for ever."""

from datetime import datetime
from typing import Final

import structlog
from django.db import transaction

from accounts.models import Session, StatusChange, User
from wallet_project.kernel.errors import Refusal

log = structlog.get_logger("accounts.blocking")

PERMISSION: Final = "accounts.block_user"
LONGEST_REASON: Final = 500


def block(*, user: User, by: User, reason: str, now: datetime) -> None:
    """
    From now on this person may do nothing: tokens, sessions and pages die at their next request. Money still
    reaches nobody through them; their wallet keeps what is in it. Blocking twice changes nothing.

    :raises Refusal: `invalid` (no reason, oneself, somebody who never verified), `permission_denied`.
    """
    _change(user=user, by=by, reason=reason, status=User.Status.BLOCKED, now=now)


def unblock(*, user: User, by: User, reason: str, now: datetime) -> None:
    """
    This person may sign in again; what was signed in before stays signed out.

    :raises Refusal: as `block`.
    """
    _change(user=user, by=by, reason=reason, status=User.Status.ACTIVE, now=now)


def may_change_status(*, user: User, by: User) -> bool:
    """Support blocks customers. Only a superuser blocks staff, and nobody themselves."""
    return by.has_perm(PERMISSION) and by != user and (by.is_superuser or not (user.is_staff or user.is_superuser))


def _change(*, user: User, by: User, reason: str, status: User.Status, now: datetime) -> None:
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON or "\0" in reason:
        raise Refusal.of_field("reason", f"Give a reason of at most {LONGEST_REASON} characters.")
    if not may_change_status(user=user, by=by):
        raise Refusal("permission_denied")
    with transaction.atomic():
        # Two people of support who act at once are put in order; the second changes nothing.
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if not locked.is_verified:
            raise Refusal.of_field("user", "This registration was never verified; there is nothing to block.")
        if locked.status == status:
            return
        locked.status = status
        if status == User.Status.BLOCKED:
            locked.token_version += 1
            Session.objects.filter(user=locked, revoked_at=None).update(revoked_at=now)
        locked.save(update_fields=["status", "token_version"])
        StatusChange.objects.create(user=locked, by=by, status=status, reason=reason, created_at=now)
    log.info("accounts.status_changed", user=user.public_id, by=by.public_id, status=status)
