"""When a message that was not sent is tried again, and when it is given up."""

from datetime import datetime, timedelta
from typing import Final

from accounts.models import OutgoingMessage

# A sender that was woken needs this long at most; then the sweep takes the message up, later each time.
FIRST_WAIT: Final = timedelta(seconds=15)
LONGEST_WAIT: Final = timedelta(hours=2)
# A code is wanted now or not at all: whoever still waits has long asked for another.
MOST_ATTEMPTS: Final = 5
GIVEN_UP_AFTER: Final = timedelta(hours=1)
# What happened stays true: a provider may be away for a night, and these take a day.
MOST_ATTEMPTS_OF_A_NOTICE: Final = 20


def wait_after(attempts: int) -> timedelta:
    """Between the attempt of that number and the next: 15 s for a wake-up that was lost, then 30, 60, 120 …"""
    return min(FIRST_WAIT * (1 << min(attempts, 10)), LONGEST_WAIT)


def is_over(*, message: OutgoingMessage, now: datetime) -> bool:
    """Whether it was tried as often, or for as long, as makes sense."""
    if message.purpose == OutgoingMessage.Purpose.NOTICE:
        return message.attempts >= MOST_ATTEMPTS_OF_A_NOTICE
    return message.attempts >= MOST_ATTEMPTS or message.requested_at <= now - GIVEN_UP_AFTER
