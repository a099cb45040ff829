"""Freezing and unfreezing a wallet: its owner's money stays, and nothing of it leaves by their wish."""

from datetime import datetime
from typing import Final

import structlog
from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.notices import notify
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.reasons import read_reason
from wallets.models import Wallet, WalletStatusChange

log = structlog.get_logger("wallets.freezing")

PERMISSION: Final = "wallets.freeze_wallet"
LONGEST_REASON: Final = 500


def freeze(*, wallet: Wallet, by: User, reason: str, now: datetime) -> list[int]:
    """
    From now on nothing leaves this wallet by its owner's wish; money still reaches it, and facts are still posted. A
    transfer at the same moment is posted either before, or not at all. Freezing twice changes nothing.

    :returns: ids of the messages that tell its owner.
    :raises Refusal: `invalid` (no reason, a closed wallet), `permission_denied` (also one's own, a system wallet, and
        staff's for all but a superuser); who tried that stands in the audit log.
    """
    return _change(wallet=wallet, by=by, reason=reason, status=Wallet.Status.FROZEN, now=now)


def unfreeze(*, wallet: Wallet, by: User, reason: str, now: datetime) -> list[int]:
    """
    Its owner may pay from it again.

    :returns: as `freeze`.
    :raises Refusal: as `freeze`.
    """
    return _change(wallet=wallet, by=by, reason=reason, status=Wallet.Status.ACTIVE, now=now)


def freeze_own(*, owner: User, reason: str, now: datetime) -> list[Wallet]:
    """
    A person stops their own wallets, all of them: somebody else may be using them. Only support lets money leave again.
    Twice changes nothing. Whoever asks has locked their row, as closing does, and tells them.

    :returns: those that are frozen now and were not before.
    """
    require_transaction("default")
    # In order, and not the key: a posting of the same moment is before, or finds them frozen.
    open_ones = Wallet.objects.filter(owner=owner, status=Wallet.Status.ACTIVE).order_by("pk")
    wallets = list(open_ones.select_for_update(no_key=True))
    for wallet in wallets:
        wallet.status = Wallet.Status.FROZEN
        wallet.save(update_fields=["status"])
        WalletStatusChange.objects.create(
            wallet=wallet, by=owner, status=Wallet.Status.FROZEN, reason=reason, created_at=now
        )
        audit.record("wallet.frozen", now=now, subject=owner, object=wallet.public_id, reason=reason)
        log.info(
            "wallets.status_changed", wallet=wallet.public_id, by=owner.public_id, status=Wallet.Status.FROZEN.value
        )
    return wallets


def may_freeze(*, wallet: Wallet, by: User) -> bool:
    """Never a wallet that closes the books, never one's own; of staff only by a superuser."""
    owner: User | None = wallet.owner
    if owner is None or owner.pk == by.pk:
        return False
    return by.has_perm(PERMISSION) and (by.is_superuser or not (owner.is_staff or owner.is_superuser))


def _change(*, wallet: Wallet, by: User, reason: str, status: Wallet.Status, now: datetime) -> list[int]:
    freezing = status == Wallet.Status.FROZEN
    kind = "wallet.frozen" if freezing else "wallet.unfrozen"
    owner: User | None = wallet.owner
    if owner is None or not may_freeze(wallet=wallet, by=by):
        # Outside of any transaction: what was tried is kept.
        audit.record(kind, now=now, actor=by, subject=owner, object=wallet.public_id, refused="permission_denied")
        raise Refusal("permission_denied")
    reason = read_reason(reason, longest=LONGEST_REASON)
    with transaction.atomic():
        # The very lock that the posting kernel judges the status under, so that a posting is before or after.
        locked = Wallet.objects.select_for_update(no_key=True).get(pk=wallet.pk)
        if locked.status == Wallet.Status.CLOSED:
            raise Refusal.of_field("wallet", "This wallet is closed.")
        if locked.status == status:
            return []
        locked.status = status
        locked.save(update_fields=["status"])
        WalletStatusChange.objects.create(wallet=locked, by=by, status=status, reason=reason, created_at=now)
        audit.record(kind, now=now, actor=by, subject=owner, object=locked.public_id, reason=reason)
        messages = notify(user=owner, kind="wallet_frozen" if freezing else "wallet_unfrozen", now=now)
    log.info("wallets.status_changed", wallet=locked.public_id, by=by.public_id, status=status)
    return messages
