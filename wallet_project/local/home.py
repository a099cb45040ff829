"""
One WALLET_HOME: made, locked for one run at a time, and swept of what a killed run left behind.

The lock is the kernel's (flock), so it dies with its holder and no lock of a killed run can be stale. What a
killed run left running is stopped by its records: pid and start time, never a name.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

from wallet_project.local import leash


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

    def stop_recorded(self, *, besides: tuple[str, ...] = ()) -> list[str]:
        """Stop what a run of this home recorded and what still lives; their names."""
        return leash.stop_recorded(str(self.run), besides=besides)
