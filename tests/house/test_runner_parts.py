"""The small parts of the local runner, each by itself."""

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import CHECKOUT
from wallet_project.local import leash, variables
from wallet_project.local.home import Home, HomeError
from wallet_project.local.install import _pinned
from wallet_project.local.output import Output, _Follower
from wallet_project.local.state import State, free_port, is_free
from wallet_project.local.supervision import Program, application_programs, configuration


def test_what_is_remembered_is_read_again_and_by_its_owner_only(tmp_path: Path) -> None:
    made = State(tmp_path).keep("secret_key", lambda: "first")
    assert State(tmp_path).keep("secret_key", lambda: "second") == made == "first"
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_state_file_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[]")
    with pytest.raises(ValueError, match=r"state\.json"):
        State(tmp_path)


def test_a_remembered_port_is_kept_while_free_and_replaced_when_taken(tmp_path: Path) -> None:
    port = State(tmp_path).port("postgres")
    assert State(tmp_path).port("postgres") == port
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        other = State(tmp_path).port("postgres")
    assert other != port
    assert State(tmp_path).port("postgres") == other


def test_two_servers_of_one_home_never_share_a_port(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.remember("port.valkey", str(state.port("postgres")))
    assert state.port("postgres") != state.port("valkey")
    assert state.port("kafka", besides=(state.port("valkey"),)) != state.port("valkey")
    assert free_port() > 0


def test_a_shell_and_the_leash_read_the_same_values(tmp_path: Path) -> None:
    values = {"A": "plain", "B": "two words", "C": "it's $HOME `x` # no comment", "D": "a=b;c&d"}
    file = tmp_path / "env"
    file.write_text(variables.as_lines(values))
    assert leash.read_environment(str(file)) == values
    script = f'set -a; . {file}; set +a; printf "%s\\n" "$A" "$B" "$C" "$D"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == list(values.values())
    assert "A=plain\n" in file.read_text()


def test_servers_that_came_from_sourcing_an_env_file_count_as_unset(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("DATABASE_URL=postgresql://a\nWALLET_DEMO=0\n")
    sourced = {"WALLET_ENV_FILE": str(file), "DATABASE_URL": "postgresql://a", "WALLET_DEMO": "0"}
    assert variables.chosen_by_the_caller(sourced) == {"WALLET_DEMO": "0"}
    own = {**sourced, "DATABASE_URL": "postgresql://mine"}
    assert variables.chosen_by_the_caller(own)["DATABASE_URL"] == "postgresql://mine"
    assert variables.chosen_by_the_caller({"REDIS_URL": ""}) == {}


def test_only_what_is_not_given_is_started() -> None:
    assert variables.missing_servers({}) == {"postgres", "valkey", "kafka"}
    assert variables.missing_servers({"REDIS_URL": "x", "KAFKA_BOOTSTRAP_SERVERS": "x"}) == {"postgres"}
    roles = {"DATABASE_URL": "x", "DATABASE_OWNER_URL": "x", "DATABASE_AUDITOR_URL": "x"}
    assert variables.missing_servers(roles) == {"valkey", "kafka"}


def test_the_runner_is_always_local_and_follows_its_own_port(tmp_path: Path) -> None:
    given = {"WALLET_ENV": "production", "PUBLIC_URL": "https://elsewhere", "WALLET_LARGEST_MOVEMENT": "7"}
    chosen = variables.settings_of(home=tmp_path, port=8123, state=State(tmp_path), given=given)
    assert chosen["WALLET_ENV"] == "local"
    assert chosen["PUBLIC_URL"] == "http://127.0.0.1:8123"
    assert chosen["RAZORPAY_API_URL"] == "http://127.0.0.1:8124/v1"
    assert chosen["WALLET_LARGEST_MOVEMENT"] == "7"


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from wallet_project.local.home import Home;"
        f"home = Home(Path({str(tmp_path / 'home')!r})); home.take(); print('held', flush=True); signal.pause()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=CHECKOUT)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(HomeError, match=f"already running .pid {holder.pid}."):
        Home(tmp_path / "home").take()
    holder.kill()
    holder.wait()
    mine = Home(tmp_path / "home")
    mine.take()
    assert (tmp_path / "home" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_leashed_process_does_not_begin_when_its_parent_has_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(CHECKOUT / "wallet_project/local/leash.py")]
    # Process 1 is nobody's runner.
    late = subprocess.run(
        [*command, "--parent", "1", "--", "touch", str(tmp_path / "begun")], capture_output=True, check=False
    )
    assert late.returncode != 0
    assert b"parent ended" in late.stderr
    assert not (tmp_path / "begun").exists()


def test_no_process_of_the_wallet_is_given_the_superusers_or_the_owners_password(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.take()
    lines = ["DATABASE_SUPERUSER_URL=postgresql://file", "DATABASE_OWNER_URL=postgresql://file"]
    home.env_file.write_text("\n".join([*lines, "DATABASE_URL=postgresql://app", ""]))
    leash.write_record(path=str(home.run / "supervisord.json"), stop_signal="SIGTERM")  # we are its parent here
    caller = dict.fromkeys(("DATABASE_SUPERUSER_URL", "DATABASE_OWNER_URL"), "postgresql://caller")
    environ = {**os.environ, **caller}
    programs = application_programs(home=home, port=1)
    assert {program.name for program in programs} == {
        *("web", "worker", "webhook-worker", "beat", "relay", "notifications", "webhooks", "sandbox")
    }
    for program in programs:
        instead = [*program.command[: list(program.command).index("--")], "--", "env"]
        seen = subprocess.run(instead, capture_output=True, text=True, check=True, env=environ).stdout
        assert "DATABASE_URL=postgresql://app\n" in seen
        assert "SUPERUSER" not in seen
        assert "DATABASE_OWNER_URL" not in seen


def test_a_leashed_process_ends_with_its_parent(tmp_path: Path) -> None:
    record = tmp_path / "sleep.json"
    code = (
        "import subprocess, sys, time; subprocess.Popen([sys.executable, '-I', '-S', "
        f"{str(CHECKOUT / 'wallet_project/local/leash.py')!r}, '--record', {str(record)!r}, '--', 'sleep', '300']);"
        "time.sleep(300)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    found = None
    while found is None or "sleep" not in Path(f"/proc/{found['pid']}/cmdline").read_text()[:6]:
        found = leash.read_record(str(record))
    assert leash.is_alive(found)
    assert leash.marked(found["mark"]) == [int(found["pid"])]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while leash.is_alive(found):
        pass
    assert leash.stop_recorded(str(tmp_path)) == []
    assert not record.exists()


def test_output_follows_a_log_across_its_rotation(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_bytes(b"of an earlier run\n")
    follower = _Follower(log)
    assert follower.lines() == []
    with log.open("ab") as out:
        out.write(b"one\nhalf")
    assert follower.lines() == [b"one"]
    with log.open("ab") as out:
        out.write(b" done\nlast\n")
    log.rename(tmp_path / "web.log.1")
    log.write_bytes(b"after\n")
    assert follower.lines() == [b"half done", b"last", b"after"]
    assert follower.lines() == []


def test_output_names_each_line_and_survives_a_reader_that_has_gone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = Output(tmp_path, ["web"])
    output.start()
    (tmp_path / "web.log").write_text("hello\n")
    output.say("wallet ready")
    output.finish()
    assert sorted(capfd.readouterr().out.splitlines()) == ["wallet ready", "web           | hello"]


def test_supervisors_file_escapes_what_would_be_expanded(tmp_path: Path) -> None:
    home = Home(tmp_path / "100% mine")
    home.take()
    program = Program(name="web", command=["run", "a b", "50%"], stop_signal="SIGINT", stop_seconds=1)
    text = configuration(home=home, port=1, password="p", servers=[], application=[program])
    assert "command=run 'a b' 50%%" in text
    assert "stopsignal=INT" in text
    assert "100%% mine" in text
    assert "[group:servers]" not in text


def test_the_installer_takes_uv_from_our_own_pin() -> None:
    lines = _pinned("uv", "requirements-dev.txt").splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all("--hash=sha256:" in line for line in lines[1:])
