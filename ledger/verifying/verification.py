"""The whole proof, check after check, up to the first lie."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from ledger.verifying import chains, orphans, reversals, status_table, sums
from ledger.verifying.chains import Progress
from ledger.verifying.lies import Lie
from ledger.verifying.snapshot import Snapshot, snapshot_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was looked at, and the first thing that does not hold, if any."""

    lie: Lie | None
    entries: int
    transactions: int
    keys: int
    wallets: int
    currencies: int
    seconds: float

    @property
    def entries_per_second(self) -> float:
        return self.entries / self.seconds


def verify(*, alias: str, progress: Callable[[int], Progress]) -> Verdict:
    """
    Compute everything again from one snapshot, beside live traffic.

    :param alias: which database, and as whom.
    :param progress: makes a progress bar for so many entries.
    :raises psycopg.Error: the database cannot be reached or read.
    """
    began = time.perf_counter()
    # Right after a bulk load there are no statistics, and a nested loop over millions of rows never ends.
    with snapshot_of(alias, enable_nestloop="off") as snapshot:
        ((entries, transactions, keys, wallets, currencies),) = snapshot.rows(_COUNTS)
        with closing(progress(entries)) as bar:
            lie = next(_lies(snapshot, bar), None)
    return Verdict(
        lie=lie,
        entries=entries,
        transactions=transactions,
        keys=keys,
        wallets=wallets,
        currencies=currencies,
        seconds=time.perf_counter() - began,
    )


_COUNTS = """
SELECT (SELECT count(*) FROM {entries}), (SELECT count(*) FROM {transactions}), (SELECT count(*) FROM {keys}),
    (SELECT count(*) FROM {wallets}), (SELECT count(DISTINCT currency) FROM {wallets})
"""


def _lies(snapshot: Snapshot, progress: Progress) -> Iterator[Lie]:
    # The order in which they say most: a hash knows only that something changed, a sum not even where.
    yield from status_table.lies(snapshot)
    yield from reversals.lies(snapshot)
    yield from orphans.lies(snapshot)
    yield from chains.lies(snapshot, progress)
    yield from sums.lies(snapshot)
