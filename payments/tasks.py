"""Background work for payments. Tasks carry ids only, are safe to run twice, and end in one deed call."""

import time
from typing import Final

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from payments.expiry import sweep_orders
from payments.webhooks import process_event, waiting_events

log = structlog.get_logger("payments.tasks")

# Well within a task's time limit, however slow the gateway is.
LONGEST_SWEEP_SECONDS: Final = 45.0


@shared_task(name="payments.process_webhook_event")
def process_webhook_event(*, event_id: int) -> None:
    process_event(event_id=event_id, now=timezone.now())


@shared_task(name="payments.sweep_webhook_events")
def sweep_webhook_events() -> None:
    """Works on what a lost wake-up or a silent gateway left behind; the next sweep goes on where this one stops."""
    until = time.monotonic() + LONGEST_SWEEP_SECONDS
    for event_id in waiting_events(now=timezone.now()):
        if time.monotonic() > until:
            break
        process_event(event_id=event_id, now=timezone.now())


@shared_task(name="payments.sweep_open_orders")
def sweep_open_orders() -> None:
    sweep_orders(now=timezone.now(), longest_seconds=LONGEST_SWEEP_SECONDS)


def wake_for_event(event_id: int) -> None:
    """
    Let a worker look at this event at once. Where the broker is out of reach the sweep will: the gateway waits for
    our answer, so nothing is done here instead.
    """
    try:
        process_webhook_event.apply_async(kwargs={"event_id": event_id}, retry=False)
    except (OperationalError, OSError) as error:
        log.warning("payments.broker_unreachable", reason=type(error).__name__)
