"""
The second factor: whether a person has one, and whether a code is theirs.

Codes are judged as django-otp's `match_token` judges them, every device of the person locked, and one person's codes
of one place one after another: the counter of their failures is locked first. The count, the code's use and the answer
are one transaction, which is committed whatever the answer is, so that nobody's rollback gives tries or codes back.

django-otp's throttling would refuse a right code for a while after each wrong one. Here a number of failures in a
window is let pass, and then none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.conf import settings
from django.db import transaction
from django_otp import devices_for_user

from accounts import audit, tries
from accounts.models import AddressTries, RecoveryDevice, TotpDevice, User
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal

# A thief who knows the password guesses one of three codes in a million each time: 10 in 15 minutes are 3 in a
# thousand a day, and the person is told of every device that signs in. Of each of `Place`.
FAILURES: Final = tries.Limit(AddressTries.Kind.FACTOR, most=10, window=timedelta(minutes=15))

Device = TotpDevice | RecoveryDevice


class Place(StrEnum):
    """Where a code is shown. Each is counted by itself: a stranger with the password locks the person out of none."""

    NEW_DEVICE = "new device"
    KNOWN_DEVICE = "known device"
    SIGNED_IN = "signed in"


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    :ivar accepted: the device whose code it was, now used up.
    :ivar wait_seconds: past the limit nothing was looked at; this long until something is again.
    """

    accepted: Device | None
    wait_seconds: int | None = None

    def require(self, refused: str) -> None:
        """
        After the transaction in which it was judged: a refusal inside would give the try back.

        :raises Refusal: `too_many_tries`, or else `refused`.
        """
        if self.wait_seconds is not None:
            raise Refusal(
                "too_many_tries", "Too many wrong codes. Wait a while.", retry_after_seconds=self.wait_seconds
            )
        if self.accepted is None:
            raise Refusal(refused)


def is_on(user: User) -> bool:
    """Whether this person has a confirmed second factor: an authenticator app or a passkey."""
    return user.second_factor


def has_settled(user: User, now: datetime) -> bool:
    """
    Whether this person's factor proves payments and changes of address. One that was switched on for an account older
    than a day (FACTOR_SETTLES_HOURS) does a day later: whoever came into an open session and added one gains nothing
    before its owner has read the message about it. Asks the database nothing.
    """
    since, settling = user.second_factor_since, timedelta(hours=settings.FACTOR_SETTLES_HOURS)
    if not user.second_factor or since is None:
        return user.second_factor
    return since <= user.created_at + settling or since + settling <= now


def check(*, user: User, code: str, now: datetime, place: Place = Place.SIGNED_IN) -> None:
    """
    Use up a code of this person's: their authenticator app's, or one of their recovery codes.

    :raises Refusal: `otp_invalid`, `too_many_tries`.
    :raises RuntimeError: inside a transaction, whose rollback would give the try and the code back.
    """
    with transaction.atomic(durable=True):
        judgement = judge(user=user, devices=devices_for_user(user, for_verify=True), code=code, now=now, place=place)
        if isinstance(judgement.accepted, RecoveryDevice):
            audit.record("factor.recovery_code_used", now=now, actor=user, subject=user)
    judgement.require("otp_invalid")


def judge_totp(*, user: User, code: str, now: datetime) -> Judgement:
    """As `judge`, by the person's authenticator app alone. The caller commits it, whatever the answer is."""
    devices = TotpDevice.objects.filter(user=user, confirmed=True).select_for_update(no_key=True)
    return judge(user=user, devices=devices, code=code, now=now)


def judge(
    *, user: User, devices: Iterable[Device], code: str, now: datetime, place: Place = Place.SIGNED_IN
) -> Judgement:
    """
    Count a failure, unless one of these devices takes the code. A code that was used already is refused, but it is
    no guess, and not counted: of a request that came twice the second locks nobody out.

    :param devices: read, and locked, only after the person's counter is.
    """
    require_transaction("default")
    counter = f"{user.public_id} {place}"
    wait = tries.spend(limit=FAILURES, address=counter, now=now)
    if wait is not None:
        return Judgement(None, wait)
    tried = list(devices)
    accepted = next((device for device in tried if device.accept(code=code, now=now)), None)
    if accepted is not None:
        tries.forget(kind=FAILURES.kind, address=counter)
    elif any(device.has_accepted(code=code, now=now) for device in tried):
        tries.give_back(kind=FAILURES.kind, address=counter)
    return Judgement(accepted)
