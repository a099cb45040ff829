"""Challenges of passkeys in the page session: one at a time, for one purpose, taken out before it is answered."""

from datetime import datetime, timedelta
from typing import Final

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from accounts import tries
from accounts.models import AddressTries
from wallet_project.kernel.errors import Refusal

LIFETIME: Final = timedelta(minutes=5)
REGISTER: Final = "register"
SIGN_IN: Final = "sign_in"
# Two requests that read the page session at once both find the challenge in it; the counter lets one of them have it.
ANSWERS: Final = tries.Limit(AddressTries.Kind.PASSKEY, most=1, window=2 * LIFETIME)
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
    The challenge that waits, which from now on waits no more, whatever its answer is worth. Of any number who take it
    at once one gets it.

    :raises Refusal: `code_invalid` where none waits for this purpose, or it waited too long.
    :raises RuntimeError: inside a transaction, whose rollback would bring it back.
    """
    waiting = session.pop(_KEY, None)
    # Saved at once: what is raised after this must not bring it back.
    session.save()
    if waiting is None or waiting["purpose"] != purpose or waiting["until"] <= now.timestamp():
        raise Refusal("code_invalid", "That took too long. Try again.")
    with transaction.atomic(durable=True):
        taken = tries.spend(limit=ANSWERS, address=waiting["challenge"], now=now) is not None
    if taken:
        raise Refusal("code_invalid", "That was answered already. Try again.")
    return base64url_to_bytes(waiting["challenge"])


def forget(session: SessionBase) -> None:
    """None waits any more."""
    session.pop(_KEY, None)
