"""What people are told stands in the app once, in their order, for them alone; what leaves goes by what they prefer."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import purging
from accounts.erasing import erase_person
from accounts.models import Notification, NotificationPreference, OutgoingMessage, SecurityEvent, User
from accounts.notification_choices import FOLDED_FOR, Choice
from accounts.notification_choices import choose as switch_off
from accounts.notification_preferences import ROW_OF_KIND, ROWS, channels_for
from accounts.notification_texts import _TEXTS, KINDS, words_of
from accounts.notifications import _BELL, New, add, bell_of, told_after
from tests.accounts.people import call, new_email, new_phone, person
from tests.payments.cast import access_of
from wallet_project.kernel.ids import new_uuid

pytestmark = pytest.mark.usefixtures("database")

STRANGE = "Zoya 12345678 https://evil.example/?c=123456 १२३४५६ <b>"


def tell(user: User, *, kind: str = "money_in", **more: Any) -> list[int]:
    new = New(user_id=user.pk, kind=kind, details={"amount": "₹500.00", "name": "Ravi M."}, **more)
    with transaction.atomic():
        return add(new=[new], now=timezone.now())


def titles(user: User, **query: str) -> list[str]:
    found = call("GET", "/notifications?" + "&".join(f"{k}={v}" for k, v in query.items()), access=access_of(user))
    return [each["title"] for each in found.json()["results"]]


def channels(ids: list[int]) -> list[str]:
    return sorted(OutgoingMessage.objects.filter(pk__in=ids).values_list("channel", flat=True))


def choose(user: User, *choices: dict[str, Any]) -> Any:
    return call("PUT", "/me/notification-preferences", {"preferences": list(choices)}, access=access_of(user))


def test_what_was_told_is_listed_newest_first_page_by_page_while_more_comes_in() -> None:
    asha, now = person(), timezone.now()
    for number in range(5):
        # Two at the very same time, and told out of order.
        tell(asha, happened_at=now - timedelta(minutes=number // 2), kind="money_in")
    access = access_of(asha)
    first = call("GET", "/notifications?limit=2", access=access).json()
    tell(asha, kind="money_out")
    seen = [each["id"] for each in first["results"]]
    page = first
    while page["next"]:
        page = call("GET", f"/notifications?limit=2&cursor={page['next']}", access=access).json()
        seen += [each["id"] for each in page["results"]]
    assert len(seen) == len(set(seen)) == 5
    rows = Notification.objects.filter(user=asha, kind="money_in").order_by("-created_at", "-pk")
    assert seen == [row.public_id for row in rows]
    assert page["unread"] == 6


def test_one_of_them_as_the_api_shows_it() -> None:
    asha, moved = person(), new_uuid()
    tell(asha, transaction=moved)
    (shown,) = call("GET", "/notifications", access=access_of(asha)).json()["results"]
    assert set(shown) == {"id", "kind", "title", "text", "transaction", "read_at", "created_at"}
    assert re.fullmatch(r"ntf_[0-7][0-9a-hjkmnp-tv-z]{25}", shown["id"])
    assert shown["transaction"].startswith("txn_")
    assert (shown["kind"], shown["read_at"]) == ("money_in", None)
    assert shown["text"] == "₹500.00 came into your wallet."


def test_cursors_that_are_none_and_limits_past_the_bounds_are_refused() -> None:
    asha, ravi = person(), person("Ravi", email=new_email("ravi"))
    for _ in range(2):
        tell(ravi)
    his = call("GET", "/notifications?limit=1", access=access_of(ravi)).json()["next"]
    access = access_of(asha)
    for cursor in (his, "cur_0", "", "%F0%9F%92%B8"):
        answer = call("GET", f"/notifications?cursor={cursor}", access=access)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid"), cursor
    for limit in ("0", "101", "x", ""):
        assert call("GET", f"/notifications?limit={limit}", access=access).status_code == 400


def test_reading_one_keeps_the_first_time_and_others_find_nothing() -> None:
    asha, ravi = person(), person("Ravi", email=new_email("ravi"))
    tell(asha)
    tell(asha)
    access = access_of(asha)
    one = call("GET", "/notifications", access=access).json()["results"][0]["id"]
    first = call("POST", f"/notifications/{one}/read", access=access)
    again = call("POST", f"/notifications/{one}/read", access=access)
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["read_at"] is not None
    assert call("GET", "/notifications", access=access).json()["unread"] == 1
    for id in (one, "ntf_" + "0" * 26, "txn_" + "0" * 26, "x"):
        assert call("POST", f"/notifications/{id}/read", access=access_of(ravi)).status_code == 404
    assert call("POST", "/notifications/read", access=access).status_code == 204
    assert call("GET", "/notifications", access=access).json()["unread"] == 0


def test_an_event_is_told_once_however_often_it_is_heard() -> None:
    asha, event = person(), new_uuid()
    assert tell(asha, event_id=event)
    assert tell(asha, event_id=event) == []
    with transaction.atomic():
        new = New(user_id=asha.pk, kind="money_in", event_id=event)
        assert add(new=[new, new], now=timezone.now()) == []
    assert len(titles(asha)) == 1
    with pytest.raises(IntegrityError, match="notification_once"), transaction.atomic():
        Notification.objects.create(
            user=asha, kind="money_in", title="x", text="x", event_id=event, created_at=timezone.now()
        )


def test_many_are_told_with_as_many_queries_as_one() -> None:
    def queries(many: int) -> int:
        people = [person(f"P {number}", email=new_email()) for number in range(many)]
        new = [New(user_id=each.pk, kind="money_in", event_id=new_uuid()) for each in people * 3]
        with CaptureQueriesContext(connection) as asked, transaction.atomic():
            assert add(new=new, now=timezone.now())
        return len(asked)

    assert queries(4) <= queries(1) <= 9


def test_without_a_transaction_nobody_is_told() -> None:
    with pytest.raises(RuntimeError):
        add(new=[New(user_id=person().pk, kind="money_in")], now=timezone.now())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_text_holds_a_run_of_digits_or_a_link_whatever_is_named(kind: str) -> None:
    for how in _TEXTS.get(kind, {"": ""}):
        named = dict.fromkeys(("name", "place", "reason", "note", "device", "address", "change"), STRANGE)
        words = words_of(kind=kind, details={**named, "how": how, "amount": "₹90,00,00,000.00"})
        assert words.title
        assert words.text
        for text in (words.title, words.text):
            assert not re.search(r"\d{6,}|://|<|\{|example$", text), text
            assert len(text) <= 1000


def test_every_kind_has_a_row_of_preferences_and_no_row_a_kind_that_is_none() -> None:
    assert set(ROW_OF_KIND) == KINDS
    assert sum(len(row.kinds) for row in ROWS) == len(KINDS)


def test_who_has_an_email_address_hears_by_it_and_who_has_none_by_sms() -> None:
    both = person(email=new_email(), phone=new_phone())
    phone_only = person("Ravi", phone=new_phone())
    assert channels(tell(both)) == ["email"]
    assert channels(tell(phone_only)) == ["phone"]


def test_what_is_switched_off_stays_in_the_app_and_leaves_no_more() -> None:
    asha = person(email=new_email(), phone=new_phone())
    answer = choose(asha, {"kind": "money_in", "email": False}, {"kind": "money_out", "sms": True})
    assert answer.status_code == 200
    rows = {row["kind"]: row for row in answer.json()["preferences"]}
    assert (rows["money_in"]["email"], rows["money_in"]["push"]) == (False, True)
    assert answer.json() == call("GET", "/me/notification-preferences", access=access_of(asha)).json()
    assert tell(asha) == []
    assert channels(tell(asha, kind="money_out")) == ["email", "phone"]
    assert len(titles(asha)) == 3


def told_of_it(user: User) -> list[Notification]:
    return list(Notification.objects.filter(user=user, kind="notices_changed").order_by("pk"))


def switched_off(user: User) -> list[str]:
    rows = SecurityEvent.objects.filter(kind="notices.switched_off", subject=user).order_by("pk")
    return [row.details["off"] for row in rows]


def test_who_switches_messages_off_is_told_so_by_every_channel_and_once_within_minutes() -> None:
    asha = person(email=new_email(), phone=new_phone())
    # What is switched on, or was off before, is no news.
    choose(asha, {"kind": "money_out", "email": True, "sms": True}, {"kind": "money_in", "sms": False})
    assert told_of_it(asha) == []
    choose(asha, {"kind": "money_out", "email": False, "sms": False}, {"kind": "money_in", "push": False})
    (told,) = told_of_it(asha)
    assert sorted(told.messages.values_list("channel", flat=True)) == ["email", "phone"]
    assert not re.search(r"\d", told.title + told.text)
    choose(asha, {"kind": "money_in", "email": False})
    assert told_of_it(asha) == [told]
    # Each is on record, and what comes later is told anew.
    assert switched_off(asha) == ["money_in.push money_out.email money_out.sms", "money_in.email"]
    later = timezone.now() + FOLDED_FOR
    assert len(switch_off(user=asha, choices=[Choice(kind="topups", email=False)], now=later)) == 2
    assert len(told_of_it(asha)) == 2
    assert ROW_OF_KIND["notices_changed"].is_locked


def test_only_what_departs_from_the_default_is_kept() -> None:
    asha = person()
    choose(asha, {"kind": "money_in", "email": True, "sms": False, "push": False})
    (kept,) = NotificationPreference.objects.filter(user=asha)
    assert (kept.kind, kept.channel, kept.is_on) == ("money_in", "push", False)
    choose(asha, {"kind": "money_in", "push": True})
    assert not NotificationPreference.objects.filter(user=asha).exists()


def test_what_is_about_safety_cannot_be_switched_off_not_even_in_the_table() -> None:
    asha = person(email=new_email(), phone=new_phone())
    answer = choose(asha, {"kind": "money_in", "email": False}, {"kind": "security", "email": False})
    assert (answer.status_code, answer.json()["code"]) == (422, "preference_locked")
    assert answer.json()["errors"][0]["field"] == "preferences.1.email"
    # All or none.
    assert not NotificationPreference.objects.filter(user=asha).exists()
    assert choose(asha, {"kind": "security", "email": True, "sms": True}).status_code == 200
    NotificationPreference.objects.create(user=asha, kind="security", channel="email", is_on=False)
    assert {"email", "sms"} <= set(channels_for(wanted=[(asha, "new_device")])[0])


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"preferences": None},
        {"preferences": {"kind": "money_in"}},
        {"preferences": [{"email": True}]},
        {"preferences": [{"kind": "gossip", "email": True}]},
        {"preferences": [{"kind": 1, "email": True}]},
        {"preferences": [{"kind": "money_in", "email": "true"}]},
        {"preferences": [{"kind": "money_in", "email": 1}]},
        {"preferences": [{"kind": "money_in", "email": None}]},
        {"preferences": [{"kind": "money_in", "email": True}, {"kind": "money_in", "sms": True}]},
        {"preferences": [{"kind": "money_in"}] * 101},
    ],
)
def test_malformed_preferences_are_refused_and_change_nothing(sent: Any) -> None:
    asha = person()
    answer = call("PUT", "/me/notification-preferences", sent, access=access_of(asha))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid"), answer.json()
    assert answer.json()["errors"]
    assert not NotificationPreference.objects.filter(user=asha).exists()


def test_old_news_rings_nobody_up_and_keeps_its_time() -> None:
    asha, then = person(phone=new_phone()), timezone.now() - timedelta(days=3)
    assert tell(asha, happened_at=then) == []
    assert Notification.objects.get(user=asha).created_at == then


def test_the_bell_counts_no_further_than_it_shows_and_knows_the_newest() -> None:
    asha = person()
    assert (bell_of(user=asha).unread, bell_of(user=asha).newest) == (0, "")
    Notification.objects.bulk_create(
        Notification(user=asha, kind="money_in", title=f"{n}", text="x", created_at=timezone.now()) for n in range(120)
    )
    bell = bell_of(user=asha)
    assert (bell.unread, bell.text) == (100, "99+")
    assert bell.newest == Notification.objects.filter(user=asha).latest("created_at", "pk").public_id
    assert told_after(user=asha, seen=bell.newest, at_most=3) == []
    tell(asha)
    assert [row.kind for row in told_after(user=asha, seen=bell.newest, at_most=3)] == ["money_in"]
    assert told_after(user=asha, seen="", at_most=2)[0].title == "119"
    ravi = person("Ravi", email=new_email("ravi"))
    tell(ravi)
    assert told_after(user=ravi, seen=bell.newest, at_most=3) == []


def test_bell_and_list_read_their_indexes_however_much_there_is() -> None:
    asha = person()
    now = timezone.now()
    Notification.objects.bulk_create(
        Notification(
            user=asha, kind="money_in", title="x", text="x", created_at=now - timedelta(seconds=n), read_at=now
        )
        for n in range(3000)
    )
    page = Notification.objects.filter(user=asha, created_at__lte=now).order_by("-created_at", "-pk")[:21]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_notification")
        cursor.execute("EXPLAIN " + _BELL, {"user": asha.pk, "most": 100})
        bell = "\n".join(row[0] for row in cursor.fetchall())
    for plan in (bell, page.explain()):
        assert "notification_newest" in plan
        assert "Seq Scan" not in plan
        assert "Sort" not in plan
    assert "notification_unread" in bell


def test_whoever_leaves_takes_it_with_them_and_hears_nothing_after() -> None:
    asha = person()
    tell(asha)
    choose(asha, {"kind": "money_in", "email": False})
    with transaction.atomic():
        erase_person(user=User.objects.select_for_update().get(pk=asha.pk), keep=[], now=timezone.now())
    assert not Notification.objects.filter(user=asha).exists()
    assert not NotificationPreference.objects.filter(user=asha).exists()
    assert tell(asha) == []
    assert not Notification.objects.filter(user=asha).exists()


def test_the_purge_takes_what_is_old_and_what_came_while_somebody_left() -> None:
    asha, zoya = person(), person("Zoya", email=new_email("zoya"))
    tell(asha, happened_at=timezone.now() - purging.NOTIFICATION_LIFETIME - timedelta(days=1))
    tell(asha)
    with transaction.atomic():
        erase_person(user=User.objects.select_for_update().get(pk=zoya.pk), keep=[], now=timezone.now())
    Notification.objects.create(user=zoya, kind="money_in", title="x", text="x", created_at=timezone.now())
    purging.purge(now=timezone.now())
    assert Notification.objects.filter(user=asha).count() == 1
    assert not Notification.objects.filter(user=zoya).exists()
