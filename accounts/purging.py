"""What nobody needs any more is deleted: a claim never made good, a counter long closed, an ended session."""

from datetime import datetime, timedelta
from typing import Final

from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction

from accounts.erasing import erase_what_was_kept
from accounts.kyc_images import sweep_unnamed
from accounts.kyc_records import erase_refused
from accounts.models import (
    AddressChange,
    AddressTries,
    InboxMessage,
    Notification,
    OutgoingMessage,
    PushSubscription,
    Session,
    User,
)

CLAIM_LIFETIME: Final = timedelta(days=7)
COUNTER_LIFETIME: Final = timedelta(days=1)
MESSAGE_LIFETIME: Final = timedelta(days=7)
# An ended session stays a while, so that support can still see it.
SESSION_LIFETIME: Final = timedelta(days=30)
# Long after it could be undone, support may be asked about it.
CHANGE_LIFETIME: Final = timedelta(days=90)
# What somebody was told; the ledger's history stays.
NOTIFICATION_LIFETIME: Final = timedelta(days=2 * 365)
MOST_IN_ONE_RUN: Final = 1000
MOST_LOTS: Final = 100


def purge(*, now: datetime) -> None:
    """Safe to run twice, and beside everything else: each row is locked, or skipped where it is in use."""
    AddressTries.objects.filter(window_started_at__lt=now - COUNTER_LIFETIME).delete()
    InboxMessage.objects.filter(sent_at__lt=now - MESSAGE_LIFETIME).delete()
    # Before their sessions: without one, a browser would be woken again.
    PushSubscription.objects.filter(session__revoked_at__isnull=False).delete()
    Session.objects.filter(expires_at__lt=now - SESSION_LIFETIME).delete()
    AddressChange.objects.filter(requested_at__lt=now - CHANGE_LIFETIME).delete()
    SessionStore.clear_expired()  # of pages and admin
    OutgoingMessage.objects.filter(requested_at__lt=now - MESSAGE_LIFETIME).delete()
    _purge_notifications(now)
    erase_what_was_kept(now=now)
    erase_refused(now=now)
    sweep_unnamed(now=now)
    # A closed account has no address either, and stays for the ledger.
    stale = (
        User.objects.filter(email_verified_at=None, phone_verified_at=None, created_at__lt=now - CLAIM_LIFETIME)
        .exclude(status=User.Status.CLOSED)
        .order_by("pk")
    )
    with transaction.atomic():
        # Somebody who verifies this very moment holds the lock and is skipped.
        for user in stale.select_for_update(skip_locked=True)[:MOST_IN_ONE_RUN]:
            user.delete()


def _purge_notifications(now: datetime) -> None:
    """In lots, for there are many; what one run leaves the next one takes."""
    old = Notification.objects.filter(created_at__lt=now - NOTIFICATION_LIFETIME)
    # Noted while its person was closing their account.
    of_nobody = Notification.objects.filter(user__in=User.objects.filter(status=User.Status.CLOSED))
    for stale in (old, of_nobody):
        for _ in range(MOST_LOTS):
            lot = list(stale.values_list("pk", flat=True)[:MOST_IN_ONE_RUN])
            Notification.objects.filter(pk__in=lot).delete()
            if len(lot) < MOST_IN_ONE_RUN:
                break
