"""Saying that it was not oneself: one press stops everything, whoever presses it; looking at the page does nothing."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import not_me_links
from accounts.blocking import block
from accounts.models import AddressChange, Notification, SecurityEvent, Session, User
from accounts.notices import notify
from accounts.roles import SUPPORT
from ledger.models import Transaction
from payments.models import Case, StepUp
from payments.not_me import stop
from tests.accounts.people import PASSWORD, call, deliver, messages_to, superuser
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, access_of, holder, new_key
from tests.payments.staff import page_of, shown, staff
from wallet_project.kernel import rate_limits
from wallet_project.kernel.ids import new_uuid, public_id
from wallets.freezing import unfreeze
from wallets.models import Wallet, WalletStatusChange
from wallets.opening import open_merchant

pytestmark = pytest.mark.usefixtures("database")


def told(
    person: Holder, *, kind: str = "new_device", transaction: UUID | None = None, age_days: int = 0
) -> Notification:
    at = timezone.now() - timedelta(days=age_days)
    return Notification.objects.create(
        user=person.user, kind=kind, title="A new device signed in", text="…", transaction=transaction, created_at=at
    )


def path_of(notification: Notification) -> str:
    return "/" + not_me_links.link_of(notification.uuid).split("/", 3)[3]


def press(notification: Notification) -> Any:
    """By whoever has the link, in a browser of their own."""
    browser = Browser()
    page = browser.open(path_of(notification))
    assert page.status == 200
    answer = browser.send(page.form)
    assert (answer.status, answer.location) == (303, path_of(notification))
    return browser.open(answer.location)


def status_of(person: Holder) -> str:
    return str(Wallet.objects.get(pk=person.wallet.pk).status)


def is_signed_in(person: Holder) -> bool:
    return bool(person.get("/me").status_code == 200)


def test_the_link_holds_nothing_that_looks_like_a_code_and_nobody_makes_one() -> None:
    uuid = new_uuid()
    token = not_me_links.token_of(uuid)
    assert not re.search(r"\d", token)
    assert not_me_links.notification_of(token) == uuid
    for forged in ("", token[:-1], token + "a", token[:-1] + ("a" if token[-1] != "a" else "b"), "z" * len(token)):
        assert not_me_links.notification_of(forged) is None
        assert Browser().open(f"/not-me/{forged or 'x'}").status == 400


def test_one_press_of_the_link_freezes_every_wallet_and_ends_every_sign_in() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    shop_of = open_merchant(user=asha.user, handle=f"asha-{new_uuid().hex[-12:]}", display_name="Asha Arts").wallet
    browser = Browser(asha.user)
    notification = told(asha)
    page = press(notification)
    assert "Your wallet is stopped" in page.text
    assert status_of(asha) == "FROZEN"
    assert Wallet.objects.get(pk=shop_of.pk).status == "FROZEN"
    assert not is_signed_in(asha)
    assert browser.open("/history").location.startswith("/sign-in")
    assert not Session.objects.filter(user=asha.user, revoked_at=None).exists()
    again = Holder(User.objects.get(pk=asha.user.pk), asha.wallet, access_of(User.objects.get(pk=asha.user.pk)))
    refused = again.post("/wallet/transfer", {"to": ravi.email, "amount": "5"})
    assert (refused.status_code, refused.json()["code"]) == (422, "wallet_frozen")
    assert ravi.post("/wallet/transfer", {"to": asha.email, "amount": "5"}).json()["code"] == "insufficient_funds"
    why = WalletStatusChange.objects.get(wallet=asha.wallet)
    assert (why.by, why.status, why.reason) == (
        asha.user,
        "FROZEN",
        "They said of a notification that it was not them.",
    )
    deliver()
    assert messages_to(asha.email)[0].subject == "Your wallet is stopped, and everybody was signed out"


def test_a_message_of_ours_leads_there() -> None:
    asha = holder(rupees=100)
    with transaction.atomic():
        notify(user=asha.user, kind="password_changed", now=timezone.now())
    deliver()
    text = messages_to(asha.email)[0].text
    (link,) = re.findall(rf"{re.escape(settings.PUBLIC_URL)}(/not-me/[a-p]+)", text)
    browser = Browser()
    page = browser.open(link)
    assert "Your wallet's password was changed" in page.text
    assert browser.send(page.form).location == link
    assert status_of(asha) == "FROZEN"
    # What tells of that leads nowhere to stop it once more.
    deliver()
    assert "/not-me/" not in messages_to(asha.email)[0].text


def test_looking_at_the_link_does_nothing_however_often_a_mail_server_does() -> None:
    asha = holder(rupees=100)
    notification = told(asha)
    for method in ("get", "head", "options"):
        for _ in range(3):
            getattr(Browser().client, method)(path_of(notification))
    assert (status_of(asha), is_signed_in(asha)) == ("ACTIVE", True)
    assert not Case.objects.filter(subject=notification.public_id).exists()
    assert Browser().client.post(path_of(notification)).status_code == 403, "another site's page must not press it"
    assert status_of(asha) == "ACTIVE"


def test_it_stops_though_the_network_has_used_up_its_codes_and_redis_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody guesses such a link, and whoever shares a network with others must not be kept from stopping a thief."""
    asha = holder(rupees=100)
    monkeypatch.setattr(settings, "RATE_LIMITS", {**settings.RATE_LIMITS, "codes": (1, 60)})
    for _ in range(2):
        call("POST", "/auth/verify/resend", {"email": asha.email})
    page = press(told(asha))
    assert "Your wallet is stopped" in page.text
    ravi = holder("Ravi Kumar")
    notification = told(ravi)
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    rate_limits.guards.cache_clear()
    try:
        press(notification)
    finally:
        rate_limits.guards.cache_clear()
        rate_limits._retry_at = 0.0
    assert status_of(ravi) == "FROZEN"


def test_signed_in_everything_else_ends_and_this_device_stays() -> None:
    asha = holder(rupees=100)
    elsewhere, here = Browser(asha.user), Browser(asha.user)
    notification = told(asha)
    page = here.open(f"/notifications/{notification.public_id}/not-me")
    assert page.status == 200
    answer = here.send(page.form)
    assert (answer.status, answer.location) == (303, f"/notifications/{notification.public_id}/not-me")
    assert "every other device was signed out" in here.open(answer.location).text
    assert elsewhere.open("/history").location.startswith("/sign-in")
    assert (status_of(asha), is_signed_in(asha)) == ("FROZEN", False)


def test_the_api_says_what_was_done_and_keeps_the_session_that_asks() -> None:
    asha = holder(rupees=100)
    notification, other = told(asha), access_of(asha.user)
    answer = asha.post(f"/notifications/{notification.public_id}/not-me")
    assert (answer.status_code, answer.json()) == (
        200,
        {"wallets_frozen": [asha.wallet.public_id], "sessions_ended": 1},
    )
    assert call("GET", "/me", access=other).status_code == 401
    again = asha.post(f"/notifications/{notification.public_id}/not-me")
    assert again.json() == {"wallets_frozen": [], "sessions_ended": 0}
    for id in (public_id("ntf", new_uuid()), "nonsense", told(holder("Zoya Khan")).public_id):
        assert asha.post(f"/notifications/{id}/not-me").json()["code"] == "not_found"
    assert Browser(asha.user).open(f"/notifications/{public_id('ntf', new_uuid())}/not-me").status == 404


def test_what_waits_for_a_code_dies() -> None:
    asha, ravi = holder(rupees=20_000), holder("Ravi Kumar")
    key, body = new_key(), {"to": ravi.email, "amount": "9000"}
    asked = asha.post("/wallet/transfer", body, key=key)
    assert asked.json()["code"] == "step_up_required"
    added = asha.post("/me/addresses", {"phone": "+919812345678", "password": PASSWORD})
    assert added.status_code == 202, added.content
    stop(notification=told(asha), keep=None, now=timezone.now())
    assert not StepUp.objects.filter(user=asha.user).exists()
    assert AddressChange.objects.get(user=asha.user).status == AddressChange.Status.DROPPED


def test_support_sees_what_it_is_about_and_lets_the_wallet_go() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    paid = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "5"}).json()["id"]
    payment = next(row for row in Transaction.objects.filter(from_wallet=asha.wallet) if row.public_id == paid)
    notification = told(asha, kind="money_out", transaction=payment.uuid)
    press(notification)
    case = Case.objects.get(kind=Case.Kind.NOT_ME, subject=notification.public_id)
    assert (case.state, case.transaction, case.amount_here_minor, case.currency) == ("OPEN", payment, 500, "INR")
    assert asha.user.public_id in case.reason
    assert "money_out" in case.reason
    dev = staff(SUPPORT)
    page = shown(dev.get(page_of(case)))
    assert notification.public_id in page
    assert paid in page
    assert notification.public_id in shown(dev.get("/admin/payments/case/"))
    freed = dev.post(page_of(asha.wallet, "status"), {"reason": "She is who she is"})
    assert (freed.status_code, status_of(asha)) == (302, "ACTIVE")
    event = SecurityEvent.objects.get(kind="person.not_me", subject=asha.user)
    assert (event.object, event.actor_id, event.details["case"]) == (notification.public_id, None, case.public_id)


def test_once_support_has_let_the_wallet_go_no_page_says_that_it_is_stopped() -> None:
    """Though the case may still be open: whoever relies on that page must not be told what is no longer so."""
    asha = holder(rupees=100)
    notification = told(asha)
    assert "Your wallet is stopped" in press(notification).text
    unfreeze(wallet=asha.wallet, by=superuser(), reason="She is who she is", now=timezone.now())
    page = Browser().open(path_of(notification))
    assert "Your wallet is stopped" not in page.text
    assert "You said so before" in page.text
    assert "Your wallet is stopped" in press(notification).text
    assert status_of(asha) == "FROZEN"


def test_saying_it_again_is_harmless_and_tells_nothing_new() -> None:
    asha = holder(rupees=100)
    notification, now = told(asha), timezone.now()
    first = stop(notification=notification, keep=None, now=now)
    assert (first.wallets, first.sessions, bool(first.messages)) == ([asha.wallet.public_id], 1, True)
    again = stop(notification=notification, keep=None, now=now)
    assert (again.wallets, again.sessions, again.messages, again.case.pk) == ([], 0, [], first.case.pk)
    assert again.case.times == 2
    assert WalletStatusChange.objects.filter(wallet=asha.wallet).count() == 1
    # Of another notification it is another case, and they read of it.
    other = stop(notification=told(asha), keep=None, now=now)
    assert other.case.pk != first.case.pk
    assert other.messages


@pytest.mark.parametrize(("age_days", "good"), [(29, True), (30, False)])
def test_a_link_is_good_for_a_month(age_days: int, good: bool) -> None:
    asha = holder()
    notification = told(asha, age_days=age_days)
    page = Browser().open(path_of(notification))
    assert (page.status, "no longer good" in page.text) == (200 if good else 400, not good)
    # Signed in there is no end of it: it is their own.
    assert Browser(asha.user).open(f"/notifications/{notification.public_id}/not-me").status == 200


def test_the_link_works_for_whoever_is_blocked_and_says_so() -> None:
    asha = holder(rupees=100)
    notification = told(asha)
    block(user=asha.user, by=superuser(), reason="Fraud", now=timezone.now())
    page = press(notification)
    assert "Your account was blocked before" in page.text
    assert status_of(asha) == "FROZEN"


def test_of_a_closed_account_support_hears_all_the_same() -> None:
    """A thief may have emptied it, and closed it behind them."""
    asha = holder()
    notification = told(asha)
    User.objects.filter(pk=asha.user.pk).update(status=User.Status.CLOSED, email=None, email_verified_at=None)
    Wallet.objects.filter(pk=asha.wallet.pk).update(status=Wallet.Status.CLOSED)
    page = press(notification)
    assert "This account is closed" in page.text
    assert status_of(asha) == "CLOSED"
    assert "closed" in Case.objects.get(subject=notification.public_id).reason


def test_whoever_is_signed_in_elsewhere_stays_so_when_they_press_anothers_link() -> None:
    asha, ravi = holder(), Browser(holder("Ravi Kumar").user)
    notification = told(asha)
    page = ravi.open(path_of(notification))
    ravi.send(next(form for form in page.forms if form.action == path_of(notification)))
    assert status_of(asha) == "FROZEN"
    assert ravi.open("/history").status == 200
