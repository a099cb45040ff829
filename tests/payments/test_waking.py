"""A worker is woken without anybody waiting for the broker, not even for one that is frozen."""

import ast
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from accounts import tasks as accounts_tasks
from payments import tasks
from payments.models import WebhookEvent
from payments.waking import MOST_TOGETHER, MOST_WAITING, Waker, _Word
from tests.house.sources import CHECKOUT
from wallet_project.local.servers import Valkey, running
from wallet_project.local.state import State

# Whoever waits for a frozen broker waits three seconds at least.
AT_ONCE_SECONDS: Final = 1.5

WEBHOOKS: Final = """
import hashlib, hmac, os, signal, sys, time
import django
django.setup()
from django.test import Client

def deliver(name):
    body = b'{"event": "settlement.processed", "payload": {}}'
    signature = hmac.new(b"webhook_secret", body, hashlib.sha256).hexdigest()
    headers = {"X-Razorpay-Signature": signature, "x-razorpay-event-id": name}
    began = time.monotonic()
    answer = Client().post("/api/v1/webhooks/razorpay", data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    return time.monotonic() - began

deliver("thawed")
os.kill(int(sys.argv[1]), signal.SIGSTOP)
print(max(deliver(f"frozen {number}".replace(" ", "-")) for number in range(10)))
"""

FORKING: Final = """
import os, sys
from payments.waking import wake

class Task:
    def apply_async(self, *, kwargs, retry):
        os.write(kwargs["into"], b"published ")

out, into = os.pipe()
wake(Task(), into=into)
os.read(out, 10)
child = os.fork()
if child == 0:
    wake(Task(), into=into)
    os.read(out, 10)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def output_of(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("database")
def test_with_a_frozen_broker_webhooks_are_stored_and_answered_at_once(tmp_path: Path) -> None:
    with running(Valkey(tmp_path, State(tmp_path))) as valkey:
        pid = json.loads(valkey.record.read_text())["pid"]
        try:
            slowest = float(output_of(WEBHOOKS, str(pid), REDIS_URL=valkey.url()))
        finally:
            os.kill(pid, signal.SIGCONT)
    assert slowest < AT_ONCE_SECONDS
    assert WebhookEvent.objects.filter(event_id__startswith="frozen").count() == 10


def test_a_fork_of_a_process_that_has_woken_somebody_wakes_by_itself() -> None:
    assert output_of(FORKING) == "7\n"


class Sleeper:
    """A task whose broker does not answer until it is told to, and then fails."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.done = threading.Event()
        self.published: list[Mapping[str, Any]] = []

    def apply_async(self, *, kwargs: Mapping[str, Any], retry: bool) -> None:
        assert not retry
        self.asked.release()
        assert self.go_on.wait(30)
        if kwargs.get("number") == 0:
            raise ConnectionError
        self.published.append(kwargs)
        self.done.set()


def test_what_finds_no_room_is_dropped_and_counted_and_so_is_all_that_waits_behind_a_failure() -> None:
    waker, sleeper = Waker(), Sleeper()
    with capture_logs() as lines:
        waker.wake(_Word(sleeper, {"number": 0}, ""))
        assert sleeper.asked.acquire(timeout=10)
        for number in range(1, MOST_WAITING + 6):
            waker.wake(_Word(sleeper, {"number": number}, ""))
        sleeper.go_on.set()
        # The thread is through with its failure once it publishes what came after it.
        for _ in range(100):
            waker.wake(_Word(sleeper, {"number": -1}, ""))
            if sleeper.done.wait(0.1):
                break
    assert sleeper.published[0] == {"number": -1}
    told = [line for line in lines if line["event"] in ("waking.broker_unreachable", "waking.dropped")]
    assert [line["event"] for line in told] == ["waking.broker_unreachable", "waking.dropped"]
    assert told[0]["reason"] == "ConnectionError"
    # The one that failed, those that waited, and the five without room.
    assert told[1]["count"] >= MOST_WAITING + 6


def test_a_burst_is_told_to_few_tasks_and_every_word_of_it_to_one() -> None:
    waker, sleeper = Waker(), Sleeper()
    waker.wake(_Word(sleeper, {"number": 1}, ""))
    assert sleeper.asked.acquire(timeout=10)
    for number in range(50):
        waker.wake(_Word(sleeper, {"numbers": number}, "numbers"))
    waker.wake(_Word(sleeper, {"number": 2}, ""))
    sleeper.go_on.set()
    for _ in range(4):
        assert sleeper.asked.acquire(timeout=10)
    # The last is noted after it was asked for; what comes behind it is noted later still.
    waker.wake(_Word(sleeper, {"number": 3}, ""))
    assert sleeper.asked.acquire(timeout=10)
    lists = [kwargs["numbers"] for kwargs in sleeper.published if "numbers" in kwargs]
    assert [len(numbers) for numbers in lists] == [MOST_TOGETHER, MOST_TOGETHER, 50 - 2 * MOST_TOGETHER]
    assert sorted(number for numbers in lists for number in numbers) == list(range(50))
    assert [kwargs["number"] for kwargs in sleeper.published if "number" in kwargs][:2] == [1, 2]


def test_every_door_wakes_a_task_by_arguments_that_it_takes() -> None:
    """The sweeps would hide a wrong name: everything would still happen, only later."""
    wakings = 0
    for path in (CHECKOUT / "payments").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(call, "func", None), "id", "")
            if not isinstance(call, ast.Call) or name not in ("wake", "wake_together"):
                continue
            named = ast.unparse(call.args[0]).rsplit(".", 1)[-1]
            (task,) = [getattr(room, named) for room in (tasks, accounts_tasks) if hasattr(room, named)]
            given = {keyword.arg for keyword in call.keywords} or {ast.literal_eval(call.args[1])}
            assert given == set(inspect.signature(task.run).parameters), f"{path.name}: {ast.unparse(call)}"
            wakings += 1
    assert wakings >= 5
