"""Whoever can write to the broker makes us say nothing: consumers believe the ledger alone."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Notification
from ledger.believing import as_told
from ledger.models import Transaction
from payments import telling
from payments.consumers import GROUPS
from payments.merchant_webhooks import taking_in
from payments.models import WebhookMessage
from tests.payments.cast import Holder, holder, merchant
from tests.payments.merchant_receiver import endpoint_at, events_of
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.models import OutboxEvent
from wallets.models import Merchant

pytestmark = pytest.mark.usefixtures("database", "loopback")
NOWHERE = "http://127.0.0.1:9/hook"


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "WEBHOOK_LOOPBACK", True)
    monkeypatch.setattr(taking_in, "wake", lambda *_args, **_named: None)
    monkeypatch.setattr(telling, "wake_together", lambda *_args: None)


def hear(*events: Event) -> None:
    """Each group by itself, as its members do."""
    for handler in GROUPS.values():
        with transaction.atomic():
            handler(events)


def refused(*events: Event) -> None:
    for handler in GROUPS.values():
        with pytest.raises(LookupError), transaction.atomic():
            handler(events)


def pay(payer: Holder, books: Merchant, amount: str) -> Any:
    return payer.post("/wallet/pay", {"merchant": books.handle, "amount": amount, "order_reference": "INV-7"})


def said_of(books: Merchant) -> tuple[list[str], int]:
    messages = WebhookMessage.objects.filter(endpoint__wallet=books.wallet).order_by("pk")
    return list(messages.values_list("type", flat=True)), Notification.objects.filter(user=books.wallet.owner).count()


def test_nobody_is_told_that_somebody_paid_who_did_not() -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    endpoint_at(meera, NOWHERE)
    assert pay(asha, books, "10").status_code == 201
    (genuine,) = events_of(books.wallet)
    assert pay(asha, books, "1500").status_code == 422
    failed = Transaction.objects.get(to_wallet=books.wallet, status="FAILED")
    forged = replace(genuine, id=new_uuid(), data={**genuine.data, "transaction": failed.public_id})
    refused(forged)
    # Nor twice of one payment, nor of another shop's, nor of one that there never was.
    refused(replace(genuine, id=new_uuid()))
    _, others = merchant()
    refused(replace(genuine, subject=others.wallet.public_id))
    refused(replace(genuine, data={**genuine.data, "transaction": "txn_nothing"}))
    assert said_of(books) == ([], 0)
    hear(genuine)
    assert said_of(books) == (["payment.succeeded"], 1)


def test_what_was_changed_on_the_way_is_told_as_it_was() -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    endpoint_at(meera, NOWHERE)
    pay(asha, books, "10")
    (genuine,) = events_of(books.wallet)
    changed = {"type": "REFUND", "direction": "out", "amount": {"amount": "99.00", "currency": "INR"}, "sequence": 9}
    unknown = Event(id=new_uuid(), type="wallet.weather.v1", subject="somewhere", time=timezone.now(), data={})
    assert as_told([replace(genuine, time=timezone.now(), data={**genuine.data, **changed}), unknown]) == [
        genuine,
        unknown,
    ]
    hear(replace(genuine, data={**genuine.data, **changed}), unknown)
    assert said_of(books) == (["payment.succeeded"], 1)


def test_a_dead_letter_is_replayed_though_its_row_of_the_outbox_went_long_ago() -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    endpoint_at(meera, NOWHERE)
    pay(asha, books, "10")
    pay(asha, books, "1500")
    (genuine,) = events_of(books.wallet)
    failed = Transaction.objects.get(to_wallet=books.wallet, status="FAILED")
    long_ago = timezone.now() - timedelta(days=settings.OUTBOX_KEEP_DAYS)
    OutboxEvent.objects.filter(wallet_id=books.wallet.pk).delete()
    refused(genuine)
    refused(replace(genuine, time=long_ago, data={**genuine.data, "transaction": failed.public_id}))
    assert as_told([replace(genuine, time=long_ago)]) == [replace(genuine, time=long_ago)]
    hear(replace(genuine, time=long_ago))
    assert said_of(books) == (["payment.succeeded"], 1)
