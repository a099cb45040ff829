"""The delivery log: what was sent, what came back, sending it again by hand, test events, and forgetting it all."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from accounts.models import User
from payments.merchant_webhooks.endpoints import find_endpoint
from payments.merchant_webhooks.payloads import as_text, ping_of
from payments.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid, parse_public_id
from wallet_project.kernel.newest_first import newest_first

MOST_ROWS: Final = 100
USUAL_ROWS: Final = 20
# Of one message. A schedule has ten, and each redelivery by hand another schedule.
MOST_ATTEMPTS_SHOWN: Final = 100
KEPT_FOR: Final = timedelta(days=30)
_PURGED_AT_ONCE: Final = 1000
_GONE_FOR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MessagesPage:
    messages: list[WebhookMessage]
    next: str | None


def messages_of(*, endpoint: WebhookEndpoint, limit: int = USUAL_ROWS, cursor: str | None = None) -> MessagesPage:
    """
    Newest first; stable while more comes in.

    :raises Refusal: `cursor_invalid`.
    """
    return MessagesPage(*newest_first(WebhookMessage.objects.filter(endpoint=endpoint), limit=limit, cursor=cursor))


def find_message(*, endpoint: WebhookEndpoint, message: str) -> WebhookMessage:
    """
    :param message: its public id, which is its `webhook-id`.
    :raises Refusal: `not_found`.
    """
    uuid = parse_public_id(WebhookMessage.PREFIX, message)
    found = None if uuid is None else WebhookMessage.objects.filter(endpoint=endpoint, uuid=uuid).first()
    if found is None:
        raise Refusal("not_found", "There is no such message.")
    return found


def attempts_of(*, message: WebhookMessage) -> list[WebhookAttempt]:
    """The latest first."""
    return list(WebhookAttempt.objects.filter(message=message).order_by("-pk")[:MOST_ATTEMPTS_SHOWN])


def redeliver(*, user: User, endpoint: str, message: str, now: datetime) -> WebhookMessage:
    """
    Send it now, whether or not it was taken before, under the same `webhook-id`; if it is not taken, the schedule
    begins anew.

    :raises Refusal: `not_found`; `webhook_disabled`.
    """
    found = find_endpoint(user=user, endpoint=endpoint)
    wanted = find_message(endpoint=found, message=message)
    with transaction.atomic():
        locked = _locked_to_send(found)
        row = WebhookMessage.objects.select_for_update(no_key=True).filter(endpoint=locked, pk=wanted.pk).first()
        if row is None:
            raise Refusal("not_found", "There is no such message.")
        # One that somebody is sending this very moment has what was asked for, and keeps its claim.
        row.state, row.tries, row.next_attempt_at, row.ended_at = WebhookMessage.State.WAITING, 0, now, None
        row.save(update_fields=["state", "tries", "next_attempt_at", "ended_at"])
    return row


def ping(*, user: User, endpoint: str, now: datetime) -> WebhookMessage:
    """
    A test event, sent and signed as any other.

    :raises Refusal: `not_found`; `webhook_disabled`.
    """
    found = find_endpoint(user=user, endpoint=endpoint)
    payload = ping_of(found, now=now)
    with transaction.atomic():
        locked = _locked_to_send(found)
        return WebhookMessage.objects.create(
            endpoint=locked,
            event_id=new_uuid(),
            type=payload["type"],
            body=as_text(payload),
            next_attempt_at=now,
            created_at=now,
        )


def purge(*, now: datetime, longest_seconds: float) -> int:
    """
    Forget what is older than `KEPT_FOR`, and what was removed. A part at a time, the oldest first.

    :returns: how many messages were forgotten.
    """
    until, gone = time.monotonic() + longest_seconds, 0
    old = WebhookMessage.objects.filter(created_at__lt=now - KEPT_FOR)
    removed = WebhookMessage.objects.filter(endpoint__state=WebhookEndpoint.State.REMOVED)
    for messages in (old, removed):
        while time.monotonic() < until:
            with transaction.atomic():
                # Whoever notes a try holds the row's lock; the next purge finds it.
                locked = messages.select_for_update(of=("self",), skip_locked=True)
                some = [row.pk for row in locked.only("pk").order_by("pk")[:_PURGED_AT_ONCE]]
                WebhookAttempt.objects.filter(message__in=some).delete()
                WebhookMessage.objects.filter(pk__in=some).delete()
            gone += len(some)
            if len(some) < _PURGED_AT_ONCE:
                break
    # A day later nobody who saw it before has anything for it in hand.
    empty = WebhookEndpoint.objects.filter(state=WebhookEndpoint.State.REMOVED, messages=None)
    empty.filter(state_changed_at__lt=now - _GONE_FOR).delete()
    return gone


def _locked_to_send(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """Now means now: whatever it was left alone for is over."""
    locked = WebhookEndpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
    if locked.state == WebhookEndpoint.State.REMOVED:
        raise Refusal("not_found", "There is no such endpoint.")
    if locked.state != WebhookEndpoint.State.ACTIVE:
        raise Refusal("webhook_disabled", "Switch it on first.")
    if locked.paused_until is not None:
        locked.paused_until = None
        locked.save(update_fields=["paused_until"])
    return locked
