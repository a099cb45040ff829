"""The pages of what people are told, the bell on every page, and what an open page asks for by itself."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import sessions
from accounts.models import Notification, NotificationPreference, Session, User
from accounts.notification_preferences import ROWS
from accounts.notifications import New, add
from tests.payments.cast import Holder, fund, holder
from wallet_project.kernel.rate_limits import guards

pytestmark = pytest.mark.usefixtures("database")

STATE = re.compile(r'data-state="([^"]*)"')


def browser_of(asha: Holder) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(asha.user)
    return client


def tell(user: User, kind: str = "money_in", **more: Any) -> Notification:
    with transaction.atomic():
        new = New(
            user_id=user.pk, kind=kind, details={"how": "transfer", "amount": "₹500.00", "name": "Ravi M."}, **more
        )
        add(new=[new], now=timezone.now())
    return Notification.objects.filter(user=user).latest("pk")


def state_of(answer: Any) -> str:
    found = STATE.search(answer.content.decode())
    assert found is not None
    return found[1]


def look(client: Client, state: str = "", **query: str) -> Any:
    return client.get("/live", {"seen": state, **query})


def test_the_list_tells_by_days_what_is_new_and_where_it_leads() -> None:
    asha = holder()
    moved = fund(asha.wallet, 500)
    tell(asha.user, transaction=moved.uuid)
    tell(asha.user, happened_at=timezone.now() - timedelta(days=1))
    tell(asha.user, happened_at=timezone.now() - timedelta(days=40))
    client = browser_of(asha)
    page = client.get("/notifications").content.decode()
    assert page.index("Today") < page.index("Yesterday")
    assert page.count("₹500.00 from Ravi M.</h3>") == 3
    assert page.count(">New<") == 3
    assert f'href="/receipts/{moved.public_id}"' in page
    not_me = re.findall(r'href="(/notifications/ntf_\w+/not-me)"', page)
    assert len(not_me) == 3
    for address in (f"/receipts/{moved.public_id}", not_me[0]):
        assert client.get(address).status_code == 200


def test_what_tells_that_everything_is_stopped_leads_to_no_further_stop() -> None:
    asha = holder()
    tell(asha.user, kind="wallet_frozen")
    page = browser_of(asha).get("/notifications").content.decode()
    assert "was frozen" in page
    assert "not-me" not in page


def test_one_and_all_are_marked_as_read_and_others_find_nothing() -> None:
    asha, ravi = holder(), holder("Ravi Kumar")
    one = tell(asha.user)
    tell(asha.user)
    assert browser_of(ravi).post(f"/notifications/{one.public_id}/read").status_code == 404
    client = browser_of(asha)
    answer = client.post(f"/notifications/{one.public_id}/read")
    assert (answer.status_code, answer["Location"]) == (303, "/notifications")
    assert client.get("/notifications").content.decode().count(">New<") == 1
    client.post("/notifications/read")
    page = client.get("/notifications").content.decode()
    assert ">New<" not in page
    assert "Mark all" not in page


def test_older_ones_are_a_page_further_and_a_wrong_place_leads_to_the_top() -> None:
    asha = holder()
    Notification.objects.bulk_create(
        Notification(user=asha.user, kind="money_in", title=f"No. {n}", text="x", created_at=timezone.now())
        for n in range(25)
    )
    client = browser_of(asha)
    first = client.get("/notifications").content.decode()
    older = re.search(r'href="\?cursor=([^"]+)"', first)
    assert older is not None
    second = client.get("/notifications", {"cursor": older[1]}).content.decode()
    assert [page.count("<h3>") for page in (first, second)] == [20, 5]
    assert client.get("/notifications?cursor=cur_x").status_code == 302


def test_boxes_say_what_is_on_and_a_locked_one_cannot_be_taken() -> None:
    asha = holder()
    client = browser_of(asha)
    page = client.get("/notifications/preferences").content.decode()
    assert all(row.label in page for row in ROWS)
    assert page.count(" disabled") == 3
    assert 'name="money_in.email" checked' in page
    answer = client.post("/notifications/preferences", {"money_out.email": "on", "money_in.sms": "on"})
    assert answer.status_code == 303
    page = client.get("/notifications/preferences").content.decode()
    assert 'name="money_in.sms" checked' in page
    assert 'name="money_in.email">' in page
    assert 'name="security.email" checked disabled' in page
    assert not NotificationPreference.objects.filter(user=asha.user, kind="security").exists()
    # A thief at a page that was left open would do that first.
    told = Notification.objects.get(user=asha.user, kind="notices_changed")
    assert told.messages.exists()


def test_every_page_of_somebody_signed_in_has_the_bell_and_no_other_page_asks_anything() -> None:
    asha = holder()
    tell(asha.user)
    page = browser_of(asha).get("/history").content.decode()
    assert re.search(r'id="bell".*class="count">1<', page, re.DOTALL)
    assert 'hx-get="/live"' in page
    stranger = Client().get("/").content.decode()
    assert "htmx" not in stranger
    assert 'id="bell"' not in stranger


def test_an_open_page_is_told_nothing_while_nothing_changes_and_the_parts_that_did() -> None:
    asha = holder(rupees=100)
    client, wallet = browser_of(asha), asha.wallet.public_id
    home = client.get("/")
    assert f'hx-get="/live?wallet={wallet}"' in home.content.decode()
    state = state_of(home)
    assert look(client, state, wallet=wallet).status_code == 204
    fund(asha.wallet, "1234.50")
    answer = look(client, state, wallet=wallet)
    page = answer.content.decode()
    assert "₹1,334.50" in page
    assert page.count("Money added") == 2
    # The money is there before its notification, which comes by way of Kafka.
    assert 'id="news"' not in page
    tell(asha.user)
    state = state_of(answer)
    answer = look(client, state, wallet=wallet)
    assert re.search(r'id="news" hx-swap-oob="innerHTML">.*₹500.00 from Ravi M.', answer.content.decode())
    assert look(client, state_of(answer), wallet=wallet).status_code == 204


def test_a_page_that_shows_no_money_is_told_of_none() -> None:
    asha = holder(rupees=100)
    client = browser_of(asha)
    state = state_of(client.get("/history"))
    fund(asha.wallet, 5)
    assert look(client, state).status_code == 204
    tell(asha.user)
    page = look(client, state).content.decode()
    assert 'id="bell"' in page
    assert 'id="news"' in page
    assert 'id="balance"' not in page


def test_no_more_than_a_few_are_called_out_and_none_to_a_page_that_says_nothing_of_itself() -> None:
    asha = holder()
    client = browser_of(asha)
    state = state_of(client.get("/account"))
    for _ in range(5):
        tell(asha.user)
    assert look(client, state).content.decode().count('class="notice"') == 3
    for strange in ("", "x", "ntf_" + "0" * 26 + ".1", "'\"<b>"):
        answer = look(client, strange)
        assert answer.status_code == 200
        assert 'class="notice"' not in answer.content.decode()


def test_of_other_peoples_wallets_nothing_is_told() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar", rupees=200)
    for wallet in (ravi.wallet.public_id, "wal_" + "0" * 26, "x", ""):
        assert look(browser_of(asha), wallet=wallet).status_code == 404


def test_whoever_is_signed_out_learns_that_and_is_asked_no_more() -> None:
    asha = holder(rupees=100)
    client = browser_of(asha)
    Session.objects.filter(user=asha.user).update(revoked_at=timezone.now())
    answer = look(client, wallet=asha.wallet.public_id)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "You are signed out" in page
    assert "hx-get" not in page
    assert "₹" not in page
    assert Client().get("/live").content == answer.content


def test_a_page_left_open_is_no_sign_that_somebody_is_there() -> None:
    asha = holder()
    client = browser_of(asha)
    long_ago = timezone.now() - 2 * sessions.USED_EVERY
    theirs = Session.objects.filter(user=asha.user, kind=Session.Kind.PAGES)
    theirs.update(last_used_at=long_ago)
    expires_at = theirs.get().expires_at
    before = dict(client.cookies)
    answer = look(client)
    assert (theirs.get().last_used_at, theirs.get().expires_at) == (long_ago, expires_at)
    assert not answer.cookies
    assert dict(client.cookies) == before
    client.get("/account")
    assert theirs.get().last_used_at > long_ago


def test_looking_uses_up_nothing_of_what_its_person_may_do(settings: Any) -> None:
    asha = holder()
    client = browser_of(asha)
    for key in guards().scan_iter("rate:*"):
        guards().delete(key)
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "live": (3, 60), "pages": (2, 60)}
    assert [look(client).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert [client.get("/account").status_code for _ in range(3)] == [200, 200, 429]
    for key in guards().scan_iter("rate:*"):
        guards().delete(key)
