"""What the sweep finds of itself: payments that nobody told of, orders whose time is over, and second payments."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from ledger.models import Transaction
from payments.expiry import sweep_orders
from payments.models import GatewayOrder, PaymentAttempt
from tests.payments.adding import add, confirm
from tests.payments.cast import holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, returned

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (merchant, sandbox):
        yield merchant, sandbox


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]


def test_the_sweep_finds_a_payment_that_nobody_told_us_about(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    sweep_orders(now=timezone.now())
    assert asha.balance == 0
    sweep_orders(now=timezone.now() + timedelta(seconds=90))
    assert asha.balance == 250
    order = GatewayOrder.objects.get(order_id=order_id)
    assert order.state == "PAID"
    # Somebody may pay it twice.
    assert order.check_at is not None


def test_an_order_not_paid_in_time_fails_and_a_payment_after_that_is_a_new_add(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id, old = begun["checkout"]["order_id"], begun["transaction"]["id"]
    sweep_orders(now=timezone.now() + timedelta(seconds=1801))
    shown = asha.get(f"/transactions/{old}").json()
    assert (shown["status"], shown["failure"]["code"]) == ("FAILED", "order_expired")
    assert shown["completed_at"] is not None
    fields = returned(sandbox.pay(order_id, "success@razorpay"))
    for _ in range(2):
        answer = confirm(asha, fields).json()
        assert (answer["status"], answer["type"]) == ("SUCCESS", "ADD")
        assert answer["id"] != old
    assert asha.balance == 250
    late = Transaction.objects.get(pk=PaymentAttempt.objects.get(order__order_id=order_id).credited_by_id)
    assert late.metadata == {"order": order_id, "instead_of": old}
    assert asha.get(f"/transactions/{old}").json()["status"] == "FAILED"


def test_an_order_is_asked_about_until_it_is_decided_and_then_four_days_long(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order = GatewayOrder.objects.get(order_id=begun["checkout"]["order_id"])
    long_after = order.created_at + timedelta(days=5)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        sweep_orders(now=long_after)
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["status"] == "PENDING"
    sweep_orders(now=long_after + timedelta(hours=6, seconds=1))
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["failure"]["code"] == "order_expired"
    sweep_orders(now=long_after + timedelta(hours=13))
    order.refresh_from_db()
    assert (order.state, order.check_at) == ("EXPIRED", None)
