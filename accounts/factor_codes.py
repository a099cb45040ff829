"""What the codes of a second factor are, by arithmetic alone: nothing here asks the database."""

import base64
import hmac
import re
import secrets
from datetime import datetime
from hashlib import sha256
from typing import Final

from django.conf import settings
from django_otp.oath import TOTP

# RFC 6238 with what every authenticator app knows: SHA-1, six digits, thirty seconds; a step to either side for slow
# fingers and clocks that differ (section 5.2).
SECRET_BYTES: Final = 20
STEP_SECONDS: Final = 30
DIGITS: Final = 6
DRIFT_STEPS: Final = 1
# Crockford's base 32: no letter that could be read as a digit. Twelve of them are 60 bits.
_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_RECOVERY_LENGTH: Final = 12
_GROUP: Final = 4
_READ_AS: Final = str.maketrans("oil", "011")
_TOTP: Final = re.compile(rf"[0-9]{{{DIGITS}}}\Z")
_RECOVERY: Final = re.compile(rf"[{_LETTERS}]{{{_RECOVERY_LENGTH}}}\Z")


def new_secret() -> str:
    """A TOTP secret as people type it: base 32 (RFC 4648), 160 bits."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def matching_step(*, secret: str, code: str, now: datetime) -> int | None:
    """
    The time step whose code this is, at most one away from now; None where it is none's.

    :param code: six digits, with the space that many apps show between them or without.
    """
    digits = code.replace(" ", "")
    if not _TOTP.match(digits):
        return None
    totp = TOTP(base64.b32decode(secret), step=STEP_SECONDS, digits=DIGITS)
    totp.time = now.timestamp()
    return int(totp.t()) if totp.verify(int(digits), tolerance=DRIFT_STEPS) else None


def code_at(*, secret: str, now: datetime) -> str:
    """What the app shows at this time."""
    totp = TOTP(base64.b32decode(secret), step=STEP_SECONDS, digits=DIGITS)
    totp.time = now.timestamp()
    return f"{totp.token():0{DIGITS}d}"


def new_recovery_code() -> str:
    """As it is shown, in groups: `k7qf-2m9x-w3hd`."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_RECOVERY_LENGTH))
    return "-".join(letters[start : start + _GROUP] for start in range(0, _RECOVERY_LENGTH, _GROUP))


def recovery_digest(*, device: int, code: str) -> bytes | None:
    """
    HMAC-SHA256 under CODE_PEPPER, bound to the set that the code belongs to; None for what can be no such code.

    :param code: in any case, with or without hyphens and spaces.
    """
    letters = code.lower().replace("-", "").replace(" ", "").translate(_READ_AS)
    if not _RECOVERY.match(letters):
        return None
    return hmac.new(settings.CODE_PEPPER, f"recovery:{device}:{letters}".encode(), sha256).digest()
