"""
What a server can do to a caller besides answering: hang up, or keep it waiting.

Werkzeug puts the caller's socket into the WSGI environment, and takes a ConnectionError for a caller that
went away by itself: it says nothing more and closes.
"""

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Any, NoReturn

# So many callers can be kept waiting at once; one more is hung up on, so that threads stay bounded.
HELD_MOST = 64
_BODY_READ = 64 * 1024
_DROPPED = "payments.sandbox.reply_dropped"

_places = threading.BoundedSemaphore(HELD_MOST)


class HungUp(ConnectionAbortedError):
    """The connection is closed, and not a byte of an answer was sent."""


def let_doors_drop_reply(environ: dict[str, Any]) -> None:
    """Before the doors: they see a copy of `environ`, so what they say is kept in an object of both."""
    environ[_DROPPED] = threading.Event()


def drop_reply(environ: dict[str, Any]) -> None:
    """For a door: what is answered to this request shall never arrive, though what it did stands."""
    environ[_DROPPED].set()


def is_dropped(environ: dict[str, Any]) -> bool:
    """Whether a door asked for that."""
    return bool(environ[_DROPPED].is_set())


def hang_up(environ: dict[str, Any]) -> NoReturn:
    """
    Close the caller's connection without a byte.

    :raises HungUp: always.
    """
    with suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise HungUp


def hold(environ: dict[str, Any], *, seconds: float) -> None:
    """
    Keep the caller waiting until the time is over, or until it has gone.

    :raises HungUp: too many are kept waiting already.
    """
    if not _places.acquire(blocking=False):
        hang_up(environ)
    try:
        _wait(environ["werkzeug.socket"], until=time.monotonic() + seconds)
    finally:
        _places.release()


def swallow_body(environ: dict[str, Any]) -> None:
    """Read what the caller has sent, as much as any door would: unread, it would look like more to come."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit():
        environ["wsgi.input"].read(min(int(length), _BODY_READ))


def _wait(connection: socket.socket, *, until: float) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(timeout=left):
                return
            try:
                gone = connection.recv(1, socket.MSG_PEEK) == b""
            except OSError:
                return
            if gone:
                return
            # It goes on talking, though nobody listens: no reason to look at it all the time.
            time.sleep(min(left, 0.2))
