"""Adding money, against a real sandbox process."""

import pytest
from django.utils import timezone

from payments.captures import settle_order
from payments.models import GatewayOrder, PaymentAttempt
from payments.serializers import AddAnswer
from tests.payments.adding import add, confirm
from tests.payments.cast import holder, new_key
from tests.payments.sandbox_process import Sandbox, returned

pytestmark = pytest.mark.usefixtures("database")


def test_adding_money_is_pending_with_a_checkout_and_moves_nothing_yet(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    assert set(begun) == set(AddAnswer().fields)
    transaction, checkout = begun["transaction"], begun["checkout"]
    assert (transaction["type"], transaction["status"], transaction["direction"]) == ("ADD", "PENDING", "in")
    assert transaction["counterparty"] == {"display_name": "Bank or card top-up", "wallet": None}
    assert (transaction["balance_after"], transaction["completed_at"]) == (None, None)
    assert checkout == {
        "provider": "razorpay",
        "order_id": checkout["order_id"],
        "key_id": "rzp_test_sandbox",
        "amount_minor": 25000,
        "currency": "INR",
        "url": f"{sandbox.url}/checkout/{checkout['order_id']}",
    }
    assert sandbox.call("GET", f"/orders/{checkout['order_id']}").json()["receipt"] == transaction["id"]
    assert asha.balance == 0
    assert [row["id"] for row in asha.get("/transactions").json()["results"]] == [transaction["id"]]


def test_a_replay_of_add_answers_the_first_checkout_and_makes_no_second_order(sandbox: Sandbox) -> None:
    asha, key = holder(), new_key()
    first = add(asha, key=key)
    again = asha.post("/wallet/add", {"amount": "250.00"}, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first
    fields = returned(sandbox.pay(first["checkout"]["order_id"], "success@razorpay"))
    assert confirm(asha, fields).json()["status"] == "SUCCESS"
    again = asha.post("/wallet/add", {"amount": "250.00"}, key=key).json()
    assert (again["transaction"]["status"], again["checkout"]) == ("SUCCESS", first["checkout"])
    other = asha.post("/wallet/add", {"amount": "251"}, key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_confirmed_payment_is_credited_once_however_often_it_is_confirmed(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    for _ in range(3):
        answer = confirm(asha, fields)
        assert (answer.status_code, answer.json()["status"]) == (200, "SUCCESS")
        assert answer.json()["id"] == begun["transaction"]["id"]
        assert answer.json()["balance_after"] == {"amount": "250.00", "currency": "INR"}
    assert asha.balance == 250


def test_nothing_is_credited_for_a_wrong_signature_or_somebody_elses_order(sandbox: Sandbox) -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    for wrong in ("0" * 64, "", "é", fields["razorpay_signature"].upper()):
        answer = confirm(asha, fields | {"razorpay_signature": wrong})
        assert answer.status_code == 400
        assert answer.json()["code"] == ("signature_invalid" if wrong else "invalid")
    assert confirm(zoya, fields).status_code == 404
    assert confirm(asha, fields | {"razorpay_order_id": "order_Unknown0000000"}).status_code == 404
    assert confirm(asha, fields | {"razorpay_payment_id": "pay_Another00000000"}).json()["code"] == "signature_invalid"
    assert (asha.balance, zoya.balance) == (0, 0)


def test_a_failed_attempt_leaves_the_add_pending_and_the_next_one_pays_it(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id = begun["checkout"]["order_id"]
    sandbox.pay(order_id, "failure@razorpay")
    order = GatewayOrder.objects.get(order_id=order_id)
    settle_order(order=order, now=timezone.now())
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["status"] == "PENDING"
    fields = returned(sandbox.pay(order_id, "success@razorpay"))
    assert confirm(asha, fields).json()["status"] == "SUCCESS"
    statuses = PaymentAttempt.objects.filter(order=order).order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["failed", "captured"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"amount": "0.99"}, "limit_exceeded"),
        ({"amount": "10000000000.01"}, "limit_exceeded"),
        ({"amount": "500", "currency": "JPY"}, "currency_mismatch"),
    ],
)
def test_what_cannot_be_added_is_refused_kept_and_never_reaches_the_gateway(
    sandbox: Sandbox, body: dict[str, str], code: str
) -> None:
    asha, key = holder(), new_key()
    for replayed in (None, "true"):
        answer = asha.post("/wallet/add", body, key=key)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.headers.get("Idempotent-Replayed") == replayed
    seen = asha.get(f"/transactions/{answer.json()['transaction']}").json()
    assert (seen["status"], seen["failure"]["code"]) == ("FAILED", code)
    assert not GatewayOrder.objects.filter(transaction__to_wallet=asha.wallet).exists()
