"""Idempotency keys: how they look, what request they stand for, and which of them are being worked on."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from payments.sandbox.errors import GatewayError


def key_of(given: str | None, *, name: str, pattern: str) -> str | None:
    """
    The key in the header `name` of a request, if it carries one.

    :raises GatewayError: it does not look as the documentation wants it.
    """
    if given is not None and not re.fullmatch(pattern, given):
        raise GatewayError(f"The {name} header is invalid.", field=name)
    return given


def fingerprint(*parts: Any) -> str:
    """Equal for requests that say the same, in whatever order their fields stand."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class InFlight:
    """
    The keys of requests that have not been answered yet.

    In memory on purpose: when the process dies, so do its requests.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._guard = threading.Lock()

    @contextmanager
    def only_one(self, key: str | None) -> Iterator[None]:
        """
        :raises GatewayError: 409, another request with that key is being worked on.
        """
        if key is None:
            yield
            return
        with self._guard:
            if key in self._keys:
                raise conflict("A request with the same idempotency key is in progress.")
            self._keys.add(key)
        try:
            yield
        finally:
            with self._guard:
                self._keys.discard(key)


def conflict(description: str) -> GatewayError:
    """The gateway's 409."""
    return GatewayError(description, status=409, reason="idempotency_key_conflict")
