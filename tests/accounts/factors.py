"""People with a second factor, and what their app shows."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts import totp
from accounts.factor_codes import STEP_SECONDS, code_at
from accounts.models import User


def enrolled(user: User, *, now: datetime | None = None) -> tuple[str, list[str]]:
    """This person's secret and recovery codes. The app was confirmed a while ago: its present code is unused."""
    then = (now or timezone.now()) - timedelta(seconds=10 * STEP_SECONDS)
    begun = totp.begin(user=user, session=None, password="", code="", signed_in_at=then, shown_at=then, now=then)
    secret = begun.secret
    confirmed = totp.confirm(user=user, code=code_at(secret=secret, now=then), keep=None, now=then)
    return secret, confirmed.recovery_codes


def code_of(secret: str, *, steps: int = 0) -> str:
    """What the app shows, or what it will in so many steps: one ahead is taken too."""
    return code_at(secret=secret, now=timezone.now() + timedelta(seconds=steps * STEP_SECONDS))


def no_code_of(secret: str) -> str:
    """Six digits that the app shows neither now nor soon, nor did just before."""
    near: set[Any] = {code_of(secret, steps=steps) for steps in range(-3, 4)}
    return next(digits for digits in (f"{number:06d}" for number in range(1000)) if digits not in near)
