"""
Background work for accounts. Tasks carry ids only: a code is made where it is sent, so none is ever in a queue.
"""

import time
from collections.abc import Iterable
from typing import Final

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import lost_factors, purging, sending

log = structlog.get_logger("accounts.tasks")

# By which a task stops taking up more. A provider that hangs for its whole time-out then still ends within Celery's.
MOST_SECONDS: Final = 45
MOST_IN_ONE_SWEEP: Final = 1000
# What one task is woken for.
MOST_TOGETHER: Final = 20
# What a request sends itself.
MOST_HERE: Final = 5


@shared_task(name="accounts.send_messages")
def send_messages(*, message_ids: list[int]) -> None:
    """What is left when its time is over a sweep finds."""
    until = time.monotonic() + MOST_SECONDS
    for message in message_ids:
        if time.monotonic() > until:
            break
        sending.send_message(verification_id=message, now=timezone.now())


@shared_task(name="accounts.sweep_messages")
def sweep_messages() -> None:
    """Sends what a lost wake-up or a failed provider left behind; of two sweeps neither waits for the other's."""
    until = time.monotonic() + MOST_SECONDS
    for _ in range(MOST_IN_ONE_SWEEP):
        if time.monotonic() > until or not sending.send_next_due(now=timezone.now()):
            break


@shared_task(name="accounts.purge")
def purge() -> None:
    purging.purge(now=timezone.now())


@shared_task(name="accounts.take_lost_factors_away")
def take_lost_factors_away() -> None:
    wake_sender(lost_factors.take_away_due(now=timezone.now()))


def wake_sender(messages: Iterable[int]) -> None:
    """
    After commit: let a worker send these OutgoingMessages at once, a few by each task.

    Where the broker is out of reach the first are sent here, in the request: nobody waits for a sweep to sign up.
    """
    ids = list(messages)
    for begin in range(0, len(ids), MOST_TOGETHER):
        some = ids[begin : begin + MOST_TOGETHER]
        try:
            send_messages.apply_async(kwargs={"message_ids": some}, retry=False)
        except (OperationalError, OSError) as error:
            log.warning("accounts.broker_unreachable", reason=type(error).__name__)
            for message in some[:MOST_HERE]:
                sending.send_message(verification_id=message, now=timezone.now())
            break
