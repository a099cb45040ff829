"""
The gateway's webhooks: stored as they come, answered at once, and then not believed.

An event only says where to look; the gateway is asked for the truth. What is stored and not yet worked on is found
by a sweep, so neither a lost queue nor a killed worker loses an event.
"""

import hashlib
import re
from datetime import datetime, timedelta
from typing import Final

import structlog

from payments.captures import settle_order
from payments.gateways import gateway_named
from payments.models import GatewayOrder, WebhookEvent
from wallet_project.kernel.errors import GatewayError, Refusal

log = structlog.get_logger("payments.webhooks")

MOST_EVENTS_AT_ONCE: Final = 100
_SANE_ID: Final = re.compile(rf"[\x21-\x7e]{{1,{WebhookEvent.LONGEST_ID}}}\Z")
# Longer than a worker may take over one event; then another tries.
_CLAIM: Final = timedelta(seconds=120)
_FIRST_PAUSE: Final = timedelta(seconds=15)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_DOUBLINGS: Final = 8
_LONGEST_NAME: Final = 60


def receive_event(*, gateway: str, body: bytes, signature: str, event_id: str, now: datetime) -> int | None:
    """
    Keep an event that the gateway signed. An event without a usable id is known by its body.

    :returns: the stored event's primary key, or None if it had been stored before.
    :raises Refusal: `signature_invalid`; nothing is kept.
    """
    speaker = gateway_named(gateway)
    if not speaker.is_genuine_webhook(body=body, signature=signature):
        log.warning("webhook.signature_invalid", gateway=gateway)
        raise Refusal("signature_invalid")
    if not _SANE_ID.match(event_id):
        event_id = f"sha256:{hashlib.sha256(body).hexdigest()}"
    name = speaker.read_webhook(body).name[:_LONGEST_NAME]
    event, is_new = WebhookEvent.objects.get_or_create(
        gateway=gateway,
        event_id=event_id,
        defaults={"name": name, "body": body, "received_at": now, "due_at": now},
    )
    log.info("webhook.received", gateway=gateway, name=name, repeated=not is_new)
    return event.pk if is_new else None


def process_event(*, event_id: int, now: datetime) -> None:
    """
    Ask the gateway about the order that an event is about. Does nothing if that was done, or is being done.

    A gateway that does not answer leaves the event for the sweep, later and later.
    """
    event = WebhookEvent.objects.filter(pk=event_id, processed_at=None, due_at__lte=now).first()
    if event is None:
        return
    claimed = WebhookEvent.objects.filter(pk=event.pk, processed_at=None, due_at=event.due_at).update(
        due_at=now + _CLAIM, tries=event.tries + 1
    )
    if not claimed:
        return
    try:
        outcome = _act_on(event, now)
    except (GatewayError, Refusal) as error:
        pause = min(_FIRST_PAUSE * 2 ** min(event.tries, _DOUBLINGS), _LONGEST_PAUSE)
        WebhookEvent.objects.filter(pk=event.pk).update(due_at=now + pause, outcome=type(error).__name__)
        log.warning("webhook.put_off", webhook_event=event.pk, reason=type(error).__name__)
        return
    WebhookEvent.objects.filter(pk=event.pk).update(processed_at=now, outcome=outcome)


def waiting_events(*, now: datetime) -> list[int]:
    """Primary keys of the events that are due, oldest first."""
    due = WebhookEvent.objects.filter(processed_at=None, due_at__lte=now).order_by("due_at", "pk")
    return list(due.values_list("pk", flat=True)[:MOST_EVENTS_AT_ONCE])


def _act_on(event: WebhookEvent, now: datetime) -> str:
    news = gateway_named(event.gateway).read_webhook(bytes(event.body))
    if not news.order_id:
        return "not_about_an_order"
    order = GatewayOrder.objects.filter(gateway=event.gateway, order_id=news.order_id).first()
    if order is None:
        log.error("webhook.unknown_order", webhook_event=event.pk, order=news.order_id)
        return "unknown_order"
    settle_order(order=order, now=now)
    return "asked"
