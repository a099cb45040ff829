"""
How many events a second relays publish, marks included, on this machine with its embedded servers.

    python -m benchmarks.relay_rate                 # 50,000 events that wait; one relay, then two
    python -m benchmarks.relay_rate --events 200000

The events tell of a true ledger (`synthetic_ledger`). A rate is taken between the first mark and the last, by
PostgreSQL's clock, so that a process's start does not count; beside it stands what each event costs the relay itself in
processor time, which drifts less than a rate on a shared machine does.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.synthetic_ledger import write_synthetic_ledger
from wallet_project.local.servers import Kafka, Postgres, Valkey, running
from wallet_project.local.state import State

EVENTS: Final = 50_000
PEOPLE: Final = 5_000
RELAYS: Final = (1, 2)
FLOOR: Final = 5_000
_MOST_SECONDS: Final = 120
_TICK_SECONDS: Final = 0.1
_MANAGE: Final = str(Path(__file__).resolve().parents[1] / "manage.py")

_WAIT: Final = """
INSERT INTO kernel_outboxevent (number, event_id, transaction_id, wallet_id, lane, status, sequence, created_at)
SELECT nextval('outbox_numbers'), gen_random_uuid(), e.transaction_id, e.wallet_id, e.wallet_id %% 16, t.status,
    e.sequence, e.created_at
FROM ledger_ledgerentry e
JOIN ledger_transaction t ON t.id = e.transaction_id
JOIN wallets_wallet w ON w.id = e.wallet_id
WHERE w.kind <> 'SYSTEM' ORDER BY e.id LIMIT %s
"""
# The rows of the first mark were on their way before the clock began.
_RATE: Final = """
SELECT count(*) FILTER (WHERE published_at > began) / extract(epoch FROM max(published_at) - began)
FROM kernel_outboxevent, (SELECT min(published_at) AS began FROM kernel_outboxevent) first GROUP BY began
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Of all relays together."""

    events_per_second: float
    relay_microseconds: float


@contextmanager
def relays(count: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes = [
        subprocess.Popen([sys.executable, _MANAGE, "relay_outbox"], stderr=subprocess.DEVNULL) for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def publish(superuser_url: str, *, events: int, count: int) -> Rate:
    """Have `events` wait, and see how fast `count` relays publish them."""
    with psycopg.connect(superuser_url, autocommit=True) as database:
        database.execute("TRUNCATE kernel_outboxevent")
        made = database.execute(_WAIT, [events]).rowcount
        database.execute("VACUUM ANALYZE")
        with relays(count) as processes:
            until = time.monotonic() + _MOST_SECONDS
            waiting = "SELECT EXISTS (SELECT FROM kernel_outboxevent WHERE published_at IS NULL)"
            while database.execute(waiting).fetchall() == [(True,)]:
                if time.monotonic() > until or any(process.poll() is not None for process in processes):
                    sys.exit("the relays did not publish what waits")
                time.sleep(_TICK_SECONDS)
            spent = sum(_processor_seconds(process.pid) for process in processes)
        ((rate,),) = database.execute(_RATE).fetchall()
    return Rate(float(rate), spent / made * 1e6)


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(postgres: Postgres, kafka: Kafka, *, events: int = EVENTS) -> dict[str, float]:
    """Rates of one relay and of two, over a ledger of their own. The wallet's environment has been chosen."""
    os.environ["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
    url = postgres.url(postgres.superuser)
    # Not every entry is of a person's wallet.
    write_synthetic_ledger(superuser_url=url, entries=events * 3 // 2, people=PEOPLE, seed=7)
    found: dict[str, float] = {}
    for count in RELAYS:
        rate = publish(url, events=events, count=count)
        found[f"relay_{count}_events_per_second"] = round(rate.events_per_second)
        found[f"relay_{count}_microseconds"] = round(rate.relay_microseconds, 1)
    return found


def main() -> int:
    """1 if one relay is slower than it has to be."""
    from benchmarks.run import production_environment

    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--events", type=int, default=EVENTS)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory(prefix="wallet-relay-") as home, ExitStack() as stack:
        Path(home).chmod(0o755)
        state = State(Path(home))
        postgres = stack.enter_context(running(Postgres(Path(home), state)))
        kafka = stack.enter_context(running(Kafka(Path(home), state)))
        postgres.create_roles()
        os.environ.update(production_environment(postgres, Valkey(Path(home), state)))
        subprocess.run([sys.executable, _MANAGE, "migrate", "--database", "owner", "--verbosity", "0"], check=True)
        found = measure(postgres, kafka, events=events)
    print(json.dumps(found, indent=2))
    return int(found["relay_1_events_per_second"] < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
