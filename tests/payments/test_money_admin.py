"""The admin of wallets, transactions, entries, orders and events: read by support and auditors, touched by nobody."""

from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD, appoint
from ledger.models import LedgerEntry, Transaction
from payments.models import GatewayOrder, PaymentAttempt, WebhookEvent
from tests.accounts.people import new_phone, person, superuser
from tests.payments.cast import Holder, holder, merchant
from wallets.models import Merchant, Wallet

pytestmark = pytest.mark.usefixtures("database")

MODELS = {
    "wallets/wallet": Wallet,
    "wallets/merchant": Merchant,
    "ledger/transaction": Transaction,
    "ledger/ledgerentry": LedgerEntry,
    "payments/gatewayorder": GatewayOrder,
    "payments/paymentattempt": PaymentAttempt,
    "payments/webhookevent": WebhookEvent,
}


@pytest.fixture(scope="module")
def story(database: object) -> tuple[Holder, Holder]:
    """A row of each kind."""
    asha, ravi = holder("Asha Rao", rupees=100, phone=new_phone()), holder("Ravi Kumar")
    _, books = merchant()
    for _ in range(3):
        asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1"})
    asha.post("/wallet/pay", {"merchant": books.handle, "amount": "2"})
    now = timezone.now()
    for number, add in enumerate(Transaction.objects.filter(type="ADD")):
        order = GatewayOrder.objects.create(
            transaction=add,
            gateway="razorpay",
            order_id=f"order_{number}",
            amount_minor=100,
            currency="INR",
            created_at=now,
            expires_at=now,
        )
        PaymentAttempt.objects.create(
            order=order,
            gateway="razorpay",
            payment_id=f"pay_{number}",
            amount_minor=100,
            currency="INR",
            status="captured",
            first_seen_at=now,
            last_seen_at=now,
        )
    WebhookEvent.objects.create(gateway="razorpay", event_id="ev1", body=b'{"a": "\xff"}', received_at=now, due_at=now)
    return asha, ravi


def browser_of(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def staff(group: str) -> Client:
    user = person("Dev Singh")
    with transaction.atomic():
        appoint(user=user, group=group)
    return browser_of(user)


@pytest.mark.parametrize("group", [SUPPORT, SUPPORT_LEAD, AUDITOR])
def test_each_role_reads_every_list_and_every_row(story: Any, group: str) -> None:
    browser = staff(group)
    for path, model in MODELS.items():
        assert browser.get(f"/admin/{path}/").status_code == 200, path
        row = model._default_manager.order_by("-pk").first()
        assert row is not None
        assert browser.get(f"/admin/{path}/{row.pk}/change/").status_code == 200, path


@pytest.mark.parametrize("path", MODELS)
def test_nobody_adds_changes_or_deletes_anything_not_even_a_superuser(story: Any, path: str) -> None:
    browser, row = browser_of(superuser()), MODELS[path]._default_manager.order_by("-pk").first()
    assert row is not None
    before = MODELS[path]._default_manager.count()
    assert browser.get(f"/admin/{path}/add/").status_code == 403
    assert browser.post(f"/admin/{path}/add/", {}).status_code == 403
    assert browser.post(f"/admin/{path}/{row.pk}/change/", {"status": "CLOSED", "balance": "1"}).status_code == 403
    assert browser.post(f"/admin/{path}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    page = browser.get(f"/admin/{path}/").content.decode()
    assert 'name="action"' not in page
    browser.post(f"/admin/{path}/", {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert MODELS[path]._default_manager.count() == before


def test_somebody_without_a_role_sees_nothing_of_it(story: Any) -> None:
    asha, _ = story
    for path in MODELS:
        assert browser_of(asha.user).get(f"/admin/{path}/").status_code == 302


def test_people_and_ids_find_their_rows(story: tuple[Holder, Holder]) -> None:
    asha, ravi = story
    browser = staff(SUPPORT)
    sent = Transaction.objects.filter(from_wallet=asha.wallet, type="TRANSFER")[0]
    books = Merchant.objects.get()
    cases = [
        ("wallets/wallet", asha.email.upper(), 1),
        ("wallets/wallet", str(asha.user.phone), 1),
        ("wallets/wallet", asha.wallet.public_id, 1),
        ("wallets/wallet", books.public_id, 1),
        ("wallets/wallet", "nobody@example.com", 0),
        ("wallets/merchant", books.handle, 1),
        ("ledger/transaction", sent.public_id, 1),
        ("ledger/transaction", ravi.email, 3),
        ("ledger/transaction", asha.user.public_id, 5),
        ("ledger/ledgerentry", ravi.wallet.public_id, 3),
        ("ledger/ledgerentry", sent.public_id, 2),
        ("payments/gatewayorder", asha.email, 1),
        ("payments/gatewayorder", "pay_0", 1),
        ("payments/paymentattempt", "order_0", 1),
        ("payments/webhookevent", "ev1", 1),
        ("payments/webhookevent", "ev", 0),
        ("ledger/transaction", "\0", 10),
    ]
    for path, term, count in cases:
        answer = browser.get(f"/admin/{path}/", {"q": term})
        assert answer.status_code == 200, (path, term)
        found = answer.context["cl"].result_count
        assert found == count or (term == "\0" and found > 0), (path, term, found)


def test_a_list_asks_as_much_for_many_rows_as_for_one(story: tuple[Holder, Holder]) -> None:
    asha, _ = story
    browser = staff(SUPPORT)

    def queries(path: str) -> int:
        browser.get(f"/admin/{path}/")
        with CaptureQueriesContext(connection) as captured:
            browser.get(f"/admin/{path}/")
        return len(captured)

    before = {path: queries(path) for path in MODELS}
    for number in range(5):
        other = holder(f"Ravi {number}", rupees=1)
        asha.post("/wallet/transfer", {"to": other.email, "amount": "1"})
    assert {path: queries(path) for path in MODELS} == before
