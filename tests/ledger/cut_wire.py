"""
A wire between the application and PostgreSQL that can be cut at the worst moment: when COMMIT is under way.

A plain TCP forwarder. Whoever sent COMMIT then finds the connection gone and cannot know whether it happened.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

# A simple query of the PostgreSQL protocol: type, length (self included), text, NUL.
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"

Fate = Literal["after the commit", "instead of the commit", "while the commit is on its way"]


class CutWire:
    """
    Forwards to one server. `cut` chooses what befalls the next COMMIT:

    `after the commit`: the server commits, its answer is lost. `instead of the commit`: the server never hears of
    it. `while the commit is on its way`: the client is cut off first, the server hears of it `late_seconds` later.
    """

    late_seconds = 0.4

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._next: list[Fate] = []
        self._closed_until = 0.0
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *fates: Fate, unreachable_seconds: float = 0.0) -> None:
        """What befalls the next COMMITs, and how long nobody gets through after a cut."""
        self._next = list(fates)
        self._unreachable_seconds = unreachable_seconds

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if time.monotonic() < self._closed_until:
                client.close()
                continue
            server = socket.create_connection(self._server)
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if data.endswith(COMMIT) and self._next:
                    self._cut(data, client, server, self._next.pop(0))
                    return
                server.sendall(data)
        _close(client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        _close(client, server)

    def _cut(self, data: bytes, client: socket.socket, server: socket.socket, fate: Fate) -> None:
        self.cuts += 1
        self._closed_until = time.monotonic() + self._unreachable_seconds
        # Gone before the server can answer: nothing of its answer gets back.
        _close(client)
        if fate == "while the commit is on its way":
            time.sleep(self.late_seconds)
        if fate != "instead of the commit":
            with suppress(OSError):
                server.sendall(data)
                # The server sees our end close only after it has read what came before.
                server.shutdown(socket.SHUT_WR)
        else:
            _close(server)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def cut_wire(host: str, port: int) -> Iterator[CutWire]:
    wire = CutWire(host, port)
    try:
        yield wire
    finally:
        wire.close()
