"""An authenticator app as the second factor (RFC 6238): enrolled, confirmed, removed, sealed anew."""

import io
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

import segno
from django.db import transaction

from accounts import audit, recovery_codes, second_factor
from accounts.factor_changes import after_change, lock_person
from accounts.factor_codes import DIGITS, STEP_SECONDS, new_secret
from accounts.models import TotpDevice, User
from accounts.models.factors import KEY_SEALED_FOR
from accounts.own_password import check_own_password
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.sealing import reseal, seal, unseal

ISSUER: Final = "Wallet"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """
    What an app must be told. Good for nothing until it is confirmed with a code.

    :ivar secret: base 32, to be typed.
    :ivar otpauth_uri: the same and the rest, to be scanned.
    """

    secret: str
    otpauth_uri: str

    @property
    def qr_svg(self) -> str:
        """The URI as a QR code: an SVG document, black on white."""
        drawn = io.BytesIO()
        segno.make(self.otpauth_uri, error="m").save(drawn, kind="svg", scale=5, light="#fff", xmldecl=False, nl=False)
        return drawn.getvalue().decode()


@dataclass(frozen=True, slots=True)
class Confirmed:
    """:ivar messages: ids of the messages that now wait."""

    recovery_codes: list[str]
    messages: list[int]


def begin(*, user: User, now: datetime) -> Enrolment:
    """
    A new secret for this person's app; one that was never confirmed is forgotten.

    :raises Refusal: `factor_already_on`.
    """
    with transaction.atomic():
        lock_person(user)
        if TotpDevice.objects.filter(user=user, confirmed=True).exists():
            raise Refusal("factor_already_on", "An authenticator app is on already. Remove it first.")
        TotpDevice.objects.filter(user=user).delete()
        secret = new_secret()
        TotpDevice.objects.create(
            user=user,
            name="authenticator app",
            confirmed=False,
            key_sealed=seal(secret, purpose=KEY_SEALED_FOR),
            created_at=now,
        )
    return _enrolment(user, secret)


def begun(*, user: User) -> Enrolment | None:
    """What waits to be confirmed, for a page that is shown again."""
    device = TotpDevice.objects.filter(user=user, confirmed=False).first()
    return None if device is None else _enrolment(user, unseal(device.key_sealed, purpose=KEY_SEALED_FOR))


def confirm(*, user: User, code: str, keep: uuid.UUID | None, now: datetime) -> Confirmed:
    """
    The app shows the right code: from now on it is asked for. Every other session ends.

    :param keep: the session that asks.
    :returns: ten recovery codes, to be shown this once; any from before are good for nothing now.
    :raises Refusal: `code_invalid`, `too_many_tries`.
    :raises RuntimeError: inside a transaction, whose rollback would give the try back.
    """
    codes: list[str] = []
    messages: list[int] = []
    with transaction.atomic(durable=True):
        lock_person(user)
        waiting = TotpDevice.objects.filter(user=user, confirmed=False).select_for_update(no_key=True)
        judgement = second_factor.judge(user=user, devices=waiting, code=code, now=now)
        if judgement.accepted is not None:
            TotpDevice.objects.filter(pk=judgement.accepted.pk).update(confirmed=True)
            codes = recovery_codes.make(user=user, now=now)
            messages = after_change(
                user=user, kind="factor.enrolled", change="authenticator app added", keep=keep, now=now
            )
    judgement.require("code_invalid")
    return Confirmed(codes, messages)


def remove(*, user: User, password: str, code: str, keep: uuid.UUID | None, now: datetime) -> list[int]:
    """
    The app is asked for no more. Every other session ends.

    :param code: the app's, or a recovery code.
    :returns: ids of the messages that now wait.
    :raises Refusal: `credentials_invalid`, `otp_invalid`, `too_many_tries`.
    """
    require_both(user=user, password=password, code=code, kind="factor.removed", now=now)
    with transaction.atomic():
        lock_person(user)
        TotpDevice.objects.filter(user=user).delete()
        return after_change(user=user, kind="factor.removed", change="authenticator app removed", keep=keep, now=now)


def require_both(*, user: User, password: str, code: str, kind: str, now: datetime) -> None:
    """
    Password and second factor once more, before a factor is changed. The code is not used up by a wrong password.

    :param kind: for the audit log, where it is refused.
    :raises Refusal: `credentials_invalid`, `otp_invalid`, `too_many_tries`.
    """
    try:
        check_own_password(user=user, password=password, now=now)
        second_factor.check(user=user, code=code, now=now)
    except Refusal as refusal:
        audit.record(kind, now=now, actor=user, subject=user, refused=refusal.code)
        raise


def reseal_secrets() -> int:
    """
    After a new key was put first in `DATA_KEYS`: every secret under it. Safe to run at any time and twice.

    :returns: how many were sealed anew.
    :raises Unreadable: a secret that no key opens.
    """
    changed, last = 0, 0
    while rows := list(TotpDevice.objects.filter(pk__gt=last).order_by("pk")[:500]):
        last = rows[-1].pk
        for device in rows:
            anew = reseal(device.key_sealed, purpose=KEY_SEALED_FOR)
            if anew is not None:
                same = TotpDevice.objects.filter(pk=device.pk, key_sealed=device.key_sealed)
                changed += same.update(key_sealed=anew)
    return changed


def _enrolment(user: User, secret: str) -> Enrolment:
    """Apps show `Wallet: asha@example.com` (Google's Key Uri Format)."""
    who = quote(f"{ISSUER}:{user.email or user.phone}", safe=":@+")
    asked = urlencode(
        {"secret": secret, "issuer": ISSUER, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_SECONDS}
    )
    return Enrolment(secret, f"otpauth://totp/{who}?{asked}")
