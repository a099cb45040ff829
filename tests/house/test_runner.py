"""The local runner keeps what it promises: real starts of the whole system."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.running import CHECKOUT, Run, clean_environment, free_pair, wait_until_gone
from wallet_project.local.supervision import QUEUES, SLOW_QUEUES

pytestmark = [pytest.mark.runner, pytest.mark.xdist_group("starts")]

SECOND_START_SECONDS = 15
NAMES = {
    *("postgres", "valkey", "kafka", "web", "worker", "webhook-worker", "beat"),
    *("relay", "notifications", "webhooks", "sandbox"),
}


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """One home that the tests of this module use in turn; each leaves it running."""
    run = Run(home=tmp_path_factory.mktemp("runner") / "home", port=free_pair())
    run.start()
    run.query("CREATE TABLE marks (mark text)")
    yield run
    run.stop()


def refused(**variables: str) -> str:
    """Run the runner with these variables; it must fail quickly and say why in one line, which is returned."""
    done = subprocess.run(
        [sys.executable, "-m", "wallet_project.local", "run"],
        cwd=CHECKOUT,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def ready(run: Run) -> dict[str, object]:
    answer = requests.get(f"{run.base_url}/health/ready", timeout=10)
    answer.raise_for_status()
    body: dict[str, object] = answer.json()
    return body


def test_it_says_once_that_it_is_ready_and_then_it_is(wallet: Run) -> None:
    assert wallet.output.splitlines().count(f"wallet ready at {wallet.base_url}") == 1
    assert ready(wallet) == {
        "status": "ready",
        "checks": {"database": "ok", "migrations": "ok", "cache": "ok", "broker": "ok"},
    }
    assert requests.get(f"{wallet.base_url}/health/live", timeout=10).status_code == 200


def test_the_demo_people_are_there_with_their_money_and_only_once(wallet: Run) -> None:
    rows = wallet.query(
        "SELECT u.email, w.kind, w.balance::int FROM accounts_user u JOIN wallets_wallet w ON w.owner_id = u.id"
        " WHERE u.email IN ('asha@example.com', 'ravi@example.com') ORDER BY u.email"
    )
    assert rows == [("asha@example.com", "USER", 10_000), ("ravi@example.com", "USER", 2_500)]
    signed_in = requests.post(
        f"{wallet.base_url}/api/v1/auth/token",
        json={"email": "asha@example.com", "password": "wallet-demo-2026"},
        timeout=10,
    )
    assert signed_in.status_code == 200, signed_in.text


def test_every_process_runs_and_its_log_lines_carry_its_name(wallet: Run) -> None:
    commands = [process.command for process in wallet.processes()]
    # granian's own process and at least two that serve.
    assert len([command for command in commands if " granian " in command]) >= 3
    assert all(any(f" worker -Q {queues} " in command for command in commands) for queues in (QUEUES, SLOW_QUEUES))
    assert any(" beat " in command or "/beat.json " in command for command in commands)
    for words in ("relay_outbox", "consume_events notifications", "consume_events webhooks"):
        assert any(words in command for command in commands), words
    # Beat and the sandbox may have nothing to say, and who else just begins says so soon.
    expected, deadline = NAMES - {"sandbox", "beat"}, time.monotonic() + 30
    while not {line.partition("|")[0].strip() for line in wallet.output.splitlines() if "|" in line} >= expected:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_the_demos_people_were_given_is_told_soon(wallet: Run) -> None:
    """By relay, broker and both consumers: each group has a mark of each event."""
    statement = (
        "SELECT count(*), count(published_at), (SELECT count(*) FROM kernel_consumedevent),"
        " (SELECT count(*) FROM accounts_notification) FROM kernel_outboxevent"
    )
    deadline = time.monotonic() + 30
    while wallet.query(statement) != [(2, 2, 4, 2)]:
        assert time.monotonic() < deadline, wallet.query(statement)
        time.sleep(0.1)


def test_the_env_file_lets_any_other_command_join(wallet: Run) -> None:
    assert stat.S_IMODE((wallet.home / "env").stat().st_mode) == 0o600
    script = f"set -a; . {wallet.home}/env; set +a; exec {sys.executable} manage.py verify_ledger"
    joined = subprocess.run(
        ["sh", "-c", script],
        cwd=CHECKOUT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert joined.returncode == 0, joined.stderr
    assert wallet.env["WALLET_ENV"] == "local"
    assert wallet.env["PUBLIC_URL"] == wallet.base_url


def test_no_server_listens_beyond_this_machine(wallet: Run) -> None:
    listening = set()
    for process in wallet.processes():
        inodes = set()
        for entry in Path(f"/proc/{process.pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
        for line in Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.add(fields[1].partition(":")[0])
        for line in Path(f"/proc/{process.pid}/net/tcp6").read_text().splitlines()[1:]:
            fields = line.split()
            assert not (fields[3] == "0A" and fields[9] in inodes), process
    assert listening == {"0100007F"}


def test_a_second_run_of_the_same_home_is_refused_by_the_pid_of_the_first(wallet: Run) -> None:
    said = refused(WALLET_HOME=str(wallet.home), PORT=str(free_pair()))
    assert "already running" in said
    assert wallet.process is not None
    assert str(wallet.process.pid) in said
    assert ready(wallet)["status"] == "ready"


def test_a_port_already_taken_is_named(wallet: Run, tmp_path: Path) -> None:
    assert f"port {wallet.port} is already in use" in refused(WALLET_HOME=str(tmp_path / "x"), PORT=str(wallet.port))
    port = free_pair()
    with socket.create_server(("127.0.0.1", port + 1)):
        assert f"port {port + 1} is already in use" in refused(WALLET_HOME=str(tmp_path / "x"), PORT=str(port))


@pytest.mark.parametrize("port", ["0", "65535", "eighty", "-1", "80 80"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    assert "PORT must be a number" in refused(WALLET_HOME=str(tmp_path / "x"), PORT=port)


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    said = refused(WALLET_HOME=str(tmp_path / "file" / "home"), PORT=str(free_pair()))
    assert "cannot be written" in said
    assert str(tmp_path / "file" / "home") in said


def test_a_database_without_its_other_roles_is_refused(tmp_path: Path) -> None:
    said = refused(
        WALLET_HOME=str(tmp_path / "x"), PORT=str(free_pair()), DATABASE_URL="postgresql://a:b@127.0.0.1:1/c"
    )
    assert "DATABASE_OWNER_URL and DATABASE_AUDITOR_URL" in said


def test_two_homes_run_side_by_side_and_one_ends_without_the_other(
    wallet: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The shell of the second has sourced the first one's file, and the second still gets servers of its own.
    other = Run(
        home=tmp_path_factory.mktemp("other") / "home with a space", port=free_pair(), demo=False, variables=wallet.env
    )
    # Its first start is killed while the database is being made; the next one makes it anew.
    other.launch()
    assert other.process is not None
    while not (other.home / "postgres.new").exists():
        assert other.process.poll() is None
        time.sleep(0.01)
    half_made = other.processes()
    other.process.kill()
    other.process.wait()
    assert wait_until_gone(half_made, seconds=5) == []
    other.start()
    try:
        mine, theirs = wallet.env, other.env
        for name in ("DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "SECRET_KEY", "RAZORPAY_KEY_SECRET"):
            assert mine[name] != theirs[name]
        assert ready(wallet)["status"] == ready(other)["status"] == "ready"
        processes = other.processes()
    finally:
        status = other.stop(signal.SIGINT)
    # Ctrl-C leaves no process behind.
    assert status == 0
    assert wait_until_gone(processes, seconds=0) == []
    assert ready(wallet)["status"] == "ready"


def test_an_interrupted_start_leaves_no_process_behind(tmp_path_factory: pytest.TempPathFactory) -> None:
    run = Run(home=tmp_path_factory.mktemp("interrupted") / "home", port=free_pair(), demo=False)
    run.launch()
    assert run.process is not None
    while "prepare " not in run.output:
        assert run.process.poll() is None
        time.sleep(0.05)
    processes = run.processes()
    assert run.stop(signal.SIGINT) == 0
    assert wait_until_gone(processes, seconds=0) == []
    assert "wallet ready" not in run.output


def test_a_killed_process_comes_back_and_its_workers_do_not_stay(wallet: Run) -> None:
    before = [process for process in wallet.processes() if " granian " in process.command]
    main = json.loads((wallet.home / "run" / "web.json").read_text())["pid"]
    os.kill(main, signal.SIGKILL)
    assert wait_until_gone(before, seconds=10) == []
    deadline = time.monotonic() + 30
    while True:
        try:
            assert ready(wallet)["status"] == "ready"
            break
        except requests.RequestException:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_after_kill_9_of_the_runner_its_children_stop_and_a_second_start_keeps_everything(wallet: Run) -> None:
    wallet.query("INSERT INTO marks VALUES ('before kill -9 of the runner')")
    keys = {name: wallet.env[name] for name in ("SECRET_KEY", "TOKEN_SIGNING_KEYS", "CODE_PEPPER", "DATA_KEYS")}
    urls = wallet.env["DATABASE_URL"]
    children = wallet.processes()
    assert wallet.process is not None
    wallet.process.kill()
    wallet.process.wait()
    assert wait_until_gone(children, seconds=5) == []

    # The promise is for a machine that has nothing else to do; a busy one takes its time in proportion.
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert wallet.start() < SECOND_START_SECONDS * busy
    assert wallet.query("SELECT mark FROM marks") == [("before kill -9 of the runner",)]
    assert {name: wallet.env[name] for name in keys} == keys
    assert wallet.env["DATABASE_URL"] == urls


def test_after_kill_9_of_everything_the_next_start_stops_only_what_it_recorded(wallet: Run) -> None:
    wallet.query("INSERT INTO marks VALUES ('before kill -9 of everything')")
    for process in wallet.processes():
        # One whose parent has just died may be gone before its turn comes.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert wallet.process is not None
    wallet.process.wait()
    # The lock file of the killed run is there, and so are its records. One record's pid has been taken by an
    # innocent process, which only its start time tells apart; another's is a live process left behind.
    innocent = subprocess.Popen(["sleep", "300"])
    left_behind = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(CHECKOUT / "wallet_project/local/leash.py")),
            *("--record", str(wallet.home / "run" / "beat.json"), "--", "sleep", "300"),
        ]
    )
    try:
        record = wallet.home / "run" / "web.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "pid": innocent.pid}))
        # PostgreSQL's own pid file outlived it too, and its pid is taken as well.
        pid_file = wallet.home / "postgres" / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], str(innocent.pid), 1))
        while "sleep" not in Path(f"/proc/{left_behind.pid}/cmdline").read_text():
            time.sleep(0.01)

        wallet.start()
        assert innocent.poll() is None
        assert left_behind.wait(1) == -signal.SIGTERM
    finally:
        innocent.kill()
        left_behind.kill()
    assert ("before kill -9 of everything",) in wallet.query("SELECT mark FROM marks")


def test_sigterm_to_make_leaves_no_process_behind(wallet: Run) -> None:
    processes = wallet.processes()
    assert wallet.stop(signal.SIGTERM) == 0
    assert wait_until_gone(processes, seconds=0) == []
    assert not list((wallet.home / "run").glob("*.json"))
