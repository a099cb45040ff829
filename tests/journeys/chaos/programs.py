"""`kill -9` of what tells people, one program after the other, and a broker that is not there for a while."""

import configparser
import os
import random
import signal
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.running import Process, Run, wait_until_gone
from wallet_project.local import leash
from wallet_project.local.supervision import SERVERS

# Whatever dies younger its supervisor takes for one that does not start at all.
_GROWN_UP_SECONDS: Final = 1.5
_BACK_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05
# A broker always dies after a consumer: what that one then misses is in nobody's memory any more.
TURNS: Final = (
    ("relay",),
    ("worker",),
    ("notifications", "kafka"),
    ("webhooks", "kafka"),
    ("relay",),
    ("worker",),
    ("notifications",),
    ("webhooks",),
)


def victims(*, seed: int, times: int) -> list[str]:
    """Whom to kill, in which order: everybody twice as often as it says."""
    dice, order = random.Random(seed), []
    for _ in range(times):
        for turn in dice.sample(TURNS, k=len(TURNS)):
            order += turn
    return order


class Programs:
    """
    One run's programs, which its supervisor starts again.

    :ivar killed: each process that was killed, with its program's name.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.killed: list[tuple[str, Process]] = []

    def kill(self, name: str) -> None:
        """Once it has been there for a moment."""
        victim = self.wait_for(name)
        os.kill(victim.pid, signal.SIGKILL)
        assert wait_until_gone([victim], seconds=20) == []
        self.killed.append((name, victim))

    def wait_for(self, name: str) -> Process:
        """The program's process as soon as it is old enough to die."""
        deadline = time.monotonic() + _BACK_SECONDS
        while True:
            record = leash.read_record(str(self._run.home / "run" / f"{name}.json"))
            if record is not None and leash.is_alive(record) and _age_of(record) > _GROWN_UP_SECONDS:
                return Process(pid=int(record["pid"]), started=record["started"], command=name)
            assert time.monotonic() < deadline, f"{name} was not started again"
            time.sleep(_LOOK_SECONDS)

    @contextmanager
    def without_broker(self) -> Iterator[None]:
        """Its supervisor holds it down for as long as the block lasts."""
        # Asked to end, a broker waits for its clients; and whoever waits for the supervisor keeps it turning meanwhile.
        broker = self.wait_for("kafka")
        self._supervisor.stopProcess(f"{SERVERS}:kafka", False)
        os.kill(broker.pid, signal.SIGKILL)
        try:
            yield
        finally:
            self._supervisor.startProcess(f"{SERVERS}:kafka", False)

    @property
    def _supervisor(self) -> Any:
        configuration = configparser.RawConfigParser()
        configuration.read(self._run.home / "run" / "supervisord.conf")
        door = configuration["inet_http_server"]
        address = f"http://{door['username']}:{door['password']}@{door['port']}/RPC2"
        return xmlrpc.client.ServerProxy(address).supervisor


def _age_of(record: dict[str, str]) -> float:
    up = float(Path("/proc/uptime").read_text().split()[0])
    return up - int(record["started"]) / os.sysconf("SC_CLK_TCK")
