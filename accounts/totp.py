"""An authenticator app as the second factor (RFC 6238): enrolled, confirmed, removed, sealed anew."""

import io
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

import segno
from django.db import transaction
from django.db.models import QuerySet

from accounts import recovery_codes, second_factor
from accounts.factor_changes import ENROLLED, NewCodes, after_change, lock_person, require_again, require_to_add
from accounts.factor_codes import DIGITS, STEP_SECONDS, new_secret
from accounts.models import TotpDevice, User
from accounts.models.factors import KEY_SEALED_FOR
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.sealing import reseal, seal, unseal

ISSUER: Final = "Wallet"
# So long a secret waits to be confirmed.
LIFETIME: Final = timedelta(minutes=10)


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
    def qr_path(self) -> str:
        """The same as the path of a page's own drawing: one unit a module, a margin of four."""
        rows = segno.make(self.otpauth_uri, error="m").matrix_iter(border=4)
        return "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark)

    @property
    def qr_size(self) -> int:
        """How many units it is wide, and high."""
        return int(segno.make(self.otpauth_uri, error="m").symbol_size(border=4)[0])

    @property
    def qr_svg(self) -> str:
        """The URI as a QR code: an SVG document, black on white."""
        drawn = io.BytesIO()
        segno.make(self.otpauth_uri, error="m").save(drawn, kind="svg", scale=5, light="#fff", xmldecl=False, nl=False)
        return drawn.getvalue().decode()


def begin(
    *,
    user: User,
    session: uuid.UUID | None,
    password: str,
    code: str,
    now: datetime,
    signed_in_at: datetime | None = None,
    shown_at: datetime | None = None,
) -> Enrolment:
    """
    A new secret for this person's app; one that was never confirmed is forgotten.

    :param session: that asks: nowhere else is it shown or confirmed.
    :param code: of the factor that is on already.
    :param signed_in_at: when that session began, where a moment ago stands for the password.
    :param shown_at: when a factor was last shown in it, where a moment ago stands for the code.
    :raises Refusal: `factor_already_on`, `credentials_invalid`, `otp_required`, `otp_invalid`, `too_many_tries`.
    """
    _refuse_a_second(user)
    require_to_add(user=user, password=password, code=code, now=now, signed_in_at=signed_in_at, shown_at=shown_at)
    with transaction.atomic():
        lock_person(user)
        _refuse_a_second(user)
        TotpDevice.objects.filter(user=user).delete()
        secret = new_secret()
        TotpDevice.objects.create(
            user=user,
            name="authenticator app",
            confirmed=False,
            key_sealed=seal(secret, purpose=KEY_SEALED_FOR),
            begun_in=session,
            created_at=now,
        )
    return _enrolment(user, secret)


def begun(*, user: User, session: uuid.UUID | None, now: datetime) -> Enrolment | None:
    """What waits to be confirmed in this session, for a page that is shown again."""
    device = _waiting(user, session, now).first()
    return None if device is None else _enrolment(user, unseal(device.key_sealed, purpose=KEY_SEALED_FOR))


def confirm(*, user: User, code: str, keep: uuid.UUID | None, now: datetime) -> NewCodes:
    """
    The app shows the right code: from now on it is asked for. Every other session ends.

    :param keep: the session that asks, and that asked for the secret.
    :returns: ten recovery codes, to be shown this once; any from before are good for nothing now.
    :raises Refusal: `code_invalid`, `too_many_tries`.
    :raises RuntimeError: inside a transaction, whose rollback would give the try back.
    """
    codes: list[str] = []
    messages: list[int] = []
    with transaction.atomic(durable=True):
        lock_person(user)
        waiting = _waiting(user, keep, now).select_for_update(no_key=True)
        judgement = second_factor.judge(user=user, devices=waiting, code=code, now=now)
        if judgement.accepted is not None:
            TotpDevice.objects.filter(pk=judgement.accepted.pk).update(confirmed=True)
            codes = recovery_codes.make(user=user, now=now)
            messages = after_change(user=user, kind=ENROLLED, change="authenticator app added", keep=keep, now=now)
    judgement.require("code_invalid")
    return NewCodes(codes, messages)


def remove(
    *,
    user: User,
    password: str,
    code: str,
    keep: uuid.UUID | None,
    now: datetime,
    shown_at: datetime | None = None,
) -> list[int]:
    """
    The app is asked for no more. Every other session ends.

    :param code: the app's, or a recovery code.
    :param shown_at: when a factor was last shown in the session that asks; a moment ago stands for the code.
    :returns: ids of the messages that now wait.
    :raises Refusal: `credentials_invalid`, `otp_invalid`, `too_many_tries`.
    """
    require_again(user=user, password=password, code=code, kind="factor.removed", now=now, shown_at=shown_at)
    with transaction.atomic():
        lock_person(user)
        TotpDevice.objects.filter(user=user).delete()
        return after_change(user=user, kind="factor.removed", change="authenticator app removed", keep=keep, now=now)


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


def _waiting(user: User, session: uuid.UUID | None, now: datetime) -> QuerySet[TotpDevice]:
    waiting: QuerySet[TotpDevice] = TotpDevice.objects.filter(user=user, confirmed=False, begun_in=session)
    return waiting.filter(created_at__gt=now - LIFETIME)


def _refuse_a_second(user: User) -> None:
    if TotpDevice.objects.filter(user=user, confirmed=True).exists():
        raise Refusal("factor_already_on", "An authenticator app is on already. Remove it first.")


def _enrolment(user: User, secret: str) -> Enrolment:
    """Apps show `Wallet: asha@example.com` (Google's Key Uri Format)."""
    who = quote(f"{ISSUER}:{user.email or user.phone}", safe=":@+")
    asked = urlencode(
        {"secret": secret, "issuer": ISSUER, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_SECONDS}
    )
    return Enrolment(secret, f"otpauth://totp/{who}?{asked}")
