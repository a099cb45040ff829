"""
Letting a worker know at once what a sweep would find a little later, without making anybody wait for the broker.

A request only puts a word into a queue of its process; a thread of that process speaks to the broker. A broker that is
gone, or frozen, costs the request nothing: the word is dropped and counted, and the sweep finds the work all the same.

What comes in a burst is told to the broker together, for a task of its own for each word costs more than most work.
"""

import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

import structlog

log = structlog.get_logger("payments.waking")

MOST_WAITING: Final = 1000
# How long the first word of a burst waits for others, and how many of them one task is given at most.
GATHERING_SECONDS: Final = 0.05
MOST_TOGETHER: Final = 20


class Task(Protocol):
    """A Celery task, as far as it is needed here."""

    def apply_async(self, *, kwargs: dict[str, Any], retry: bool) -> object: ...


class _Word(NamedTuple):
    """
    :ivar gather: the one argument whose values are collected into a list; empty where each word is a task of its own.
    """

    task: Task
    kwargs: dict[str, Any]
    gather: str


class Waker:
    """One for each process. Its thread begins with the first word, so after the web server has forked."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[_Word] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def wake(self, word: _Word) -> None:
        """Returns at once, always."""
        try:
            self._waiting.put_nowait(word)
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
            words = [self._waiting.get()]
            time.sleep(GATHERING_SECONDS)
            words += self._all_that_wait()
            for words_left, (task, kwargs, count) in _together(words):
                try:
                    task.apply_async(kwargs=kwargs, retry=False)
                except TypeError:
                    # The task takes no such arguments: a bug of ours, which must not hide behind the sweep for long.
                    log.exception("waking.wrong_arguments")
                    self._count(count)
                except Exception as error:
                    # What waits behind one that failed would take as long to fail, and be old news by then.
                    log.warning("waking.broker_unreachable", reason=type(error).__name__)
                    self._count(count + words_left + len(self._all_that_wait()))
                    break
            with self._lock:
                dropped, self._dropped = self._dropped, 0
            if dropped:
                log.warning("waking.dropped", count=dropped)

    def _all_that_wait(self) -> list[_Word]:
        words = []
        for _ in range(MOST_WAITING):
            try:
                words.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return words


def _together(words: list[_Word]) -> Iterator[tuple[int, tuple[Task, dict[str, Any], int]]]:
    """
    What to publish, each with how many words are left after it.

    :returns: task, arguments, and of how many words they are made.
    """
    gathered: dict[tuple[Task, str], list[Any]] = {}
    ready: list[tuple[Task, dict[str, Any], int]] = []
    for word in words:
        if word.gather:
            gathered.setdefault((word.task, word.gather), []).append(word.kwargs[word.gather])
        else:
            ready.append((word.task, word.kwargs, 1))
    for (task, name), values in gathered.items():
        for begin in range(0, len(values), MOST_TOGETHER):
            some = values[begin : begin + MOST_TOGETHER]
            ready.append((task, {name: some}, len(some)))
    left = len(words)
    for each in ready:
        left -= each[2]
        yield left, each


_waker = Waker()


def wake(task: Task, **kwargs: Any) -> None:
    """
    Let a worker run this task soon, if it can be had; else its sweep will. Never waits, never raises.

    :param kwargs: ids only.
    """
    _waker.wake(_Word(task, kwargs, ""))


def wake_together(task: Task, name: str, value: Any) -> None:
    """
    The same for a task that takes a list: whatever comes within `GATHERING_SECONDS` is given to one run of it.

    :param name: the argument that is the list; `value` is one of its members.
    """
    _waker.wake(_Word(task, {name: value}, name))


def _begin_anew() -> None:
    """A fork's child has its parent's queue, and none of its threads."""
    global _waker
    _waker = Waker()


os.register_at_fork(after_in_child=_begin_anew)
