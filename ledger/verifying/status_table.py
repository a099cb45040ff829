"""
The table of the design, §3, held against every transaction: who has two entries, who has none, and what they say.

==================================  =======================================
ADD PENDING or FAILED, any refusal  none
WITHDRAW PENDING                    two
WITHDRAW FAILED after its debit     two, and exactly one REVERSAL
SUCCESS                             two
==================================  =======================================
"""

from collections.abc import Iterator
from typing import Final

from ledger.verifying.lies import Lie, Rule, first_broken_rule
from ledger.verifying.snapshot import Snapshot
from wallet_project.kernel.money import BOUND

# One row for each transaction, and for each that is only named by entries.
_FACTS: Final = f"""
SELECT coalesce(t.id, l.transaction_id) AS id, t.id IS NOT NULL AS is_there, t.type, t.status, t.failure_code, t.amount,
    t.currency, t.from_wallet_id, t.to_wallet_id, t.posted_at, t.completed_at,
    payer.currency AS payer_currency, payee.currency AS payee_currency,
    CASE WHEN t.status = 'SUCCESS' OR t.type = 'WITHDRAW' AND (t.status = 'PENDING' OR t.posted_at IS NOT NULL)
        THEN 2 ELSE 0 END AS expected,
    coalesce(l.entries, 0) AS entries, l.debited, l.debit, l.credited, l.credit, l.is_sound, l.first_at, l.last_at,
    coalesce(r.reversals, 0) AS reversals
FROM {{transactions}} t
FULL JOIN (
    SELECT e.transaction_id, count(*) AS entries,
        min(e.wallet_id) FILTER (WHERE e.debit > 0) AS debited, max(e.debit) AS debit,
        min(e.wallet_id) FILTER (WHERE e.credit > 0) AS credited, max(e.credit) AS credit,
        bool_and(e.balance_after > -{BOUND} AND e.balance_after < {BOUND} AND e.debit >= 0 AND e.credit >= 0
            AND (e.debit = 0) <> (e.credit = 0)) AS is_sound,
        min(e.created_at) AS first_at, max(e.created_at) AS last_at
    FROM {{entries}} e GROUP BY e.transaction_id
) l ON l.transaction_id = t.id
LEFT JOIN {{wallets}} payer ON payer.id = t.from_wallet_id
LEFT JOIN {{wallets}} payee ON payee.id = t.to_wallet_id
LEFT JOIN (
    SELECT reverses_id, count(*) AS reversals FROM {{transactions}}
    WHERE type = 'REVERSAL' AND status <> 'FAILED' GROUP BY reverses_id
) r ON r.reverses_id = t.id
"""

_RULES: Final[tuple[Rule, ...]] = (
    ("NOT is_there", "format('is not there, but %s entries name it', entries)"),
    ("payer_currency IS NULL", "format('names wallet #%s, which is not there', from_wallet_id)"),
    (
        "to_wallet_id IS NOT NULL AND payee_currency IS NULL",
        "format('names wallet #%s, which is not there', to_wallet_id)",
    ),
    (
        "status NOT IN ('PENDING', 'SUCCESS', 'FAILED') OR status = 'PENDING' AND type NOT IN ('ADD', 'WITHDRAW')",
        "format('status: %s %s cannot be', type, status)",
    ),
    (
        "(status = 'FAILED') <> (failure_code <> '') OR (status = 'PENDING') <> (completed_at IS NULL)",
        "format('status: %s does not agree with failure_code %L and completed_at %s', status, failure_code,"
        " coalesce(completed_at::text, 'none'))",
    ),
    (
        "entries <> expected",
        "format('%s %s: expected %s entries, found %s', type, status, expected, entries)",
    ),
    (
        "type = 'WITHDRAW' AND status = 'FAILED' AND expected = 2 AND reversals <> 1",
        "format('WITHDRAW FAILED after its debit: expected exactly one REVERSAL, found %s', reversals)",
    ),
    (
        # A refusal remembers whatever a well-formed request named, which is fifteen digits at most.
        f"NOT (amount > 0 AND amount < CASE expected WHEN 2 THEN {BOUND} ELSE 1000000000000000 END)",
        "format('amount: %s is out of bounds', amount)",
    ),
    (
        "expected = 2 AND debited IS DISTINCT FROM from_wallet_id",
        "format('from_wallet: the transaction says <wallet %s>, its debit stands in <wallet %s>', from_wallet_id,"
        " debited)",
    ),
    (
        "expected = 2 AND credited IS DISTINCT FROM to_wallet_id",
        "format('to_wallet: the transaction says <wallet %s>, its credit stands in <wallet %s>', to_wallet_id,"
        " credited)",
    ),
    (
        "expected = 2 AND debit IS DISTINCT FROM amount",
        "format('amount: the transaction says %s, its debit of <wallet %s> says %s', amount, debited, debit)",
    ),
    (
        "expected = 2 AND credit IS DISTINCT FROM amount",
        "format('amount: the transaction says %s, its credit of <wallet %s> says %s', amount, credited, credit)",
    ),
    (
        "expected = 2 AND is_sound IS NOT TRUE",
        "'one of its entries has two sides, or a balance_after that is out of bounds'",
    ),
    (
        "expected = 2 AND (payer_currency <> currency OR payee_currency <> currency)",
        "format('currency: the transaction says %s, its wallets %s and %s', currency, payer_currency, payee_currency)",
    ),
    (
        "expected = 2 AND (posted_at IS DISTINCT FROM first_at OR posted_at IS DISTINCT FROM last_at)",
        "format('posted_at: the transaction says %s, its entries %s and %s', coalesce(posted_at::text, 'never'),"
        " first_at, last_at)",
    ),
    (
        "expected = 0 AND posted_at IS NOT NULL",
        "format('posted_at: expected none without entries, found %s', posted_at)",
    ),
)


def lies(snapshot: Snapshot) -> Iterator[Lie]:
    """The oldest transaction that is not as its status says."""
    yield from first_broken_rule(
        snapshot, about="format('<transaction %s>', id)", facts=_FACTS, order="id", rules=_RULES
    )
