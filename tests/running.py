"""Runs the whole wallet for tests, as a person would: the local runner in a home and on ports of its own."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg

from wallet_project.local import leash
from wallet_project.local.state import free_port, is_free

CHECKOUT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 120.0
_LEASHED: Final = (sys.executable, "-I", "-S", leash.__file__, "--")
_POLL_SECONDS: Final = 0.05
# A hundredth of what is else spent on each password: hundreds of people register and sign in.
CHEAP: Final = {"WALLET_PASSWORD_HASH_KIB": "1024"}


def free_pair() -> int:
    """A port that is free together with the next one, below the range from which the system hands out its own."""
    for candidate in range(20000 + os.getpid() % 5000 * 2, 32000, 2):
        if is_free(candidate) and is_free(candidate + 1):
            return candidate
    return free_port()


def clean_environment(**variables: str) -> dict[str, str]:
    """What a new terminal holds, and nothing of what the tests have set."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **variables}


@dataclass(slots=True)
class Run:
    """One run of the wallet; `start` returns when it has said that it is ready."""

    home: Path
    port: int
    demo: bool = True
    # What else the terminal holds that starts it.
    variables: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    @property
    def env(self) -> dict[str, str]:
        """What `$WALLET_HOME/env` says now: every URL and key of this run."""
        return leash.read_environment(str(self.home / "env"))

    @property
    def command_environment(self) -> dict[str, str]:
        """The environment for `manage.py` commands that join this run."""
        return clean_environment(**self.env)

    @property
    def _output(self) -> Path:
        return self.home.with_name(f"{self.home.name}.out")

    @property
    def output(self) -> str:
        """All that the runner has written since it was last launched."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def launch(self) -> None:
        """Start the runner without waiting."""
        own = {"WALLET_HOME": str(self.home), "PORT": str(self.port), "WALLET_DEMO": "1" if self.demo else "0"}
        environment = clean_environment(**{**CHEAP, **self.variables, **own})
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(
                # As `make run` does it: on a leash, so that a killed test run takes the whole system along.
                [*_LEASHED, sys.executable, "-m", "wallet_project.local", "run"],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def start(self) -> float:
        """Start and wait for the ready line; the seconds it took."""
        began = time.monotonic()
        self.launch()
        assert self.process is not None
        line = f"wallet ready at {self.base_url}"
        while line not in self.output.splitlines():
            taken = time.monotonic() - began
            if self.process.poll() is not None or taken > START_SECONDS:
                self.stop()
                raise AssertionError(f"no ready line after {taken:.1f} s; the runner said:\n{self.output[-6000:]}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic() - began

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Interrupt the runner and wait until it has ended; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement in this run's database as its superuser."""
        with psycopg.connect(self.env["DATABASE_SUPERUSER_URL"], autocommit=True) as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def processes(self) -> "list[Process]":
        """The runner and all that descend from it, now."""
        assert self.process is not None
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                except OSError:
                    continue
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
        tree, found = [self.process.pid], []
        while tree:
            pid = tree.pop()
            tree += parents.get(pid, [])
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
                found.append(Process(pid=pid, started=leash.start_time(pid), command=command))
            except (OSError, IndexError):
                continue
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, known by pid and start time together."""

    pid: int
    started: str
    command: str

    @property
    def is_alive(self) -> bool:
        return leash.is_alive({"pid": str(self.pid), "started": self.started})


def wait_until_gone(processes: list[Process], *, seconds: float) -> list[Process]:
    """Those of them that still live when the time is over; empty as soon as none does."""
    deadline = time.monotonic() + seconds
    while True:
        left = [process for process in processes if process.is_alive]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(_POLL_SECONDS)
