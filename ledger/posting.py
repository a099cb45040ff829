"""
The posting kernel: the one function that moves money.

No other code writes a balance, an entry, or the status of money. `post` owns its transaction: it runs on
the process's own connection, under REPEATABLE READ, with every wallet of its list locked in one query. It
re-runs whole when PostgreSQL says that others came between, and nobody sees a database error from it.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg
import structlog
from django.db import Error as DjangoDatabaseError
from django.db import connections, transaction
from psycopg_pool import PoolTimeout

from ledger import store
from ledger.batch import Batch, NeedsWallets
from ledger.judging import State, judge, moves_money
from ledger.movements import Completion, Group, Outcome, Preview
from ledger.numbers import next_number
from ledger.walk import Walk
from wallet_project.kernel.database import POSTING, require_no_transaction, routed_to_posting
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import from_units, to_units

log = structlog.get_logger("ledger.posting")

Within = Callable[[Sequence[Outcome]], None]

MOST_RUNS: Final = 8
_RERUN: Final = frozenset({"40001", "40P01"})
_BUSY: Final = frozenset({"55P03", "57014"})
# Constraints that a concurrent posting of the same request may hit first; the re-run then sees its rows.
_GUARDS: Final = frozenset({"ledger_idempotencykey_pkey", "ledger_transaction_uuid_key"})


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
    :raises Refusal: `busy`, after which nothing has happened and no key is used.
    :raises RuntimeError: inside an atomic block of any alias, or inside another `post`.
    """
    if not groups:
        return []
    require_no_transaction()
    batch = Batch.of(groups)
    alone, uncertain = batch.is_hot, False
    for run in range(MOST_RUNS):
        if run:
            tally.reruns += 1
            time.sleep(random.uniform(0, 0.002 * 2**run))  # noqa: S311  (jitter, not a secret)
        attempt = _Attempt(batch=batch, within=within, alone=alone, uncertain=uncertain)
        try:
            outcomes = attempt.run()
        except NeedsWallets as needs:
            batch.add(needs)
        except (psycopg.Error, DjangoDatabaseError) as error:
            fate = _fate_of(error, attempt)
            log.info("posting.interrupted", fate=fate, sqlstate=_sqlstate(error), run=run + 1)
            if fate == "busy":
                raise Refusal("busy", retry_after_seconds=1) from error
            if fate == "bug":
                raise
            alone, uncertain = True, uncertain or fate == "unknown"
        else:
            tally.commits += 1
            _report(outcomes)
            return outcomes
    raise Refusal("busy", retry_after_seconds=1)


@dataclass(slots=True)
class _Attempt:
    """One run, from the turnstile to COMMIT."""

    batch: Batch
    within: Within | None
    alone: bool
    uncertain: bool
    was_committing: bool = False

    def run(self) -> list[Outcome]:
        connection = connections[POSTING]
        try:
            with routed_to_posting(), transaction.atomic(using=POSTING, durable=True):
                outcomes = self._inside(store.cursor_of(connection))
                self.was_committing = True
            return outcomes
        finally:
            # Back to the pool of one: another thread waits for it. A broken one is thrown away there.
            connection.close()

    def _inside(self, cursor: store.Cursor) -> list[Outcome]:
        batch = self.batch
        store.pass_turnstile(cursor, alone=self.alone)
        wallets = store.lock_wallets(cursor, batch.wallets)
        now, keys = store.read_clock_and_keys(cursor, batch.keys)
        walk = Walk(
            batch=batch,
            wallets=wallets,
            now=now,
            keys=keys,
            pending=store.read_transactions(cursor, batch.completing) if batch.completing else {},
            left_behind=store.find_left_behind(cursor, batch.uuids) if self.uncertain else {},
            next_number=partial(next_number, cursor),
        )
        outcomes = walk.all()
        if not walk.rows.is_empty:
            store.write(cursor, walk.rows)
        # What an earlier run left behind, it left whole: its companions are there too.
        if self.within is not None and not walk.left_behind:
            self.within(outcomes)
        return outcomes


def preview(groups: Sequence[Group]) -> list[Preview]:
    """
    What `post` would answer now: the same judgement, without locks, keys or writes. Promises nothing.

    Each group is judged on top of the ones before it.
    """
    batch = Batch.of(groups)
    connection = connections["default"]
    connection.ensure_connection()
    cursor = store.cursor_of(connection)
    states = {pk: State(wallet) for pk, wallet in store.read_wallets(cursor, batch.wallets).items()}
    batch.require_wallets(states)
    pending = store.read_transactions(cursor, batch.completing) if batch.completing else {}
    now, _ = store.read_clock_and_keys(cursor, [])
    previews = []
    for group in groups:
        code = judge(group, states, pending, now)
        for movement in group.movements:
            if code or isinstance(movement, Completion) or not moves_money(movement) or movement.to_wallet is None:
                continue
            states[movement.from_wallet].balance -= to_units(movement.amount)
            states[movement.to_wallet].balance += to_units(movement.amount)
        balances = {pk: from_units(state.balance) for pk, state in states.items()}
        previews.append(Preview(code=code, balances=balances))
    return previews


def _sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's code for what happened, from a driver's error or Django's wrapping of it."""
    while error is not None:
        state = getattr(error, "sqlstate", None)
        if state:
            return str(state)
        error = error.__cause__
    return ""


def _fate_of(error: BaseException, attempt: _Attempt) -> str:
    """`rerun`, `busy`, `unknown` (run again, but look first what the last run left) or `bug`."""
    state = _sqlstate(error)
    driver = error if isinstance(error, psycopg.Error) else error.__cause__
    if state in _RERUN:
        return "rerun"
    if state in _BUSY or isinstance(driver, PoolTimeout):
        return "busy"
    if isinstance(driver, psycopg.errors.UniqueViolation):
        return "rerun" if driver.diag.constraint_name in _GUARDS else "bug"
    lost = isinstance(driver, psycopg.OperationalError | psycopg.InterfaceError)
    if lost and attempt.was_committing:
        return "unknown"
    return "rerun" if lost else "bug"


def _report(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.diverted:
            log.warning("posting.diverted_to_suspense", transactions=list(outcome.diverted))
