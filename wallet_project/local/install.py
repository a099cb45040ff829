"""
Makes `.venv` and installs the pinned, hashed requirements: `python3 wallet_project/local/install.py [--dev]`.

It runs before anything is installed, so it uses the standard library only. What is installed is remembered by
the digests of the requirement files, and nothing is done when they have not changed. uv installs, for it is
many times faster; where it cannot be had, pip does the same work.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "requirements-installed.json"
TO_RUN = ("requirements.txt", "requirements-local.txt")
TO_DEVELOP = (*TO_RUN, "requirements-dev.txt")
OLDEST = (3, 11)


class InstallError(RuntimeError):
    """The text is one line for whoever typed the command."""


def _digest(name: str) -> str:
    return hashlib.sha256((CHECKOUT / name).read_bytes()).hexdigest()


def _installed() -> dict[str, str]:
    try:
        found = json.loads(STAMP.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _works() -> bool:
    """Whether the interpreter of `.venv` still starts: its Python may have been upgraded away."""
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", ""], capture_output=True, check=False).returncode == 0  # noqa: S603


def _make() -> None:
    uv = shutil.which("uv")
    if VENV.exists():
        shutil.rmtree(VENV)
    try:
        venv.create(VENV, with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, ImportError, OSError) as error:
        # Some distributions keep ensurepip in a package of its own (Debian: python3-venv).
        if uv is None:
            raise InstallError(f"cannot make {VENV}: {error}; is Python's venv module (python3-venv) there?") from error
        subprocess.run([uv, "venv", "--clear", "--python", sys.executable, str(VENV)], check=True)  # noqa: S603


def _pinned(package: str, name: str) -> str:
    """The lines of one package, version and hashes, out of a compiled requirements file."""
    lines: list[str] = []
    for line in (CHECKOUT / name).read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{package}=="):
            lines = [line]
        elif lines and line.lstrip().startswith("--hash"):
            lines.append(line)
        elif lines:
            break
    return "\n".join(lines).rstrip(" \\") + "\n"


def _pip(*arguments: str) -> bool:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *arguments]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603


def _uv() -> str | None:
    """uv from the machine or the venv, else installed from our own pin; None where that is impossible."""
    own = VENV / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if found:
        return found
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pin:
        pin.write(_pinned("uv", "requirements-dev.txt"))
        pin.flush()
        _pip("--require-hashes", "--no-deps", "-r", pin.name)
    return str(own) if own.exists() else None


def _install(names: tuple[str, ...]) -> None:
    files = [word for name in names for word in ("-r", str(CHECKOUT / name))]
    uv = _uv()
    if uv is not None:
        environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
        # Ours alone: what the caller's shell says about other projects must not turn this one.
        environment.pop("CONDA_PREFIX", None)
        command = [uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--require-hashes", *files]
        if subprocess.run(command, env=environment, check=False).returncode == 0:  # noqa: S603
            return
        print("uv could not install; pip tries", file=sys.stderr)  # noqa: T201
    if not _pip("--require-hashes", *files):
        raise InstallError("the requirements could not be installed; the reason is above")


def ensure(names: tuple[str, ...]) -> None:
    """
    Bring `.venv` to what these requirement files say, in one process at a time.

    :raises InstallError: it cannot be done.
    """
    if sys.version_info < OLDEST:
        raise InstallError("Python 3.11 or newer is needed")
    wanted = {name: _digest(name) for name in names}
    try:
        lock = (CHECKOUT / ".venv.lock").open("w")
    except OSError as error:
        installed = _installed()
        if _works() and all(installed.get(name) == digest for name, digest in wanted.items()):
            return
        raise InstallError(f"{CHECKOUT} cannot be written: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _works():
            _make()
        installed = _installed()
        if all(installed.get(name) == digest for name, digest in wanted.items()):
            return
        print(f"installing {', '.join(names)} into {VENV}", file=sys.stderr)  # noqa: T201
        _install(names)
        STAMP.write_text(json.dumps({**installed, **wanted}, indent=1), encoding="ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="the tools of tests and checks as well")
    options = parser.parse_args()
    try:
        ensure(TO_DEVELOP if options.dev else TO_RUN)
    except (InstallError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"wallet: {error}")


if __name__ == "__main__":
    main()
