"""Top-ups of a wallet that cannot take the money any more."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ledger.models import Transaction
from ledger.posting import post
from payments import captures
from payments.captures import settle_order
from payments.models import GatewayOrder, PaymentAttempt
from tests.payments.adding import add, confirm
from tests.payments.cast import holder
from tests.payments.sandbox_process import Sandbox, returned
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


def test_a_closed_wallets_payment_goes_to_suspense_once(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id = begun["checkout"]["order_id"]
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="CLOSED")
    fields = returned(sandbox.pay(order_id, "success@razorpay"))
    order = GatewayOrder.objects.get(order_id=order_id)
    for _ in range(2):
        settle_order(order=order, now=timezone.now())
    assert asha.balance == 0
    # Whoever comes back from paying is shown their own ADD, not one between system wallets.
    shown = confirm(asha, fields)
    assert (shown.status_code, shown.json()["id"]) == (200, begun["transaction"]["id"])
    landed = Client().get("/payments/razorpay/callback", fields).headers["Location"]
    assert landed == f"/receipts/{begun['transaction']['id']}"
    credited = PaymentAttempt.objects.get(order=order).credited_by
    assert credited is not None
    assert credited.to_wallet is not None
    assert (credited.to_wallet.purpose, credited.status) == ("suspense", "SUCCESS")
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["failure"]["code"] == "recipient_unavailable"


def test_of_two_who_credit_a_closed_wallet_at_once_the_second_finds_it_done(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="CLOSED")
    sandbox.pay(order_id, "success@razorpay")
    order = GatewayOrder.objects.get(order_id=order_id)

    def after_another(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(captures, "post", post)
        settle_order(order=order, now=timezone.now())
        return post(*arguments, **named)

    monkeypatch.setattr(captures, "post", after_another)
    settle_order(order=order, now=timezone.now())
    instead = Transaction.objects.filter(metadata__intended_wallet=str(asha.wallet.pk))
    assert [found.pk for found in instead] == [PaymentAttempt.objects.get(order=order).credited_by_id]
