"""The ledger's events, told to people: each kind of movement once, to whom it concerns, and in plain words."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Notification, OutgoingMessage, User
from ledger.events import render
from ledger.models import Transaction
from ledger.movements import Act, Completion, Group, Movement
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from payments.telling import tell
from tests.ledger.factories import Member, asha, clearing, gateway_actor, meera, ravi, transfer
from wallet_project.kernel.events.envelope import Event, read_event
from wallet_project.kernel.events.outbox import Row
from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.models import OutboxEvent
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


def events_of(*members: Member) -> list[Event]:
    """What the outbox holds of their wallets, in order, as it comes out of Kafka."""
    wanted = OutboxEvent.objects.filter(wallet_id__in=[each.wallet.pk for each in members]).order_by("number")
    rows = [Row(*(getattr(row, name) for name in Row._fields)) for row in wanted]
    connection.ensure_connection()
    # As the relay's: Django's own merges parameters into the text.
    with psycopg.Cursor(connection.connection) as cursor:
        found = render(cursor, rows)
    return [read_event(event.as_bytes()) for event in found]


def hear(events: Sequence[Event]) -> None:
    with transaction.atomic():
        tell(events)


def told(member: Member) -> list[tuple[str, str]]:
    """Kinds and texts, in the order in which they happened."""
    rows = Notification.objects.filter(user=member.user).order_by("created_at", "pk")
    return list(rows.values_list("kind", "text"))


def moved(*acts: Act, by: int | None = None) -> list[int]:
    """Transactions' primary keys, posted or refused."""
    (outcome,) = post([Group(initiator=by or gateway_actor().pk, movements=acts)])
    return list(outcome.transactions)


def movement(type: str, amount: str, source: int, target: int, **more: Any) -> Movement:
    return Movement(type=type, amount=Decimal(amount), currency="INR", from_wallet=source, to_wallet=target, **more)


def payout() -> int:
    return system_wallet(Purpose.PAYOUT_CLEARING, "INR")


def withdrawal(member: Member, amount: str = "100") -> int:
    return moved(movement("WITHDRAW", amount, member.wallet.pk, payout(), status="PENDING"))[0]


def come_back(withdrawn: int) -> Movement:
    found = Transaction.objects.get(pk=withdrawn)
    assert found.to_wallet_id is not None
    return movement(
        "REVERSAL", str(found.amount), found.to_wallet_id, found.from_wallet_id, reverses=found.pk, fact=True
    )


def test_both_sides_of_a_transfer_are_told_each_theirs_and_where_its_receipt_is() -> None:
    sender, recipient = asha(balance="100000"), ravi()
    (pk,) = moved(transfer(sender, recipient, "50000.50"), by=sender.actor.pk)
    hear(events_of(sender, recipient))
    assert told(sender)[1:] == [("money_out", "You sent ₹50,000.50 to Ravi M.")]
    assert told(recipient) == [("money_in", "Asha R. sent you ₹50,000.50.")]
    row = Notification.objects.get(user=recipient.user)
    found = Transaction.objects.get(pk=pk)
    assert row.transaction_id == found.public_id
    assert row.created_at == found.created_at
    assert row.title == "₹50,000.50 from Asha R."


def test_what_customers_pay_is_told_to_who_owns_the_shop_by_its_name() -> None:
    customer, shop = asha(balance="500"), meera()
    moved(movement("PAY", "200", customer.wallet.pk, shop.wallet.pk), by=customer.actor.pk)
    (paid,) = moved(movement("PAY", "20", customer.wallet.pk, shop.wallet.pk), by=customer.actor.pk)
    moved(movement("REFUND", "20", shop.wallet.pk, customer.wallet.pk, reverses=paid), by=shop.actor.pk)
    hear(events_of(customer, shop))
    assert told(customer)[1:] == [
        ("money_out", "You paid ₹200.00 to Meera's Books."),
        ("money_out", "You paid ₹20.00 to Meera's Books."),
        ("refund", "Meera's Books gave ₹20.00 back to you. It is in your wallet."),
    ]
    assert told(shop) == [
        ("money_in", "Asha R. paid ₹200.00 to Meera's Books."),
        ("money_in", "Asha R. paid ₹20.00 to Meera's Books."),
        ("refund", "You gave ₹20.00 back to Asha R."),
    ]


def test_of_a_top_up_its_end_is_told_and_not_its_beginning() -> None:
    person = asha()
    good, bad = (
        moved(movement("ADD", amount, clearing(), person.wallet.pk, status="PENDING"))[0] for amount in ("300", "400")
    )
    hear(events_of(person))
    assert told(person) == []
    moved(Completion(transaction=good, status="SUCCESS"))
    moved(Completion(transaction=bad, status="FAILED", failure_code="order_expired"))
    hear(events_of(person))
    assert told(person) == [
        ("topup_succeeded", "₹300.00 that you paid is in your wallet."),
        ("topup_failed", "₹400.00 is not in your wallet. It was not paid in time. Nothing was added."),
    ]


def test_a_withdrawal_that_arrives_is_told_when_it_leaves_and_when_it_is_there() -> None:
    person = asha(balance="500")
    pk = withdrawal(person)
    moved(Completion(transaction=pk, status="SUCCESS"))
    hear(events_of(person))
    assert told(person)[1:] == [
        ("withdrawal_sent", "₹100.00 left your wallet and is on its way to your bank."),
        ("withdrawal_succeeded", "Your bank has the ₹100.00 that you withdrew."),
    ]


def test_a_withdrawal_that_fails_is_told_once_with_the_money_that_comes_back() -> None:
    person = asha(balance="500")
    pk = withdrawal(person)
    moved(Completion(transaction=pk, status="FAILED", failure_code="payout_failed"), come_back(pk))
    events = events_of(person)
    assert [event.data["type"] for event in events].count("REVERSAL") == 1
    hear(events)
    assert told(person)[2:] == [
        ("withdrawal_failed", "Your bank could not take it. All of the ₹100.00 is back in your wallet.")
    ]


@pytest.mark.parametrize("late", [False, True])
def test_one_that_had_arrived_and_is_sent_back_is_told_as_well_however_late_it_is_heard(late: bool) -> None:
    person = asha(balance="500")
    pk = withdrawal(person)
    moved(Completion(transaction=pk, status="SUCCESS"))
    if not late:
        hear(events_of(person))
    moved(come_back(pk))
    hear(events_of(person))
    kinds = [kind for kind, _ in told(person)]
    assert kinds == ["topup_succeeded", "withdrawal_sent", "withdrawal_succeeded", "withdrawal_failed"]
    last = Notification.objects.filter(user=person.user).latest("created_at", "pk")
    assert last.text == "It had arrived, and your bank sent it back. All of the ₹100.00 is in your wallet again."
    assert last.transaction_id == Transaction.objects.get(pk=pk).public_id


def test_a_top_up_given_back_and_what_a_bank_takes_back() -> None:
    person = asha(balance="500")
    brought = Transaction.objects.get(to_wallet=person.wallet)
    (given,) = moved(movement("REFUND", "50", person.wallet.pk, brought.from_wallet_id, reverses=brought.pk))
    moved(come_back(given))
    moved(movement("CHARGEBACK", "70", person.wallet.pk, system_wallet(Purpose.CHARGEBACKS, "INR")))
    moved(movement("FEE", "5", person.wallet.pk, system_wallet(Purpose.FEE_INCOME, "INR")))
    moved(movement("ADJUSTMENT", "9", system_wallet(Purpose.SUSPENSE, "INR"), person.wallet.pk, fact=True))
    moved(movement("ADJUSTMENT", "8", person.wallet.pk, system_wallet(Purpose.SUSPENSE, "INR")))
    hear(events_of(person))
    found = [(kind, text.partition(". ")[0]) for kind, text in told(person)[1:]]
    assert found == [
        ("refund", "₹50.00 left your wallet, back to where it was paid from"),
        ("refund", "The bank that ₹50.00 was to go back to would not have it"),
        (
            "money_out",
            "Whoever paid ₹70.00 into your wallet asked their bank for it, and their bank decided for them.",
        ),
        ("money_out", "A fee of ₹5.00 was taken from your wallet."),
        ("money_in", "Wallet support put ₹9.00 into your wallet."),
        ("money_out", "Wallet support took ₹8.00 out of your wallet."),
    ]


def test_a_limit_is_told_to_the_payer_and_what_somebody_has_just_read_to_nobody() -> None:
    sender, recipient = asha(balance="100"), ravi()
    for code in ("limit_exceeded", "recipient_unavailable", "wallet_frozen"):
        moved(transfer(sender, recipient, "5", refuse=code), by=sender.actor.pk)
    moved(transfer(sender, recipient, "500"), by=sender.actor.pk)
    moved(movement("WITHDRAW", "500", sender.wallet.pk, payout(), status="PENDING"), by=sender.actor.pk)
    events = events_of(sender, recipient)
    assert sum(event.data["status"] == "FAILED" for event in events) == 5
    hear(events)
    assert [kind for kind, _ in told(sender)[1:]] == ["limit_hit"]
    assert told(recipient) == []


def test_any_type_of_movement_tells_something_to_its_people() -> None:
    """Types that reach no person today: were one to, its money would not move in silence."""
    sender, recipient = asha(balance="100"), ravi()
    for type in Transaction.Type.values:
        if type not in ("ADD", "WITHDRAW", "REFUND", "REVERSAL"):
            moved(movement(type, "1", sender.wallet.pk, recipient.wallet.pk))
    hear(events_of(sender, recipient))
    assert len(told(sender)) == 1 + 6
    assert len(told(recipient)) == 6
    assert all("₹1.00" in text for _, text in told(recipient))


def test_events_that_come_twice_or_in_pieces_or_from_another_relay_tell_once() -> None:
    sender, recipient = asha(balance="100"), ravi()
    for _ in range(3):
        moved(transfer(sender, recipient, "5"), by=sender.actor.pk)
    events = events_of(sender, recipient)
    hear(events[:3])
    hear(events)
    hear(list(reversed(events)) + events[:2])
    assert len(told(sender)) == 4
    assert len(told(recipient)) == 3


def test_events_days_old_are_told_with_their_time_and_out_of_order_in_their_order() -> None:
    person = ravi()
    sender = asha(balance="100")
    for amount in ("1", "2"):
        moved(transfer(sender, person, amount), by=sender.actor.pk)
    long_ago = timezone.now() - timedelta(days=5)
    first, second = (
        replace(event, time=long_ago + timedelta(hours=number)) for number, event in enumerate(events_of(person))
    )
    hear([second])
    hear([first])
    assert [text for _, text in told(person)] == ["Asha R. sent you ₹1.00.", "Asha R. sent you ₹2.00."]
    assert Notification.objects.filter(user=person.user).earliest("created_at").created_at == long_ago
    assert OutgoingMessage.objects.filter(user=person.user, channel="email").count() == 2


def test_a_closed_account_is_told_nothing_and_its_name_is_what_was_seen() -> None:
    sender, leaver = asha(balance="100"), ravi()
    moved(transfer(sender, leaver, "5"), by=sender.actor.pk)
    User.objects.filter(pk=leaver.user.pk).update(status=User.Status.CLOSED, full_name="Closed account")
    Wallet.objects.filter(pk=leaver.wallet.pk).update(status=Wallet.Status.CLOSED, label="Ravi M.")
    hear(events_of(sender, leaver))
    assert told(leaver) == []
    assert told(sender)[1:] == [("money_out", "You sent ₹5.00 to Ravi M.")]


def test_a_name_that_is_a_number_stands_nowhere_in_full() -> None:
    sender, recipient = asha(balance="100"), ravi()
    User.objects.filter(pk=sender.user.pk).update(full_name="9876543210 Rao")
    moved(transfer(sender, recipient, "5"), by=sender.actor.pk)
    hear(events_of(recipient))
    assert told(recipient) == [("money_in", "…3210 R. sent you ₹5.00.")]


def test_a_batch_costs_as_many_queries_as_one_event() -> None:
    def queries(many: int) -> int:
        pairs = [(asha(balance="100"), ravi()) for _ in range(many)]
        for sender, recipient in pairs:
            moved(transfer(sender, recipient, "5"), by=sender.actor.pk)
        events = events_of(*(member for pair in pairs for member in pair))
        with CaptureQueriesContext(connection) as asked:
            hear(events)
        assert Notification.objects.filter(user__in=[pair[1].user.pk for pair in pairs]).count() == many
        return len(asked)

    assert queries(6) <= queries(1) <= 11


def test_what_is_not_ours_is_passed_over_and_what_is_not_in_the_ledger_is_refused() -> None:
    sender, recipient = asha(balance="100"), ravi()
    moved(transfer(sender, recipient, "5"), by=sender.actor.pk)
    (event,) = events_of(recipient)
    hear([replace(event, type="wallet.opened.v1", data={})])
    assert told(recipient) == []
    strange = public_id("txn", new_uuid())
    for poison in (
        replace(event, data={**event.data, "transaction": strange}),
        replace(event, data={**event.data, "transaction": 7}),
        replace(event, subject=public_id("wal", new_uuid())),
    ):
        with pytest.raises(LookupError):
            hear([poison])
    assert told(recipient) == []
