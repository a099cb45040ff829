"""`kill -9` of a Celery worker, its parent or one of its children, in the middle of its work."""

import os
import random
import signal
import time
from typing import Final, Literal

import redis

from tests.running import Process, Run, wait_until_gone
from wallet_project.local import leash

_CHILDREN: Final = 2
_WHOLE_SECONDS: Final = 90.0
_BUSY_SECONDS: Final = 60.0
_JUST_NOW_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.02
# To find the worker means to look through every process of the machine.
_LOOK_SECONDS: Final = 0.1
# Kombu's: what was handed to a worker and is not acknowledged, by when it was handed out.
_HANDED_OUT: Final = "unacked_index"


class Workers:
    """
    The worker of one run, which its supervisor starts again whenever it is gone.

    :ivar killed: every process that was killed, with whether it was a parent or a child.
    """

    def __init__(self, run: Run, *, seed: int) -> None:
        self._run = run
        self._dice = random.Random(seed)
        self._queue = redis.Redis.from_url(run.env["REDIS_URL"])
        self.killed: list[tuple[str, Process]] = []

    def kill(self, whom: Literal["parent", "child"]) -> None:
        """Only a whole worker that has tasks in hand, so that each kill is one more cut through its work."""
        parent, children = self.wait_until_whole()
        self._wait_until_busy()
        victim = parent if whom == "parent" else self._dice.choice(children)
        os.kill(victim.pid, signal.SIGKILL)
        assert wait_until_gone([victim], seconds=20) == []
        self.killed.append((whom, victim))

    def wait_until_whole(self) -> tuple[Process, list[Process]]:
        """The worker's parent and its children, once all of them live."""
        deadline = time.monotonic() + _WHOLE_SECONDS
        while True:
            record = leash.read_record(str(self._run.home / "run" / "worker.json"))
            mine = [process for process in self._run.processes() if " worker " in process.command]
            parents = [it for it in mine if record and str(it.pid) == record["pid"] and it.started == record["started"]]
            # Its resource tracker has another command.
            children = [it for it in mine if parents and it not in parents and it.command == parents[0].command]
            if parents and len(children) == _CHILDREN and all(it.is_alive for it in mine):
                return parents[0], children
            assert time.monotonic() < deadline, "the worker was not started again"
            time.sleep(_LOOK_SECONDS)

    def _wait_until_busy(self) -> None:
        """A task that was handed out this moment, and is not done."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while not self._queue.zcount(_HANDED_OUT, time.time() - _JUST_NOW_SECONDS, "+inf"):
            assert time.monotonic() < deadline, "the worker has nothing to do"
            time.sleep(_POLL_SECONDS)
