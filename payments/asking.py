"""
When a gateway is next asked about something whose end is not known: one schedule for orders, payouts and refunds.

What is due stands in the rows themselves (`check_at`, indexed where it is set) and beat sweeps them: a broker that
forgets its queue, or a far ETA that it would run twice, cannot hurt.
"""

import random
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

# A person waits in front of the first few; later ones only catch what went wrong.
_EVEN: Final = 8
_DOUBLINGS: Final = 12
LONGEST_PAUSE: Final = timedelta(hours=6)
_JITTER: Final = 0.1


def next_ask(*, asked: int, now: datetime) -> datetime:
    """
    After `ASK_AFTER_SECONDS` for the first few times, then ever rarer, at least every six hours; with a little jitter,
    so that what began together is not asked about together for ever.

    :param asked: how often it has been asked about already.
    """
    jitter: float = random.uniform(1, 1 + _JITTER)  # noqa: S311  (not a secret)
    return now + _pause_after(asked) * jitter


def last_asked_by(*, asked: int, next_at: datetime) -> datetime:
    """
    When, at the latest, it was asked about last: `next_ask` said `next_at` then. It may have been a little earlier.

    :param asked: how often it had been asked about before that.
    """
    return next_at - _pause_after(asked)


def is_overdue(*, since: datetime, now: datetime) -> bool:
    """Whether it has been open for so long (T+1) that somebody must look at it."""
    return now >= since + timedelta(seconds=settings.STOP_WAITING_SECONDS)


def _pause_after(asked: int) -> timedelta:
    pause: timedelta = timedelta(seconds=settings.ASK_AFTER_SECONDS) * 2 ** min(max(0, asked - _EVEN), _DOUBLINGS)
    return min(pause, LONGEST_PAUSE)
