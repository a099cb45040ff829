"""Bank accounts and withdrawals of the cast, and the ledger's own book of payouts to hold the sandbox's against."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import requests
from django.db.models import Sum
from django.utils import timezone

from payments.models import Payout
from payments.payouts import ask_about_payout
from tests.ledger.proofs import assert_books_hold
from tests.ledger.verifier import holds
from tests.payments.cast import Holder
from tests.payments.sandbox_process import Sandbox
from wallets.models import Wallet

ASHA_AT_HDFC = {"holder_name": "Asha Rao", "ifsc": "HDFC0001234"}

# By what became of each withdrawal in the ledger; what is still PENDING, or came back, by where its payout is.
_BOOK = """
SELECT CASE
        WHEN w.status = 'SUCCESS' AND r.id IS NULL THEN 'processed'
        WHEN w.status = 'PENDING' AND r.id IS NULL THEN lower(p.state)
        WHEN r.id IS NOT NULL AND p.state IN ('FAILED', 'REVERSED') THEN lower(p.state)
        ELSE 'nonsense'
    END AS status, count(*), (100 * sum(w.amount))::bigint
FROM ledger_transaction w
JOIN payments_payout p ON p.transaction_id = w.id
LEFT JOIN ledger_transaction r ON r.reverses_id = w.id AND r.type = 'REVERSAL'
WHERE w.type = 'WITHDRAW' AND w.posted_at IS NOT NULL
GROUP BY 1
"""


def bank_account(person: Holder, ending: str = "0001", **fields: str) -> str:
    """Its id."""
    answer = person.post("/bank-accounts", {**ASHA_AT_HDFC, "account_number": f"50100012{ending}", **fields})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def withdraw(person: Holder, account: str, amount: str = "100", key: str | None = None) -> dict[str, Any]:
    """The transaction as it was first answered."""
    answer = person.confirm("/wallet/withdraw", {"bank_account": account, "amount": amount}, key=key)
    assert answer.status_code == 202, answer.content
    return dict(answer.json())


def payout_of(withdrawal: dict[str, Any]) -> Payout:
    return Payout.objects.select_related("transaction").get(key=withdrawal["id"])


def seen(person: Holder, withdrawal: dict[str, Any]) -> dict[str, Any]:
    """As the person sees it now."""
    return dict(person.get(f"/transactions/{withdrawal['id']}").json())


def ask_until(withdrawal: dict[str, Any], *states: str, within_seconds: float = 20.0) -> Payout:
    """Ask about a payout, as the sweep would, until the bank has done its part."""
    began = time.monotonic()
    while True:
        payout = payout_of(withdrawal)
        ask_about_payout(payout=payout, now=timezone.now())
        payout.refresh_from_db()
        if payout.state in states:
            return payout
        assert time.monotonic() - began < within_seconds, f"{payout.state} is none of {states}"
        time.sleep(0.1)


def until(happened: Callable[[], bool], *, within_seconds: float = 15.0) -> None:
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < within_seconds, "it did not happen in time"
        time.sleep(0.05)


def operate(sandbox: Sandbox, act: str, **fields: Any) -> dict[str, Any]:
    """Press one of the sandbox's buttons."""
    answer = requests.post(f"{sandbox.url}/operator/api/{act}", json=fields, timeout=20)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def payouts_there(sandbox: Sandbox, withdrawal: dict[str, Any]) -> list[dict[str, Any]]:
    """Every payout that the gateway has of a withdrawal."""
    query = {"account_number": "2323230000000001", "reference_id": withdrawal["id"]}
    items: list[dict[str, Any]] = sandbox.call("GET", "/payouts", params=query).json()["items"]
    return items


def balance_of(purpose: str) -> Decimal:
    """Of all shards of a system wallet together."""
    wallets = Wallet.objects.filter(kind=Wallet.Kind.SYSTEM, purpose=purpose, currency="INR")
    return wallets.aggregate(sum=Sum("balance"))["sum"] or Decimal(0)


def assert_same_books(superuser_url: str, sandbox: Sandbox) -> None:
    """The books hold, and say of payouts what the gateway's say; clearing holds what is on its way and nothing else."""
    assert_books_hold(superuser_url)
    assert holds()
    with psycopg.connect(superuser_url) as server:
        rows = server.execute(_BOOK).fetchall()
    ours = {status: {"count": count, "total": total} for status, count, total in rows}
    theirs: dict[str, dict[str, int]] = {}
    for status, part in sandbox.book()["payouts"].items():
        whole = theirs.setdefault("failed" if status in ("cancelled", "rejected") else status, {"count": 0, "total": 0})
        whole["count"] += part["count"]
        whole["total"] += part["total"]
    assert ours == theirs
    on_its_way = sum(ours[status]["total"] for status in ("queued", "processing") if status in ours)
    assert balance_of("payout_clearing") * 100 == on_its_way
    costs = balance_of("gateway_fees") + balance_of("gst")
    arrived = ours.get("processed", {"total": 0})["total"]
    assert (balance_of("bank") + costs) * 100 == arrived
