"""How a device shows the tokens of the people who signed in with it: a cookie, or for programs a header."""

from collections.abc import Sequence
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from accounts.known_devices import LIFETIME, tokens_in

HEADER: Final = "X-Device-Token"


def shown_by(request: HttpRequest) -> tuple[str, ...]:
    """What is no token of ours by its shape is left out."""
    return tokens_in(request.headers.get(HEADER) or request.COOKIES.get(settings.DEVICE_COOKIE_NAME, ""))


def keep(response: HttpResponseBase, *, tokens: Sequence[str]) -> None:
    """Let the device show these the next time."""
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME,
        ".".join(tokens),
        max_age=int(LIFETIME.total_seconds()),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
