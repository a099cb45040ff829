"""
`make check`: everything that can be said of the code without running the tests, each check by name.

All of them run, so that one visit shows everything; the exit status is 1 if any failed. Those that need a
database get an embedded PostgreSQL of their own, migrated from nothing. Settings are production's, with an
environment made up on the spot.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from wallet_project.local import example
from wallet_project.local.servers import Postgres, running
from wallet_project.local.state import State

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_BIN: Final = Path(sys.executable).parent
_MANAGE: Final = (sys.executable, "manage.py")


class Check(NamedTuple):
    """One command; it passes when it exits 0."""

    name: str
    command: tuple[str, ...]


WITHOUT_DATABASE: Final = (
    Check("format", (f"{_BIN}/ruff", "format", "--check", "--quiet", ".")),
    Check("lint", (f"{_BIN}/ruff", "check", "--quiet", ".")),
    Check("types", (f"{_BIN}/mypy",)),
    Check("imports", (f"{_BIN}/lint-imports", "--no-logo")),
)
WITH_DATABASE: Final = (
    Check("migrations complete", (*_MANAGE, "makemigrations", "--check", "--dry-run")),
    Check("migrations apply", (*_MANAGE, "migrate", "--database", "owner", "--verbosity", "0")),
    Check("migrations safe", (sys.executable, "-m", "wallet_project.local.migration_lint")),
    Check(
        "settings and database",
        (*_MANAGE, "check", "--deploy", "--fail-level", "WARNING", "--database", "default", "--database", "posting"),
    ),
)


def _passes(check: Check, environment: Mapping[str, str]) -> bool:
    """Run one check; what it says is shown only when it fails."""
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603
        check.command,
        cwd=CHECKOUT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    verdict = "ok" if done.returncode == 0 else "FAILED"
    print(f"{check.name:24}{verdict:8}{time.monotonic() - started:5.1f} s", flush=True)  # noqa: T201
    if done.returncode != 0:
        print(done.stdout, flush=True)  # noqa: T201
    return done.returncode == 0


@contextmanager
def _database() -> Iterator[dict[str, str]]:
    """A new, empty, embedded PostgreSQL with the three roles: its URLs as settings know them."""
    with tempfile.TemporaryDirectory(prefix="wallet-check-") as directory:
        # initdb's user may not be the one who made the directory.
        Path(directory).chmod(0o755)
        with running(Postgres(Path(directory), State(Path(directory)))) as server:
            server.create_roles()
            yield {
                "DATABASE_URL": server.url("wallet_app"),
                "DATABASE_OWNER_URL": server.url("wallet_owner"),
                "DATABASE_AUDITOR_URL": server.url("wallet_auditor"),
            }


def main() -> NoReturn:
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
        **example.production(),
        "DJANGO_SETTINGS_MODULE": "wallet_project.settings",
        "PYTHONWARNINGS": "error::RuntimeWarning",
    }
    failed = [check.name for check in WITHOUT_DATABASE if not _passes(check, environment)]
    with _database() as urls:
        failed += [check.name for check in WITH_DATABASE if not _passes(check, {**environment, **urls})]
    if failed:
        sys.exit(f"make check: {', '.join(failed)} failed")
    sys.exit(0)


if __name__ == "__main__":
    main()
