"""A top-up that is paid after it was given up counts as any other, and past the limits it goes back to its payer."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from payments.expiry import sweep_orders
from payments.models import Case, HoldingLimit, LimitRule, ParkedPayment, Spending
from payments.models.limits import Limited
from tests.payments.adding import add, assert_two_books_agree, confirm, refunds_settle, seen, settle, suspense
from tests.payments.cast import Holder, fund, holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.sandbox_process import Merchant, Sandbox, returned

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module", autouse=True)
def _limits(database: Any) -> None:
    """Rupees: 1000 at once, 1500 a day, 2000 a month, and no more than 2500 in a wallet."""
    now = timezone.now()
    HoldingLimit.objects.create(kyc_level="MINIMUM", most=2500, since=now, reason="tests")
    LimitRule.objects.create(
        kyc_level="MINIMUM",
        type=Limited.ADD,
        per_transaction=1000,
        per_day=1500,
        per_month=2000,
        since=now,
        reason="tests",
    )


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]


def given_up(person: Holder, amount: str) -> str:
    """The id of an order whose time is over."""
    order = str(add(person, amount)["checkout"]["order_id"])
    sweep_orders(now=timezone.now() + timedelta(seconds=1801))
    return order


def pay(sandbox: Sandbox, person: Holder, order: str) -> str:
    return str(confirm(person, returned(sandbox.pay(order, "success@razorpay"))).json()["status"])


def added(person: Holder) -> tuple[Decimal, Decimal]:
    last = Spending.objects.filter(wallet=person.wallet, type="ADD").latest("pk")
    return last.day_total, last.month_total


def test_paying_late_is_no_way_past_the_limits_and_what_passes_them_goes_back(
    sandbox: Sandbox, superuser_url: str
) -> None:
    asha = holder()
    orders = [given_up(asha, "750") for _ in range(3)]
    assert added(asha) == (0, 0)
    assert [pay(sandbox, asha, order) for order in orders] == ["SUCCESS", "SUCCESS", "FAILED"]
    assert (asha.balance, added(asha)) == (1500, (1500, 1500))
    # What was added late is spent for those in time too.
    assert asha.post("/wallet/add", {"amount": "1"}).json()["code"] == "limit_exceeded"
    # However often one asks.
    for _ in range(2):
        settle(orders[2])
    refunds_settle(sandbox)
    parked = ParkedPayment.objects.get(attempt__order__order_id=orders[2])
    assert (parked.reason, parked.transaction.amount) == ("LIMIT", 750)
    assert [payment["status"] for payment in sandbox.payments(orders[2])] == ["refunded"]
    assert (asha.balance, suspense(), added(asha)) == (1500, 0, (1500, 1500))
    assert [row for row in seen(asha) if row[1] == "SUCCESS"] == [("ADD", "SUCCESS", "750.00")] * 2
    assert not Case.objects.filter(state=Case.State.OPEN).exists()
    assert_two_books_agree(sandbox, superuser_url)


def test_paying_late_fills_no_wallet_past_what_it_may_hold(sandbox: Sandbox) -> None:
    asha = holder()
    fits, passes = given_up(asha, "500"), given_up(asha, "500.01")
    fund(asha.wallet, 1500)
    assert (pay(sandbox, asha, fits), pay(sandbox, asha, passes)) == ("SUCCESS", "FAILED")
    assert (asha.balance, added(asha)) == (2000, (500, 500))
    assert ParkedPayment.objects.get(attempt__order__order_id=passes).reason == "LIMIT"


def test_what_was_parked_stays_so_though_there_would_be_room_again(sandbox: Sandbox) -> None:
    asha = holder()
    late = given_up(asha, "1000")
    add(asha, "600")
    assert pay(sandbox, asha, late) == "FAILED"
    # The other was not paid in the end, so there would be room again.
    sweep_orders(now=timezone.now() + timedelta(seconds=1801))
    assert added(asha) == (0, 0)
    settle(late)
    assert (asha.balance, added(asha)) == (0, (0, 0))
    assert ParkedPayment.objects.filter(attempt__order__order_id=late).count() == 1
