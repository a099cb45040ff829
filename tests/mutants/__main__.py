"""
`make mutants`: drops each named guard in turn, in a copy of the checkout, and asks its tests to notice.

A guard whose loss turns no test red is a guard that nobody would miss: the run fails and names it. The tests are
first run on an unchanged copy, for a test that is red anyway notices nothing. Servers are started once for all.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants import account_guards, consumer_guards, guards, people_guards, relay_guards, webhook_guards
from tests.mutants.guards import Edit, Mutant
from wallet_project.local.servers import Postgres, Valkey, running
from wallet_project.local.state import State

CHECKOUT: Final = Path(__file__).resolve().parents[2]
MUTANTS: Final = (
    *guards.MUTANTS,
    *account_guards.MUTANTS,
    *people_guards.MUTANTS,
    *consumer_guards.MUTANTS,
    *relay_guards.MUTANTS,
    *webhook_guards.MUTANTS,
)
AT_ONCE: Final = 2
LONGEST_SECONDS: Final = 240
_NOT_COPIED: Final = (".git", ".venv", ".local", "node_modules", "__pycache__", ".*_cache", ".hypothesis")
_FAILED: Final = re.compile(r"^FAILED \S+::(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Servers:
    """One PostgreSQL and one Valkey; each run has its own clones of the first and its own number of the second."""

    environment: dict[str, str]
    valkey_url: str

    def environment_of(self, number: int) -> dict[str, str]:
        # tests/conftest.py sets what settings need before it names them: they must not be loaded earlier.
        inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        return {**inherited, **self.environment, "REDIS_URL": f"{self.valkey_url.rsplit('/', 1)[0]}/{number % 16}"}


@contextmanager
def servers(home: Path) -> Iterator[Servers]:
    # PostgreSQL's user may not be the one who made the directory.
    home.chmod(0o755)
    state = State(home)
    postgres, valkey = Postgres(home, state), Valkey(home, state)
    with running(postgres), running(valkey):
        postgres.create_roles()
        roles = {
            "DATABASE_URL": "wallet_app",
            "DATABASE_OWNER_URL": "wallet_owner",
            "DATABASE_AUDITOR_URL": "wallet_auditor",
            "DATABASE_SUPERUSER_URL": postgres.superuser,
        }
        environment = {name: postgres.url(role, "postgres") for name, role in roles.items()}
        yield Servers({**environment, "PYTHONDONTWRITEBYTECODE": "1", "WALLET_FORBID_SKIPS": "1"}, valkey.url())


def copy_of(source: Path, target: Path, edits: Sequence[Edit] = ()) -> Path:
    """
    The checkout without what is made from it, with these edits.

    :raises ValueError: an edit's text does not stand there exactly once.
    """
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_NOT_COPIED), symlinks=True)
    for edit in edits:
        path = target / edit.path
        text = path.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise ValueError(f"{edit.path} does not hold exactly once: {edit.old.strip()!r}")
        path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return target


@dataclass(frozen=True)
class Run:
    """One pytest: what it said, and the first test that failed, if one did."""

    status: int
    said: str
    first_failure: str
    seconds: float


def run_tests(checkout: Path, tests: Sequence[str], environment: dict[str, str]) -> Run:
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rf", "--tb=short", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
        )
        status, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        status, said = -1, f"not done after {LONGEST_SECONDS} s"
    failed = _FAILED.search(said)
    return Run(status, said, failed.group(1) if failed else "", time.monotonic() - began)


def try_mutant(number: int, mutant: Mutant, source: Path, home: Path, where: Servers) -> Run:
    try:
        checkout = copy_of(source, home / f"mutant-{number}", mutant.edits)
    except ValueError as error:
        return Run(-1, str(error), "", 0.0)
    try:
        return run_tests(checkout, mutant.tests, where.environment_of(number + 1))
    finally:
        shutil.rmtree(checkout, ignore_errors=True)


def main(wanted: Sequence[str]) -> int:
    """:param wanted: words; only guards whose names hold one of them are dropped. None: all of them."""
    chosen = [mutant for mutant in MUTANTS if not wanted or any(word in mutant.guard for word in wanted)]
    with tempfile.TemporaryDirectory(prefix="wallet-mutants-") as directory:
        home = Path(directory)
        # One copy is what all others are made from, whatever happens to the checkout meanwhile.
        source = copy_of(CHECKOUT, home / "source")
        with servers(home) as where:
            tests = sorted({test for mutant in chosen for test in mutant.tests})
            sound = run_tests(source, tests, where.environment_of(0))
            if sound.status != 0:
                print(sound.said)
                print("The tests are red without any mutant: they would notice nothing.")
                return 1
            print(f"{'no guard dropped':54} {'green':10}{sound.seconds:5.0f} s", flush=True)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                tried = [pool.submit(try_mutant, n, mutant, source, home, where) for n, mutant in enumerate(chosen)]
                survivors = [not report(mutant, future.result()) for mutant, future in zip(chosen, tried, strict=True)]
    if any(survivors):
        print(f"{sum(survivors)} of {len(chosen)} guards can be dropped without a test turning red.")
        return 1
    print(f"All {len(chosen)} were noticed.")
    return 0


def report(mutant: Mutant, run: Run) -> bool:
    """A line of the table. True if a test failed, as it must; not if the run merely broke."""
    noticed = run.status == 1 and bool(run.first_failure)
    print(
        f"{mutant.guard:54} {'red' if noticed else 'SURVIVED':10}{run.seconds:5.0f} s  {run.first_failure}", flush=True
    )
    if not noticed:
        print(run.said[-3000:], flush=True)
    return noticed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
