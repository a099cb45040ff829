"""Disputes of more than their payment brought, or than is left of it: never more is held or taken than that."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.utils import timezone

from payments.disputes import follow_dispute
from payments.gateways.base import RemoteDispute
from payments.models import Case, Dispute
from payments.refunds import follow_refund
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.operating import top_up
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (_, sandbox):
        yield sandbox


def standing(purpose: str) -> Decimal:
    total = Wallet.objects.filter(purpose=purpose, currency="INR").aggregate(total=Sum("balance"))["total"]
    return total or Decimal(0)


def seen(person: Holder) -> tuple[str, str]:
    """Balance and what of it may be spent."""
    shown: dict[str, Any] = person.get("/wallet/balance").json()
    return shown["balance"]["amount"], shown["available"]["amount"]


@pytest.mark.parametrize(
    ("refunded", "disputed", "left"), [(0, 90_000, 500), (30_000, 50_000, 200), (50_000, 50_000, 0)]
)
def test_no_more_is_held_or_taken_than_what_the_payment_brought_less_what_went_back(
    running: Sandbox, superuser_url: str, refunded: int, disputed: int, left: int
) -> None:
    asha = holder()
    gateway = client(running.url)
    with wallet_speaks_to(gateway):
        payment_id, _ = top_up(running, asha, "500"), top_up(running, asha, "500")
        if refunded:
            made = running.call("POST", f"/payments/{payment_id}/refund", json={"amount": refunded}).json()
            follow_refund(gateway="razorpay", refund_id=made["id"], payment_id=payment_id, now=timezone.now())
        balance, owed, clearing = asha.balance, standing("chargebacks"), standing("gateway_clearing")
        says = RemoteDispute(
            id=f"disp_{refunded:014}", payment_id=payment_id, amount_minor=disputed, currency="INR", state="OPEN"
        )

        def follow() -> Dispute:
            for _ in range(2):
                follow_dispute(gateway="razorpay", dispute_id=says.id, now=timezone.now())
            return Dispute.objects.select_related("hold", "lost_by").get(dispute_id=says.id)

        gateway.dispute_of = lambda **_: says  # type: ignore[method-assign]
        found = follow()
        assert seen(asha) == (f"{balance:.2f}", f"{balance - left:.2f}")
        assert (found.amount_minor, found.shortfall_minor) == (disputed, 0)
        case = Case.objects.get(subject=says.id, state="OPEN")
        assert (case.kind, case.amount_here_minor, case.amount_there_minor) == ("AMOUNT", left * 100, disputed)
        says = replace(says, state="LOST", deducted_minor=disputed)
        found = follow()
    assert seen(asha) == (f"{balance - left:.2f}", f"{balance - left:.2f}")
    assert (found.state, found.lost_by.amount if found.lost_by else 0) == ("LOST", left)
    assert (standing("chargebacks"), standing("gateway_clearing")) == (owed, clearing + left)
    assert Case.objects.get(subject=says.id).times == 2
    assert_books_hold(superuser_url)
