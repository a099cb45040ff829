"""
What goes wrong around a posting: locks held, connections killed, a COMMIT whose answer never comes.

Each time: one effect, the right outcome, no database error for the caller, and the connection back in its pool.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import DatabaseError, connections

from accounts.models import InboxMessage
from ledger.models import IdempotencyKey, Transaction
from ledger.movements import Completion, Group, Movement, Outcome
from ledger.posting import OutcomeUnknown, post, tally
from tests.environment import Database
from tests.ledger.cut_wire import CutWire, Fate, cut_wire
from tests.ledger.factories import Member, asha, clearing, gateway_actor, group, key, ravi, transfer
from tests.ledger.posting_settings import posting_with
from tests.ledger.proofs import assert_books_hold
from wallet_project.kernel.errors import Refusal
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module", autouse=True)
def books_hold_at_the_end(database: Database) -> Iterator[None]:
    yield
    assert_books_hold(database.superuser_url)


@pytest.fixture(autouse=True)
def the_next_posting_works() -> Iterator[None]:
    """Whatever happened, the one connection is back in its pool and good."""
    sender, recipient = asha(balance="1"), ravi()
    yield
    (outcome,) = post([group(sender, transfer(sender, recipient, "1"))])
    assert outcome.kind == "posted"


@pytest.fixture
def stranger(superuser_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session that is none of ours and may hold locks or end other sessions."""
    with psycopg.connect(superuser_url) as session:
        yield session
        session.rollback()


@pytest.fixture
def wire(database: Database) -> Iterator[CutWire]:
    server = urlsplit(database.app_url)
    with (
        cut_wire(server.hostname or "", server.port or 0) as wire,
        posting_with(host="127.0.0.1", port=wire.port, wait_seconds=2.0),
    ):
        yield wire


def transactions_of(whom: Member) -> int:
    return Transaction.objects.filter(from_wallet=whom.wallet).count()


def backend_of(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def end_session(superuser_url: str, pid: int) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as session:
        ended = session.execute("SELECT pg_terminate_backend(%s, 5000)", [pid]).fetchone()
    assert ended == (True,)


# Locks held by others


@pytest.mark.parametrize("held", ["wallet", "turnstile"])
def test_a_lock_that_is_not_let_go_makes_us_busy_and_uses_no_key(
    held: str, stranger: psycopg.Connection[Any], database: Database
) -> None:
    sender, recipient = asha(balance="10"), ravi()
    if held == "wallet":
        stranger.execute("SELECT FROM wallets_wallet WHERE id = %s FOR UPDATE", [recipient.wallet.pk])
    else:
        stranger.execute("LOCK TABLE ledger_turnstile IN EXCLUSIVE MODE")
    asked = [group(sender, transfer(sender, recipient, "4"), key=key("k"))]
    with posting_with(lock_timeout="200ms"), pytest.raises(Refusal) as refused:
        post(asked)
    assert (refused.value.code, refused.value.status, refused.value.retry_after_seconds) == ("busy", 503, 1)
    assert not isinstance(refused.value, OutcomeUnknown)
    assert (transactions_of(sender), IdempotencyKey.objects.filter(initiator=sender.actor).count()) == (0, 0)
    stranger.rollback()
    assert post(asked)[0].kind == "posted"
    assert (sender.balance, recipient.balance) == (6, 4)


def test_a_lock_let_go_in_time_is_waited_for_and_costs_one_re_run(stranger: psycopg.Connection[Any]) -> None:
    """The wait behind a row ends in 40001 under REPEATABLE READ; the caller never hears of it."""
    sender, recipient = asha(balance="10"), ravi()
    stranger.execute("UPDATE wallets_wallet SET label = 'renamed' WHERE id = %s", [sender.wallet.pk])
    before = tally.reruns
    threading.Timer(0.2, stranger.commit).start()
    (outcome,) = post([group(sender, transfer(sender, recipient, "4"))])
    assert (outcome.kind, sender.balance) == ("posted", 6)
    assert tally.reruns == before + 1


def test_waiting_for_the_one_connection_is_bounded() -> None:
    one, other = asha(balance="10"), ravi(balance="10")
    inside, let_go, first = threading.Event(), threading.Event(), []

    def hold(outcomes: Sequence[Outcome]) -> None:
        inside.set()
        assert let_go.wait(10)

    def slow() -> None:
        first.extend(post([group(one, transfer(one, other, "1"))], within=hold))

    with posting_with(wait_seconds=0.3):
        holder = threading.Thread(target=slow)
        holder.start()
        assert inside.wait(10)
        began = time.monotonic()
        with pytest.raises(Refusal, match="busy"):
            post([group(other, transfer(other, one, "1"))])
        assert 0.2 < time.monotonic() - began < 3
        let_go.set()
        holder.join(10)
        assert [outcome.kind for outcome in first] == ["posted"]
        assert post([group(other, transfer(other, one, "1"))])[0].kind == "posted"


def test_a_statement_that_runs_too_long_makes_us_busy() -> None:
    sender, recipient = asha(balance="10"), ravi()

    def slow(outcomes: Sequence[Outcome]) -> None:
        with connections["posting"].cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 50")
            cursor.execute("SELECT pg_sleep(5)")

    with pytest.raises(Refusal, match="busy"):
        post([group(sender, transfer(sender, recipient, "4"))], within=slow)
    assert (sender.balance, transactions_of(sender)) == (10, 0)


# Killed before COMMIT


@dataclass
class Killer:
    """A `within` that ends its own session at its first `times` runs, and writes a companion in each."""

    superuser_url: str
    address: str
    times: int = 1
    notices: bool = True
    runs: int = 0

    def __call__(self, _: Sequence[Outcome]) -> None:
        self.runs += 1
        InboxMessage.objects.create(channel="email", to=self.address, text="paid", sent_at="2026-01-01T00:00:00Z")
        if self.runs <= self.times:
            end_session(self.superuser_url, backend_of("posting"))
            if self.notices:
                InboxMessage.objects.count()

    def companions(self) -> int:
        return InboxMessage.objects.filter(to=self.address).count()


@pytest.mark.parametrize("notices", [True, False], ids=["before COMMIT", "at COMMIT"])
def test_a_killed_connection_is_run_again_with_its_companions_and_happens_once(
    superuser_url: str, notices: bool
) -> None:
    sender, recipient = asha(balance="10"), ravi()
    killer = Killer(superuser_url, f"{sender.user.email}", notices=notices)
    (outcome,) = post([group(sender, transfer(sender, recipient, "4"), key=key("k"))], within=killer)
    assert (outcome.kind, outcome.http_status) == ("posted", 201)
    assert (sender.balance, recipient.balance, transactions_of(sender)) == (6, 4, 1)
    assert (killer.runs, killer.companions()) == (2, 1)


def test_a_connection_killed_while_idle_in_its_pool_is_replaced(superuser_url: str) -> None:
    sender, recipient = asha(balance="10"), ravi()
    pids: list[int] = []
    post([group(sender, transfer(sender, recipient, "1"))], within=lambda _: pids.append(backend_of("posting")))
    end_session(superuser_url, pids[0])
    (outcome,) = post(
        [group(sender, transfer(sender, recipient, "1"))], within=lambda _: pids.append(backend_of("posting"))
    )
    assert (outcome.kind, sender.balance) == ("posted", 8)
    assert len(set(pids)) == 2


def test_a_database_that_always_drops_us_ends_in_busy_not_in_an_error(superuser_url: str) -> None:
    sender, recipient = asha(balance="10"), ravi()
    killer = Killer(superuser_url, f"{sender.user.email}", times=100)
    with pytest.raises(Refusal, match="busy") as refused:
        post([group(sender, transfer(sender, recipient, "4"))], within=killer)
    assert not isinstance(refused.value, OutcomeUnknown)
    assert (sender.balance, transactions_of(sender), killer.companions()) == (10, 0, 0)


# Cut off at COMMIT: nobody can tell whether it happened

FATES: list[Fate] = ["after the commit", "instead of the commit", "while the commit is on its way"]


@dataclass
class Companion:
    """A `within` whose second run would be noticed."""

    address: str

    def __call__(self, outcomes: Sequence[Outcome]) -> None:
        self.kinds = [outcome.kind for outcome in outcomes]
        InboxMessage.objects.create(channel="email", to=self.address, text="paid", sent_at="2026-01-01T00:00:00Z")

    def written(self) -> int:
        return InboxMessage.objects.filter(to=self.address).count()


@pytest.mark.parametrize("keyed", [True, False], ids=["with a key", "without a key"])
@pytest.mark.parametrize("fate", FATES)
def test_a_cut_at_commit_has_one_effect_and_the_first_answer(wire: CutWire, fate: Fate, keyed: bool) -> None:
    sender, recipient = asha(balance="10"), ravi()
    companion = Companion(f"{sender.user.email}")
    asked = group(sender, transfer(sender, recipient, "4"), key=key("k") if keyed else None)
    wire.cut(fate)
    (outcome,) = post([asked], within=companion)
    assert wire.cuts == 1
    assert (outcome.kind, outcome.http_status) == ("posted", 201 if keyed else 0)
    assert Transaction.objects.get(from_wallet=sender.wallet).pk == outcome.transactions[0]
    assert (sender.balance, recipient.balance, companion.written()) == (6, 4, 1)


@pytest.mark.parametrize("fate", FATES)
def test_a_list_cut_at_commit_answers_for_each_group_as_at_first(wire: CutWire, fate: Fate) -> None:
    sender, recipient, closed = asha(balance="10"), ravi(), ravi()
    Wallet.objects.filter(pk=closed.wallet.pk).update(status="CLOSED")
    fact = Movement(
        type="ADD",
        amount=Decimal(3),
        currency="INR",
        from_wallet=clearing(),
        to_wallet=closed.wallet.pk,
        fact=True,
    )
    gift = Group(initiator=gateway_actor().pk, movements=(fact,))
    post([gift])  # suspense is known from here on: the list below needs one run
    companion = Companion(f"{sender.user.email}")
    wire.cut(fate)
    outcomes = post(
        [
            group(sender, transfer(sender, recipient, "4"), key=key("k")),
            group(sender, transfer(sender, recipient, "4"), key=key("k")),
            group(sender, transfer(sender, recipient, "100"), key=key("more")),
            group(sender, transfer(sender, recipient, "1"), transfer(sender, recipient, "2", type="FEE")),
            group(sender, transfer(sender, recipient, "3"), key=key("k", request="another")),
            gift,
        ],
        within=companion,
    )
    assert wire.cuts == 1
    assert [(outcome.kind, outcome.http_status) for outcome in outcomes] == [
        ("posted", 201),
        ("replayed", 201),
        ("refused", 422),
        ("posted", 0),
        ("key_reused", 422),
        ("posted", 0),
    ]
    assert [len(outcome.transactions) for outcome in outcomes] == [1, 1, 1, 2, 0, 1]
    assert outcomes[-1].diverted == outcomes[-1].transactions
    assert (sender.balance, recipient.balance, companion.written()) == (3, 7, 1)
    assert transactions_of(sender) == 4


@pytest.mark.parametrize("fate", FATES)
def test_a_completion_cut_at_commit_credits_once(wire: CutWire, fate: Fate) -> None:
    person = asha()
    promise = Movement(
        type="ADD",
        amount=Decimal(9),
        currency="INR",
        from_wallet=clearing(),
        to_wallet=person.wallet.pk,
        status="PENDING",
    )
    (pending,) = post([group(person, promise)])[0].transactions
    wire.cut(fate)
    completion = Completion(transaction=pending, status="SUCCESS")
    (outcome,) = post([Group(initiator=gateway_actor().pk, movements=(completion,))])
    assert wire.cuts == 1
    assert outcome.kind in ("posted", "unchanged")
    assert person.balance == 9


def test_cut_again_and_again_it_still_happens_once(wire: CutWire) -> None:
    sender, recipient = asha(balance="10"), ravi()
    companion = Companion(f"{sender.user.email}")
    wire.cut("instead of the commit", "while the commit is on its way", "after the commit")
    (outcome,) = post([group(sender, transfer(sender, recipient, "4"))], within=companion)
    assert outcome.kind == "posted"
    assert (sender.balance, transactions_of(sender), companion.written()) == (6, 1, 1)
    assert outcome.transactions == (Transaction.objects.get(from_wallet=sender.wallet).pk,)


@pytest.mark.parametrize("fate", ["after the commit", "instead of the commit"])
def test_when_nobody_can_be_asked_afterwards_the_caller_learns_that_the_outcome_is_unknown(
    wire: CutWire, database: Database, fate: Fate
) -> None:
    """Not `busy`: that would promise that nothing has happened. The key settles it later."""
    sender, recipient = asha(balance="10"), ravi()
    server = urlsplit(database.app_url)
    asked = [group(sender, transfer(sender, recipient, "4"), key=key("k"))]
    with posting_with(host="127.0.0.1", port=wire.port, wait_seconds=0.3):
        wire.cut(fate, unreachable_seconds=60)
        with pytest.raises(OutcomeUnknown) as unknown:
            post(asked)
        assert (unknown.value.code, unknown.value.status) == ("busy", 503)
    with posting_with(host=server.hostname, port=server.port):
        (outcome,) = post(asked)
    assert outcome.kind == ("replayed" if fate == "after the commit" else "posted")
    assert (sender.balance, transactions_of(sender)) == (6, 1)


# Mistakes of callers that must not become lost money


def _hide_in_the_orm(outcomes: Sequence[Outcome]) -> None:
    with suppress(DatabaseError):
        InboxMessage.objects.create(channel="email", to="x" * 300, text="", sent_at="2026-01-01T00:00:00Z")


def _hide_in_sql(outcomes: Sequence[Outcome]) -> None:
    with suppress(DatabaseError), connections["posting"].cursor() as cursor:
        cursor.execute("SELECT 1/0")


@pytest.mark.parametrize("within", [_hide_in_the_orm, _hide_in_sql])
def test_a_companion_that_hides_a_database_error_does_not_get_a_posting_that_never_happened(
    within: Callable[[Sequence[Outcome]], None],
) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, and no error."""
    sender, recipient = asha(balance="10"), ravi()
    with pytest.raises(RuntimeError, match="rolled back"):
        post([group(sender, transfer(sender, recipient, "4"), key=key("k"))], within=within)
    assert (sender.balance, transactions_of(sender)) == (10, 0)
    (outcome,) = post([group(sender, transfer(sender, recipient, "4"), key=key("k"))])
    assert (outcome.kind, sender.balance) == ("posted", 6)
