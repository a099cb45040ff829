"""
What one WALLET_HOME remembers between starts: the keys it made and the ports it chose.

One small JSON file, readable by its owner only, written whole or not at all.
"""

import json
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

FILE_NAME: Final = "state.json"
_ATTEMPTS: Final = 50


def write_privately(path: Path, text: str) -> None:
    """Replace `path` with `text` in one step; nobody but its owner can read it (mode 600)."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.replace(draft, path)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do, so that a port whose old connections are only waiting to be forgotten counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(*, besides: Iterable[int] = ()) -> int:
    """A port of 127.0.0.1 that nobody listens on, and none of `besides`."""
    taken = set(besides)
    for _ in range(_ATTEMPTS):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
    raise OSError("no free port was found on 127.0.0.1")


class State:
    """The remembered values of one directory, by name."""

    def __init__(self, directory: Path) -> None:
        """:raises ValueError: the file is there and is not what we wrote."""
        self._path = directory / FILE_NAME
        self._values: dict[str, str] = {}
        if self._path.exists():
            found = json.loads(self._path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"{self._path} does not hold an object")
            self._values = {str(name): str(value) for name, value in found.items()}

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def keep(self, name: str, make: Callable[[], str]) -> str:
        """The value remembered under `name`; made and remembered the first time."""
        if name not in self._values:
            self.remember(name, make())
        return self._values[name]

    def remember(self, name: str, value: str) -> None:
        """Write `value` down under `name`, now."""
        self._values[name] = value
        write_privately(self._path, json.dumps(self._values, indent=1, sort_keys=True))

    def port(self, name: str, *, besides: Iterable[int] = ()) -> int:
        """The port that the server `name` had before if it is still free, otherwise a new one, remembered."""
        key = f"port.{name}"
        others = {int(value) for other, value in self._values.items() if other.startswith("port.") and other != key}
        others |= set(besides)
        remembered = self._values.get(key)
        if remembered and int(remembered) not in others and is_free(int(remembered)):
            return int(remembered)
        chosen = free_port(besides=others)
        self.remember(key, str(chosen))
        return chosen
