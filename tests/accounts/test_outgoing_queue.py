"""What people are told leaves by thousands in few queries; a burst to one of them is folded, and safety never is."""

from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import outgoing
from accounts.addresses import email_address
from accounts.models import Notification, NotificationPreference, OutgoingMessage, User
from accounts.notices import notify, notify_addresses
from accounts.outgoing import FOLDED_FOR, MOST_IN_A_WINDOW, WINDOW, Delivery
from accounts.sending import send_message
from accounts.tasks import sweep_messages
from accounts.verification import NOTICES_OF_A_KIND
from tests.accounts.people import messages_to, new_email, new_phone, person

pytestmark = pytest.mark.usefixtures("database")
By = OutgoingMessage.By
Channel = NotificationPreference.Channel


def told(user: User, many: int, kind: str = "money_in") -> list[Notification]:
    rows = [
        Notification(user=user, kind=kind, title=f"₹{number}.00 from Ravi", text=f"Ravi sent you ₹{number}.00.",
                     created_at=timezone.now())
        for number in range(many)
    ]  # fmt: skip
    return Notification.objects.bulk_create(rows)


def queue(user: User, rows: list[Notification], *channels: Channel, now: datetime | None = None) -> list[int]:
    with transaction.atomic():
        return outgoing.queue(
            deliveries=[Delivery(row, user, channel) for row in rows for channel in channels], now=now or timezone.now()
        )


def test_a_notification_leaves_by_each_channel_that_there_is() -> None:
    both, mail_only = person(email=new_email(), phone=new_phone()), person()
    for user, expected in (
        (both, {(By.EMAIL, both.email), (By.PHONE, both.phone)}),
        (mail_only, {(By.EMAIL, mail_only.email)}),
    ):
        ids = queue(user, told(user, 1), *Channel)
        rows = OutgoingMessage.objects.filter(pk__in=ids)
        assert set(rows.values_list("channel", "address")) == expected
    # An address that nobody proved is no address.
    User.objects.filter(pk=mail_only.pk).update(phone=new_phone())
    mail_only.refresh_from_db()
    assert queue(mail_only, told(mail_only, 1), Channel.SMS) == []
    assert queue(mail_only, [], Channel.SMS) == []


def test_what_is_told_is_what_leaves(settings: pytest.FixtureRequest) -> None:
    asha = person()
    (pk,) = queue(asha, told(asha, 1), Channel.EMAIL)
    assert send_message(verification_id=pk, now=timezone.now())
    (sent,) = messages_to(str(asha.email))
    assert sent.subject == "₹0.00 from Ravi"
    assert sent.text.startswith("Ravi sent you ₹0.00. If this was not you, stop your wallet here")


def test_thousands_take_as_many_queries_as_one() -> None:
    people = [person() for _ in range(8)]
    counts = []
    for many in (1, 20):
        deliveries = [
            Delivery(row, user, channel) for user in people for row in told(user, many) for channel in Channel
        ]
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            outgoing.queue(deliveries=deliveries, now=timezone.now())
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 4


def test_a_burst_is_folded_into_one_message_that_says_so_and_nothing_is_dropped_without_a_word() -> None:
    asha, now = person(phone=new_phone()), timezone.now()
    most = MOST_IN_A_WINDOW[By.PHONE]
    sent = [queue(asha, told(asha, 4), Channel.SMS, now=now) for _ in range(4)]
    assert sum(map(len, sent)) == most
    waiting = OutgoingMessage.objects.filter(user=asha, notification=None)
    (more,) = waiting
    assert (more.next_at, more.attempts) == (now + FOLDED_FOR, 0)
    OutgoingMessage.objects.filter(pk=more.pk).update(next_at=now)
    sweep_messages()
    assert "Your notifications in the wallet show all of it" in messages_to(str(asha.phone))[0].text
    # That is said; of what comes then, a new one tells.
    queue(asha, told(asha, 1), Channel.SMS, now=now)
    assert waiting.filter(sent_at=None).count() == 1
    # When the hour is over each is told again.
    assert len(queue(asha, told(asha, 2), Channel.SMS, now=now + WINDOW)) == 2


def test_nothing_about_safety_is_folded() -> None:
    asha, now = person(phone=new_phone()), timezone.now()
    most = MOST_IN_A_WINDOW[By.PHONE]
    queue(asha, told(asha, most + 1), Channel.SMS, now=now)
    assert len(queue(asha, told(asha, 3, kind="wallet_frozen"), Channel.SMS, now=now)) == 3
    assert len(notify(user=asha, kind="password_changed", now=now)) == 1


def test_of_notices_past_their_limit_one_message_and_the_app_tell() -> None:
    asha, now = person(), timezone.now()
    for _ in range(NOTICES_OF_A_KIND.most + 3):
        notify(user=asha, kind="new_device", now=now)
    assert Notification.objects.filter(user=asha).count() == NOTICES_OF_A_KIND.most + 3
    rows = OutgoingMessage.objects.filter(user=asha)
    assert rows.filter(notification__isnull=False).count() == NOTICES_OF_A_KIND.most
    (more,) = rows.filter(notification=None)
    assert more.next_at == now + FOLDED_FOR
    assert more.requested_at + timedelta(minutes=15) == more.next_at


def test_past_the_limit_the_address_of_before_hears_that_there_is_more_too() -> None:
    """Whoever changes somebody's address again and again drowns no word to its owner."""
    asha, now = person(), timezone.now()
    mine, theirs = (email_address(new_email()) for _ in range(2))
    for address in (mine, theirs):
        for _ in range(NOTICES_OF_A_KIND.most // 2 + 1):
            notify_addresses(user=asha, addresses=[address], kind="address_changed", now=now)
    assert not OutgoingMessage.objects.filter(user=asha, address=mine.value, notification=None).exists()
    notify_addresses(user=asha, addresses=[mine, theirs], kind="address_changed", now=now)
    more = OutgoingMessage.objects.filter(user=asha, notification=None).values_list("address", flat=True)
    assert sorted(more) == sorted([mine.value, theirs.value])


def test_it_is_written_by_the_connection_of_what_it_tells_of() -> None:
    asha = person()
    with transaction.atomic():
        ids = outgoing.queue(
            deliveries=[Delivery(row, asha, Channel.EMAIL) for row in told(asha, 2)], now=timezone.now()
        )
        transaction.set_rollback(True)
    assert not OutgoingMessage.objects.filter(pk__in=ids).exists()
    with pytest.raises(RuntimeError):
        outgoing.queue(deliveries=[Delivery(told(asha, 1)[0], asha, Channel.EMAIL)], now=timezone.now())
