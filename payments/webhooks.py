"""
The gateway's webhooks: stored as they come (sealed), answered at once, and then not believed.

An event only says where to look; the gateway is asked for the truth. What is stored and not yet worked on is found
by a sweep, so neither a lost queue nor a killed worker loses an event.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import connections, router
from django.utils import timezone

from payments.captures import settle_order
from payments.cases import open_case
from payments.disputes import follow_dispute
from payments.event_bodies import body_of, sealed_body
from payments.gateways import UnknownGateway, gateway_named
from payments.gateways.base import News
from payments.models import Case, GatewayOrder, WebhookEvent
from payments.payouts import follow_payout
from payments.refunds import follow_refund
from payments.settlements import collect_settlements
from wallet_project.kernel.errors import GatewayError, Refusal

log = structlog.get_logger("payments.webhooks")

MOST_EVENTS_AT_ONCE: Final = 100
# With the pauses below that is three days.
MOST_TRIES: Final = 80
_SANE_ID: Final = re.compile(rf"[\x21-\x7e]{{1,{WebhookEvent.LONGEST_ID}}}\Z")
# Longer than a worker may take over one event; then another tries.
_CLAIM: Final = timedelta(seconds=120)
_FIRST_PAUSE: Final = timedelta(seconds=15)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_DOUBLINGS: Final = 8
_LONGEST_NAME: Final = 60
_LONGEST_OUTCOME: Final = 40


# One statement, committed by itself: the gateway waits for our answer, and what it sends twice waits for itself.
_KEEP: Final = """
INSERT INTO payments_webhookevent (gateway, event_id, name, body, received_at, due_at, tries, outcome)
VALUES (%(gateway)s, %(event_id)s, %(name)s, %(body)s, %(now)s, %(now)s, 0, '')
ON CONFLICT (gateway, event_id) DO NOTHING
RETURNING id
"""


def receive_event(*, gateway: str, body: bytes, headers: Mapping[str, str], now: datetime) -> int | None:
    """
    Keep an event that the gateway signed. An event without a usable id is known by its body. Asks nobody.

    :returns: the stored event's primary key, or None if it had been stored before.
    :raises Refusal: `not_found` (no such gateway); `signature_invalid`: nothing is kept, and somebody is told.
    """
    try:
        speaker = gateway_named(gateway)
    except UnknownGateway as error:
        raise Refusal("not_found", "There is no such gateway.") from error
    if not speaker.is_genuine_webhook(body=body, headers=headers):
        _tell_of_forgery(gateway, now)
        raise Refusal("signature_invalid")
    event_id = speaker.webhook_id(body=body, headers=headers)
    if not _SANE_ID.match(event_id):
        event_id = f"sha256:{hashlib.sha256(body).hexdigest()}"
    name = speaker.read_webhook(body).name[:_LONGEST_NAME]
    event = _keep(gateway=gateway, event_id=event_id, name=name, body=body, now=now)
    log.info("webhook.received", gateway=gateway, name=name, repeated=event is None)
    return event


def process_event(*, event_id: int, now: datetime) -> None:
    """
    Ask the gateway about what an event is about. Does nothing if that was done, or is being done.

    A gateway that does not answer leaves the event for the sweep, later and later; and so does whatever goes wrong
    here, so that one event never stands in the way of others. After `MOST_TRIES` it is a case, and not tried again
    unless somebody asks for it.
    """
    event = WebhookEvent.objects.filter(pk=event_id, processed_at=None, due_at__lte=now).first()
    if event is None:
        return
    # A try counts when it begins, and the next one is as far away as if it had failed: an event whose worker does not
    # live to put it off comes rarely too, and not for ever.
    claimed = WebhookEvent.objects.filter(pk=event.pk, processed_at=None, due_at=event.due_at).update(
        due_at=now + max(_CLAIM, _pause_after(event.tries)), tries=min(event.tries + 1, MOST_TRIES)
    )
    if not claimed:
        return
    if event.tries >= MOST_TRIES:
        _give_up(event, "its worker ended each time", now)
        return
    try:
        outcome = _act_on(event, now)
    except (GatewayError, Refusal) as error:
        _put_off(event, type(error).__name__, now)
    except Exception as error:
        log.exception("webhook.failed", webhook_event=event.pk)
        _put_off(event, type(error).__name__, now)
    else:
        WebhookEvent.objects.filter(pk=event.pk).update(processed_at=now, outcome=outcome)


def waiting_events(*, now: datetime) -> list[int]:
    """Primary keys of the events that are due, oldest first."""
    due = WebhookEvent.objects.filter(processed_at=None, due_at__lte=now).order_by("due_at", "pk")
    return list(due.values_list("pk", flat=True)[:MOST_EVENTS_AT_ONCE])


def _keep(*, gateway: str, event_id: str, name: str, body: bytes, now: datetime) -> int | None:
    """
    :returns: None if it had been kept before.
    """
    values: dict[str, Any] = {"gateway": gateway, "event_id": event_id, "name": name, "now": now}
    values["body"] = sealed_body(body)
    with connections[router.db_for_write(WebhookEvent)].cursor() as cursor:
        cursor.execute(_KEEP, values)
        kept = cursor.fetchone()
    return kept[0] if kept else None


def _act_on(event: WebhookEvent, now: datetime) -> str:
    """
    :returns: the event's outcome.
    """
    news = gateway_named(event.gateway).read_webhook(body_of(event=event))
    if not news.about:
        return "not_about_ours"
    return _FOLLOWERS[news.about](event, news, now)


def _follow_order(event: WebhookEvent, news: News, now: datetime) -> str:
    order = GatewayOrder.objects.filter(gateway=event.gateway, order_id=news.order_id).first()
    if order is None:
        log.error("webhook.unknown_order", webhook_event=event.pk, order=news.order_id)
        return "unknown_order"
    settle_order(order=order, now=now)
    return "asked"


def _follow_payout(event: WebhookEvent, news: News, now: datetime) -> str:
    follow_payout(gateway=event.gateway, payout_id=news.payout_id, reference=news.reference, now=now)
    return "asked"


def _follow_refund(event: WebhookEvent, news: News, now: datetime) -> str:
    follow_refund(gateway=event.gateway, refund_id=news.refund_id, payment_id=news.payment_id, now=now)
    return "asked"


def _follow_dispute(event: WebhookEvent, news: News, now: datetime) -> str:
    follow_dispute(gateway=event.gateway, dispute_id=news.dispute_id, now=now)
    return "asked"


def _follow_settlement(event: WebhookEvent, news: News, now: datetime) -> str:
    if news.on is None:
        return "not_about_ours"
    collect_settlements(gateway=event.gateway, date=news.on, now=now)
    return "asked"


_FOLLOWERS: Final[Mapping[str, Callable[[WebhookEvent, News, datetime], str]]] = {
    "order": _follow_order,
    "refund": _follow_refund,
    "payout": _follow_payout,
    "dispute": _follow_dispute,
    "settlement": _follow_settlement,
}


def _put_off(event: WebhookEvent, why: str, now: datetime) -> None:
    if event.tries + 1 >= MOST_TRIES:
        _give_up(event, why, now)
        return
    due_at = now + _pause_after(event.tries)
    WebhookEvent.objects.filter(pk=event.pk).update(due_at=due_at, outcome=why[:_LONGEST_OUTCOME])
    log.warning("webhook.put_off", webhook_event=event.pk, reason=why)


def _give_up(event: WebhookEvent, why: str, now: datetime) -> None:
    open_case(
        kind=Case.Kind.UNKNOWN_OUTCOME,
        gateway=event.gateway,
        subject=event.event_id,
        reason=f"The webhook {event.name} could not be followed in {MOST_TRIES} tries ({why}).",
        suggestion="Ask the gateway about what it names.",
        now=now,
    )
    WebhookEvent.objects.filter(pk=event.pk).update(processed_at=now, outcome="given_up")
    log.error("webhook.given_up", webhook_event=event.pk, reason=why)


def _pause_after(tries: int) -> timedelta:
    pause: timedelta = min(_FIRST_PAUSE * 2 ** min(tries, _DOUBLINGS), _LONGEST_PAUSE)
    return pause


def _tell_of_forgery(gateway: str, now: datetime) -> None:
    """One open case for each gateway and day, which counts, however many a stranger sends."""
    log.error("webhook.forged", gateway=gateway)
    open_case(
        kind=Case.Kind.FORGERY,
        gateway=gateway,
        subject=f"webhooks of {timezone.localdate(now)}",
        reason="Somebody sent webhooks that the gateway did not sign; none was kept.",
        suggestion="Find out who sends them; if the gateway does, its webhook secret is not the one set here.",
        now=now,
    )
