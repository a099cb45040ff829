"""
Letting a worker know at once what a sweep would find a little later, without making anybody wait for the broker.

A request only puts a word into a queue of its process; a thread of that process speaks to the broker. A broker that is
gone, or frozen, costs the request nothing: the word is dropped and counted, and the sweep finds the work all the same.
"""

import os
import queue
import threading
from typing import Any, Final, Protocol

import structlog

log = structlog.get_logger("payments.waking")

MOST_WAITING: Final = 1000


class Task(Protocol):
    """A Celery task, as far as it is needed here."""

    def apply_async(self, *, kwargs: dict[str, Any], retry: bool) -> object: ...


class Waker:
    """One for each process. Its thread begins with the first word, so after the web server has forked."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[Task, dict[str, Any]]] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def wake(self, task: Task, kwargs: dict[str, Any]) -> None:
        """Returns at once, always."""
        try:
            self._waiting.put_nowait((task, kwargs))
        except queue.Full:
            # Told by the thread, once it speaks again: a line for each would be a flood.
            self._count(1)
        if self._thread is None:
            self._begin()

    def _count(self, dropped: int) -> None:
        with self._lock:
            self._dropped += dropped

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._publish, name="waker", daemon=True)
                self._thread.start()

    def _publish(self) -> None:
        while True:
            task, kwargs = self._waiting.get()
            try:
                task.apply_async(kwargs=kwargs, retry=False)
            except Exception as error:
                self._drop_all(error)
            with self._lock:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                log.warning("waking.dropped", count=dropped)

    def _drop_all(self, error: Exception) -> None:
        """What waits behind one that failed would take as long to fail, and be old news by then."""
        log.warning("waking.broker_unreachable", reason=type(error).__name__)
        dropped = 1
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
            dropped += 1
        self._count(dropped)


_waker = Waker()


def wake(task: Task, **kwargs: Any) -> None:
    """
    Let a worker run this task soon, if it can be had; else its sweep will. Never waits, never raises.

    :param kwargs: ids only.
    """
    _waker.wake(task, kwargs)


def _begin_anew() -> None:
    """A fork's child has its parent's queue, and none of its threads."""
    global _waker
    _waker = Waker()


os.register_at_fork(after_in_child=_begin_anew)
