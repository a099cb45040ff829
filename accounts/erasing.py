"""
Erasing a person who leaves: whatever names, places or signs them in goes; what the law or the books need stays.

What stays, and why: the person's row without a name or an address, for the ledger's actors point to it; the security
audit log and the history of blocks, which nobody can rewrite; consents, as proof that there was a contract; an approved
identity document, sealed, for five years (Prevention of Money-Laundering Act, 2002, section 12).
"""

import secrets
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from accounts.kyc_records import erase_kept, erase_submissions
from accounts.models import (
    AddressChange,
    KnownDevice,
    KycSubmission,
    LostFactor,
    Notification,
    NotificationPreference,
    OutgoingMessage,
    Passkey,
    PersonBlock,
    PushSubscription,
    RecoveryDevice,
    Session,
    StatusChange,
    TotpDevice,
    User,
)
from wallet_project.kernel.database import require_transaction

# What others read where a name is not kept with what they saw.
NAME: Final = "Closed account"
REASON: Final = "Closed by its owner."
KYC_LIFETIME: Final = timedelta(days=5 * 366)


def erase_person(*, user: User, keep: list[int], now: datetime) -> None:
    """
    This person, whose row the caller has locked, is no more: their status is CLOSED, for ever, and every token, session
    and page of theirs dies with the next request. Their addresses are free for whoever registers them next.

    :param keep: messages (pks) that are still to be sent to them; they go with the purge.
    """
    require_transaction("default")
    _forget_factors_and_devices(user, now)
    # Each names an address that is theirs no more, and one of them could bring it back.
    AddressChange.objects.filter(user=user).delete()
    OutgoingMessage.objects.filter(user=user).exclude(pk__in=keep).delete()
    # Each names what happened to their money, and with whom.
    Notification.objects.filter(user=user).delete()
    NotificationPreference.objects.filter(user=user).delete()
    # Both ways: there is nobody left to be kept away, or to keep others away.
    PersonBlock.objects.filter(Q(blocker=user) | Q(blocked=user)).delete()
    LostFactor.objects.filter(user=user, ended_at=None).update(status=LostFactor.Status.STOPPED, ended_at=now)
    LostFactor.objects.filter(user=user).update(statement="")
    erase_submissions(user=user, now=now)
    _retire_approved(user)
    user.full_name, user.status = NAME, User.Status.CLOSED
    user.email = user.phone = user.email_verified_at = user.phone_verified_at = None
    user.set_unusable_password()
    user.second_factor, user.second_factor_since = False, None
    user.last_login = None
    user.token_version += 1
    user.save()
    StatusChange.objects.create(user=user, by=user, status=User.Status.CLOSED, reason=REASON, created_at=now)


def erase_what_was_kept(*, now: datetime) -> int:
    """
    Identity documents of people who closed their account so long ago that nobody may ask for them any more.

    :returns: how many were erased.
    """
    gone = StatusChange.objects.filter(status=User.Status.CLOSED, created_at__lt=now - KYC_LIFETIME)
    return erase_kept(submissions=KycSubmission.objects.filter(user__in=gone.values("user")))


def _forget_factors_and_devices(user: User, now: datetime) -> None:
    sessions = Session.objects.filter(user=user)
    sessions.filter(revoked_at=None).update(revoked_at=now)
    sessions.update(label="", address=None, device=None)
    for of_theirs in (KnownDevice, TotpDevice, RecoveryDevice, Passkey, PushSubscription):
        of_theirs.objects.filter(user=user).delete()


def _retire_approved(user: User) -> None:
    """Kept, but found by nobody's number: the same document may open another account."""
    for submission in KycSubmission.objects.filter(user=user).exclude(number_sealed=b""):
        KycSubmission.objects.filter(pk=submission.pk).update(number_index=secrets.token_bytes(32))
