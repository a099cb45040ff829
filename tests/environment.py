"""The tests' environment, servers and cloned databases; tests/conftest.py tells how they are used."""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg import sql

from tests.running import CHEAP
from wallet_project.local.servers import Kafka, Postgres, Server, Valkey, running
from wallet_project.local.state import State

_RUN: Final = "WALLET_TEST_RUN"
_DATABASE_NAMES: Final = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_AUDITOR_URL", "DATABASE_SUPERUSER_URL")
_ROLE_OF: Final = {
    "DATABASE_URL": "wallet_app",
    "DATABASE_OWNER_URL": "wallet_owner",
    "DATABASE_AUDITOR_URL": "wallet_auditor",
    "DATABASE_SUPERUSER_URL": "postgres",
}
_ALIASES: Final = ("default", "posting", "owner", "auditor")
_PREFIX: Final = "wallet-tests-"
# Where the run's servers keep their files if there is room: a test does not cut the power, so nothing is gained by
# waiting for a disk at each commit, and much of a run is that. Their settings stay those of production.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
_ROOM_BYTES: Final = 4 * 1024**3
# Every server has sixteen; what is in the first of somebody else's is not ours to empty.
_SPARE_VALKEY_DATABASE: Final = 15

# Whatever a person's shell holds, the tests run with these.
_FIXED: Final = {
    "DJANGO_SETTINGS_MODULE": "wallet_project.settings",
    "WALLET_ENV": "local",
    "WALLET_DEMO": "1",
    # What measures the time that a password takes asks for production's cost.
    **CHEAP,
    "SECRET_KEY": "a-key-for-tests-only-" + "x" * 40,
    "ALLOWED_HOSTS": "testserver,127.0.0.1,localhost",
    "PUBLIC_URL": "http://testserver",
    "TOKEN_SIGNING_KEYS": "test:" + "A" * 43,
    "CODE_PEPPER": "B" * 42 + "A",
    "DATA_KEYS": "C" * 42 + "A",
    "DATA_INDEX_KEY": "D" * 42 + "A",
    "RAZORPAY_API_URL": "http://127.0.0.1:9/v1",
    "RAZORPAY_CHECKOUT_URL": "http://127.0.0.1:9/checkout",
    "RAZORPAY_KEY_ID": "rzp_test_wallet",
    "RAZORPAY_KEY_SECRET": "key_secret",
    "RAZORPAY_WEBHOOK_SECRETS": "webhook_secret,older_webhook_secret",
    "EMAIL_URL": "inbox:",
    "SMS_URL": "inbox:",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One cloned database, as each role reaches it."""

    name: str
    app_url: str
    owner_url: str
    auditor_url: str
    superuser_url: str


class Servers:
    """The run's servers, started when first needed by the process that owns them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._started: set[str] = set()
        self._own_postgres = self._own_valkey = self._own_kafka = False

    def choose(self) -> None:
        """
        Put the URL of each server that is not given into the environment; none is started yet.

        A worker of xdist finds them all given by the process that started it, so it owns nothing.
        """
        given = [name for name in _DATABASE_NAMES if os.environ.get(name)]
        self._own_postgres = len(given) < len(_DATABASE_NAMES)
        self._own_valkey = not os.environ.get("REDIS_URL")
        self._own_kafka = not os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        if not self._own_postgres:
            for name in _DATABASE_NAMES:
                os.environ[name] = _with_database(os.environ[name], "postgres")
        if not self._own_valkey:
            os.environ["REDIS_URL"] = _with_database(os.environ["REDIS_URL"], str(_valkey_database()))
        # Never somebody's own: what no row of a test's database names would be swept from there.
        documents = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-documents-"))
        self._stack.callback(shutil.rmtree, documents, ignore_errors=True)
        os.environ["WALLET_DOCUMENTS_DIR"] = str(documents)
        if not (self._own_postgres or self._own_valkey or self._own_kafka):
            return
        _remove_what_the_dead_left()
        home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_place()))
        self._stack.callback(shutil.rmtree, home, ignore_errors=True)
        (home / "static").mkdir()
        os.environ["STATIC_ROOT"] = str(home / "static")
        state = State(home)
        self._postgres = Postgres(home, state)
        self._valkey = Valkey(home, state)
        self._kafka = Kafka(home, state)
        if self._own_postgres:
            for name in _DATABASE_NAMES:
                os.environ[name] = self._postgres.url(_ROLE_OF[name], "postgres")
        if self._own_valkey:
            os.environ["REDIS_URL"] = self._valkey.url(_valkey_database())
        if self._own_kafka:
            os.environ["KAFKA_BOOTSTRAP_SERVERS"] = self._kafka.bootstrap_servers

    def start_for_workers(self) -> None:
        """Start now what the workers of this run may need; they cannot."""
        self.postgres()
        self.valkey()
        self.kafka()

    def postgres(self) -> None:
        if self._own_postgres and self._postgres.name not in self._started:
            self._start(self._postgres)
            self._postgres.create_roles()

    def valkey(self) -> str:
        if self._own_valkey:
            self._start(self._valkey)
        return os.environ["REDIS_URL"]

    def kafka(self) -> str:
        if self._own_kafka:
            self._start(self._kafka)
        return os.environ["KAFKA_BOOTSTRAP_SERVERS"]

    def stop(self) -> None:
        """Stop what this process started and remove its directory."""
        self._stack.close()
        self._started.clear()

    def _start(self, server: Server) -> None:
        if server.name not in self._started:
            self._stack.enter_context(running(server))
            self._started.add(server.name)


servers = Servers()


def choose() -> bool:
    """
    Set the whole environment that settings need. Called once, before Django loads them.

    True when this process begins the run, false in a worker of one.
    """
    if settings.configured:
        raise RuntimeError("Django's settings were loaded before the tests' environment was chosen.")
    os.environ.update(_FIXED)
    begins = _RUN not in os.environ
    if begins:
        os.environ[_RUN] = f"{os.getpid()}_{secrets.token_hex(3)}"
    servers.choose()
    return begins


def _valkey_database() -> int:
    """Each worker of xdist keeps a numbered database of its own, for clones share primary keys."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(worker[2:]) % (_SPARE_VALKEY_DATABASE - 1) + 1 if worker.startswith("gw") else _SPARE_VALKEY_DATABASE


def _place() -> str:
    """A directory in memory that has room for the servers, else the one for temporary files."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        return str(_MEMORY)
    return tempfile.gettempdir()


def _remove_what_the_dead_left() -> None:
    """A run that was killed could not remove its directory and lock."""
    for path in [path for place in {tempfile.gettempdir(), _place()} for path in Path(place).glob(f"{_PREFIX}*-*")]:
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def empty_valkey(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushdb()


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _role(url: str) -> sql.Identifier:
    return sql.Identifier(urlsplit(url).username or "")


def _create(name: str, *, template: str) -> None:
    """`name` as a copy of `template`; what a copy does not take along (who may connect) is said again."""
    roles = [_role(os.environ[which]) for which in _DATABASE_NAMES[:3]]
    owner = _role(os.environ["DATABASE_OWNER_URL"])
    database = sql.Identifier(name)
    with psycopg.connect(_with_database(os.environ["DATABASE_SUPERUSER_URL"], "postgres"), autocommit=True) as server:
        server.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} ENCODING 'UTF8'").format(
                database, owner, sql.Identifier(template)
            )
        )
        server.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
        server.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.SQL(", ").join(roles)))


def _rename(name: str, to: str) -> None:
    with psycopg.connect(_with_database(os.environ["DATABASE_SUPERUSER_URL"], "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(to)))


def _drop(name: str) -> None:
    with psycopg.connect(_with_database(os.environ["DATABASE_SUPERUSER_URL"], "postgres"), autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _point_aliases_at(name: str) -> None:
    """Every alias and every child process of this one now means the database `name`."""
    for alias in _ALIASES:
        connection = connections[alias]
        connection.close()
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()
        connections.settings[alias]["NAME"] = name
    for which in _DATABASE_NAMES:
        os.environ[which] = _with_database(os.environ[which], name)


def _run() -> str:
    """The name shared by the process that was started and the workers it starts."""
    return os.environ[_RUN]


def _template() -> str:
    """The migrated template's name; the first process of the run makes it and the others wait."""
    servers.postgres()
    name = f"wallet_template_{_run()}"
    with _lock_file().open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(_with_database(os.environ["DATABASE_SUPERUSER_URL"], "postgres")) as server:
            found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is None:
            draft = f"{name}_draft"
            _drop(draft)
            _create(draft, template="template0")
            _point_aliases_at(draft)
            call_command("migrate", database="owner", verbosity=0, interactive=False)
            _point_aliases_at("postgres")
            # A template that exists is whole.
            _rename(draft, name)
    return name


def _lock_file() -> Path:
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{_run().replace('_', '-')}.lock"


def forget_template() -> None:
    """Drop what `_template` made, at the end of the run and only by the process that began it."""
    if _lock_file().exists():
        _drop(f"wallet_template_{_run()}")
        _lock_file().unlink()


@contextmanager
def cloned_database() -> Iterator[Database]:
    """A clone of the migrated template behind every alias, dropped when the block ends."""
    name = f"wallet_test_{os.getpid()}_{secrets.token_hex(4)}"
    _create(name, template=_template())
    before = {which: os.environ[which] for which in _DATABASE_NAMES}
    _point_aliases_at(name)
    try:
        yield Database(
            name=name,
            app_url=os.environ["DATABASE_URL"],
            owner_url=os.environ["DATABASE_OWNER_URL"],
            auditor_url=os.environ["DATABASE_AUDITOR_URL"],
            superuser_url=os.environ["DATABASE_SUPERUSER_URL"],
        )
    finally:
        _point_aliases_at("postgres")
        os.environ.update(before)
        _drop(name)
