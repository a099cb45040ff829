"""
Repeats the log files of a run on the runner's own output, each line with its process's name before it.

Files stand between the processes and the terminal on purpose: a terminal that is held (Ctrl-S) or a reader
that has gone away must never block or end a process that handles money.
"""

import os
import threading
import time
from pathlib import Path
from typing import IO, Final

_POLL_SECONDS: Final = 0.1
_CHUNK: Final = 64 * 1024
_LONGEST_LINE: Final = 64 * 1024
_NAME_WIDTH: Final = 14
STDOUT: Final = 1


class _Follower:
    """One log file, from where it ended when the run began, across rotations."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path
        self._file: IO[bytes] | None = None
        self._inode = -1
        self._rest = b""
        self._skip = path.stat().st_size if path.exists() else 0

    def lines(self) -> list[bytes]:
        """The whole lines written since the last call."""
        found = self._read()
        if self._was_replaced():
            if self._file is not None:
                self._file.close()
            self._file = None
            found += self._read()
        return found

    def _was_replaced(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return False

    def _read(self) -> list[bytes]:
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return []
            self._inode = os.fstat(self._file.fileno()).st_ino
            self._file.seek(self._skip)
            self._skip = 0
        found: list[bytes] = []
        while chunk := self._file.read(_CHUNK):
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            found += whole
            if len(self._rest) > _LONGEST_LINE:
                found.append(self._rest)
                self._rest = b""
        return found


class Output:
    """The runner's standard output: its own lines, and in a thread those of the processes."""

    def __init__(self, logs: Path, names: list[str]) -> None:
        self._followers = [_Follower(logs / f"{name}.log") for name in names]
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="output", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Repeat what is left and stop; a reader that takes nothing is not waited for long."""
        self._is_over.set()
        self._thread.join(1.0)

    def say(self, line: str) -> None:
        """One line of the runner's own."""
        with self._lock:
            _write(line.encode() + b"\n")

    def _follow(self) -> None:
        while True:
            last = self._is_over.is_set()
            for follower in self._followers:
                prefix = f"{follower.name:<{_NAME_WIDTH}}| ".encode()
                lines = follower.lines()
                if lines:
                    with self._lock:
                        _write(b"".join(prefix + line + b"\n" for line in lines))
            if last:
                return
            time.sleep(_POLL_SECONDS)


def _write(text: bytes) -> None:
    # Past Python's own buffer: at exit that one would wait for a reader that may be gone.
    while text:
        try:
            text = text[os.write(STDOUT, text) :]
        except (BrokenPipeError, OSError):
            return
