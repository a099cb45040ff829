"""Recovery codes: ten, made together and shown once, each good once in place of an authenticator app's code."""

from datetime import datetime
from typing import Final

from accounts.factor_codes import new_recovery_code, recovery_digest
from accounts.models import RecoveryCode, RecoveryDevice, User
from wallet_project.kernel.database import require_transaction

HOW_MANY: Final = 10


def make(*, user: User, now: datetime) -> list[str]:
    """
    Ten new ones; those before are good for nothing any more. Only their keyed digests are kept.

    :returns: the codes, as they are shown.
    """
    require_transaction("default")
    forget(user=user)
    device = RecoveryDevice.objects.create(user=user, name="recovery codes", confirmed=True, created_at=now)
    codes = [new_recovery_code() for _ in range(HOW_MANY)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(device=device, digest=recovery_digest(device=device.pk, code=code)) for code in codes
    )
    return codes


def forget(*, user: User) -> None:
    """None is good any more."""
    RecoveryDevice.objects.filter(user=user).delete()


def left(*, user: User) -> int:
    """How many are still good."""
    return RecoveryCode.objects.filter(device__user=user, used_at=None).count()
