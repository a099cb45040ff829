"""
Sends a request where somebody who uses the wallet said, so that it reaches the public internet and nothing else.

The connection itself asks for the host's addresses, judges them all and goes to the one it judged; the name stays what
TLS asks for and proves, and what the Host header says. No redirect is followed, no proxy and no `.netrc` of the
environment is read. Everything has a bound: connecting, each wait, the whole, and what is read of the answer.
"""

import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.util.connection import create_connection

from wallet_project.kernel.public_addresses import judge_url, public_address_of

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 8.0
# From connecting to the answer's end. Whoever trickles keeps us no longer.
WHOLE_SECONDS: Final = 12.0
MOST_READ: Final = 4096


class NoAnswer(Exception):
    """
    Nobody answered, as far as HTTP goes.

    :ivar code: a word that stays the same: `not_connected`, `tls_failed`, `timed_out` or `broken_off`.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    :ivar body: its beginning; what is longer is not read.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool


class PublicSession(requests.Session):
    """
    `requests`, for addresses that are not ours to trust; whatever the caller asks, an answer's body is its beginning.

    :param loopback: whether this machine may be named.
    """

    def __init__(self, *, loopback: bool = False) -> None:
        super().__init__()
        self.trust_env = False
        self._loopback = loopback
        self.mount("https://", _PublicAdapter(loopback=loopback))
        self.mount("http://", _PublicAdapter(loopback=loopback))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """
        :raises NotPublic:
        :raises requests.RequestException:
        """
        judge_url(str(request.url), loopback=self._loopback)
        until = time.monotonic() + WHOLE_SECONDS
        options |= {
            "allow_redirects": False,
            "proxies": {},
            "stream": True,
            "timeout": (CONNECT_SECONDS, READ_SECONDS),
        }
        # What is compressed could become a thousand times as long.
        request.headers["Accept-Encoding"] = "identity"
        answer = super().send(request, **options)
        with answer:
            answer._content = _beginning(answer, until)
        return answer

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Nowhere. To find out where the next one would lead, `requests` reads the whole body of this one."""
        return None


def post(url: str, *, body: bytes, headers: dict[str, str], loopback: bool = False) -> Answer:
    """
    One POST, on a connection of its own.

    :raises NotPublic: nothing was sent.
    :raises NoAnswer: it may have arrived all the same.
    """
    try:
        with PublicSession(loopback=loopback) as session:
            session.headers.clear()
            answer = session.post(url, data=body, headers=headers)
    except (requests.ConnectTimeout, requests.ReadTimeout) as error:
        raise NoAnswer("timed_out") from error
    except requests.exceptions.SSLError as error:
        raise NoAnswer("tls_failed") from error
    except requests.ConnectionError as error:
        cause = error.args[0] if error.args else None
        refused = isinstance(getattr(cause, "reason", None), NewConnectionError)
        raise NoAnswer("not_connected" if refused else "broken_off") from error
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise NoAnswer("broken_off") from error
    return Answer(
        status=answer.status_code,
        headers={name.lower(): value for name, value in answer.headers.items()},
        body=answer.content[:MOST_READ],
        is_whole=len(answer.content) <= MOST_READ,
    )


def _beginning(answer: requests.Response, until: float) -> bytes:
    """
    One byte more than is kept, so that it shows when there is more.

    :raises requests.ReadTimeout: it does not come to its end.
    """
    text = bytearray()
    try:
        while len(text) <= MOST_READ and (piece := answer.raw.read1(MOST_READ + 1 - len(text))):
            text += piece
            if time.monotonic() > until:
                break
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError("The answer broke off.") from error
    # Cut off between two headers it looks like one that has ended.
    if time.monotonic() > until:
        raise requests.ReadTimeout("The answer does not come to an end.")
    return bytes(text)


class _Connecting:
    """Mixed into a connection: goes only to an address that was judged, and is cut off when its time is over."""

    loopback = False
    _fuse: threading.Timer | None = None
    _wire: socket.socket | None = None

    def _new_conn(self: Any) -> socket.socket:
        address = public_address_of(self.host, self.port, loopback=self.loopback)
        try:
            connected = create_connection((address, self.port), self.timeout, socket_options=self.socket_options)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "Not connected in time.") from error
        except OSError as error:
            raise NewConnectionError(self, "Not connected.") from error
        # A time-out bounds each wait alone: a handshake or a header that trickles would hold us for ever. The wire's
        # own handle, so that TLS, which another thread reads, is not touched.
        self._wire = socket.socket(fileno=os.dup(connected.fileno()))
        self._fuse = threading.Timer(WHOLE_SECONDS, _cut, (self._wire,))
        self._fuse.daemon = True
        self._fuse.start()
        return connected

    def close(self: Any) -> None:
        if self._fuse is not None:
            self._fuse.cancel()
            self._wire.close()
            self._fuse = self._wire = None
        super().close()  # type: ignore[misc]


def _cut(wire: socket.socket) -> None:
    try:
        wire.shutdown(socket.SHUT_RDWR)
    except OSError:
        """It has ended already."""


class _PublicAdapter(HTTPAdapter):
    def __init__(self, *, loopback: bool) -> None:
        self._loopback = loopback
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *positional: Any, **named: Any) -> None:
        super().init_poolmanager(*positional, **named)
        connecting = {"loopback": self._loopback}
        plain = type("PublicHTTPConnection", (_Connecting, HTTPConnection), connecting)
        tls = type("PublicHTTPSConnection", (_Connecting, HTTPSConnection), connecting)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("PublicHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("PublicHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
        }
