"""Challenges of passkeys in the page session: one at a time, for one purpose, taken out before it is answered."""

from datetime import datetime, timedelta
from typing import Final

from django.contrib.sessions.backends.base import SessionBase
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from wallet_project.kernel.errors import Refusal

LIFETIME: Final = timedelta(minutes=5)
REGISTER: Final = "register"
SIGN_IN: Final = "sign_in"
_KEY: Final = "passkey_challenge"


def keep(session: SessionBase, *, challenge: bytes, purpose: str, now: datetime) -> None:
    """Until it is answered; one that waited before is forgotten."""
    session[_KEY] = {
        "challenge": bytes_to_base64url(challenge),
        "purpose": purpose,
        "until": (now + LIFETIME).timestamp(),
    }


def take(session: SessionBase, *, purpose: str, now: datetime) -> bytes:
    """
    The challenge that waits, which from now on waits no more, whatever its answer is worth.

    :raises Refusal: `code_invalid` where none waits for this purpose, or it waited too long.
    """
    waiting = session.pop(_KEY, None)
    # Saved at once: what is raised after this must not bring it back.
    session.save()
    if waiting is None or waiting["purpose"] != purpose or waiting["until"] <= now.timestamp():
        raise Refusal("code_invalid", "That took too long. Try again.")
    return base64url_to_bytes(waiting["challenge"])
