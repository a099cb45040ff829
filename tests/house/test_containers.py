"""
docker-compose.yml and the Dockerfile say what can be run, and the least of it; no engine is needed to see that.

That each command of theirs runs is shown by tests/journeys/test_containers.py.
"""

import json
import re
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class

from payments.consumers import GROUPS
from tests.house.sources import CHECKOUT, files, text_of
from tests.house.test_queues import queue_of
from tests.house.test_settings import REQUIRED
from tests.running import clean_environment
from wallet_project.celery import app
from wallet_project.kernel.events import producing
from wallet_project.kernel.events.dead_letters import DEAD_TOPIC
from wallet_project.kernel.events.envelope import TOPIC
from wallet_project.local import containers

BIN: Final = Path(sys.executable).parent
COMPOSE: Final[dict[str, Any]] = yaml.safe_load(text_of("docker-compose.yml"))
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
WALLETS: Final = sorted(name for name, service in SERVICES.items() if str(service["image"]).startswith("wallet:"))
# What ends by itself; and what others start after.
ONCE: Final = {"roles", "migrate", "topics", "seed"}
DATA: Final = {"postgres", "replica", "redis", "kafka"}
_TAG: Final = re.compile(r"^[a-z0-9./-]+:(\d+(\.\d+)+[a-z0-9.-]*|\$\{WALLET_VERSION:-latest\})$")
_SECRET: Final = re.compile(r"(?i)(password|secret|token|pepper|_key)s?[ \t]*[:=][ \t]*['\"]?[A-Za-z0-9_-]{12,}")


def finished(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)


def told(service: str, *, demo: bool) -> dict[str, str]:
    """What the service's env files hold."""
    found = containers.environments(demo=demo)
    names: list[str] = []
    for each in SERVICES[service].get("env_file", []):
        path, is_needed = (each, True) if isinstance(each, str) else (each["path"], each.get("required", True))
        name = path.removeprefix(".containers/").removesuffix(".env")
        assert name in found or not is_needed or "demo" in SERVICES[service].get("profiles", []), path
        names += [name] if name in found else []
    return {key: value for name in names for key, value in found[name].items()}


def test_the_file_is_sound_by_the_compose_specification() -> None:
    done = finished(f"{BIN}/check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert done.returncode == 0, done.stdout


def test_the_specification_is_asked_and_not_only_quoted(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("services: {web: {image: x, helthcheck: {}}}")
    done = finished(
        f"{BIN}/check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(tmp_path / "docker-compose.yml")
    )
    assert done.returncode != 0
    assert "helthcheck" in done.stdout


def test_the_dockerfile_is_sound_by_its_own_linter() -> None:
    done = finished(f"{BIN}/hadolint", "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_every_image_is_pinned_and_ours_are_built_from_targets_that_exist() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", text_of("Dockerfile"), re.MULTILINE))
    for name, service in SERVICES.items():
        assert _TAG.match(service["image"]), f"{name}: {service['image']}"
        if "build" in service:
            assert service["build"]["target"] in targets, name
    for image in re.findall(r"^FROM (\S+:\S+)", text_of("Dockerfile"), re.MULTILINE):
        assert _TAG.match(image), image


def test_no_container_is_roots_nor_may_become_it() -> None:
    for stage in re.split(r"^FROM ", text_of("Dockerfile"), flags=re.MULTILINE)[1:]:
        name = stage.split("\n", 1)[0].split()[-1]
        if name in ("wallet", "sandbox"):
            users = re.findall(r"^USER (\S+)$", stage, re.MULTILINE)
            assert users == ["10001:10001"], name
            assert "RUN" not in stage.split("USER", 1)[1], name
    for name, service in SERVICES.items():
        # apache/kafka's own account is not root either.
        assert "build" in service or service.get("user", "root") != "root" or name == "topics", name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_every_service_is_limited_watched_and_started_again() -> None:
    for name, service in SERVICES.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"]["max-size"], name
        if name in ONCE:
            assert service["restart"] == "no", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name


def test_whoever_waits_waits_for_something_that_comes() -> None:
    waited_for = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    for name, others in waited_for.items():
        for other, how in others.items():
            assert other in SERVICES, f"{name}: {other}"
            assert how["condition"] != "service_completed_successfully" or other in ONCE, f"{name}: {other}"
            assert how["condition"] != "service_healthy" or other not in ONCE, f"{name}: {other}"
            assert "profiles" in SERVICES[name] or "profiles" not in SERVICES[other], f"{name}: {other}"
    # Nothing serves before the database has been migrated.
    for name in set(WALLETS) - {"migrate"}:
        assert "migrate" in waited_for[name], name
    assert "roles" in waited_for["migrate"]


def test_there_is_no_circle() -> None:
    left = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    while ready := [name for name, others in left.items() if not others]:
        left = {name: others - set(ready) for name, others in left.items() if name not in ready}
    assert left == {}


def test_the_proxy_cannot_reach_what_keeps_data_and_that_has_no_way_out() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert SERVICES["proxy"]["networks"] == ["front"]
    for name in DATA:
        assert SERVICES[name]["networks"] == ["data"], name
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"proxy", "sandbox-door"}
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["sandbox-door"]["ports"])


def test_what_is_mounted_exists_and_what_is_kept_has_a_volume() -> None:
    for kind in ("configs", "secrets"):
        for name, source in COMPOSE[kind].items():
            # Any other kind cannot be put into a container that is read-only (docker/compose#12531).
            assert set(source) == {"file"}, name
            assert source["file"].startswith(".containers/") or (CHECKOUT / source["file"]).is_file(), name
    for name, service in SERVICES.items():
        for kind in ("configs", "secrets"):
            for each in service.get(kind, []):
                assert each["source"] in COMPOSE[kind], f"{name}: {each['source']}"
        for each in service.get("volumes", []):
            assert each.split(":")[0] in COMPOSE["volumes"], f"{name}: {each}"


def test_every_command_of_ours_exists() -> None:
    known = get_commands()
    used = set()
    for name in WALLETS:
        command = SERVICES[name]["command"]
        program = command[0]
        assert program in ("python", "celery", "granian"), name
        if program == "python":
            assert command[1] == "manage.py", name
            assert command[2] in known, f"{name}: {command[2]}"
            parser = load_command_class(known[command[2]], command[2]).create_parser("manage.py", command[2])
            parser.parse_args(command[3:])
            used.add(command[2])
            if command[2] == "consume_events":
                assert command[3] in GROUPS, name
    assert used == {"migrate", "relay_outbox", "consume_events", "seed_demo"}


def test_every_group_has_a_consumer_and_every_queue_a_worker() -> None:
    consumed = [
        service["command"][3] for service in SERVICES.values() if "consume_events" in service.get("command", [])
    ]
    assert sorted(consumed) == sorted(GROUPS)
    app.loader.import_default_modules()
    queues = {queue_of(task) for task in app.tasks if not task.startswith("celery.")} | {app.conf.task_default_queue}
    listed = re.findall(r"--queues=([a-z,]+)", text_of("docker-compose.yml"))
    served = [queue for each in listed for queue in each.split(",")]
    assert sorted(served) == sorted(queues)
    assert sum("beat" in service.get("command", []) for service in SERVICES.values()) == 1


def test_every_topic_is_made_and_forgets_before_we_do() -> None:
    lines = re.findall(
        r"^make (\S+) (\d+) \$\(\(([\d* ]+) \* HOUR\)\)$", text_of("docs/containers/topics.sh"), re.MULTILINE
    )
    made = {name: (int(partitions), hours) for name, partitions, hours in lines}
    assert set(made) == {TOPIC, *(f"{DEAD_TOPIC}.{group}" for group in GROUPS)}
    partitions, hours = made[TOPIC]
    assert partitions == producing.PARTITIONS
    # What was taken in is noted for so long; an older event would be taken in anew.
    assert timedelta(hours=int(hours)) <= timedelta(days=settings.OUTBOX_KEEP_DAYS) / 2


@pytest.mark.parametrize("demo", [False, True])
def test_each_is_told_what_it_needs_and_nobody_the_password_of_another(demo: bool) -> None:
    for name in WALLETS:
        environment = told(name, demo=demo)
        assert set(REQUIRED) <= set(environment), name
        assert environment["WALLET_TRUSTED_PROXIES"] == "1", name
        assert ("DATABASE_OWNER_URL" in environment) is (name == "migrate"), name
        assert not [each for each in environment if each.startswith(("POSTGRES_", "PG"))], name
    for name in set(SERVICES) - set(WALLETS) - {"sandbox"}:
        assert not set(told(name, demo=demo)) & set(REQUIRED), name
    assert set(told("replica", demo=demo)) == {"PGPASSWORD"}
    assert told("replica", demo=demo)["PGPASSWORD"] != told("postgres", demo=demo)["PGPASSWORD"]


@pytest.mark.parametrize("demo", [False, True])
def test_settings_take_what_the_wallets_processes_are_told(demo: bool, tmp_path: Path) -> None:
    environment = clean_environment(**told("migrate", demo=demo), STATIC_ROOT=str(tmp_path))
    code = "from django.conf import settings as s; import json; print(json.dumps([s.IS_LOCAL, s.TRUSTED_PROXIES]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "wallet_project.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [demo, 1]


def test_secrets_are_made_on_the_spot_once_and_for_their_owner_only(tmp_path: Path) -> None:
    made = tmp_path / "containers"
    command = (sys.executable, "-I", "-S", str(CHECKOUT / "wallet_project/local/containers.py"), "--demo", str(made))
    assert finished(*command).returncode == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {path.name for path in made.glob("*.env")} == {f"{name}.env" for name in containers.environments(demo=True)}
    # The proxy's account is none of the host's, and its way there is barred for all others.
    assert stat.S_IMODE((made / "tls" / "tls.key").stat().st_mode) == 0o644
    before = (made / "wallet.env").read_bytes()

    again = finished(*command)

    assert again.returncode != 0
    assert "is there already" in again.stderr
    assert len(again.stderr.splitlines()) == 1
    assert (made / "wallet.env").read_bytes() == before


def test_no_secret_stands_in_what_is_kept_with_the_code() -> None:
    kept = ("docker-compose.yml", "Dockerfile", ".dockerignore", *files(".conf", ".sh"))
    assert [path for path in kept if path.startswith("docs/") or "/" not in path if _SECRET.search(text_of(path))] == []
    assert ".containers/" in text_of(".gitignore").splitlines()


def test_the_build_sees_only_what_the_image_is_made_of() -> None:
    lines = [line for line in text_of(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert all((CHECKOUT / each).exists() for each in let_in)
    assert not [each for each in let_in if each.startswith((".", "tests", "docs", "benchmarks", "build"))]


def test_queues_and_workers_are_the_runners_too() -> None:
    """One story in three places: the runner, the documents and the containers start the same programs."""
    text = text_of("docs/operations.md")
    for name in ("relay_outbox", "consume_events notifications", "consume_events webhooks"):
        assert f"manage.py {name}" in text
