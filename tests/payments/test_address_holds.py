"""After a change of address large payments ask support, whatever code is shown, and nothing is kept of them."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import address_changes, address_undo
from accounts.models import AddressChange, SecurityEvent, User
from accounts.roles import SUPPORT, appoint
from ledger import posting
from ledger.models import IdempotencyKey, Transaction
from payments.payout_outcomes import fail_unaccepted
from tests.accounts.changing import change_to, undo_tokens
from tests.accounts.people import code_sent_to, new_email, person
from tests.payments.cast import Holder, fund, holder, merchant, new_key
from tests.payments.staff import browser_of
from tests.payments.withdrawing import bank_account, payout_of, withdraw
from wallet_project.kernel.errors import Refusal
from wallets.opening import open_merchant

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def asha() -> Holder:
    """She moved to another address a moment ago."""
    moved = holder("Asha Rao", rupees=50_000)
    change_to(moved.user, moved.access, new_email())
    return moved


@pytest.fixture
def ravi() -> Holder:
    return holder("Ravi Kumar")


def transfer(payer: Holder, payee: Holder, amount: str, *, key: str | None = None, **headers: str) -> tuple[int, str]:
    answer = payer.post("/wallet/transfer", {"to": payee.email, "amount": amount}, key=key, **headers)
    return answer.status_code, "" if answer.status_code == 201 else str(answer.json()["code"])


def test_large_payments_ask_support_and_neither_key_nor_history_keeps_anything(asha: Holder, ravi: Holder) -> None:
    key = new_key()
    answer = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "5000.00"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (403, "support_required")
    assert "support" in answer.json()["detail"]
    assert "transaction" not in answer.json()
    assert not IdempotencyKey.objects.filter(key=key).exists()
    assert not Transaction.objects.filter(from_wallet=asha.wallet).exists()
    # The key is free for something else, and a small payment passes.
    assert transfer(asha, ravi, "100.00", key=key) == (201, "")


def test_a_dry_run_says_so(asha: Holder, ravi: Holder) -> None:
    answer = asha.post("/wallet/transfer?dry_run=true", {"to": ravi.email, "amount": "5000.00"})
    assert (answer.status_code, answer.json()["code"]) == (403, "support_required")


def test_many_small_payments_are_no_dodge(asha: Holder) -> None:
    """To whomever they go: one paisa short of the sum passes in a day, and no more."""
    ravi, zoya = holder("Ravi Kumar"), holder("Zoya Khan")
    assert transfer(asha, ravi, "1999.99") == (201, "")
    assert transfer(asha, zoya, "1999.99") == (201, "")
    assert transfer(asha, holder("Dev Singh"), "1000.02") == (403, "support_required")
    assert transfer(asha, ravi, "1000.01") == (201, "")


def test_nor_are_other_ways_and_other_wallets(asha: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent, paid, withdrawn, from a shop's wallet as from one's own: together they stay below the sum."""
    asha = Holder(User.objects.get(pk=asha.user.pk), asha.wallet, asha.access)
    ravi, (_, shop), account = holder("Ravi Kumar"), merchant(), bank_account(asha)
    own = open_merchant(user=asha.user, handle=f"asha-{new_key()[-12:]}", display_name="Asha's").wallet
    fund(own, 10_000)
    assert asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "1500"}).status_code == 201
    payout = payout_of(withdraw(asha, account, "1500"))
    sent = {"to": ravi.email, "amount": "1000"}
    assert asha.post(f"/wallet/transfer?wallet={own.public_id}", sent).status_code == 201
    for path, body in (
        ("transfer", {"to": ravi.email}),
        (f"transfer?wallet={own.public_id}", {"to": ravi.email}),
        ("pay", {"merchant": shop.handle}),
        ("withdraw", {"bank_account": account}),
    ):
        answer = asha.post(f"/wallet/{path}", {**body, "amount": "1000"})
        assert (answer.status_code, answer.json()["code"]) == (403, "support_required"), path
    assert transfer(asha, ravi, "999.99") == (201, "")
    # What came back has not left.
    fail_unaccepted(payout=payout, sends=payout.sends, reason="tests", now=timezone.now())
    assert transfer(asha, ravi, "1500.01") == (403, "support_required")
    assert transfer(asha, ravi, "1500") == (201, "")
    # Yesterday's is over.
    real = posting.store.read_clock_and_keys
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(posting.store, "read_clock_and_keys", lambda *of: (tomorrow, real(*of)[1]))
    assert transfer(asha, ravi, "4999.99") == (201, "")


def test_a_step_up_that_was_asked_for_before_the_change_does_not_help(ravi: Holder) -> None:
    asha, key = holder("Asha Rao", rupees=50_000), new_key()
    body = {"to": ravi.email, "amount": "6000.00"}
    challenge = asha.post("/wallet/transfer", body, key=key).json()["challenge"]
    code = code_sent_to(str(asha.user.email))
    change_to(asha.user, asha.access, new_email("zoya"))
    assert transfer(asha, ravi, "6000.00", key=key, **{"X-Step-Up": f"{challenge}:{code}"}) == (403, "support_required")


def test_money_may_still_come_in_and_a_payment_made_before_replays(ravi: Holder) -> None:
    asha, key = holder("Asha Rao", rupees=50_000), new_key()
    assert transfer(asha, ravi, "1500.00", key=key) == (201, "")
    change_to(asha.user, asha.access, new_email())
    assert transfer(asha, ravi, "1500.00", key=key) == (201, "")
    assert transfer(asha, ravi, "4000.00", key=key) == (422, "idempotency_key_reused")


def test_it_ends_after_three_days_and_not_with_an_undo(asha: Holder) -> None:
    address_undo.undo(token=undo_tokens(str(asha.user.email))[0], now=timezone.now())
    asha = Holder(User.objects.get(pk=asha.user.pk), asha.wallet, "")
    change = AddressChange.objects.get(user=asha.user)
    assert change.held_until is not None and change.undone_at is not None  # noqa: PT018
    assert address_changes.is_recent(asha.user, change.undone_at + timedelta(days=3, seconds=-1))
    assert not address_changes.is_recent(asha.user, change.undone_at + timedelta(days=3))


def test_support_lifts_it_with_a_reason_on_record(asha: Holder, ravi: Holder) -> None:
    dev = person("Dev Singh", email=new_email("dev"))
    with transaction.atomic():
        appoint(user=dev, group=SUPPORT)
    browser, change = browser_of(dev), AddressChange.objects.get(user=asha.user)
    page = f"/admin/accounts/addresschange/{change.pk}/lift/"
    assert "Let large payments pass" in browser.get(page.replace("lift", "change")).content.decode()
    assert browser.post(page, {"reason": " "}).status_code == 200
    assert transfer(asha, ravi, "5000.00") == (403, "support_required")
    assert browser.post(page, {"reason": "Called her at the number of before"}).status_code == 302
    assert transfer(asha, ravi, "5000.00") == (403, "step_up_required")
    event = SecurityEvent.objects.get(kind="address.hold_lifted", subject=asha.user)
    assert (event.actor, event.reason) == (dev, "Called her at the number of before")
    # The way back stays open.
    assert address_undo.change_of(token=undo_tokens(str(asha.user.email))[-1], now=timezone.now()) == change


def test_neither_oneself_nor_who_is_not_of_support_lifts_it(asha: Holder) -> None:
    zoya, staff = person("Zoya Khan"), asha.user
    with transaction.atomic():
        appoint(user=staff, group=SUPPORT)
    for by in (zoya, User.objects.get(pk=staff.pk)):
        with pytest.raises(Refusal, match="permission_denied"):
            address_changes.lift(user=asha.user, by=by, reason="Because", now=timezone.now())
    assert address_changes.is_recent(asha.user, timezone.now())
    assert SecurityEvent.objects.filter(kind="address.hold_lifted", result="REFUSED", subject=asha.user).count() == 2
