"""
Each lock by itself: what a second session can and cannot do while a posting waits or works.

The turnstile hides most of what a lost row lock or a lost order would do, so these look at the locks directly.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.db.models import F

from ledger.models import Transaction
from ledger.movements import Group, GuardView, Outcome
from ledger.posting import post
from ledger.store import LostUpdate
from tests.environment import Database
from tests.ledger.factories import Member, asha, group, member, ravi, transfer
from tests.ledger.posting_settings import posting_with
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


class Posting(threading.Thread):
    """One `post` in a thread of its own."""

    def __init__(self, *groups: Group) -> None:
        super().__init__(daemon=True)
        self.groups = groups
        self.outcomes: list[Outcome] = []

    def run(self) -> None:
        try:
            self.outcomes = post(self.groups)
        finally:
            connections.close_all()


def wait_until_blocked(watcher: psycopg.Connection[Any], by: int, waiting: threading.Thread) -> None:
    """Until a session waits for a lock that the session `by` holds."""
    ends_at = time.monotonic() + 10
    while time.monotonic() < ends_at:
        found = watcher.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND %s = ANY(pg_blocking_pids(pid))",
            [by],
        ).fetchone()
        if found:
            return
        assert waiting.is_alive(), "it waited for nobody"
        time.sleep(0.005)
    pytest.fail("nobody came to wait")


@contextmanager
def waiting_for(
    stranger: psycopg.Connection[Any], watcher: psycopg.Connection[Any], wallet: int, *groups: Group
) -> Iterator[Posting]:
    """A posting that has come to wait for the lock on `wallet`; it goes on when the block ends."""
    stranger.execute("SELECT FROM wallets_wallet WHERE id = %s FOR NO KEY UPDATE", [wallet])
    posting = Posting(*groups)
    posting.start()
    wait_until_blocked(watcher, stranger.info.backend_pid, posting)
    try:
        yield posting
    finally:
        stranger.rollback()
        posting.join(10)


def free_wallets(watcher: psycopg.Connection[Any], wallets: Sequence[int]) -> list[int]:
    """Which of them nobody has locked."""
    found = watcher.execute(
        "SELECT id FROM wallets_wallet WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED", [list(wallets)]
    )
    return [row[0] for row in found]


def test_nothing_is_judged_before_the_wallet_is_locked(
    stranger: psycopg.Connection[Any], watcher: psycopg.Connection[Any]
) -> None:
    sender, recipient = asha(balance="10"), ravi()
    judged: list[GuardView] = []
    asked = group(sender, transfer(sender, recipient, "4"), guards=(judged.append,))
    with waiting_for(stranger, watcher, recipient.wallet.pk, asked) as posting:
        assert judged == []
    assert [outcome.kind for outcome in posting.outcomes] == ["posted"]
    assert len(judged) == 1


def test_what_was_judged_stays_as_it_was_until_commit_even_when_nothing_moves(
    watcher: psycopg.Connection[Any],
) -> None:
    """A refusal writes no wallet; only the lock keeps its reason true until it is recorded."""
    sender, recipient, bystander = asha(), ravi(), ravi()
    seen: list[list[int]] = []
    wallets = [sender.wallet.pk, recipient.wallet.pk, bystander.wallet.pk]
    (outcome,) = post(
        [group(sender, transfer(sender, recipient, "4"))], within=lambda _: seen.append(free_wallets(watcher, wallets))
    )
    assert outcome.code == "insufficient_funds"
    assert seen == [[bystander.wallet.pk]]


@pytest.mark.parametrize(
    "finding",
    ["", "-c enable_indexscan=off -c enable_bitmapscan=off -c enable_seqscan=on -c enable_indexonlyscan=off"],
    ids=["by index", "in the table's own order"],
)
def test_locks_are_taken_from_the_lowest_wallet_up_however_they_are_asked_for_and_found(
    stranger: psycopg.Connection[Any], watcher: psycopg.Connection[Any], finding: str
) -> None:
    """
    While the lowest is held by another, none of the rest is locked: two postings can never wait crosswise.
    """
    people = sorted((member("Asha Rao") for _ in range(6)), key=lambda person: person.wallet.pk)
    # The lowest was written last, so it lies behind the others in the table.
    for person in reversed(people):
        Wallet.objects.filter(pk=person.wallet.pk).update(label="moved")
    lowest, *rest = (person.wallet.pk for person in people)

    def ask(order: Sequence[Member]) -> list[Group]:
        return [group(one, transfer(one, other, "1")) for one, other in pairwise(order)]

    with posting_with(options=finding):
        for order in (people, people[::-1], people[3:] + people[:3]):
            with waiting_for(stranger, watcher, lowest, *ask(order)):
                assert free_wallets(watcher, rest) == rest
        # And an ordinary pair, which shares the turnstile with its opposite.
        for pair in ((people[0], people[5]), (people[5], people[0])):
            with waiting_for(stranger, watcher, lowest, group(pair[0], transfer(*pair, "1"))):
                assert free_wallets(watcher, rest) == rest


def test_a_list_waits_at_the_turnstile_before_it_has_locked_anything(
    stranger: psycopg.Connection[Any], watcher: psycopg.Connection[Any]
) -> None:
    sender, recipient = asha(balance="10"), ravi()
    wallets = [sender.wallet.pk, recipient.wallet.pk]
    # Somebody who passed it together with others is still inside.
    stranger.execute("LOCK TABLE ledger_turnstile IN ROW EXCLUSIVE MODE")
    posting = Posting(*[group(sender, transfer(sender, recipient, "1"))] * 2)
    posting.start()
    wait_until_blocked(watcher, stranger.info.backend_pid, posting)
    assert free_wallets(watcher, wallets) == sorted(wallets)
    stranger.rollback()
    posting.join(10)
    assert [outcome.kind for outcome in posting.outcomes] == ["posted", "posted"]


def test_ordinary_pairs_pass_the_turnstile_together(stranger: psycopg.Connection[Any]) -> None:
    sender, recipient = asha(balance="10"), ravi()
    stranger.execute("LOCK TABLE ledger_turnstile IN ROW EXCLUSIVE MODE")
    with posting_with(lock_timeout="500ms"):
        assert post([group(sender, transfer(sender, recipient, "1"))])[0].kind == "posted"


def test_a_balance_written_by_anybody_else_stops_the_posting(database: Database) -> None:
    """The second assertion of a property asserted twice: what is overwritten is what was read."""
    sender, recipient = asha(balance="10"), ravi()

    def meddling(view: GuardView) -> str | None:
        Wallet.objects.filter(pk=sender.wallet.pk).update(balance=F("balance") + 5)
        return None

    with pytest.raises(LostUpdate):
        post([group(sender, transfer(sender, recipient, "4"), guards=(meddling,))])
    assert (sender.balance, recipient.balance) == (10, 0)
    assert not Transaction.objects.filter(from_wallet=sender.wallet).exists()
