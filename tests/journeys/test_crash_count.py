"""
Whoever was told "done" stays right, though everything is killed with `kill -9` again and again under load.

A conserved total is a weak proof: with `synchronous_commit=off` it stays exact while acknowledged transfers are
gone. So what clients had been told is counted, from journals that they synced to disk themselves.

`make faults` kills everything ten times; CRASHES chooses another number.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
import requests

from tests.running import CHECKOUT, Run, clean_environment, free_pair, wait_until_gone

pytestmark = [pytest.mark.runner, pytest.mark.xdist_group("crashes"), pytest.mark.timeout(600)]

CRASHES: Final = int(os.environ.get("CRASHES", "2"))
CLIENTS: Final = 4
PASSWORD: Final = "wallet-demo-2026"
CAST: Final = ("asha@example.com", "ravi@example.com")


@dataclass(slots=True)
class Journal:
    """What one crowd of clients sent and was told, over all crashes."""

    sender: str
    sent: set[str] = field(default_factory=set)
    done: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    @property
    def unknown(self) -> set[str]:
        """Without an answer, or told that the wallet was busy: which may come after it was done."""
        return self.sent - self.done.keys()

    def read(self, path: Path) -> None:
        for line in path.read_text().splitlines():
            match line.split():
                case ["SENT", key]:
                    self.sent.add(key)
                case ["DONE", key, transaction]:
                    self.done[key] = transaction
                case ["TOLD", key, status]:
                    self.told[key] = status


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    run = Run(home=tmp_path_factory.mktemp("crash") / "home", port=free_pair())
    run.start()
    yield run
    run.stop()


def token(run: Run, email: str) -> str:
    answer = requests.post(f"{run.base_url}/api/v1/auth/token", json={"email": email, "password": PASSWORD}, timeout=30)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access"])


def balance(run: Run, email: str) -> Decimal:
    answer = requests.get(
        f"{run.base_url}/api/v1/wallet/balance", headers={"Authorization": f"Bearer {token(run, email)}"}, timeout=30
    )
    return Decimal(answer.json()["balance"]["amount"])


def send(run: Run, access: str, payee: str, key: str) -> requests.Response:
    return requests.post(
        f"{run.base_url}/api/v1/wallet/transfer",
        json={"to": payee, "amount": "1.00"},
        headers={"Authorization": f"Bearer {access}", "Idempotency-Key": key},
        timeout=30,
    )


def crash_under_load(run: Run, journals: dict[str, Journal], directory: Path, number: int) -> None:
    """Let clients send both ways, kill every process of the wallet at once, and read what the clients noted."""
    clients, paths = [], []
    for sender, payee in (CAST, CAST[::-1]):
        access = token(run, sender)
        for client in range(CLIENTS // 2):
            path = directory / f"{number}-{sender}-{client}"
            path.touch()
            paths.append((sender, path))
            words = [sys.executable, "-m", "tests.journeys.crash_client", str(path), run.base_url, access, payee]
            clients.append(subprocess.Popen(words, cwd=CHECKOUT, env=clean_environment()))
    # Not before each client was answered at least once; then at a moment nobody chose.
    deadline = time.monotonic() + 60
    while any(b"DONE" not in path.read_bytes() for _, path in paths):
        assert time.monotonic() < deadline, "the clients are not being answered"
        time.sleep(0.05)
    time.sleep(0.3 + 0.1 * number)
    processes = run.processes()
    for process in processes:
        # One whose parent has just died may be gone before its turn comes.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert run.process is not None
    run.process.wait(30)
    assert wait_until_gone(processes, seconds=20) == []
    for client in clients:
        client.wait(60)
    for sender, path in paths:
        journals[sender].read(path)


def test_every_acknowledged_transfer_outlives_each_kill_of_everything(wallet: Run, tmp_path: Path) -> None:
    before = {email: balance(wallet, email) for email in CAST}
    journals = {email: Journal(email) for email in CAST}
    for number in range(CRASHES):
        crash_under_load(wallet, journals, tmp_path, number)
        wallet.start()

    effects = dict(
        wallet.query(
            "SELECT k.key, count(e.id) FROM ledger_idempotencykey k"
            " JOIN ledger_transaction t ON t.id = k.transaction_id AND t.status = 'SUCCESS'"
            " JOIN ledger_ledgerentry e ON e.transaction_id = t.id GROUP BY k.key"
        )
    )
    for journal in journals.values():
        assert journal.done, "nothing was acknowledged"
        # The acknowledged: there, once, with both legs.
        assert {key: effects.get(key) for key in journal.done} == dict.fromkeys(journal.done, 2)
        # The unknown: not at all, or once.
        assert {effects.get(key, 0) for key in journal.unknown} <= {0, 2}
        assert set(journal.told.values()) <= {"503"}

    for sender, payee in (CAST, CAST[::-1]):
        journal, access = journals[sender], token(wallet, sender)
        for key, transaction in list(journal.done.items())[-50:] + list(journal.done.items())[:50]:
            replay = send(wallet, access, payee, key)
            assert (replay.status_code, replay.headers.get("Idempotent-Replayed")) == (201, "true")
            assert replay.json()["id"] == transaction
        # Sent again, each unknown one is done exactly once, whichever way its first try had gone.
        for key in journal.unknown:
            again = send(wallet, access, payee, key)
            assert again.status_code == 201
            assert (again.headers.get("Idempotent-Replayed") == "true") == (key in effects)

    sent = {email: len(journals[email].done) + len(journals[email].unknown) for email in CAST}
    asha, ravi = CAST
    assert balance(wallet, asha) == before[asha] - sent[asha] + sent[ravi]
    assert balance(wallet, ravi) == before[ravi] - sent[ravi] + sent[asha]
    verified = subprocess.run(
        [sys.executable, "manage.py", "verify_ledger"],
        cwd=CHECKOUT,
        env=wallet.command_environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
