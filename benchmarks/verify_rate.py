"""
How fast `verify_ledger` reads, and how much memory it takes, by the size of the ledger.

    python -m benchmarks.verify_rate --posted 200000        # posted by the kernel, in lists of 500
    python -m benchmarks.verify_rate --synthetic 2000000    # copied in by a superuser

On a shared machine wall-clock rates mean little, so the processor time of the client and of PostgreSQL's backend is
counted too: entries per second of both together are what one core does.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import django
import psycopg
from django.core.management import call_command

from wallet_project.local.servers import Postgres, Valkey, running
from wallet_project.local.state import State

LIST: Final = 500
PEOPLE: Final = 10_000
_TICK_SECONDS: Final = 0.2


@contextmanager
def wallet() -> Iterator[Postgres]:
    """A migrated, empty wallet on servers of its own, with production's settings."""
    from benchmarks.run import production_environment

    with tempfile.TemporaryDirectory(prefix="wallet-verify-") as home:
        # PostgreSQL may run as another account, which has to get in.
        Path(home).chmod(0o755)
        state = State(Path(home))
        with running(Postgres(Path(home), state)) as postgres, running(Valkey(Path(home), state)) as valkey:
            postgres.create_roles()
            os.environ.update(production_environment(postgres, valkey))
            django.setup()
            call_command("migrate", database="owner", verbosity=0)
            yield postgres


def post_entries(entries: int) -> None:
    """Transfers between people who have money, through the kernel."""
    from accounts.actors import system_actor
    from benchmarks.people import make_people
    from ledger.movements import Group, Movement
    from ledger.posting import post
    from wallets.models import Wallet

    make_people(min(PEOPLE, entries // 4))
    people = list(Wallet.objects.filter(kind=Wallet.Kind.USER).values_list("pk", flat=True))
    initiator, dice = system_actor("benchmark").pk, random.Random(1)
    for _ in range(max(0, entries - 2 * len(people)) // (2 * LIST)):
        groups = []
        for _ in range(LIST):
            payer, payee = dice.sample(people, 2)
            movement = Movement(
                type="TRANSFER", amount=Decimal("0.01"), currency="INR", from_wallet=payer, to_wallet=payee
            )
            groups.append(Group(initiator=initiator, movements=(movement,)))
        post(groups)


class _Backend(threading.Thread):
    """Watches the backend that serves the verifier: its processor time, and its most memory of its own."""

    def __init__(self, superuser_url: str) -> None:
        super().__init__(daemon=True)
        self._url = superuser_url
        self.cpu_seconds = 0.0
        self.most_kib = 0
        self.ended = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as server:
            while not self.ended.wait(_TICK_SECONDS):
                for (pid,) in server.execute(
                    "SELECT pid FROM pg_stat_activity WHERE usename = 'wallet_app' AND backend_xmin IS NOT NULL"
                ):
                    self._look(Path("/proc") / str(pid))

    def _look(self, process: Path) -> None:
        try:
            words = (process / "stat").read_text().rpartition(")")[2].split()
            status = (process / "status").read_text()
        except OSError:
            return
        self.cpu_seconds = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        own = next(line for line in status.splitlines() if line.startswith("RssAnon"))
        self.most_kib = max(self.most_kib, int(own.split()[1]))


class _NoBar:
    def __init__(self, entries: int) -> None:
        self.total = entries

    def update(self, n: int) -> None:
        """Nobody looks."""

    def close(self) -> None:
        """Nor now."""


def measure(superuser_url: str) -> dict[str, Any]:
    """One verification: rates, processor time and peaks."""
    from ledger.verifying.verification import verify

    backend = _Backend(superuser_url)
    backend.start()
    cpu = time.process_time()
    verdict = verify(alias="default", progress=_NoBar)
    cpu = time.process_time() - cpu
    backend.ended.set()
    backend.join()
    return {
        "lie": verdict.lie and str(verdict.lie),
        "entries": verdict.entries,
        "seconds": round(verdict.seconds, 2),
        "entries_per_second": round(verdict.entries_per_second),
        "client_cpu_seconds": round(cpu, 2),
        "server_cpu_seconds": round(backend.cpu_seconds, 2),
        "entries_per_cpu_second": round(verdict.entries / (cpu + backend.cpu_seconds)),
        "client_peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "server_peak_own_mib": backend.most_kib // 1024,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--posted", type=int, default=0, help="entries to post through the kernel")
    parser.add_argument("--synthetic", type=int, default=0, help="entries to copy in")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with wallet() as postgres:
        from benchmarks.synthetic_ledger import write_synthetic_ledger

        superuser = postgres.url(postgres.superuser)
        if given.posted:
            post_entries(given.posted)
        if given.synthetic:
            write_synthetic_ledger(superuser_url=superuser, entries=given.synthetic, people=PEOPLE)
        with psycopg.connect(superuser, autocommit=True) as server:
            server.execute("VACUUM ANALYZE")
        found = [measure(superuser) for _ in range(given.rounds)]
    for one in found:
        print(json.dumps(one))
    return 1 if any(one["lie"] for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
