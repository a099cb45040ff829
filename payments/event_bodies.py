"""
What a gateway's events say, as they are kept: sealed. They name people: addresses, phones, cards' last digits.

An event is never deleted, for its id is what stops a replay; so a copy of the database would tell of everybody who ever
paid.
"""

from typing import Final

from payments.models import WebhookEvent
from wallet_project.kernel.sealing import reseal, seal_bytes, unseal_bytes

PURPOSE: Final = "payments.event.body"
# Kept before they were sealed: JSON, as which no sealed value begins.
_IN_THE_CLEAR: Final = b"{"
_ROWS_AT_ONCE: Final = 200


def sealed_body(body: bytes) -> bytes:
    """To be kept."""
    return seal_bytes(body, purpose=PURPOSE)


def body_of(*, event: WebhookEvent) -> bytes:
    """
    As the gateway sent it.

    :raises Unreadable:
    """
    kept = bytes(event.body)
    return kept if kept.startswith(_IN_THE_CLEAR) else unseal_bytes(kept, purpose=PURPOSE)


def reseal_bodies() -> int:
    """
    Every body under the first of `DATA_KEYS`, those too that were kept in the clear. Safe to run at any time and twice.

    :returns: how many were sealed anew.
    :raises Unreadable: one that no key opens.
    """
    changed, last = 0, 0
    while rows := list(WebhookEvent.objects.filter(pk__gt=last).only("pk", "body").order_by("pk")[:_ROWS_AT_ONCE]):
        last = rows[-1].pk
        for event in rows:
            kept = bytes(event.body)
            anew = sealed_body(kept) if kept.startswith(_IN_THE_CLEAR) else reseal(kept, purpose=PURPOSE)
            if anew is not None:
                changed += WebhookEvent.objects.filter(pk=event.pk).update(body=anew)
    return changed
