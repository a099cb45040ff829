"""
How often: requests counted in Redis, by route class, for each person or network (`clients.network_of`).

One script in Redis counts and answers, so of any number of requests at once exactly as many pass as may. A window
begins with the first request in it; so at most twice the quota passes within any one window's length.

Redis out of reach: money still moves and reads are answered, uncounted; what guards a registration, a code or a
sign-in is refused as `busy`.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final

import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from wallet_project.kernel.clients import network_of
from wallet_project.kernel.errors import Refusal

log = structlog.get_logger("wallet.rate_limits")

# One answer takes a fifth of a millisecond; but a machine out of breath is not Redis out of reach.
_REDIS_SECONDS: Final = 1.0
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
# While Redis is out of reach it is asked again this often, so that not every request waits for its time-out.
_PAUSE_SECONDS: Final = 1.0
_COUNT: Final = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {used, redis.call('PTTL', KEYS[1])}
"""
_LOOK: Final = "return {tonumber(redis.call('GET', KEYS[1])) or 0, redis.call('PTTL', KEYS[1])}"


class By(Enum):
    PERSON = "person"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class RouteClass:
    """
    :ivar by: whom it counts; a stranger is always counted by network.
    :ivar guards: it guards a registration, a code or a sign-in, so that nothing passes uncounted.
    """

    by: By
    guards: bool = False


ROUTE_CLASSES: Final[Mapping[str, RouteClass]] = {
    "money": RouteClass(By.PERSON),
    "read": RouteClass(By.PERSON),
    # It reveals names.
    "payee": RouteClass(By.PERSON),
    # Each one draws a picture of up to 25 million pixels.
    "documents": RouteClass(By.PERSON),
    # A merchant's webhook sent by hand: a request of ours to whatever host they named.
    "deliveries": RouteClass(By.PERSON),
    "public": RouteClass(By.ADDRESS),
    "register": RouteClass(By.ADDRESS, guards=True),
    "codes": RouteClass(By.ADDRESS, guards=True),
    "sign_in": RouteClass(By.ADDRESS, guards=True),
    "webhook": RouteClass(By.ADDRESS),
    "webhook_forged": RouteClass(By.ADDRESS),
    "money_pages": RouteClass(By.PERSON),
    "pages": RouteClass(By.PERSON),
    # Asked by open pages, by themselves: a dozen of them at once.
    "live": RouteClass(By.PERSON),
    "public_pages": RouteClass(By.ADDRESS),
}
# (requests, in so many seconds); WALLET_RATE_LIMITS changes some of them.
Quotas = dict[str, tuple[int, int]]
PRODUCTION: Final[Quotas] = {
    "money": (60, 60),
    "read": (600, 60),
    "payee": (30, 60),
    "documents": (10, 3600),
    "deliveries": (20, 60),
    "public": (600, 60),
    "register": (10, 3600),
    "codes": (120, 3600),
    # Sign-in has limits of its own, on failures; this one only bounds how many passwords are hashed.
    "sign_in": (300, 60),
    "webhook": (6000, 60),
    "webhook_forged": (60, 60),
    "money_pages": (60, 60),
    "pages": (600, 60),
    "live": (600, 60),
    "public_pages": (600, 60),
}
# The same code: a load test from one loopback address passes.
LOCAL: Final[Quotas] = {
    "money": (6000, 60),
    "read": (60_000, 60),
    "payee": (600, 60),
    "documents": (600, 3600),
    "deliveries": (600, 60),
    "public": (60_000, 60),
    "register": (1000, 3600),
    "codes": (12_000, 3600),
    "sign_in": (60_000, 60),
    "webhook": (60_000, 60),
    "webhook_forged": (6000, 60),
    "money_pages": (6000, 60),
    "pages": (60_000, 60),
    "live": (60_000, 60),
    "public_pages": (60_000, 60),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands with one limit: `remaining` requests for the next `reset_in_seconds`."""

    name: str
    quota: int
    window_seconds: int
    remaining: int
    reset_in_seconds: int


# What the answer to the request being served tells of. A deed with a limit of its own puts that first.
standings: ContextVar[tuple[Standing, ...]] = ContextVar("standings", default=())

_retry_at = 0.0


def tell(standing: Standing) -> None:
    """Let the answer's `RateLimit` headers tell of this limit too."""
    standings.set((standing, *standings.get()))


def rate_limit_headers(told: tuple[Standing, ...]) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy`, lists of structured fields (draft-ietf-httpapi-ratelimit-headers-10)."""
    if not told:
        return {}
    return {
        "RateLimit": ", ".join(f'"{one.name}";r={one.remaining};t={one.reset_in_seconds}' for one in told),
        "RateLimit-Policy": ", ".join(f'"{one.name}";q={one.quota};w={one.window_seconds}' for one in told),
    }


def spend(name: str, *, person: str | None, address: str) -> None:
    """
    Count one request of a route class, by the person where there is one and the class counts people.

    :raises Refusal: `too_many_requests`; or `busy`, where it cannot be counted and the class guards something.
    """
    quota, window = settings.RATE_LIMITS[name]
    counted = _count(name, person=person, address=address, window=window)
    if counted is None:
        if ROUTE_CLASSES[name].guards:
            raise Refusal("busy", retry_after_seconds=math.ceil(_PAUSE_SECONDS))
        return
    used, left = counted
    tell(Standing(name, quota, window, max(quota - used, 0), left))
    if used > quota:
        log.warning("rate_limit.passed", route_class=name, person=person)
        raise Refusal("too_many_requests", retry_after_seconds=left)


def refuse_if_spent(name: str, *, address: str) -> None:
    """
    For what is counted only after it was judged, such as forged signatures.

    :raises Refusal: `too_many_requests`.
    """
    quota, window = settings.RATE_LIMITS[name]
    key = _key(name, None, address)
    found = _ask(lambda client: client.eval(_LOOK, 1, key))
    if found is not None and int(found[0]) >= quota:
        left = max(math.ceil(int(found[1]) / 1000), 1)
        tell(Standing(name, quota, window, 0, left))
        raise Refusal("too_many_requests", retry_after_seconds=left)


def count(name: str, *, address: str) -> None:
    """The other half of `refuse_if_spent`."""
    _count(name, person=None, address=address, window=settings.RATE_LIMITS[name][1])


@cache
def guards() -> redis.Redis:
    """Redis for whatever limits something: it answers at once or raises, and nobody swallows that."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        # A connection that a restart cut is made anew; what is slow is not asked twice.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


def _key(name: str, person: str | None, address: str) -> str:
    if person is not None and ROUTE_CLASSES[name].by is By.PERSON:
        return f"rate:{name}:person:{person}"
    return f"rate:{name}:network:{network_of(address)}"


def _count(name: str, *, person: str | None, address: str, window: int) -> tuple[int, int] | None:
    """How many there were in this window with this one, and in how many seconds it ends; None without Redis."""
    key = _key(name, person, address)
    found = _ask(lambda client: client.eval(_COUNT, 1, key, str(window * 1000)))
    return None if found is None else (int(found[0]), max(math.ceil(int(found[1]) / 1000), 1))


def _ask(question: Callable[[redis.Redis], Any]) -> Any:
    """Redis's answer, or None while it is out of reach."""
    global _retry_at
    if time.monotonic() < _retry_at:
        return None
    try:
        return question(guards())
    except (redis.RedisError, OSError) as error:
        _retry_at = time.monotonic() + _PAUSE_SECONDS
        log.warning("rate_limit.uncounted", reason=type(error).__name__)
        return None
