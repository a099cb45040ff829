"""PostgreSQL must keep what it acknowledges; a server that would not is refused before anything is served."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.environment import Database
from wallet_project.local.state import free_port

pytestmark = pytest.mark.usefixtures("database")

BIN = Path(sys.executable).parent
SENTENCE = "PostgreSQL's synchronous_commit is 'off'; an acknowledged movement could be lost."
WAIT_SECONDS = 40.0


@contextmanager
def setting_of_database(database: Database, name: str, value: str) -> Iterator[None]:
    """`name` as a careless administrator leaves it, for new connections to this clone."""
    target = sql.Identifier(database.name)
    with psycopg.connect(database.superuser_url, autocommit=True) as server:
        server.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(target, sql.Identifier(name), sql.Literal(value))
        )
    try:
        yield
    finally:
        with psycopg.connect(database.superuser_url, autocommit=True) as server:
            server.execute(sql.SQL("ALTER DATABASE {} RESET {}").format(target, sql.Identifier(name)))


def finished(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env=os.environ.copy(), capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )


def test_check_names_an_unsafe_database(database: Database) -> None:
    command = (sys.executable, "manage.py", "check", "--database", "default", "--database", "posting")
    assert finished(*command).returncode == 0

    with setting_of_database(database, "synchronous_commit", "off"):
        done = finished(*command)

    assert done.returncode != 0
    assert f"default: {SENTENCE}" in done.stderr
    assert f"posting: {SENTENCE}" in done.stderr


def test_the_web_does_not_start_on_an_unsafe_database(database: Database) -> None:
    command = (sys.executable, "-c", "import wallet_project.wsgi; print('started')")
    assert finished(*command).stdout == "started\n"

    with setting_of_database(database, "synchronous_commit", "off"):
        done = finished(*command)

    assert done.returncode != 0
    assert "started" not in done.stdout
    assert SENTENCE in done.stderr


def test_granian_ends_with_the_reason_and_never_listens(database: Database) -> None:
    port = free_port()
    with setting_of_database(database, "synchronous_commit", "off"):
        done = finished(
            *(f"{BIN}/granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "2", "wallet_project.wsgi:application"),
        )

    assert done.returncode != 0
    assert SENTENCE in done.stdout + done.stderr


def test_the_worker_does_not_start_on_an_unsafe_database(database: Database) -> None:
    with setting_of_database(database, "synchronous_commit", "off"):
        done = finished(
            f"{BIN}/celery", "-A", "wallet_project.celery", "worker", "--concurrency", "1", "-Q", "house-tests"
        )

    assert done.returncode != 0
    assert SENTENCE in done.stdout + done.stderr


def test_the_worker_starts_on_a_safe_database(tmp_path: Path) -> None:
    """Else the test above would be green for any reason at all."""
    output = tmp_path / "worker.log"
    command = (f"{BIN}/celery", "-A", "wallet_project.celery", "worker", "--concurrency", "1", "-Q", "house-tests")
    with output.open("wb") as log:
        worker = subprocess.Popen([*command, "--loglevel", "INFO"], env=os.environ.copy(), stdout=log, stderr=log)
    try:
        began = time.monotonic()
        while " ready." not in output.read_text() and worker.poll() is None:
            assert time.monotonic() - began < WAIT_SECONDS, output.read_text()
            time.sleep(0.1)
        assert " ready." in output.read_text()
    finally:
        worker.terminate()
        worker.wait(WAIT_SECONDS)


@pytest.mark.parametrize("timeout", ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"])
def test_a_connection_without_time_outs_is_refused(database: Database, timeout: str) -> None:
    """Settings and the role both set them; a connection that undoes that would be told at start-up."""
    without = f"""
import django
django.setup()
from django.conf import settings
for alias in ("default", "posting"):
    settings.DATABASES[alias]["OPTIONS"]["options"] += " -c {timeout}=0"
from wallet_project.kernel.checks import require_durable_database
require_durable_database()
"""
    done = finished(sys.executable, "-c", without)

    assert done.returncode != 0
    assert f"PostgreSQL's {timeout} is not set" in done.stderr


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    environment = {**os.environ, "DATABASE_URL": f"postgresql://wallet_app:hunter2@127.0.0.1:{free_port()}/wallet"}
    done = subprocess.run(
        [sys.executable, "-c", "import wallet_project.wsgi"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )

    assert done.returncode != 0
    assert "the database cannot be reached" in done.stderr
    assert "hunter2" not in done.stderr
