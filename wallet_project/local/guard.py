"""The guard that stops everything when the runner is killed; what it does is in `leash.py`, `stand_guard`."""

import subprocess
import sys
from typing import Final

from wallet_project.local import leash
from wallet_project.local.home import Home
from wallet_project.local.servers import LEASH

_FAREWELL_SECONDS: Final = 5.0


class Guard:
    """The guard, as the runner sees it: a child that notices the runner's end by a pipe that the kernel closes."""

    def __init__(self, home: Home) -> None:
        """Start it and wait until it is on its post."""
        # A session of its own: Ctrl-C in a terminal is not meant for it.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(LEASH), "--guard", str(home.run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if self._process.stdout is not None:
            self._process.stdout.read(len(leash.ON_POST))

    def dismiss(self) -> None:
        """Everything is stopped in order; the guard may go."""
        try:
            self._process.communicate(leash.FAREWELL, timeout=_FAREWELL_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
