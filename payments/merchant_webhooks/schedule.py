"""When a message that was not taken is sent again, and how long whoever answers nobody is left alone."""

import random
from datetime import datetime, timedelta
from typing import Final

# After the first failure, the second …: ten tries in three days, as the specification proposes.
DELAYS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
MOST_TRIES: Final = len(DELAYS) + 1
# So much longer at most, so that all that failed at once does not come at once again.
JITTER: Final = 0.2
LONGEST_RETRY_AFTER: Final = timedelta(hours=24)
# An endpoint that took nothing for so long is switched off.
FAILING_FOR: Final = timedelta(days=5)
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=5)


def next_try(*, tries: int, now: datetime, retry_after: timedelta | None = None) -> datetime | None:
    """
    :param tries: how often it was sent by now.
    :param retry_after: what the receiver asked for; it is never asked sooner than by the schedule.
    :returns: None where it is given up.
    """
    if tries >= MOST_TRIES:
        return None
    delay = DELAYS[tries - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311  (jitter, not a secret)
    if retry_after is not None:
        delay = max(delay, min(retry_after, LONGEST_RETRY_AFTER))
    return now + delay


def pause(*, silences: int) -> timedelta:
    """
    How long an endpoint is left alone that did not answer, or had no time, so many times in a row: each such try takes
    a worker as long as a hundred others do.
    """
    times: int = 2 ** min(silences - 1, 10)
    return min(_FIRST_PAUSE * times, _LONGEST_PAUSE)
