"""
The process manager: supervisord, its configuration, and the few questions the runner asks it.

Each program runs through `leash.py`, so it ends with supervisord, as supervisord ends with the runner; and
each writes to `logs/NAME.log` in the home, which the runner repeats with the program's name before each line.
"""

import http.client
import os
import secrets
import shlex
import subprocess
import sys
import time
import xmlrpc.client  # nosec B411
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from wallet_project.local import leash, variables
from wallet_project.local.home import Home
from wallet_project.local.servers import HOST, Server, ServerError, leashed
from wallet_project.local.state import State, write_privately

CHECKOUT: Final = Path(__file__).resolve().parents[2]
QUEUES: Final = "gateway,sweeps,messages,default"
# For a worker of their own: any number of merchants' servers may be slow, and nothing else waits behind them.
SLOW_QUEUES: Final = "webhooks"
SERVERS: Final = "servers"
APPLICATION: Final = "application"
AFTERWARDS: Final = "afterwards"
CONSUMERS: Final = ("notifications", "webhooks")
# In nobody's way at first, for reading the wallet's code takes a processor its time. Relay and consumers begin with the
# web all the same: the broker makes a new group wait for three seconds, and money is to be told of at once.
_LATER: Final = ("beat", "webhook-worker")
_WORKERS: Final = ("worker", "webhook-worker")
_ANSWER_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 25.0
_POLL_SECONDS: Final = 0.05


class SupervisionError(RuntimeError):
    """supervisord or one of its programs could not be started; the text is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One supervised process."""

    name: str
    command: Sequence[str]
    stop_signal: str
    # After that it is killed. Money is safe with PostgreSQL and tasks are run again, so it is short:
    # all must be gone five seconds after the runner was killed.
    stop_seconds: int


def _record(home: Home) -> Path:
    return home.run / f"{leash.SUPERVISOR}.json"


def server_program(server: Server, *, home: Home) -> Program:
    server.manager = _record(home)
    return Program(name=server.name, command=server.command(), stop_signal=server.stop_signal, stop_seconds=20)


def application_programs(*, home: Home, port: int) -> list[Program]:
    """Web, workers, beat, relay, consumers and the sandbox, each with the home's env file."""
    commands: dict[str, tuple[str, ...]] = {
        "web": (
            *("-m", "granian", "--interface", "wsgi", "--host", HOST, "--port", str(port)),
            *("--workers", "2", "--blocking-threads", "8", "--respawn-failed-workers"),
            *("--workers-kill-timeout", "2", "--no-ws", "wallet_project.wsgi:application"),
        ),
        "worker": (
            *("-m", "celery", "-A", "wallet_project.celery", "worker", "-Q", QUEUES, "--concurrency", "2"),
            *("--loglevel", "INFO", "--without-gossip", "--without-mingle"),
        ),
        "webhook-worker": (
            *("-m", "celery", "-A", "wallet_project.celery", "worker", "-Q", SLOW_QUEUES, "-n", "webhooks@%h"),
            *("--pool", "threads", "--concurrency", "4", "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
        ),
        "beat": (
            *("-m", "celery", "-A", "wallet_project.celery", "beat", "--loglevel", "INFO"),
            *("--pidfile", "", "--schedule", str(home.run / "beat-schedule")),
        ),
        "relay": ("manage.py", "relay_outbox"),
        **{group: ("manage.py", "consume_events", group) for group in CONSUMERS},
        "sandbox": ("-m", "payments.sandbox"),
    }
    programs = []
    for name, command in commands.items():
        programs.append(
            Program(
                name=name,
                command=leashed(
                    [sys.executable, *command],
                    record=home.run / f"{name}.json",
                    # A task that is cut off runs again; a worker that waited for one would outlive the runner.
                    stop_signal="SIGQUIT" if name in _WORKERS else "SIGTERM",
                    parent_record=_record(home),
                    environment=home.env_file,
                    without=variables.NOT_FOR_SERVING,
                ),
                stop_signal="SIGTERM",
                stop_seconds=2,
            )
        )
    return programs


def _escaped(text: str) -> str:
    # supervisord expands %(name)s in its values.
    return text.replace("%", "%%")


def _section(program: Program, *, logs: Path) -> str:
    lines = [
        f"[program:{program.name}]",
        f"command={_escaped(shlex.join(program.command))}",
        f"directory={_escaped(str(CHECKOUT))}",
        "autostart=false",
        "autorestart=true",
        "startsecs=1",
        "startretries=5",
        f"stopsignal={program.stop_signal.removeprefix('SIG')}",
        f"stopwaitsecs={program.stop_seconds}",
        "killasgroup=true",
        "redirect_stderr=true",
        f"stdout_logfile={_escaped(str(logs / program.name))}.log",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=1",
    ]
    return "\n".join(lines)


def configuration(
    *, home: Home, port: int, password: str, servers: Sequence[Program], application: Sequence[Program]
) -> str:
    """supervisord's file. Groups are stopped from the highest priority down: first what uses the servers."""
    sections = [
        f"[inet_http_server]\nport={HOST}:{port}\nusername=runner\npassword={password}",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "\n".join(
            [
                "[supervisord]",
                "nodaemon=true",
                "silent=true",
                *(["user=root"] if os.geteuid() == 0 else []),
                f"logfile={_escaped(str(home.logs / 'supervisor.log'))}",
                "logfile_maxbytes=1MB",
                "logfile_backups=1",
                f"pidfile={_escaped(str(home.run / 'supervisord.pid'))}",
                f"childlogdir={_escaped(str(home.logs))}",
            ]
        ),
        *(_section(program, logs=home.logs) for program in (*servers, *application)),
    ]
    later = [program for program in application if program.name in _LATER]
    others = [program for program in application if program.name not in _LATER]
    for name, programs, priority in ((SERVERS, servers, 10), (APPLICATION, others, 20), (AFTERWARDS, later, 30)):
        if programs:
            names = ",".join(program.name for program in programs)
            sections.append(f"[group:{name}]\nprograms={names}\npriority={priority}")
    return "\n\n".join(sections) + "\n"


class Supervisor:
    """supervisord, as a child of this process."""

    def __init__(self, *, home: Home, state: State, taken: Iterable[int]) -> None:
        self._home = home
        self._port = state.port("supervisor", besides=taken)
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        # The ServerProxy's methods are made up as they are called, hence Any. What it reads is our own supervisord's,
        # on loopback and behind a password: no XML of a stranger.
        self._rpc: Any = xmlrpc.client.ServerProxy(f"http://runner:{self._password}@{HOST}:{self._port}/RPC2")

    def begin(self, *, servers: Sequence[Program], application: Sequence[Program]) -> None:
        """
        Start supervisord, with none of its programs yet.

        Call it from the main thread: Linux ties supervisord to the thread that started it.

        :raises SupervisionError: it does not answer.
        """
        file = self._home.run / "supervisord.conf"
        write_privately(
            file,
            configuration(
                home=self._home,
                port=self._port,
                password=self._password,
                servers=servers,
                application=application,
            ),
        )
        command = leashed(
            [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(file)],
            record=_record(self._home),
            # When the runner is killed, supervisord goes at once, and with it each program gets its own signal in
            # the same moment; supervisord's orderly stop takes a second for each step.
            stop_signal="SIGKILL",
        )
        with (self._home.logs / "supervisord.out").open("wb") as out:
            # A session of its own: Ctrl-C in a terminal reaches the runner alone, which stops the rest in order.
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd=CHECKOUT
            )
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                self._rpc.supervisor.getState()
                return
            except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
                if not self.is_alive or time.monotonic() > deadline:
                    raise SupervisionError(
                        f"supervisord did not start; see {self._home.logs / 'supervisord.out'}"
                    ) from error
                time.sleep(_POLL_SECONDS)

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, group: str) -> None:
        """Start a group's programs without waiting for them."""
        try:
            self._rpc.supervisor.startProcessGroup(group, False)
        except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
            raise SupervisionError(f"supervisord would not start {group}: {error}") from error

    def given_up(self) -> list[str]:
        """The programs that supervisord no longer tries to start."""
        try:
            processes = cast(list[dict[str, Any]], self._rpc.supervisor.getAllProcessInfo())
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return []
        return [str(process["name"]) for process in processes if process["statename"] == "FATAL"]

    def require_progress(self) -> None:
        """
        :raises SupervisionError: supervisord has ended, or one of its programs will never run.
        """
        if not self.is_alive:
            raise SupervisionError(f"supervisord ended; see {self._home.logs / 'supervisor.log'}")
        lost = self.given_up()
        if lost:
            raise SupervisionError(f"{lost[0]} does not start; see {self._home.logs / lost[0]}.log")

    def wait_for(self, server: Server) -> None:
        """
        Return once the server answers.

        :raises SupervisionError: it never will, or not within a minute.
        """
        deadline = time.monotonic() + 60
        while not server.answers():
            self.require_progress()
            if time.monotonic() > deadline:
                raise SupervisionError(f"{server.name} does not answer; see {self._home.logs / server.name}.log")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop everything in order and wait until supervisord itself is gone."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def prepare(servers: Iterable[Server]) -> None:
    """
    Make what the servers need on disk.

    :raises SupervisionError: one of them could not.
    """
    for server in servers:
        try:
            server.prepare()
        except (ServerError, OSError) as error:
            raise SupervisionError(str(error)) from error
