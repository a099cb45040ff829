"""
Both sides' books at the end of the day, each read by its own way: the sandbox's from its lists, the ledger's from its
rows. Nothing of the wallet's own comparison is used.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import requests

from tests.running import Run

Totals = dict[str, tuple[int, int]]
_PAGE: Final = 100
CAPTURED: Final = ("captured", "refunded")

# By what became of the money, in the ledger's own words alone: count and paise.
_LEDGER_TOTALS: Final = """
SELECT what, count(*), (100 * sum(amount))::bigint FROM (
    SELECT t.amount, CASE
        WHEN t.type = 'ADD' AND t.status = 'SUCCESS' THEN 'payments captured'
        WHEN t.type = 'REFUND' AND t.status = 'SUCCESS' AND r.id IS NULL THEN 'refunds processed'
        WHEN t.type = 'WITHDRAW' AND t.status = 'SUCCESS' AND r.id IS NULL THEN 'payouts processed'
        WHEN t.type = 'WITHDRAW' AND t.status = 'SUCCESS' THEN 'payouts reversed'
        WHEN t.type = 'WITHDRAW' AND t.status = 'FAILED' AND r.id IS NOT NULL THEN 'payouts failed'
        WHEN t.type IN ('ADD', 'REFUND', 'WITHDRAW') AND t.status = 'PENDING' THEN 'open'
    END AS what
    FROM ledger_transaction t LEFT JOIN ledger_transaction r ON r.reverses_id = t.id AND r.type = 'REVERSAL'
) AS told WHERE what IS NOT NULL GROUP BY what
"""

# Each credit of each order, in whichever wallet.
_CREDITS: Final = """
SELECT o.order_id, t.to_wallet_id = a.to_wallet_id AS is_payers, (100 * t.amount)::bigint
FROM payments_gatewayorder o
JOIN ledger_transaction a ON a.id = o.transaction_id
JOIN ledger_transaction t ON t.type = 'ADD' AND t.status = 'SUCCESS'
    AND (t.id = a.id OR t.metadata ->> 'order' = o.order_id)
"""

_PARKED: Final = """
SELECT t.metadata ->> 'payment', (100 * t.amount)::bigint, count(f.id)
FROM ledger_transaction t
LEFT JOIN ledger_transaction f ON f.reverses_id = t.id AND f.type = 'REFUND' AND f.status = 'SUCCESS'
    AND f.amount = t.amount AND NOT EXISTS (
        SELECT FROM ledger_transaction b WHERE b.reverses_id = f.id AND b.type = 'REVERSAL')
WHERE t.type = 'ADD' AND t.metadata ? 'parked' GROUP BY t.id
"""

_WITHDRAWALS: Final = """
SELECT p.key, p.payout_id, t.status, (100 * t.amount)::bigint,
    (SELECT count(*) FROM ledger_transaction r WHERE r.reverses_id = t.id AND r.type = 'REVERSAL')
FROM ledger_transaction t LEFT JOIN payments_payout p ON p.transaction_id = t.id WHERE t.type = 'WITHDRAW'
"""

_OPEN: Final = """
SELECT 'transactions', count(*) FROM ledger_transaction WHERE status = 'PENDING'
UNION ALL SELECT 'payouts', count(*) FROM payments_payout WHERE state IN ('NEW', 'UNKNOWN', 'QUEUED', 'PROCESSING')
UNION ALL SELECT 'refunds', count(*) FROM payments_gatewayrefund WHERE state IN ('NEW', 'UNKNOWN', 'PENDING')
UNION ALL SELECT 'webhooks', count(*) FROM payments_webhookevent WHERE processed_at IS NULL AND due_at <= now()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What the sandbox says at one moment, in its own documents."""

    orders: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    refunds: list[dict[str, Any]]
    payouts: list[dict[str, Any]]
    book: dict[str, dict[str, dict[str, int]]]

    @classmethod
    def read(cls, run: Run) -> "Gateway":
        account = run.env.get("RAZORPAYX_ACCOUNT_NUMBER", "2323230000000001")
        return cls(
            orders=list(_listed(run, "orders")),
            payments=list(_listed(run, "payments")),
            refunds=list(_listed(run, "refunds")),
            payouts=list(_listed(run, "payouts", account_number=account)),
            book=requests.get(f"{run.sandbox_url}/book", timeout=30).json(),
        )

    def payments_of(self) -> dict[str, list[dict[str, Any]]]:
        """The captured ones, by order."""
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for payment in self.payments:
            if payment["status"] in CAPTURED:
                found[payment["order_id"]].append(payment)
        return found

    def totals(self) -> Totals:
        """From its book, in the words of `ledger_totals`."""
        payments = [self.book["payments"].get(status, {"count": 0, "total": 0}) for status in CAPTURED]
        told = {"payments captured": (sum(it["count"] for it in payments), sum(it["total"] for it in payments))}
        for kind, statuses in (("refunds", ("processed",)), ("payouts", ("processed", "failed", "reversed"))):
            for status in statuses:
                of = self.book[kind].get(status, {"count": 0, "total": 0})
                told[f"{kind} {status}"] = (of["count"], of["total"])
        return {what: total for what, total in told.items() if total[0]}

    def is_at_rest(self) -> bool:
        """No bank is about to say another word: late payers have paid, payouts and refunds came to their ends."""
        late = [it for it in self.payments if it["vpa"] == "late@razorpay" and it["status"] not in CAPTURED]
        moving = {"refunds": {"pending"}, "payouts": {"pending", "queued", "processing"}}
        return not late and not any(statuses & set(self.book[kind]) for kind, statuses in moving.items())


def ledger_totals(run: Run) -> Totals:
    return {str(what): (_int(count), _int(paise)) for what, count, paise in run.query(_LEDGER_TOTALS)}


def credits_of_orders(run: Run) -> dict[tuple[str, bool], list[int]]:
    """Paise of each credit, by order and whether it went to whoever ordered it."""
    found: defaultdict[tuple[str, bool], list[int]] = defaultdict(list)
    for order, is_payers, paise in run.query(_CREDITS):
        found[(str(order), bool(is_payers))].append(_int(paise))
    return found


def parked_payments(run: Run) -> dict[str, tuple[int, int]]:
    """By payment: paise in suspense, and how many refunds of all of it stand."""
    return {str(payment): (_int(paise), _int(refunds)) for payment, paise, refunds in run.query(_PARKED)}


def withdrawals(run: Run) -> dict[str, tuple[str, str, int, int]]:
    """By its own id: the payout's id, its status, paise, and how many reversals it has."""
    rows = run.query(_WITHDRAWALS)
    found = {str(key): (str(payout), str(status), _int(paise), _int(back)) for key, payout, status, paise, back in rows}
    assert len(found) == len(rows), "a withdrawal without a payout"
    return found


def still_open(run: Run) -> dict[str, int]:
    """What the wallet itself does not know the end of, or has not done with."""
    return {str(what): _int(count) for what, count in run.query(_OPEN) if _int(count)}


def system_balances(run: Run) -> dict[str, int]:
    """Paise in the wallets that close the books, by purpose."""
    rows = run.query(
        "SELECT purpose, (100 * sum(balance))::bigint FROM wallets_wallet WHERE kind = 'SYSTEM' GROUP BY 1"
    )
    return {str(purpose): _int(paise) for purpose, paise in rows}


def sent_again(run: Run) -> int:
    """How many payouts and refunds were sent once more because nobody knew what had become of them."""
    sends = "SELECT sends FROM payments_payout UNION ALL SELECT sends FROM payments_gatewayrefund"
    [(count,)] = run.query(f"SELECT count(*) FROM ({sends}) AS sent WHERE sends > 1")
    return _int(count)


def open_cases(run: Run) -> list[tuple[object, ...]]:
    return run.query("SELECT kind, subject, reason FROM payments_case WHERE state = 'OPEN' ORDER BY id")


def differences(here: Totals, there: Totals) -> dict[str, tuple[tuple[int, int] | None, tuple[int, int] | None]]:
    return {what: (here.get(what), there.get(what)) for what in {*here, *there} if here.get(what) != there.get(what)}


def _listed(run: Run, kind: str, **query: str) -> Iterator[dict[str, Any]]:
    credentials = (run.env["RAZORPAY_KEY_ID"], run.env["RAZORPAY_KEY_SECRET"])
    skip = 0
    while True:
        answer = requests.get(
            f"{run.sandbox_url}/v1/{kind}",
            params={**query, "count": str(_PAGE), "skip": str(skip)},
            auth=credentials,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        yield from items
        if len(items) < _PAGE:
            return
        skip += _PAGE


def _int(value: object) -> int:
    assert isinstance(value, int), value
    return value
