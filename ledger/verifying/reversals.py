"""Reversals and refunds against what they give back: never more than was moved, never twice, never elsewhere."""

from collections.abc import Iterator
from typing import Final

from ledger.verifying.lies import Lie, Rule, first_broken_rule
from ledger.verifying.snapshot import Snapshot

# A refund that was itself reversed gave nothing back. A reversal whose payer's wallet is closed pays into suspense and
# names the wallet it was meant for.
_FACTS: Final = """
SELECT b.id, b.type, b.amount, b.currency, b.from_wallet_id, b.to_wallet_id, b.reverses_id,
    o.id AS original, o.type AS original_type, o.amount AS original_amount, o.currency AS original_currency,
    o.status AS original_status, o.from_wallet_id AS original_from, o.to_wallet_id AS original_to,
    o.posted_at AS original_posted_at,
    payee.purpose = 'suspense' AND b.metadata ->> 'intended_wallet' = o.from_wallet_id::text AS is_in_suspense,
    sum(b.amount) FILTER (WHERE b.type = 'REFUND' AND undone.reverses_id IS NULL) OVER so_far AS refunded,
    count(*) FILTER (WHERE b.type = 'REVERSAL') OVER so_far AS reversals
FROM {transactions} b
LEFT JOIN {transactions} o ON o.id = b.reverses_id
LEFT JOIN {wallets} payee ON payee.id = b.to_wallet_id
LEFT JOIN (
    SELECT DISTINCT reverses_id FROM {transactions} WHERE type = 'REVERSAL' AND status <> 'FAILED'
) undone ON undone.reverses_id = b.id
WHERE (b.reverses_id IS NOT NULL OR b.type IN ('REVERSAL', 'REFUND')) AND b.status <> 'FAILED'
WINDOW so_far AS (PARTITION BY b.reverses_id ORDER BY b.id)
"""

_RULES: Final[tuple[Rule, ...]] = (
    (
        "original IS NULL",
        "format('reverses: names transaction %s, which is not there', coalesce('#' || reverses_id, 'none'))",
    ),
    ("original_posted_at IS NULL", "format('gives back <transaction %s>, which moved nothing', reverses_id)"),
    (
        "currency <> original_currency",
        "format('currency: expected %s as <transaction %s>, found %s', original_currency, reverses_id, currency)",
    ),
    (
        "type = 'REVERSAL' AND amount <> original_amount",
        "format('amount: expected %s as <transaction %s>, found %s', original_amount, reverses_id, amount)",
    ),
    (
        "type = 'REVERSAL' AND from_wallet_id IS DISTINCT FROM original_to",
        "format('from_wallet: expected <wallet %s>, where <transaction %s> went, found <wallet %s>', original_to,"
        " reverses_id, from_wallet_id)",
    ),
    (
        "type = 'REVERSAL' AND to_wallet_id IS DISTINCT FROM original_from AND is_in_suspense IS NOT TRUE",
        "format('to_wallet: expected <wallet %s>, where <transaction %s> came from, found <wallet %s>', original_from,"
        " reverses_id, to_wallet_id)",
    ),
    ("type = 'REVERSAL' AND reversals > 1", "format('is a second REVERSAL of <transaction %s>', reverses_id)"),
    (
        "type = 'REFUND' AND original_status <> 'SUCCESS'",
        "format('refunds <transaction %s>, which is %s', reverses_id, original_status)",
    ),
    (
        "type = 'REFUND' AND original_type = 'TRANSFER'"
        " AND (from_wallet_id, to_wallet_id) IS DISTINCT FROM (original_to, original_from)",
        "format('refunds <transaction %s>, and goes from <wallet %s> to <wallet %s>, not the way that came',"
        " reverses_id, from_wallet_id, to_wallet_id)",
    ),
    (
        "type = 'REFUND' AND refunded > original_amount",
        "format('the refunds of <transaction %s> come to %s, expected at most %s', reverses_id, refunded,"
        " original_amount)",
    ),
)


def lies(snapshot: Snapshot) -> Iterator[Lie]:
    yield from first_broken_rule(
        snapshot, about="format('<transaction %s>', id)", facts=_FACTS, order="id", rules=_RULES
    )
