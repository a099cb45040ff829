"""
`python -m wallet_project.local run`: the whole system in one command.

The order is the story: hold the home, stop what an earlier run left, choose ports and keys, start the servers,
make roles and tables, start the wallet, and say so only when `/health/ready` answers 200.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import psycopg
from celery import Celery
from kombu.exceptions import OperationalError

from wallet_project.local import leash, supervision, variables
from wallet_project.local.guard import Guard
from wallet_project.local.home import Home, HomeError
from wallet_project.local.output import Output
from wallet_project.local.servers import HOST, Kafka, Postgres, Server, ServerError, Valkey, leashed
from wallet_project.local.state import State, is_free, write_privately
from wallet_project.local.supervision import AFTERWARDS, APPLICATION, SERVERS, SupervisionError, Supervisor

_READY_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.1
_PING_SECONDS: Final = 0.5
_WATCH_SECONDS: Final = 0.5
_PREPARED: Final = "prepared"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KINDS: Final[dict[str, type[Postgres] | type[Valkey] | type[Kafka]]] = {
    "postgres": Postgres,
    "valkey": Valkey,
    "kafka": Kafka,
}
# What a run is called when it cannot go on; each carries one line for the person at the terminal.
_EXPECTED: Final = (HomeError, SupervisionError, ServerError, variables.VariableError)


class _StopRequestedError(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal."""


def _request_stop(_number: int, _frame: FrameType | None) -> NoReturn:
    # Once is enough: from here on only the orderly stop runs.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise _StopRequestedError


def _complain(sentence: str) -> None:
    print(f"wallet: {sentence}", file=sys.stderr, flush=True)  # noqa: T201


def run(environ: Mapping[str, str]) -> int:
    """Run the wallet until it is interrupted. The exit status: 0 after an orderly stop, 1 otherwise."""
    for each in _SIGNALS:
        signal.signal(each, _request_stop)
    try:
        port = variables.port_of(environ)
        home = Home(Path(environ.get("WALLET_HOME") or supervision.CHECKOUT / ".local").absolute())
        home.take()
        return _run_in(home, port=port, environ=environ)
    except _EXPECTED as error:
        _complain(str(error))
        return 1
    except OSError as error:
        _complain(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        return 1
    except _StopRequestedError:
        return 0


def _run_in(home: Home, *, port: int, environ: Mapping[str, str]) -> int:
    for name in home.stop_recorded():
        _complain(f"stopped {name}, left by an earlier run")
    for each in (port, port + 1):
        if not is_free(each):
            raise HomeError(f"port {each} is already in use; choose another with PORT (the sandbox takes PORT + 1)")
    given = variables.chosen_by_the_caller(environ)
    try:
        state = State(home.directory)
    except ValueError as error:
        raise HomeError(f"{home.directory / 'state.json'} is damaged: {error}") from error
    servers = {
        name: kind(home.directory, state) for name, kind in _KINDS.items() if name in variables.missing_servers(given)
    }
    chosen = {
        **variables.settings_of(home=home.directory, port=port, state=state, given=given),
        **variables.given_urls(given),
        **variables.server_urls(servers),
    }
    Path(chosen["STATIC_ROOT"]).mkdir(parents=True, exist_ok=True)
    write_privately(home.env_file, variables.as_lines(chosen))

    server_programs = [supervision.server_program(server, home=home) for server in servers.values()]
    application = supervision.application_programs(home=home, port=port)
    names = [program.name for program in (*server_programs, *application)]
    output = Output(home.logs, ["supervisor", "prepare", *names])
    supervisor = Supervisor(home=home, state=state, taken=(port, port + 1))
    guard = Guard(home)
    output.start()
    try:
        supervision.prepare(servers.values())
        supervisor.begin(servers=server_programs, application=application)
        _start_servers(supervisor, servers)
        if not _is_prepared(state, servers, chosen):
            _prepare_database(home)
            _remember_prepared(state, servers, chosen)
        supervisor.start(APPLICATION)
        _wait_until_ready(supervisor, port=port, redis_url=chosen["REDIS_URL"])
        # What is due until this is up is found then.
        supervisor.start(AFTERWARDS)
        output.say(f"wallet ready at http://{HOST}:{port}")
        _watch(supervisor)
    finally:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        supervisor.stop()
        home.stop_recorded(besides=(leash.GUARD,))
        guard.dismiss()
        home.stop_recorded()
        output.finish()
    return 0


def _start_servers(supervisor: Supervisor, servers: Mapping[str, Server]) -> None:
    if not servers:
        return
    supervisor.start(SERVERS)
    for server in servers.values():
        supervisor.wait_for(server)
        if isinstance(server, Postgres):
            server.create_roles()
        if isinstance(server, Kafka):
            server.create_topics()


def _fingerprint(chosen: Mapping[str, str]) -> str:
    """Stands for everything that could make preparing the database again do something."""
    digest = hashlib.sha256(chosen["WALLET_DEMO"].encode())
    sources = [*supervision.CHECKOUT.glob("*/migrations/*.py"), *supervision.CHECKOUT.glob("*/*/migrations/*.py")]
    sources += [*supervision.CHECKOUT.glob("*/management/commands/seed_demo.py")]
    sources += [supervision.CHECKOUT / "requirements.txt", Path(__file__).with_name("prepare.py")]
    for source in sorted(sources):
        digest.update(f"{source.name}\n".encode() + source.read_bytes())
    return digest.hexdigest()


def _migrations_applied(postgres: Postgres) -> int:
    try:
        with psycopg.connect(postgres.url(postgres.superuser), connect_timeout=5) as connection:
            if connection.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,):
                return 0
            found = connection.execute("SELECT count(*) FROM django_migrations").fetchone()
    except psycopg.Error:
        return 0
    return int(found[0]) if found else 0


def _is_prepared(state: State, servers: Mapping[str, Server], chosen: Mapping[str, str]) -> bool:
    """
    Whether this home's own database was already migrated and seeded by this very code.

    Finding that out through Django takes seconds of every start. A database that is not ours is always asked.
    """
    postgres = servers.get("postgres")
    if not isinstance(postgres, Postgres):
        return False
    return state.get(_PREPARED) == f"{_fingerprint(chosen)} {_migrations_applied(postgres)}"


def _remember_prepared(state: State, servers: Mapping[str, Server], chosen: Mapping[str, str]) -> None:
    postgres = servers.get("postgres")
    if isinstance(postgres, Postgres):
        state.remember(_PREPARED, f"{_fingerprint(chosen)} {_migrations_applied(postgres)}")


def _prepare_database(home: Home) -> None:
    """
    Migrate, and seed the demo people.

    :raises SupervisionError: one of them failed.
    """
    command = leashed(
        [sys.executable, "-m", "wallet_project.local.prepare"],
        record=home.run / "prepare.json",
        stop_signal="SIGTERM",
        environment=home.env_file,
        without=variables.FOR_PEOPLE,
    )
    with (home.logs / "prepare.log").open("ab") as log:
        done = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=supervision.CHECKOUT,
            check=False,
            start_new_session=True,
        )
    if done.returncode != 0:
        raise SupervisionError(f"the database could not be prepared; see {home.logs / 'prepare.log'}")


def _answers_ready(port: int) -> bool:
    # No proxy that the environment names may stand between us.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def _worker_answers(redis_url: str) -> bool:
    with Celery(broker=redis_url, set_as_current=False) as celery:
        try:
            return bool(celery.control.ping(timeout=_PING_SECONDS))
        except (OSError, OperationalError):
            return False


def _wait_until_ready(supervisor: Supervisor, *, port: int, redis_url: str) -> None:
    """
    Return once `/health/ready` is 200, the sandbox listens and a worker answers.

    :raises SupervisionError: one of them never will, or not in time.
    """
    deadline = time.monotonic() + _READY_SECONDS
    waiting: dict[str, Callable[[], bool]] = {
        "/health/ready": lambda: _answers_ready(port),
        "the sandbox": lambda: not is_free(port + 1),
        "the worker": lambda: _worker_answers(redis_url),
    }
    for name, answers in waiting.items():
        while not answers():
            supervisor.require_progress()
            if time.monotonic() > deadline:
                raise SupervisionError(f"{name} did not answer within {_READY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)


def _watch(supervisor: Supervisor) -> None:
    """Return never; supervisord restarts what ends."""
    while supervisor.is_alive:
        time.sleep(_WATCH_SECONDS)
    supervisor.require_progress()


def main() -> NoReturn:
    status = run(os.environ)
    sys.stderr.flush()
    # Not sys.exit: a reader that takes nothing from our output must not keep the process.
    os._exit(status)
