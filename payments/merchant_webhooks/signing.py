"""
Secrets and signatures: HMAC-SHA256 over `id.timestamp.body`, scheme `v1` of the Standard Webhooks specification.

A secret is `whsec_` and base64 of 32 random bytes. It is shown once, and rests sealed.
"""

import base64
import hmac
import secrets
from datetime import datetime
from typing import Final

from payments.models import WebhookEndpoint
from wallet_project.kernel.sealing import reseal, seal, unseal

PREFIX: Final = "whsec_"
PURPOSE: Final = "payments.webhook_endpoint.secret"
_BYTES: Final = 32


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def sealed(secret: str) -> bytes:
    return seal(secret, purpose=PURPOSE)


def signature(*, secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the digest in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def signatures(*, endpoint: WebhookEndpoint, message_id: str, timestamp: int, body: bytes, now: datetime) -> str:
    """
    One for each secret that is valid now, the current one's first, with spaces between.

    :raises Unreadable: the keys are gone.
    """
    valid = [endpoint.secret_sealed]
    if endpoint.previous_sealed and endpoint.previous_until is not None and now < endpoint.previous_until:
        valid.append(endpoint.previous_sealed)
    return " ".join(
        signature(secret=unseal(each, purpose=PURPOSE), message_id=message_id, timestamp=timestamp, body=body)
        for each in valid
    )


def reseal_webhook_secrets() -> int:
    """
    After a new key was put first in `DATA_KEYS`: every secret under it. Safe to run at any time and twice.

    :returns: how many were sealed anew.
    :raises Unreadable: a secret that no key opens.
    """
    changed = 0
    for endpoint in WebhookEndpoint.objects.exclude(secret_sealed=b"").order_by("pk").iterator(500):
        for field in ("secret_sealed", "previous_sealed"):
            before = getattr(endpoint, field)
            after = reseal(before, purpose=PURPOSE) if before else None
            if after is not None:
                # One that was rotated meanwhile stays as it is.
                same = WebhookEndpoint.objects.filter(pk=endpoint.pk, **{field: before})
                changed += same.update(**{field: after})
    return changed
