"""What banks and the gateway's own staff do at a sandbox: it is told by its operator's doors."""

from typing import Any

import requests
from django.utils import timezone

from payments.captures import settle_order
from payments.models import GatewayOrder, GatewayRefund
from payments.refunds import follow_refund
from tests.payments.cast import Holder
from tests.payments.sandbox_process import Sandbox, returned


def operate(sandbox: Sandbox, path: str, **fields: Any) -> dict[str, Any]:
    answer = requests.post(f"{sandbox.url}/operator/api/{path}", json=fields, timeout=20)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def top_up(sandbox: Sandbox, person: Holder, amount: str = "500") -> str:
    """They add money and pay; it is in their wallet. The gateway's id of the payment."""
    answer = person.post("/wallet/add", {"amount": amount})
    assert answer.status_code == 201, answer.content
    order_id = answer.json()["checkout"]["order_id"]
    payment_id = returned(sandbox.pay(order_id, "success@razorpay"))["razorpay_payment_id"]
    settle_order(order=GatewayOrder.objects.get(order_id=order_id), now=timezone.now())
    return payment_id


def dispute(sandbox: Sandbox, payment_id: str, **fields: Any) -> str:
    return str(operate(sandbox, f"payments/{payment_id}/dispute", **fields)["id"])


def move_dispute(sandbox: Sandbox, dispute_id: str, to: str) -> None:
    operate(sandbox, f"disputes/{dispute_id}/move", to=to)


def settle(sandbox: Sandbox) -> str:
    """The settlement's id."""
    return str(operate(sandbox, "settle")["settlement"]["id"])


def refunds_wait(sandbox: Sandbox) -> None:
    """From now on each refund waits for somebody to process it, so that no test has to be faster than a bank."""
    operate(sandbox, "refund-course", course="stay")


def refund_at_dashboard(sandbox: Sandbox, payment_id: str, paise: int) -> str:
    """Somebody gives money back without a word to the wallet, and it is processed (where `refunds_wait`). Its id."""
    answer = sandbox.call("POST", f"/payments/{payment_id}/refund", json={"amount": paise})
    assert answer.status_code == 200, answer.text
    refund_id = str(answer.json()["id"])
    operate(sandbox, f"refunds/{refund_id}/process")
    return refund_id


def hear_of_refund(refund_id: str, payment_id: str) -> GatewayRefund:
    """The news of a refund comes after all."""
    follow_refund(gateway="razorpay", refund_id=refund_id, payment_id=payment_id, now=timezone.now())
    return GatewayRefund.objects.get(refund_id=refund_id)
