"""
The posting kernel: the one function that moves money.

No other code writes a balance, an entry, or the status of money. `post` owns its transaction: it runs on
the process's own connection, under REPEATABLE READ, with every wallet of its list locked in one query. It
re-runs whole when PostgreSQL says that others came between, and nobody sees a database error from it.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
import structlog
from django.db import Error as DjangoDatabaseError
from django.db import connections, transaction
from psycopg_pool import PoolTimeout

from ledger import store
from ledger.batch import Batch, NeedsWallets
from ledger.judging import Books, State, foresee, judge
from ledger.movements import Group, LockedWallet, Movement, Outcome, Preview
from ledger.numbers import drawing
from ledger.waking import wake_relay
from ledger.walk import Walk
from wallet_project.kernel.database import POSTING, require_no_transaction, routed_to_posting
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import from_units

log = structlog.get_logger("ledger.posting")

Within = Callable[[Sequence[Outcome]], None]

MOST_RUNS: Final = 8
_RERUN: Final = frozenset({"40001", "40P01"})
_BUSY: Final = frozenset({"55P03", "57014"})
# Constraints that a concurrent posting of the same request may hit first; the re-run then sees its rows.
_GUARDS: Final = frozenset({"ledger_idempotencykey_pkey", "ledger_transaction_uuid_key", "ledger_hold_reference_key"})


class OutcomeUnknown(Refusal):
    """
    The connection was lost at COMMIT, and nobody could be asked since: it may have happened or not.

    To a door it is `busy`. Only the same key may be tried again; a new one could move the money twice.
    """

    def __init__(self) -> None:
        super().__init__("busy", "It is not known yet whether this happened. Ask again.", retry_after_seconds=1)


@dataclass(slots=True)
class Tally:
    """How often this process posted, and how often it had to run again. A metric."""

    commits: int = 0
    reruns: int = 0


tally = Tally()


def post(groups: Sequence[Group], within: Within | None = None) -> list[Outcome]:
    """
    Move money. An outcome for each group, in order; groups are independent, each is all or nothing.

    :param within: writes companions that live or die with the money; the database only, and it may run
        more than once.
    :raises Refusal: whatever a gate raises; nothing of the list has happened then, so gates stand in lists of one.
    :raises Refusal: `busy`, after which nothing has happened and no key is used.
    :raises OutcomeUnknown: the database is out of reach since a COMMIT that it never answered.
    :raises RuntimeError: inside an atomic block of any alias, or inside another `post`.
    """
    if not groups:
        return []
    require_no_transaction()
    if len(groups) > 1 and any(group.gates for group in groups):
        raise ValueError("A gate ends the whole posting, so its group stands alone.")
    batch = Batch.of(groups)
    alone = batch.is_hot
    doubtful: list[_Attempt] = []
    cause: BaseException | None = None
    for run in range(MOST_RUNS):
        if run:
            tally.reruns += 1
            time.sleep(random.uniform(0, 0.002 * 2**run))  # noqa: S311  (jitter, not a secret)
        attempt = _Attempt(batch=batch, within=within, alone=alone, doubtful=doubtful)
        try:
            attempt.run()
        except NeedsWallets as needs:
            batch.add(needs)
        except (psycopg.Error, DjangoDatabaseError) as error:
            cause, fate = error, _fate_of(error, attempt)
            log.info("posting.interrupted", fate=fate, sqlstate=_sqlstate(error), run=run + 1)
            if fate == "bug":
                raise
            if fate == "busy":
                break
            if fate == "unknown":
                doubtful = [*doubtful, attempt]
            alone = True
        else:
            tally.commits += 1
            _report(attempt.outcomes)
            return attempt.outcomes
    raise OutcomeUnknown if doubtful else Refusal("busy", retry_after_seconds=1) from cause


@dataclass(slots=True)
class _Attempt:
    """
    One run, from the turnstile to COMMIT.

    :ivar doubtful: earlier runs whose COMMIT was never answered; one of them may have happened.
    """

    batch: Batch
    within: Within | None
    alone: bool
    doubtful: "Sequence[_Attempt]"
    outcomes: list[Outcome] = field(default_factory=list)
    was_committing: bool = False
    tells: bool = False

    def run(self) -> None:
        connection = connections[POSTING]
        try:
            with routed_to_posting(), transaction.atomic(using=POSTING, durable=True):
                self.outcomes = self._inside(store.cursor_of(connection))
                store.require_unbroken(connection)
                self.was_committing = True
            if self.tells:
                wake_relay(store.cursor_of(connection))
        finally:
            # Back to the pool of one: another thread waits for it. A broken one is thrown away there.
            connection.close()

    def _inside(self, cursor: store.Cursor) -> list[Outcome]:
        batch = self.batch
        # Where a doubtful run is still on its way to COMMIT, it holds the turnstile: we wait here until it has ended.
        store.pass_turnstile(cursor, alone=self.alone)
        happened = self._which_happened(cursor)
        if happened is not None:
            # Whole, its companions included.
            return happened.outcomes
        wallets = store.lock_wallets(cursor, batch.wallets)
        now, keys = store.read_clock_and_keys(cursor, batch.keys)
        books = _books_of(cursor, batch, wallets)
        walk = Walk(batch=batch, books=books, now=now, keys=keys, next_number=drawing(cursor))
        outcomes = walk.all()
        if not walk.rows.is_empty:
            store.write(cursor, walk.rows)
            self.tells = bool(walk.rows.events)
        if self.within is not None:
            self.within(outcomes)
        return outcomes

    def _which_happened(self, cursor: store.Cursor) -> "_Attempt | None":
        """The doubtful run whose transactions are there. (Completions alone leave none, and are safe to run twice.)"""
        if not self.doubtful:
            return None
        there = store.find_left_behind(cursor, self.batch.uuids)
        return next((run for run in self.doubtful if any(there & {*o.transactions} for o in run.outcomes)), None)


def _books_of(cursor: store.Cursor, batch: Batch, wallets: Mapping[int, LockedWallet]) -> Books:
    """What the list is judged against; most lists neither complete, nor hold, nor give back."""
    return Books(
        states={pk: State(wallet) for pk, wallet in wallets.items()},
        pending=store.read_transactions(cursor, batch.completing) if batch.completing else {},
        holds=(store.read_holds(cursor, batch.ending, batch.references) if batch.ending or batch.references else {}),
        given_back=store.read_given_back(cursor, batch.reversing) if batch.reversing else {},
    )


def preview(groups: Sequence[Group]) -> list[Preview]:
    """
    What `post` would answer now: the same judgement, without locks, keys or writes. Promises nothing.

    Each group is judged on top of the ones before it.
    """
    batch = Batch.of(groups)
    connection = connections["default"]
    connection.ensure_connection()
    cursor = store.cursor_of(connection)
    books = _books_of(cursor, batch, store.read_wallets(cursor, batch.wallets))
    states = books.states
    batch.require_wallets(states)
    now, _ = store.read_clock_and_keys(cursor, [])
    previews = []
    for group in groups:
        code = judge(group, books, now)
        if not code:
            _carry(group, books)
        balances = {pk: from_units(state.balance) for pk, state in states.items()}
        previews.append(Preview(code=code, balances=balances))
    return previews


def _carry(group: Group, books: Books) -> None:
    """What a group would leave behind, for the ones that are judged after it."""
    _, changes = foresee(group, books)
    for pk, units in changes.balances.items():
        books.states[pk].balance += units
    for pk, units in changes.helds.items():
        books.states[pk].held += units
    for act in group.movements:
        if isinstance(act, Movement) and act.type == "REFUND" and act.reverses is not None:
            known = books.given_back[act.reverses]
            books.given_back[act.reverses] = known._replace(left_units=known.left_units - act.units)


def _sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's code for what happened, from a driver's error or Django's wrapping of it."""
    while error is not None:
        state = getattr(error, "sqlstate", None)
        if state:
            return str(state)
        error = error.__cause__
    return ""


def _fate_of(error: BaseException, attempt: _Attempt) -> str:
    """`rerun`, `busy`, `unknown` (run again, but look first whether it happened) or `bug`."""
    state = _sqlstate(error)
    driver = error if isinstance(error, psycopg.Error) else error.__cause__
    if state in _RERUN:
        return "rerun"
    if state in _BUSY:
        return "busy"
    if isinstance(driver, psycopg.errors.UniqueViolation):
        return "rerun" if driver.diag.constraint_name in _GUARDS else "bug"
    lost = isinstance(driver, psycopg.OperationalError | psycopg.InterfaceError)
    # Before the pool's time-out: after a lost COMMIT Django looks for a new connection, and reports that it found none.
    if lost and attempt.was_committing:
        return "unknown"
    if isinstance(driver, PoolTimeout):
        return "busy"
    return "rerun" if lost else "bug"


def _report(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.diverted:
            log.warning("posting.diverted", transactions=list(outcome.diverted))
