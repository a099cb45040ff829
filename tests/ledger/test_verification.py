"""`verify_ledger` as a command: its answers, its speed and memory, and that it runs beside live traffic."""

import doctest
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import tracemalloc
from contextlib import suppress
from typing import Final

import psycopg
import pytest

from benchmarks.synthetic_ledger import write_synthetic_ledger
from ledger import chain
from ledger.models import Transaction
from ledger.posting import post
from ledger.verifying import records
from ledger.verifying.snapshot import snapshot_of
from ledger.verifying.verification import verify
from tests import environment
from tests.ledger.factories import asha, group, ravi, transfer
from tests.ledger.verifier import MANAGE, holds, tampering, verify_in_a_process

pytestmark = pytest.mark.usefixtures("own_database")

DOCS: Final = MANAGE.parent / "docs" / "ledger.md"


def test_the_vectors_of_the_docs_are_what_the_code_gives() -> None:
    found = doctest.testfile(str(DOCS), module_relative=False, encoding="utf-8")
    assert found.attempted >= 10
    assert found.failed == 0


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"order_reference": "A-1"},
        {"b": "2", "a": "1", "aa": '\u20ac " \\ \n \x7f /'},
        # RFC 8785 sorts by UTF-16: the emoji, above U+FFFF, comes before U+FB33. By code point it would come after.
        {"\ufb33": "dalet", "\U0001f600": "grin", "é": "\u2028"},
    ],
)
@pytest.mark.parametrize("note", ["", "lunch ☕\n=1+1"])
def test_postgresql_and_python_make_the_same_bytes(metadata: dict[str, str], note: str) -> None:
    """The two makers of a transaction's digest, each for every field."""
    a, r = asha(balance="50"), ravi()
    (outcome,) = post([group(a, transfer(a, r, "0.01", note=note, metadata=metadata))])
    t = Transaction.objects.get(pk=outcome.transactions[0])
    expected = chain.digest_of_transaction(
        id=t.pk,
        uuid=t.uuid,
        from_wallet=a.wallet.pk,
        to_wallet=r.wallet.pk,
        amount_units=100,
        currency="INR",
        decimals=2,
        type="TRANSFER",
        initiator=a.actor.pk,
        group=None,
        reverses=None,
        created_at=chain.microseconds(t.created_at),
        note=note,
        metadata=metadata,
    )
    assert expected in _digests_of_wallet(r.wallet.pk)
    holds()


def _digests_of_wallet(wallet: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    with snapshot_of("default") as snapshot:
        for batch, made in records.batches(snapshot):
            for record in records.RECORD.iter_unpack(batch):
                if record[1] == records.WALLET_ITSELF:
                    continue
                digest = record[2] if any(record[2]) else next(made)
                if record[0] == wallet:
                    found.append(digest)
    return found


def test_a_ledger_without_a_single_row_holds() -> None:
    assert "The ledger holds: 0 entries, 0 transactions, 0 keys, 0 wallets" in holds()


def test_every_currency_of_its_own() -> None:
    asha(balance="12.34"), asha(currency="JPY", balance="500"), asha(currency="KWD", balance="1.234")
    assert "3 currencies" in holds()


def test_the_largest_refused_amount_is_no_overflow() -> None:
    a, r = asha(), ravi()
    (outcome,) = post([group(a, transfer(a, r, "999999999999999.99"))])
    assert outcome.code == "limit_exceeded"
    holds()


def test_it_ends_with_0_and_a_summary() -> None:
    asha(balance="1")
    ran = verify_in_a_process()
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^The ledger holds: [\d,]+ entries, .* in [\d.]+ s \([\d,]+ entries/s\)\.$", ran.stdout, re.M)
    # Not a terminal, so no bar.
    assert "entries/s]" not in ran.stderr


def test_it_ends_with_1_and_the_lie(own_database: environment.Database) -> None:
    a = asha(balance="1")
    with tampering(own_database.superuser_url) as server:
        server.execute("UPDATE wallets_wallet SET balance = 2 WHERE id = %s", [a.wallet.pk])
    ran = verify_in_a_process()
    assert ran.returncode == 1
    assert f"The ledger lies. {a.wallet.public_id}: balance: expected 1.0000, as entry 1 left it, found 2" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_it_ends_with_2_when_there_is_no_server() -> None:
    ran = verify_in_a_process(DATABASE_URL="postgresql://wallet_app:x@127.0.0.1:9/wallet")
    assert ran.returncode == 2
    assert "The ledger could not be read: " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_it_ends_with_2_where_it_may_not_read(own_database: environment.Database) -> None:
    with psycopg.connect(own_database.superuser_url) as server:
        server.execute("REVOKE SELECT ON ledger_transaction FROM wallet_app")
    ran = verify_in_a_process()
    assert ran.returncode == 2
    assert "permission denied" in ran.stderr


def test_an_unknown_alias_is_refused_by_its_name() -> None:
    ran = verify_in_a_process("--database", "nowhere")
    assert ran.returncode == 2
    assert "nowhere" in ran.stderr


def test_the_auditor_can_run_it_and_the_owner_too() -> None:
    asha(balance="3")
    as_application = holds().split(" in ")[0]
    assert holds(database="auditor").split(" in ")[0] == as_application
    assert holds(database="owner").split(" in ")[0] == as_application


@pytest.mark.parametrize(("arguments", "is_shown"), [([], True), (["--no-progress"], False)])
def test_a_bar_is_shown_on_a_terminal(arguments: list[str], is_shown: bool) -> None:
    asha(balance="1")
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    ran = subprocess.run(
        [sys.executable, str(MANAGE), "verify_ledger", *arguments],
        stdout=subprocess.PIPE,
        stderr=its,
        check=False,
        timeout=60,
    )
    os.close(its)
    shown = b""
    # Linux says with an error that the other end was closed and all was read.
    with suppress(OSError):
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert ran.returncode == 0
    assert (b"entries" in shown) is is_shown


def test_it_runs_beside_live_traffic_in_one_snapshot(own_database: environment.Database) -> None:
    """While movements are posted without pause, every run holds and none of the postings waits for it."""
    a, r = asha(balance="1000"), ravi()
    stop, failures, posted = threading.Event(), [], []

    def traffic() -> None:
        try:
            while not stop.is_set():
                posted.extend(post([group(a, transfer(a, r, "0.01")), group(r, transfer(r, a, "0.01"))]))
        except Exception as error:  # reported below, in the test's own thread
            failures.append(error)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        counts = [_entries(holds()) for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert counts == sorted(counts)
    assert counts[-1] > counts[0], "nothing was posted meanwhile"
    assert len(posted) > 20


def _entries(summary: str) -> int:
    found = re.search(r"([\d,]+) entries,", summary)
    assert found
    return int(found[1].replace(",", ""))


def test_it_writes_nothing_and_holds_no_lock_that_posting_wants() -> None:
    with snapshot_of("default") as snapshot:
        snapshot.rows("SELECT count(*) FROM {entries}")
        modes = snapshot.rows(
            "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL"
        )
        assert modes == [("AccessShareLock",)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            snapshot.rows("DELETE FROM {entries} RETURNING 1")


def test_a_function_of_the_same_name_deceives_nobody(own_database: environment.Database) -> None:
    a = asha(balance="5")
    with psycopg.connect(own_database.superuser_url) as server:
        server.execute(
            "CREATE FUNCTION public.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT decode(repeat('00', 32),"
            " 'hex') $$"
        )
        server.execute(f'ALTER ROLE wallet_app IN DATABASE "{own_database.name}" SET search_path = public, pg_catalog')
    assert a.balance == 5
    holds()


class _Bar:
    def __init__(self, entries: int) -> None:
        """Of so many entries."""

    def update(self, n: int) -> None:
        """Nobody looks."""

    def close(self) -> None:
        """Nor now."""


def _peak_memory() -> tuple[int, int]:
    """Entries read, and the most bytes that Python held while it read them."""
    tracemalloc.start()
    verdict = verify(alias="default", progress=_Bar)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert verdict.lie is None
    return verdict.entries, peak


def test_memory_does_not_grow_with_the_ledger(own_database: environment.Database) -> None:
    """CI's share; `benchmarks/verify_rate.py` measures the whole process with 2,000,000 entries."""
    write_synthetic_ledger(superuser_url=own_database.superuser_url, entries=5_000, people=100, seed=1)
    few, before = _peak_memory()
    write_synthetic_ledger(superuser_url=own_database.superuser_url, entries=30_000, people=100, seed=2)
    many, after = _peak_memory()
    assert (few >= 5_000, many >= 35_000) == (True, True)
    # The records of the difference, kept, would be 3.6 MB as bytes and many times that as numbers.
    assert after - before < 1_000_000
