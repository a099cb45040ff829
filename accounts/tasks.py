"""
Background work for accounts. Tasks carry ids only: a code is made where it is sent, so none is ever in a queue.
"""

from collections.abc import Iterable

import structlog
from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import lost_factors, purging, sending

log = structlog.get_logger("accounts.tasks")


@shared_task(name="accounts.send_message")
def send_message(*, verification_id: int) -> None:
    sending.send_message(verification_id=verification_id, now=timezone.now())


@shared_task(name="accounts.sweep_messages")
def sweep_messages() -> None:
    """Sends what a lost wake-up or a failed provider left behind."""
    for verification_id in sending.unsent(now=timezone.now()):
        sending.send_message(verification_id=verification_id, now=timezone.now())


@shared_task(name="accounts.purge")
def purge() -> None:
    purging.purge(now=timezone.now())


@shared_task(name="accounts.take_lost_factors_away")
def take_lost_factors_away() -> None:
    wake_sender(lost_factors.take_away_due(now=timezone.now()))


def wake_sender(messages: Iterable[int]) -> None:
    """
    After commit: let a worker send these OutgoingMessages at once.

    Where the broker is out of reach they are sent here, in the request: nobody waits for a sweep to sign up.
    """
    for verification_id in messages:
        try:
            send_message.apply_async(kwargs={"verification_id": verification_id}, retry=False)
        except (OperationalError, OSError) as error:
            log.warning("accounts.broker_unreachable", reason=type(error).__name__)
            sending.send_message(verification_id=verification_id, now=timezone.now())
