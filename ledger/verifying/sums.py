"""What must hold of balances whatever was posted: each currency sums to zero, nobody is below their least balance."""

from collections.abc import Iterator
from typing import Final

from ledger.verifying.lies import Lie, Rule, first_broken_rule, lie
from ledger.verifying.snapshot import Snapshot

_SUMS: Final = """
SELECT w.currency, format('balances: expected a sum of 0, found %s', sum(w.balance))
FROM {wallets} w GROUP BY w.currency HAVING sum(w.balance) <> 0 ORDER BY w.currency LIMIT 1
"""

_WALLETS: Final = """
SELECT w.id, w.kind, w.balance, w.held, w.minimum_balance FROM {wallets} w
"""

_RULES: Final[tuple[Rule, ...]] = (
    # No hold exists yet, so nothing can be held.
    ("held <> 0", "format('held: expected 0, found %s', held)"),
    (
        "kind <> 'SYSTEM' AND balance - held < minimum_balance",
        "format('balance: expected at least %s, found %s', minimum_balance, balance - held)",
    ),
)


def lies(snapshot: Snapshot) -> Iterator[Lie]:
    for row in snapshot.rows(_SUMS):
        yield lie(snapshot, *row)
    yield from first_broken_rule(snapshot, about="format('<wallet %s>', id)", facts=_WALLETS, order="id", rules=_RULES)
