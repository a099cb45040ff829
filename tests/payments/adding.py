"""Adding money by the API, and the two books held against each other."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from ledger.models import Transaction
from payments.captures import settle_order
from payments.models import GatewayOrder, Payout
from payments.refunds import sweep_refunds
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import Holder
from tests.payments.sandbox_process import Sandbox, returned, until
from wallets.models import Wallet


def add(person: Holder, amount: str = "250", key: str | None = None) -> dict[str, Any]:
    answer = person.post("/wallet/add", {"amount": amount}, key=key)
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def confirm(person: Holder, fields: dict[str, str]) -> Any:
    return person.post("/wallet/add/confirm", fields)


def order_named(order_id: str) -> GatewayOrder:
    return GatewayOrder.objects.select_related("transaction").get(order_id=order_id)


def settle(order_id: str) -> None:
    settle_order(order=order_named(order_id), now=timezone.now())


def topped_up(sandbox: Sandbox, person: Holder, amount: str = "250") -> tuple[str, str]:
    """Money added and paid. The ADD's public id and the payment's id."""
    begun = add(person, amount)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    assert confirm(person, fields).json()["status"] == "SUCCESS"
    return begun["transaction"]["id"], fields["razorpay_payment_id"]


def refunds_settle(sandbox: Sandbox) -> None:
    """Every refund is sent, the sandbox has decided on all of them, and the wallet has heard of it."""
    sweep_refunds(now=timezone.now())
    until(lambda: sandbox.book()["refunds"], lambda refunds: "pending" not in refunds)
    sweep_refunds(now=timezone.now() + timedelta(hours=1))


def suspense() -> Decimal:
    found = Wallet.objects.filter(purpose=Wallet.Purpose.SUSPENSE, currency="INR").aggregate(total=Sum("balance"))
    return found["total"] or Decimal(0)


def seen(person: Holder) -> list[tuple[str, str, str]]:
    """Their history as the API tells it, oldest first: type, status, amount."""
    rows = person.get("/transactions").json()["results"]
    return [(row["type"], row["status"], row["amount"]["amount"]) for row in reversed(rows)]


def assert_two_books_agree(sandbox: Sandbox, superuser_url: str) -> None:
    """
    The ledger proves itself, and what it says that the gateway owes us is what the sandbox's own book says.

    For a module whose money all went through this one sandbox, with nothing left under way.
    """
    assert_books_hold(superuser_url)
    book = sandbox.book()
    captured = sum(book["payments"].get(status, {"total": 0})["total"] for status in ("captured", "refunded"))
    refunded = sum(book["refunds"].get(status, {"total": 0})["total"] for status in ("pending", "processed"))
    assert not Payout.objects.exists()
    clearing = Wallet.objects.filter(purpose=Wallet.Purpose.GATEWAY_CLEARING, currency="INR")
    assert clearing.aggregate(total=Sum("balance"))["total"] * 100 == refunded - captured
    posted = Transaction.objects.filter(type="ADD", status="SUCCESS").aggregate(total=Sum("amount"))["total"]
    assert posted * 100 == captured
