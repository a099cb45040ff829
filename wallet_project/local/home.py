"""
One WALLET_HOME: made, locked for one run at a time, and swept of what a killed run left behind.

The lock is the kernel's (flock), so it dies with its holder and no lock of a killed run can be stale. What a
killed run left running is stopped by its records: pid and start time, never a name.
"""

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import IO, Final

from wallet_project.local import leash

_GRACE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05
SUPERVISOR: Final = "supervisord"


class HomeError(RuntimeError):
    """This home cannot be used; the text is one line for whoever typed the command."""


class Home:
    """A state directory that this process holds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run = directory / "run"
        self.logs = directory / "logs"
        self._lock: IO[str] | None = None

    @property
    def env_file(self) -> Path:
        return self.directory / "env"

    def take(self) -> None:
        """
        Make the directory and hold it until this process ends.

        :raises HomeError: it cannot be written, or another run holds it.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            lock = (self.directory / "lock").open("a+")
        except OSError as error:
            raise HomeError(f"WALLET_HOME {self.directory} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            lock.close()
            raise HomeError(
                f"{self.directory} is already running (pid {holder}); stop it, or choose another WALLET_HOME"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def stop_recorded(self) -> list[str]:
        """
        Stop every process that a run of this home recorded and that still lives; their names.

        The supervisor goes first, for it would start the others again.
        """
        paths = sorted(self.run.glob("*.json"), key=lambda path: (path.stem != SUPERVISOR, path.stem))
        stopped = []
        for path in paths:
            record = leash.read_record(str(path))
            if record is not None and _stop(record):
                stopped.append(path.stem)
        # Every record stays until its whole tree is gone: this very sweep may be cut off.
        for path in paths:
            path.unlink(missing_ok=True)
        return stopped


def is_alive(record: dict[str, str]) -> bool:
    """Whether the very process of this record still runs (a zombie does not)."""
    try:
        if leash.start_time(int(record["pid"])) != record["started"]:
            return False
        stat = Path(f"/proc/{record['pid']}/stat").read_text(encoding="ascii", errors="replace")
    except (OSError, IndexError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def _stop(record: dict[str, str]) -> bool:
    """End one recorded process, gently first, and whatever carries its mark. True if it was there."""
    was_there = is_alive(record)
    pid = int(record["pid"])
    if was_there:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.Signals[record["stop_signal"]])
        deadline = time.monotonic() + _GRACE_SECONDS
        while is_alive(record) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if is_alive(record):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for orphan in leash.marked(record["mark"]):
        was_there = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)
    return was_there
