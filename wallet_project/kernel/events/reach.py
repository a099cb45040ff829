"""Something that may be out of reach for a while: waited for ever more patiently, and said once, not at every try."""

import time
from typing import Final

import structlog

log = structlog.get_logger("kernel.reach")

SHORTEST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 5.0


class Reach:
    """
    Whether one of the servers that a process needs can be reached.

    :ivar next_try: when to try again, by the monotonic clock.
    """

    def __init__(self, part: str) -> None:
        self._part = part
        self._is_lost = False
        self._pause = SHORTEST_PAUSE_SECONDS
        self.next_try = 0.0

    def is_lost(self, reason: str) -> None:
        """It was not there, so it is left alone for a while."""
        if self._is_lost:
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            self._pause = SHORTEST_PAUSE_SECONDS
            log.warning("events.wait", part=self._part, reason=reason)
        self._is_lost = True
        self.next_try = time.monotonic() + self._pause

    def is_back(self) -> None:
        if self._is_lost:
            log.info("events.go_on", part=self._part)
        self._is_lost = False
