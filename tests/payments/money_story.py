"""Somebody's money in and out, as it comes to pass against a real sandbox: a row of each kind that support can see."""

from dataclasses import dataclass
from typing import Any

from django.test import Client
from django.utils import timezone

from payments.captures import settle_order
from payments.disputes import follow_dispute
from payments.models import BankAccount, Dispute, GatewayOrder, GatewayRefund, PaymentAttempt, Payout
from payments.reconciling.reconciliation import reconcile
from payments.refunds import ask_about_refund
from payments.settlements import collect_settlements
from tests.payments.cast import Holder, holder
from tests.payments.gateway import deliver, letters_about
from tests.payments.operating import dispute, settle
from tests.payments.sandbox_process import Merchant, Sandbox, returned
from tests.payments.withdrawing import ask_until, bank_account, withdraw


@dataclass(frozen=True)
class Story:
    """Asha paid one order twice; the first payment is disputed, the second goes back; and she withdrew."""

    asha: Holder
    order: GatewayOrder
    paid: PaymentAttempt
    account: BankAccount
    payout: Payout
    disputed: Dispute


def add(person: Holder, amount: str = "500") -> GatewayOrder:
    answer = person.post("/wallet/add", {"amount": amount})
    assert answer.status_code == 201, answer.content
    return GatewayOrder.objects.get(order_id=answer.json()["checkout"]["order_id"])


def pay(sandbox: Sandbox, order: GatewayOrder, vpa: str = "success@razorpay") -> dict[str, str]:
    """What the browser brings back; the wallet has not heard of it yet."""
    assert order.order_id is not None
    return returned(sandbox.pay(order.order_id, vpa))


def happen(merchant: Merchant, sandbox: Sandbox, **person: Any) -> Story:
    asha = holder("Asha Rao", **person)
    order = add(asha)
    pay(sandbox, order, "twice@razorpay")
    settle_order(order=order, now=timezone.now())
    order.refresh_from_db()
    paid = PaymentAttempt.objects.get(order=order, credited_by__isnull=False)
    ask_about_refund(refund=GatewayRefund.objects.get(attempt__order=order), now=timezone.now())
    account = bank_account(asha)
    payout = ask_until(withdraw(asha, account), Payout.State.PROCESSED)
    dispute_id = dispute(sandbox, paid.payment_id)
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    settle(sandbox)
    today = timezone.localdate()
    collect_settlements(gateway="razorpay", date=today, now=timezone.now())
    reconcile(gateway="razorpay", date=today, now=timezone.now())
    letter = letters_about(merchant, order.order_id or "", 1)[0]
    assert deliver(letter).status_code == 200
    forged = {"X-Razorpay-Signature": "0" * 64, "x-razorpay-event-id": "forged"}
    answer = Client().post("/api/v1/webhooks/razorpay", data=b"{}", content_type="application/json", headers=forged)
    assert answer.status_code == 400
    return Story(
        asha=asha,
        order=order,
        paid=paid,
        account=payout.bank_account,
        payout=payout,
        disputed=Dispute.objects.get(dispute_id=dispute_id),
    )
