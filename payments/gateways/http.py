"""
What every gateway needs that speaks HTTP: time-outs, errors that say what happened, and asking again where that
cannot do a thing twice.

An answer is one of three: a document, a no (`GatewayRefused`), or nothing that says anything (`GatewayUnavailable`,
which tells whether the question may have taken effect all the same).
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import requests
import structlog
from django.core.exceptions import ImproperlyConfigured
from urllib3.exceptions import HTTPError, NewConnectionError

from payments.gateways.base import GatewayRefused, GatewayUnavailable
from wallet_project.kernel.errors import GatewayError
from wallet_project.kernel.outgoing import is_sound

log = structlog.get_logger("payments.gateways")

_MOST_TRIES: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.2
# After that long no further try begins: somebody may be waiting for us.
_LONGEST_ASKING_SECONDS: Final = 5.0
# A time-out only bounds each piece of an answer; these bound the whole of it.
LARGEST_ANSWER: Final = 8 * 1024 * 1024
_LONGEST_ANSWER_SECONDS: Final = 30.0
_PIECE: Final = 64 * 1024

_OK: Final = (200, 201)
_WRONG_CREDENTIALS: Final = 401
_IN_FLIGHT: Final = (408, 409, 425)
_TURNED_AWAY: Final = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a gateway's error document says; empty words where it does not."""

    code: str = ""
    reason: str = ""
    description: str = ""


class HttpClient:
    """
    One serves a whole process; each thread has its own connections.

    :param credentials: name and secret of HTTP's basic authentication.
    :param read_error: reads the object under `error` of what is not a success.
    :raises ImproperlyConfigured: `api_url` is neither https nor this machine.
    """

    def __init__(
        self,
        *,
        gateway: str,
        api_url: str,
        credentials: tuple[str, str],
        connect_seconds: float,
        read_seconds: float,
        read_error: Callable[[Mapping[str, Any]], Told],
    ) -> None:
        if not is_sound(api_url):
            raise ImproperlyConfigured(f"The address of {gateway}'s API must be https:// (http:// only here).")
        self._gateway = gateway
        self._api_url = api_url
        self._credentials = credentials
        self._timeout = (connect_seconds, read_seconds)
        self._read_error = read_error
        self._own = threading.local()

    def get(self, path: str, *, query: Mapping[str, str | int] | None = None) -> dict[str, Any]:
        """
        :raises GatewayError:
        """
        return self._ask("GET", path, repeatable=True, params=query)

    def post(
        self,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        """
        :param body: sent as JSON; or `form`, as a form.
        :param repeatable: it carries an idempotency key, or the gateway answers an equal one with what it has.
        :raises GatewayError:
        """
        return self._ask("POST", path, repeatable=repeatable, json=body, data=form, headers=headers)

    def _ask(self, method: str, path: str, *, repeatable: bool, **content: Any) -> dict[str, Any]:
        """
        One question, asked again after a pause where asking twice changes nothing: whatever is repeatable; the rest
        only if the first certainly did not arrive (no connection), or was turned away (429).
        """
        began = time.monotonic()
        for left in reversed(range(_MOST_TRIES)):
            try:
                return self._ask_once(method, path, content)
            except GatewayUnavailable as error:
                late = time.monotonic() - began > _LONGEST_ASKING_SECONDS
                hopeless = error.http_status == _WRONG_CREDENTIALS
                if not left or late or hopeless or (error.may_have_happened and not repeatable):
                    raise
                log.info("gateway.asking_again", gateway=self._gateway, method=method, http_status=error.http_status)
            pause = _FIRST_PAUSE_SECONDS * 2 ** (_MOST_TRIES - 1 - left)
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311  (jitter, not a secret)
        raise AssertionError("unreachable")

    def _ask_once(self, method: str, path: str, content: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._session().request(
                method,
                self._api_url + path,
                auth=self._credentials,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
                **content,
            )
            with answer:
                text = _whole_of(answer)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise GatewayUnavailable(
                f"No answer from the gateway ({type(error).__name__}).", may_have_happened=not _was_never_sent(error)
            ) from error
        return self._read(answer.status_code, text)

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        """
        The document of a success; the error of anything else, which may be a proxy's HTML page.

        :raises GatewayError:
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if status in _OK and isinstance(document, dict):
            return document
        error = document.get("error") if isinstance(document, dict) else None
        told = self._read_error(error) if isinstance(error, dict) else Told()
        # Wrong credentials are our own mistake and say nothing about the question: it waits until they are mended.
        asked_later = status in (*_IN_FLIGHT, _TURNED_AWAY, _WRONG_CREDENTIALS)
        kind: type[GatewayError] = GatewayRefused if 400 <= status < 500 and not asked_later else GatewayUnavailable
        raise kind(
            f"The gateway answered {status}: {told.description or 'the answer cannot be read'}",
            code=told.code,
            reason=told.reason,
            http_status=status,
            may_have_happened=kind is GatewayUnavailable and status not in (_TURNED_AWAY, _WRONG_CREDENTIALS),
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
        return session


@contextmanager
def readable(what: str) -> Iterator[None]:
    """
    What a success says must be readable; whether it happened is else not known.

    :raises GatewayUnavailable:
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise GatewayUnavailable(
            f"The gateway's {what} cannot be read.", http_status=200, may_have_happened=True
        ) from error


def _whole_of(answer: requests.Response) -> bytes:
    """
    :raises requests.RequestException: it is too large, or does not come to an end.
    """
    until = time.monotonic() + _LONGEST_ANSWER_SECONDS
    text = bytearray()
    # Piece by piece as they arrive: to wait for a full one would let whoever trickles hold us for ever.
    while piece := answer.raw.read1(_PIECE, decode_content=True):
        text += piece
        if len(text) > LARGEST_ANSWER:
            raise requests.exceptions.ContentDecodingError("The answer is too large.")
        if time.monotonic() > until:
            raise requests.ReadTimeout("The answer does not come to an end.")
    return bytes(text)


def _was_never_sent(error: Exception) -> bool:
    """No such host, refused, or not connected in time. Anything later may have arrived."""
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(getattr(cause, "reason", None), NewConnectionError)
