"""
What must hold of balances whatever was posted: each currency sums to zero, nobody is below their least balance, and
what is held is what was promised.
"""

from collections.abc import Iterator
from typing import Final

from ledger.verifying.lies import Lie, Rule, first_broken_rule, lie
from ledger.verifying.snapshot import Snapshot

_SUMS: Final = """
SELECT w.currency, format('balances: expected a sum of 0, found %s', sum(w.balance))
FROM {wallets} w GROUP BY w.currency HAVING sum(w.balance) <> 0 ORDER BY w.currency LIMIT 1
"""

_WALLETS: Final = """
SELECT w.id, w.kind, w.balance, w.held, w.minimum_balance, coalesce(h.amount, 0) AS promised
FROM {wallets} w LEFT JOIN (
    SELECT wallet_id, sum(amount) AS amount FROM {holds} WHERE status = 'OPEN' GROUP BY wallet_id
) h ON h.wallet_id = w.id
"""

_RULES: Final[tuple[Rule, ...]] = (
    ("held <> promised", "format('held: expected %s, the sum of its open holds, found %s', promised, held)"),
    (
        "kind <> 'SYSTEM' AND balance - held < minimum_balance",
        "format('balance: expected at least %s, found %s', minimum_balance, balance - held)",
    ),
)


_HOLDS: Final = """
SELECT h.id, h.wallet_id, h.amount, h.currency, h.status, h.captured_by_id, h.ended_at,
    w.currency AS wallet_currency, t.id AS captured_by, t.from_wallet_id AS left_wallet, t.amount AS captured,
    t.posted_at
FROM {holds} h LEFT JOIN {wallets} w ON w.id = h.wallet_id LEFT JOIN {transactions} t ON t.id = h.captured_by_id
"""

_PROMISES: Final[tuple[Rule, ...]] = (
    (
        "status NOT IN ('OPEN', 'CAPTURED', 'RELEASED', 'EXPIRED') OR (status = 'OPEN') <> (ended_at IS NULL)"
        " OR (status = 'CAPTURED') <> (captured_by_id IS NOT NULL)",
        "format('status: %s does not agree with its end', status)",
    ),
    ("NOT amount > 0", "format('amount: %s is not above zero', amount)"),
    (
        "wallet_currency IS DISTINCT FROM currency",
        "format('currency: expected %s as <wallet %s>, found %s', wallet_currency, wallet_id, currency)",
    ),
    (
        "status = 'CAPTURED' AND (captured_by IS NULL OR posted_at IS NULL OR left_wallet <> wallet_id"
        " OR captured > amount)",
        "format('captured: transaction %s does not take at most %s out of <wallet %s>', captured_by_id, amount,"
        " wallet_id)",
    ),
)


def lies(snapshot: Snapshot) -> Iterator[Lie]:
    for row in snapshot.rows(_SUMS):
        yield lie(snapshot, *row)
    yield from first_broken_rule(snapshot, about="format('<wallet %s>', id)", facts=_WALLETS, order="id", rules=_RULES)
    yield from first_broken_rule(
        snapshot, about="format('hold %s of <wallet %s>', id, wallet_id)", facts=_HOLDS, order="id", rules=_PROMISES
    )
