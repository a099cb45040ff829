"""
`/health/live` and `/health/ready`, for the local runner and a load balancer.

Without the database, or with a migration missing, the wallet must get no traffic: 503. Without Redis or Kafka
money still moves and events wait: 200, and it says `degraded`.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
import redis
import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger("wallet.health")

OK: Final = "ok"
DOWN: Final = "down"
PENDING: Final = "pending"
_REQUIRED: Final = ("database", "migrations")

_DATABASE_SECONDS: Final = 2
_CACHE_SECONDS: Final = 0.5
_BROKER_SECONDS: Final = 1.0
# Anybody may ask, so an answer serves for a moment: asking often must not cost a connection each time.
_REUSED_SECONDS: Final = 0.5

_lock = threading.Lock()
_last: tuple[float, dict[str, str]] | None = None
_known: frozenset[tuple[str, str]] | None = None
_admin: AdminClient | None = None


# Exempt so that a wrong method is told so, and not that it lacks a form's token.
@csrf_exempt
@require_safe
def live(_request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"status": "alive"})


@csrf_exempt
@require_safe
def ready(_request: HttpRequest) -> JsonResponse:
    """Database, migrations, cache and broker, each named."""
    found = checks()
    if any(found[name] != OK for name in _REQUIRED):
        return JsonResponse({"status": "unavailable", "checks": found}, status=503)
    is_whole = all(state == OK for state in found.values())
    return JsonResponse({"status": "ready" if is_whole else "degraded", "checks": found})


def checks() -> dict[str, str]:
    """`ok`, `down` or `pending` for each part; asked at most twice a second in a process, one asker at a time."""
    global _last
    with _lock:
        now = time.monotonic()
        if _last is None or now - _last[0] > _REUSED_SECONDS:
            _last = (time.monotonic(), _ask())
        return dict(_last[1])


def _ask() -> dict[str, str]:
    with ThreadPoolExecutor(max_workers=3) as pool:
        database = pool.submit(_database_and_migrations)
        cache = pool.submit(_quietly, "cache", _ask_cache)
        broker = pool.submit(_quietly, "broker", _ask_broker)
        return {**database.result(), "cache": cache.result(), "broker": broker.result()}


def _quietly(name: str, ask: Callable[[], None]) -> str:
    try:
        ask()
    except (OSError, redis.RedisError, KafkaException) as error:
        log.warning("health.down", part=name, reason=type(error).__name__)
        return DOWN
    return OK


def _database_and_migrations() -> dict[str, str]:
    """Asked over a connection of its own: a pool that is merely busy is not a database that is down."""
    settings_of: dict[str, Any] = settings.DATABASES["default"]
    try:
        with psycopg.connect(
            host=settings_of["HOST"],
            port=settings_of["PORT"] or None,
            user=settings_of["USER"],
            password=settings_of["PASSWORD"],
            dbname=settings_of["NAME"],
            connect_timeout=_DATABASE_SECONDS,
            options=f"-c statement_timeout={_DATABASE_SECONDS * 1000}",
            autocommit=True,
        ) as connection:
            applied = set(connection.execute("SELECT app, name FROM django_migrations").fetchall())
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        return {"database": OK, "migrations": PENDING}
    except (psycopg.Error, OSError) as error:
        log.warning("health.down", part="database", reason=type(error).__name__)
        return {"database": DOWN, "migrations": DOWN}
    return {"database": OK, "migrations": OK if _known_migrations() <= applied else PENDING}


def _known_migrations() -> frozenset[tuple[str, str]]:
    """The migrations that this code came with, read from disk once."""
    global _known
    if _known is None:
        _known = frozenset(MigrationLoader(None).disk_migrations)
    return _known


def _ask_cache() -> None:
    with redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_CACHE_SECONDS,
        socket_connect_timeout=_CACHE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as client:
        client.ping()


def _ask_broker() -> None:
    global _admin
    if _admin is None:
        _admin = AdminClient(
            {
                "bootstrap.servers": settings.KAFKA_BOOTSTRAP_SERVERS,
                "log_level": 0,
                "socket.connection.setup.timeout.ms": 1000,
                "reconnect.backoff.max.ms": 2000,
            }
        )
    _admin.list_topics(timeout=_BROKER_SECONDS)


urlpatterns = [
    path("health/live", live),
    path("health/ready", ready),
]
