"""Whoever can write to the broker makes us say nothing: consumers believe the ledger alone."""

import threading
from collections import deque
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Notification
from ledger.believing import as_told
from ledger.events import TYPE_OF
from ledger.models import Transaction
from payments import telling
from payments.consumers import GROUPS
from payments.merchant_webhooks import taking_in
from payments.models import WebhookMessage
from tests.payments.cast import Holder, holder, merchant
from tests.payments.merchant_receiver import endpoint_at, events_of
from wallet_project.kernel.events.consuming import Member, _Queue
from wallet_project.kernel.events.dead_letters import replay_all
from wallet_project.kernel.events.envelope import TYPES, Event
from wallet_project.kernel.events.received import Received
from wallet_project.kernel.events.recording import register, take_in
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.models import ConsumedEvent, DeadLetter, OutboxEvent
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


class Broker:
    """What a member asks of one between two turns."""

    def commit(self, **_what: object) -> None:
        pass


def delivered(*messages: bytes) -> tuple[Member, int]:
    """A member of the webhooks' group, after it was done with messages that came in this order."""
    member = Member(group="webhooks", handler=GROUPS["webhooks"], servers="127.0.0.1:9")
    member._group_id, member._consumer = register(group="webhooks", now=timezone.now()), Broker()
    received = [Received.of(_Message(offset, value)) for offset, value in enumerate(messages)]
    member._queues[0] = _Queue(waiting=deque(received))
    member._work(threading.Event())
    assert not member._queues[0].waiting
    return member, member._group_id


class _Message(NamedTuple):
    place: int
    bytes: bytes

    def topic(self) -> str:
        return "wallet.events"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.place

    def value(self) -> bytes:
        return self.bytes


def test_a_forged_message_with_the_id_of_an_event_does_not_keep_the_event_away() -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    endpoint_at(meera, NOWHERE)
    pay(asha, books, "10")
    (genuine,) = events_of(books.wallet)
    _, others = merchant()
    # One of each: before its time, of a type that nobody knows, and of somebody else.
    forged = [
        replace(genuine, data={**genuine.data, "transaction": "txn_nothing"}),
        replace(genuine, type="wallet.transaction.unheard_of.v9"),
        replace(genuine, subject=others.wallet.public_id),
    ]
    _, group_id = delivered(*(each.as_bytes() for each in forged))
    marks = ConsumedEvent.objects.filter(group_id=group_id, event_id=genuine.id)
    assert not marks.exists()
    letters = DeadLetter.objects.filter(group_id=group_id, value__in=[each.as_bytes() for each in forged])
    assert [letter.tries for letter in letters] == [1, 1]
    # Tried again, it is no truer, and no event's second chance.
    for letter in letters:
        assert letter.event_id != genuine.id
        (outcome,) = replay_all(group="webhooks", handler=GROUPS["webhooks"], event_id=letter.event_id)
        assert outcome.failed.startswith("NotGenuine")
    assert said_of(books) == ([], 0)

    delivered(forged[0].as_bytes(), genuine.as_bytes(), genuine.as_bytes())
    assert said_of(books)[0] == ["payment.succeeded"]
    assert [mark.is_dead for mark in marks] == [False]


def test_an_event_that_is_still_owed_is_not_made_into_an_older_one_whose_row_went() -> None:
    asha, (meera, books) = holder("Asha Rao", rupees=100), merchant()
    endpoint_at(meera, NOWHERE)
    pay(asha, books, "10")
    (old,) = events_of(books.wallet)
    OutboxEvent.objects.filter(wallet_id=books.wallet.pk).delete()
    pay(asha, books, "20")
    (owed,) = events_of(books.wallet)
    long_ago = timezone.now() - timedelta(days=settings.OUTBOX_KEEP_DAYS)
    refused(replace(old, id=owed.id, time=long_ago))


def test_every_type_of_the_ledgers_is_known_to_who_records() -> None:
    assert set(TYPE_OF.values()) == TYPES
    group_id = register(group="webhooks", now=timezone.now())
    unheard = Event(id=new_uuid(), type="wallet.weather.v1", subject="somewhere", time=timezone.now(), data={})
    with transaction.atomic():
        take_in(group_id=group_id, handler=GROUPS["webhooks"], events=[unheard], now=timezone.now())
    assert not ConsumedEvent.objects.filter(event_id=unheard.id).exists()
