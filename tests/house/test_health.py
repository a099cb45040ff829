"""`/health/ready` says what is missing, and only what stops money makes it 503."""

import time

import psycopg
import pytest
from django.conf import LazySettings
from django.test import Client

from tests.environment import Database
from wallet_project import health

pytestmark = pytest.mark.usefixtures("database", "kafka_servers")

NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_answer_is_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_REUSED_SECONDS", -1.0)
    monkeypatch.setattr(health, "_admin", None)


def test_everything_there_is_ready(client: Client) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok", "cache": "ok", "broker": "ok"},
    }


@pytest.mark.parametrize("method", ["post", "delete"])
def test_only_reading_is_allowed(client: Client, method: str) -> None:
    assert getattr(client, method)("/health/ready").status_code == 405


def test_without_redis_or_kafka_money_still_moves_so_it_is_degraded(client: Client, settings: LazySettings) -> None:
    settings.REDIS_URL = f"redis://{NOWHERE}/0"
    settings.KAFKA_BOOTSTRAP_SERVERS = NOWHERE
    began = time.monotonic()
    answer = client.get("/health/ready")
    assert time.monotonic() - began < 5
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "degraded",
        "checks": {"database": "ok", "migrations": "ok", "cache": "down", "broker": "down"},
    }


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
def test_without_the_database_it_is_unavailable_and_alive(client: Client, settings: LazySettings) -> None:
    database = {**settings.DATABASES["default"], "HOST": "127.0.0.1", "PORT": "9"}
    settings.DATABASES = {**settings.DATABASES, "default": database}
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert answer.json()["checks"] == {"database": "down", "migrations": "down", "cache": "ok", "broker": "ok"}
    assert client.get("/health/live").json() == {"status": "alive"}


def test_a_missing_migration_is_unavailable(client: Client, database: Database) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        row = connection.execute("DELETE FROM django_migrations WHERE app = 'sessions' RETURNING app, name").fetchone()
        assert row is not None
        answer = client.get("/health/ready")
        connection.execute("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())", row)
    assert answer.status_code == 503
    assert answer.json()["checks"]["migrations"] == "pending"
    assert client.get("/health/ready").status_code == 200
