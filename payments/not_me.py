"""
"This wasn't me": whoever is told of something that they did not do stops their wallets with one press.

By the link of a message it works without signing in, for a thief may have changed the password; and for whoever has
somebody's link. So it does no more than stop: nothing leaves the wallets, every sign-in ends, payments that wait for a
code die, and support is told. What it stopped support alone lets go again, after asking who it was.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction

from accounts import audit, not_me_links, sessions
from accounts.models import AddressChange, Notification, Session, User
from accounts.notices import notify
from accounts.password_change import end_every_sign_in
from ledger.models import Transaction
from payments.cases import open_case
from payments.models import Case, StepUp
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallets.freezing import freeze_own
from wallets.models import Wallet

log = structlog.get_logger("payments.not_me")

KIND: Final = "person.not_me"
_GONE: Final = "This link is no longer good. If your wallet is not in your hands, write to support."
_REASON: Final = "They said of a notification that it was not them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """
    :ivar wallets: public ids of those that are frozen now, and were not before.
    :ivar sessions: how many sign-ins ended.
    :ivar messages: ids of the messages that now wait.
    """

    case: Case
    wallets: list[str]
    sessions: int
    messages: list[int]


def notification_of_link(*, token: str, now: datetime) -> Notification:
    """
    What this link's message told of, with its person.

    :raises Refusal: `code_invalid`: nobody's, or too old.
    """
    uuid = not_me_links.notification_of(token)
    found = None if uuid is None else Notification.objects.select_related("user").filter(uuid=uuid).first()
    if found is None or found.created_at + not_me_links.LIFETIME <= now:
        raise Refusal("code_invalid", _GONE)
    return found


def own_notification(*, user: User, notification: str) -> Notification:
    """
    :param notification: its public id.
    :raises Refusal: `not_found`, for unknown ids and other people's alike.
    """
    uuid = parse_public_id(Notification.PREFIX, notification)
    found = None if uuid is None else Notification.objects.filter(user=user, uuid=uuid).first()
    if found is None:
        raise Refusal("not_found", "There is no such notification.")
    return found


def case_of(*, notification: Notification) -> Case | None:
    """The newest that was opened by it: whether this was said before, and whether support has dealt with it."""
    return Case.objects.filter(kind=Case.Kind.NOT_ME, subject=notification.public_id).order_by("-pk").first()


def is_stopped(*, user: User) -> bool:
    """Whether nothing leaves their wallets: support may have let one go before it closed the case."""
    return not Wallet.objects.filter(owner=user, status=Wallet.Status.ACTIVE).exists()


def stop(*, notification: Notification, keep: UUID | None, now: datetime) -> Stopped:
    """
    Stop everything of the person who was told of this. Twice is as good as once; of a blocked or closed account there
    is only the case that is new.

    :param keep: the session that says so, where somebody is signed in; None for whoever has the link, and then every
        sign-in ends.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=notification.user_id)
        frozen = freeze_own(owner=user, reason=_REASON, now=now)
        ended = _end_sign_ins(user, keep, now)
        # What waits for a code, and an address that waits for its own: a thief may be at either.
        StepUp.objects.filter(user=user, spent_at=None).delete()
        AddressChange.objects.filter(user=user, status=AddressChange.Status.REQUESTED).update(
            status=AddressChange.Status.DROPPED
        )
        case = _tell_support(user, notification, now)
        audit.record(
            KIND,
            now=now,
            actor=None if keep is None else user,
            subject=user,
            object=notification.public_id,
            about=notification.kind,
            wallets=str(len(frozen)),
            case=case.public_id,
        )
        # Whoever has the link may not be its owner, who reads of it at every address. Said again it tells nothing new.
        messages = notify(user=user, kind="not_me", now=now) if frozen or case.times == 1 else []
    log.warning("person.not_me", user=user.public_id, notification=notification.public_id, case=case.public_id)
    return Stopped(case=case, wallets=[each.public_id for each in frozen], sessions=ended, messages=messages)


def _end_sign_ins(user: User, keep: UUID | None, now: datetime) -> int:
    if keep is not None:
        return sessions.end_others(user=user, but=keep, now=now)
    ended = Session.objects.filter(user=user, revoked_at=None, expires_at__gt=now).count()
    end_every_sign_in(user=user, now=now)
    return ended


def _tell_support(user: User, notification: Notification, now: datetime) -> Case:
    about = Transaction.objects.filter(uuid=notification.transaction).first() if notification.transaction else None
    frozen = Wallet.objects.filter(owner=user, status=Wallet.Status.FROZEN).count()
    return open_case(
        kind=Case.Kind.NOT_ME,
        subject=notification.public_id,
        transaction=None if about is None else about.pk,
        amount_here_minor=None if about is None else about.money.minor,
        currency="" if about is None else about.currency,
        reason=(
            f"{user.public_id} was told of {notification.kind} at {notification.created_at:%Y-%m-%d %H:%M} UTC and "
            f"says that it was not them. Frozen wallets of theirs: {frozen}. Their account is {user.status.lower()}."
        ),
        suggestion=(
            "Ask them by an address of before, and look at what left since and at withdrawals on their way. Unfreeze "
            "the wallets once they have a new password."
        ),
        now=now,
    )
