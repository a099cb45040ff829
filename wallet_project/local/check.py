"""
`make check`: everything that can be said of the code without running the tests, each check by name.

All of them run, so that one visit shows everything; the exit status is 1 if any failed. What could find nothing out
(no source of advisories answers) is UNKNOWN, which fails nothing and is never called ok. Those that need a
database get an embedded PostgreSQL of their own, migrated from nothing. Settings are production's, with an
environment made up on the spot.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, Literal, NamedTuple, NoReturn

from wallet_project.local import example
from wallet_project.local.servers import Postgres, running
from wallet_project.local.state import State

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_BIN: Final = Path(sys.executable).parent
_MANAGE: Final = (sys.executable, "manage.py")

Verdict = Literal["ok", "FAILED", "UNKNOWN"]


class Check(NamedTuple):
    """
    One command; it passes when it exits 0.

    :ivar unknown_status: the exit status by which it says that it could find nothing out; 0 for those that always can.
    """

    name: str
    command: tuple[str, ...]
    unknown_status: int = 0


_ROOMS: Final = ("accounts", "ledger", "payments", "wallets", "wallet_project")
# What production is made of, as CycloneDX; `build` is ignored by git.
BILL_OF_MATERIALS: Final = "build/sbom.cdx.json"
_SUPPLY_CHAIN: Final = (sys.executable, "-m", "wallet_project.local.supply_chain")
# The longest first.
CHECKS: Final = (
    Check("types", (f"{_BIN}/mypy",)),
    Check("bandit", (f"{_BIN}/bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", *_ROOMS)),
    Check(
        "bill of materials",
        (
            *(f"{_BIN}/cyclonedx-py", "requirements", "requirements.txt", "--output-reproducible", "--validate"),
            *("--of", "JSON", "--output-file", BILL_OF_MATERIALS),
        ),
    ),
    Check("imports", (f"{_BIN}/lint-imports", "--no-logo")),
    Check("licences", (*_SUPPLY_CHAIN, "licences")),
    Check("advisories", (*_SUPPLY_CHAIN, "advisories"), unknown_status=3),
    Check("format", (f"{_BIN}/ruff", "format", "--check", "--quiet", ".")),
    Check("lint", (f"{_BIN}/ruff", "check", "--quiet", ".")),
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
# Beside those of the database, on two cores.
_AT_ONCE: Final = 2
_terminal: Final = Lock()


def verdict_of(check: Check, environment: Mapping[str, str]) -> Verdict:
    """Run one check; what it says is shown unless it passes."""
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
    verdict: Verdict = "ok"
    if done.returncode != 0:
        verdict = "UNKNOWN" if done.returncode == check.unknown_status else "FAILED"
    with _terminal:
        print(f"{check.name:24}{verdict:8}{time.monotonic() - started:5.1f} s", flush=True)  # noqa: T201
        if verdict != "ok":
            print(done.stdout, flush=True)  # noqa: T201
    return verdict


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
    (CHECKOUT / BILL_OF_MATERIALS).parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        besides = [(check, pool.submit(verdict_of, check, environment)) for check in CHECKS]
        # In the main thread: Linux ties the server to the thread that started it.
        with _database() as urls:
            verdicts = {check.name: verdict_of(check, {**environment, **urls}) for check in WITH_DATABASE}
        verdicts |= {check.name: future.result() for check, future in besides}
    failed = [name for name, verdict in verdicts.items() if verdict == "FAILED"]
    unknown = [name for name, verdict in verdicts.items() if verdict == "UNKNOWN"]
    if unknown:
        print(f"make check: nothing could be found out about {', '.join(unknown)}", file=sys.stderr)  # noqa: T201
    if failed:
        sys.exit(f"make check: {', '.join(failed)} failed")
    sys.exit(0)


if __name__ == "__main__":
    main()
