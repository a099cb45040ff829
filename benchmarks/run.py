"""
`make bench`: the wallet against a yardstick of plain SQL, on one server in one run.

Rates drift by a third on a shared machine, so only ratios to the yardstick, taken in turn and as the median
of five rounds, mean anything. Production's settings, migrations and triggers; at the end `verify_ledger` over
all that was written. Writes `benchmarks/results/latest.json`.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import django
import psycopg

from benchmarks import relay_rate
from benchmarks.http_load import Load, load
from wallet_project.local.servers import Kafka, Postgres, Valkey, running
from wallet_project.local.state import State, free_port

HERE: Final = Path(__file__).resolve().parent
ROUNDS: Final = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS: Final = float(os.environ.get("BENCH_SECONDS", "5"))
PEOPLE: Final = 10_000
SENDERS: Final = 1_000
CONNECTIONS: Final = 32
LIST: Final = 200


def production_environment(postgres: Postgres, valkey: Valkey) -> dict[str, str]:
    """Production's settings over throw-away servers and keys."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return {
        "DJANGO_SETTINGS_MODULE": "wallet_project.settings",
        "WALLET_ENV": "production",
        "WALLET_DEMO": "0",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "ALLOWED_HOSTS": "127.0.0.1",
        "PUBLIC_URL": "https://127.0.0.1",
        "DATABASE_URL": postgres.url("wallet_app"),
        "DATABASE_OWNER_URL": postgres.url("wallet_owner"),
        "DATABASE_AUDITOR_URL": postgres.url("wallet_auditor"),
        "REDIS_URL": valkey.url(),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "TOKEN_SIGNING_KEYS": f"bench:{key}",
        "CODE_PEPPER": key,
        "DATA_KEYS": key,
        "DATA_INDEX_KEY": key,
        "RAZORPAY_CHECKOUT_URL": "https://127.0.0.1/checkout",
        "RAZORPAY_KEY_ID": "bench",
        "RAZORPAY_KEY_SECRET": secrets.token_urlsafe(24),
        "RAZORPAY_WEBHOOK_SECRETS": secrets.token_urlsafe(24),
        "EMAIL_URL": "smtp://127.0.0.1:9",
        "STATIC_ROOT": str(postgres.directory / "static"),
    }


def yardstick(postgres: Postgres, script: str, seconds: float) -> float:
    """Transfers a second of one of the yardstick's scripts."""
    printed = subprocess.run(
        [
            *(postgres._program("pgbench"), postgres.url(postgres.superuser), "--no-vacuum", "--protocol=prepared"),
            *("--file", str(HERE / "yardstick" / script), "--client=8", "--jobs=2", f"--time={seconds:.0f}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return float(next(line for line in printed.splitlines() if line.startswith("tps")).split()[2])


def posting(kind: str, size: int, processes: int, seed: int) -> tuple[float, int, int]:
    """Movements a second over some processes, commits, re-runs."""
    words = [sys.executable, "-m", "benchmarks.post_worker", kind, str(size), str(SECONDS)]
    workers = [
        subprocess.Popen([*words, str(seed * 100 + number)], stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    found: list[dict[str, Any]] = []
    for worker in workers:
        printed, _ = worker.communicate(timeout=SECONDS * 10 + 60)
        if worker.returncode != 0:
            sys.exit(f"a posting process failed: {printed}")
        found.append(json.loads(printed))
    rate = sum(one["moved"] / one["seconds"] for one in found)
    return rate, sum(one["commits"] for one in found), sum(one["reruns"] for one in found)


@contextmanager
def web() -> Iterator[int]:
    """Two Granian processes, as in production."""
    port = free_port()
    words = ["granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    words += ["--blocking-threads", "8", "--no-ws", "--log-level", "warning", "wallet_project.wsgi:application"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, "-m", *words], stdout=log, stderr=log)
        try:
            _wait_until_live(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_live(port: int, process: "subprocess.Popen[bytes]") -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/health/live", headers={"X-Forwarded-Proto": "https"})
    for _ in range(300):
        if process.poll() is not None:
            sys.exit("the web server ended before it answered")
        try:
            with urllib.request.urlopen(request, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the web server did not answer")


def measure(postgres: Postgres, people: list[tuple[str, str]]) -> dict[str, float]:
    """Everything in turn, round after round."""
    rounds: list[dict[str, float]] = []
    commits = reruns = 0
    with web() as port:
        load(port=port, people=people, connections=CONNECTIONS, seconds=2, seed=0)  # warm
        for number in range(1, ROUNDS + 1):
            transfer = yardstick(postgres, "transfer.sql", SECONDS)
            random_rate, *counts_random = posting("random", LIST, 1, number)
            hot = yardstick(postgres, "hot.sql", SECONDS)
            hot_rate, *counts_hot = posting("hot", LIST, 1, number)
            single_rate, *counts_single = posting("random", 1, 2, number)
            http: Load = load(port=port, people=people, connections=CONNECTIONS, seconds=SECONDS, seed=number * 1000)
            for more_commits, more_reruns in (counts_random, counts_hot, counts_single):
                commits, reruns = commits + more_commits, reruns + more_reruns
            rounds.append(
                {
                    "transfer.sql": transfer,
                    "hot.sql": hot,
                    "post_200_random": random_rate / transfer,
                    "post_200_hot": hot_rate / hot,
                    "post_1": single_rate / transfer,
                    "http_transfer": http.answered / http.seconds / transfer,
                    "http_p50_ms": http.percentile(0.50),
                    "http_p99_ms": http.percentile(0.99),
                }
            )
            print(f"round {number}: " + "  ".join(f"{name} {value:.2f}" for name, value in rounds[-1].items()))
    found = {name: round(median(one[name] for one in rounds), 3) for name in rounds[0]}
    return {**found, "reruns_per_commit": round(reruns / commits, 5)}


def main() -> int:
    """Measure, write the result down, verify the ledger. 1 if a floor is not reached or a lie is found."""
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as home, ExitStack() as stack:
        # PostgreSQL may run as another account, which has to get in.
        Path(home).chmod(0o755)
        state = State(Path(home))
        postgres = stack.enter_context(running(Postgres(Path(home), state)))
        valkey = stack.enter_context(running(Valkey(Path(home), state)))
        postgres.create_roles()
        os.environ.update(production_environment(postgres, valkey))
        manage = [sys.executable, str(HERE.parent / "manage.py")]
        subprocess.run([*manage, "migrate", "--database", "owner", "--verbosity", "0"], check=True)
        with psycopg.connect(postgres.url(postgres.superuser), autocommit=True) as connection:
            connection.execute((HERE / "yardstick" / "schema.sql").read_text())
        django.setup()
        from benchmarks.people import access_tokens, make_people

        make_people(PEOPLE)
        with psycopg.connect(postgres.url(postgres.superuser), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        found = measure(postgres, access_tokens(SENDERS))
        with running(Kafka(Path(home), state)) as kafka:
            found |= relay_rate.measure(postgres, kafka)
        results = HERE / "results" / "latest.json"
        results.parent.mkdir(exist_ok=True)
        results.write_text(json.dumps(found, indent=2) + "\n")
        print(json.dumps(found, indent=2))
        verified = subprocess.run([*manage, "verify_ledger"], check=False).returncode
    floors = {"post_200_random": 1.8, "post_200_hot": 5.0, "relay_1_events_per_second": relay_rate.FLOOR}
    missed = [f"{name} {found[name]} < {floor}" for name, floor in floors.items() if found[name] < floor]
    if found["reruns_per_commit"] >= 0.05:
        missed.append(f"reruns_per_commit {found['reruns_per_commit']} >= 0.05")
    print("floors reached" if not missed else "missed: " + ", ".join(missed))
    return 1 if missed or verified else 0


if __name__ == "__main__":
    sys.exit(main())
