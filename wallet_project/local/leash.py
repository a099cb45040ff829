"""
Becomes a server that dies with its parent: `leash.py OPTIONS -- COMMAND …`.

Linux sends the chosen signal to this very process when its parent ends, however that parent ended
((prctl(2), PR_SET_PDEATHSIG); the setting survives exec. Before it becomes the server it writes its pid
and start time down, so that a later start can stop exactly this process and no other. It also puts a mark,
random and recorded, into the environment that the server's own children inherit: where a server was killed and
its workers live on, they are found by that mark and by nothing else.

PostgreSQL refuses to run as root. Run by root, `--not-as-root` becomes the account `nobody`, keeping one
capability, CAP_DAC_OVERRIDE: the state may lie under a directory that only root may enter, and opening
such a directory to everyone would be the worse trade. See capabilities(7), "Ambient capabilities".

Standard library only, and quick to start: it runs as `python -I -S leash.py`.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pwd
import secrets
import shlex
import signal
import struct
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
MARK = "WALLET_LEASH"
GUARD = "guard"
SUPERVISOR = "supervisord"
ON_POST = b"1"
FAREWELL = b"farewell"
POLL_SECONDS = 0.05
GUARDS_GRACE_SECONDS = 2.5

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, first: int = 0, second: int = 0) -> None:
    long = ctypes.c_ulong
    _checked(_libc.prctl(option, long(first), long(second), long(0), long(0)), f"prctl({option})")


def become_nobody() -> None:
    """Give up root for the account `nobody`, keeping only the right to enter and read our own state."""
    account = pwd.getpwnam("nobody")
    _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    mask = 1 << CAP_DAC_OVERRIDE
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    sets = struct.pack("6I", mask, mask, mask, 0, 0, 0)
    try:
        _checked(_libc.capset(header, sets), "capset")
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)
    except PermissionError:
        # A container may have taken the capability away. Where every directory on the way is open to
        # all, the server runs without it; elsewhere it names the directory that it cannot enter.
        return


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot: field 22 of proc_pid_stat(5)."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        # The name, in brackets, may hold spaces and brackets of its own.
        return stat.read().rpartition(")")[2].split()[19]


def marked(mark: str) -> list[int]:
    """The pids of all processes that carry this mark in their environment, as far as we may look."""
    line = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as environ:
                if line in environ.read().split(b"\0"):
                    found.append(int(name))
    return found


def read_record(path: str) -> dict[str, str] | None:
    """What `write_record` left at `path`; None when there is nothing that it could have written."""
    try:
        with open(path, encoding="ascii") as record:
            found = json.load(record)
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or set(found) != {"pid", "started", "stop_signal", "mark"}:
        return None
    return {name: str(value) for name, value in found.items()}


def write_record(*, path: str, stop_signal: str) -> str:
    """Leave `{pid, started, stop_signal, mark}` at `path`, whole or not at all; the mark is new and answered."""
    mark = secrets.token_hex(16)
    record = {"pid": os.getpid(), "started": start_time(os.getpid()), "stop_signal": stop_signal, "mark": mark}
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="ascii") as out:
        json.dump(record, out)
    os.replace(draft, path)
    return mark


def is_alive(record: dict[str, str]) -> bool:
    """Whether the very process of this record still runs (a zombie does not)."""
    try:
        if start_time(int(record["pid"])) != record["started"]:
            return False
        with open(f"/proc/{record['pid']}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _stop(records: list[dict[str, str]], grace_seconds: float) -> bool:
    """End these processes and whatever carries their marks. True if one of them was there."""
    living = [record for record in records if is_alive(record)]
    was_there = bool(living)
    for record in living:
        _signal(int(record["pid"]), signal.Signals[record["stop_signal"]])
    deadline = time.monotonic() + grace_seconds
    while living and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        living = [record for record in living if is_alive(record)]
    for record in living:
        _signal(int(record["pid"]), signal.SIGKILL)
    for record in records:
        for orphan in marked(record["mark"]):
            _signal(orphan, signal.SIGKILL)
    return was_there


def stop_recorded(directory: str, *, grace_seconds: float = 10.0, besides: tuple[str, ...] = ()) -> list[str]:
    """
    Stop every process that has a record in `directory` and still lives; their names.

    First the guard, which would stop what comes next, and the supervisor, which would start the others again;
    then all the others at once, gently, and by force when the grace is over.
    """
    names = [name for name in os.listdir(directory) if name.endswith(".json")]
    found = {name.removesuffix(".json"): os.path.join(directory, name) for name in names}
    found = {name: path for name, path in found.items() if name not in besides}
    records = {name: record for name, path in found.items() if (record := read_record(path)) is not None}
    stopped = []
    for name in (GUARD, SUPERVISOR):
        if name in records and _stop([records.pop(name)], grace_seconds):
            stopped.append(name)
    stopped += [name for name, record in records.items() if is_alive(record)]
    _stop(list(records.values()), grace_seconds)
    # Every record stays until all are gone: this very sweep may be cut off.
    for path in found.values():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return sorted(stopped)


def stand_guard(directory: str) -> None:
    """
    Wait until the writer of our standard input has ended, and stop what it leaves behind in `directory`.

    The signal that a leash asks for may be caught: a worker that waits for a broker that is gone stays for ever.
    The guard is not tied to its parent, for it has to outlive it for a moment. A later start finds its record and
    stops it first, so that it never touches a newer run.
    """
    write_record(path=os.path.join(directory, f"{GUARD}.json"), stop_signal="SIGKILL")
    # The parent waits for this.
    os.write(1, ON_POST)
    if sys.stdin.buffer.read() != FAREWELL:
        stop_recorded(directory, grace_seconds=GUARDS_GRACE_SECONDS, besides=(GUARD,))


def end_orphans(path: str) -> None:
    """Kill the workers that an earlier process, recorded at `path` and now gone, has left behind."""
    record = read_record(path)
    if record is None:
        return
    if not is_alive(record):
        for pid in marked(record["mark"]):
            _signal(pid, signal.SIGKILL)


def require_parent(pid: int) -> None:
    """Leave quietly unless `pid` is our parent: what should end with it must not begin after it."""
    if os.getppid() != pid:
        sys.exit("leash: the parent ended before the command began")


def read_environment(path: str) -> dict[str, str]:
    """The `KEY=value` lines of an environment file, unquoted as a shell would."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            for word in shlex.split(line, comments=True):
                name, _, value = word.partition("=")
                found[name] = value
    return found


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then become the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", help="file that remembers this process")
    parser.add_argument("--environment", help="file of KEY=value lines to add")
    parser.add_argument("--without", action="append", default=[], help="a variable that the command must not see")
    parser.add_argument("--parent", type=int, help="the pid to be tied to, if not whatever the parent is by now")
    parser.add_argument("--parent-record", help="a file whose process to be tied to")
    parser.add_argument("--stop-signal", default="SIGTERM", help="sent to the command when its parent ends")
    parser.add_argument("--not-as-root", action="store_true", help="run by root, become `nobody`")
    parser.add_argument("--guard", metavar="DIRECTORY", help="run no command; stand guard over these records")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args(arguments)
    if options.guard:
        stand_guard(options.guard)
        return
    if not options.command:
        parser.error("a command is needed")

    # A parent that ended while Python was starting would leave us tied to whoever adopted us.
    parent = options.parent or os.getppid()
    if options.parent_record:
        record = read_record(options.parent_record)
        parent = int(record["pid"]) if record else 0
    require_parent(parent)
    stop_signal = signal.Signals[options.stop_signal]
    if options.record:
        end_orphans(options.record)
        mark = write_record(path=options.record, stop_signal=options.stop_signal)
    if options.environment:
        os.environ.update(read_environment(options.environment))
    for name in options.without:
        os.environ.pop(name, None)
    if options.record:
        os.environ[MARK] = mark
    if options.not_as_root and os.geteuid() == 0:
        become_nobody()
    # A change of user clears the setting, so it comes after.
    _prctl(PR_SET_PDEATHSIG, stop_signal)
    require_parent(parent)
    # A supervisor may have blocked or ignored signals on its own behalf; the command starts with a clean slate.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvp(options.command[0], options.command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
