"""The admin of money, here and at the gateway: read by support and auditors, touched by nobody."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from ledger.models import Hold, LedgerEntry, Transaction
from payments.models import (
    BankAccount,
    Case,
    Dispute,
    GatewayOrder,
    GatewayRefund,
    ParkedPayment,
    PaymentAttempt,
    Payout,
    Reconciliation,
    SettledItem,
    WebhookEvent,
)
from tests.accounts.people import new_phone, person, superuser
from tests.payments.cast import Holder, holder, merchant
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.money_story import Story, happen
from tests.payments.sandbox_process import Merchant as Shop
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from tests.payments.staff import browser_of, list_of, page_of, shown, staff
from wallets.models import Merchant, Wallet

pytestmark = pytest.mark.usefixtures("database")

MODELS = (
    Wallet,
    Merchant,
    Transaction,
    LedgerEntry,
    Hold,
    GatewayOrder,
    PaymentAttempt,
    ParkedPayment,
    Payout,
    GatewayRefund,
    BankAccount,
    Dispute,
    SettledItem,
    Reconciliation,
    WebhookEvent,
    Case,
)
# What a superuser might try to post there.
CHANGES = {"status": "CLOSED", "state": "PROCESSED", "balance": "1", "amount_minor": "1", "ifsc": "HDFC0000001"}


@pytest.fixture(scope="module")
def gateway(database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Sandbox]]:
    with (
        merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (shop, sandbox),
        wallet_speaks_to(client(sandbox.url)),
    ):
        yield shop, sandbox


@pytest.fixture(scope="module")
def story(gateway: tuple[Shop, Sandbox]) -> tuple[Story, Holder]:
    """A row of each kind."""
    told = happen(*gateway, phone=new_phone())
    asha, ravi = told.asha, holder("Ravi Kumar", rupees=5)
    _, books = merchant()
    for _ in range(3):
        ravi.post("/wallet/transfer", {"to": asha.email, "amount": "1"})
    ravi.post("/wallet/pay", {"merchant": books.handle, "amount": "2"})
    return told, ravi


def newest(model: Any) -> Any:
    row = model._default_manager.order_by("-pk").first()
    assert row is not None, model
    return row


@pytest.mark.parametrize("group", [SUPPORT, SUPPORT_LEAD, AUDITOR])
def test_each_role_reads_every_list_and_every_row(story: Any, group: str) -> None:
    browser = staff(group)
    for model in MODELS:
        assert browser.get(list_of(model)).status_code == 200, model
        assert browser.get(page_of(newest(model))).status_code == 200, model


@pytest.mark.parametrize("model", MODELS)
def test_nobody_adds_changes_or_deletes_anything_not_even_a_superuser(story: Any, model: Any) -> None:
    row, before = newest(model), list(model._default_manager.order_by("pk").values())
    for browser in (browser_of(superuser()), staff(SUPPORT_LEAD)):
        assert browser.get(f"{list_of(model)}add/").status_code == 403
        assert browser.post(f"{list_of(model)}add/", {}).status_code == 403
        assert browser.post(page_of(row), CHANGES).status_code == 403
        assert browser.post(page_of(row, "delete"), {"post": "yes"}).status_code == 403
        assert 'name="action"' not in shown(browser.get(list_of(model)))
        delete = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        browser.post(list_of(model), delete)
    assert list(model._default_manager.order_by("pk").values()) == before


def test_somebody_without_a_role_sees_nothing_of_it(story: tuple[Story, Holder]) -> None:
    told, _ = story
    zoya = person("Zoya Khan")
    for browser in (browser_of(told.asha.user), browser_of(zoya), Client()):
        for model in MODELS:
            assert browser.get(list_of(model)).status_code == 302
            assert browser.get(page_of(newest(model))).status_code == 302
    # Let in, and given nothing: a mistake that a superuser could make.
    zoya.is_staff = True
    zoya.save(update_fields=["is_staff"])
    for model in MODELS:
        assert browser_of(zoya).get(list_of(model)).status_code == 403


def test_people_and_ids_find_their_rows(story: tuple[Story, Holder]) -> None:
    told, ravi = story
    asha, order, paid, payout, disputed = told.asha, told.order, told.paid, told.payout, told.disputed
    browser = staff(SUPPORT)
    sent = Transaction.objects.filter(from_wallet=ravi.wallet, type="TRANSFER")[0]
    books, hold = Merchant.objects.get(), Hold.objects.get(dispute=disputed)
    parked = ParkedPayment.objects.get()
    refund = GatewayRefund.objects.get()
    add = order.transaction
    cases: list[tuple[Any, str, int]] = [
        (Wallet, asha.email.upper(), 1),
        (Wallet, str(asha.user.phone), 1),
        (Wallet, asha.wallet.public_id, 1),
        (Wallet, books.public_id, 1),
        (Wallet, "nobody@example.com", 0),
        (Merchant, books.handle, 1),
        (Transaction, sent.public_id, 1),
        (Transaction, asha.email, 5),
        (Transaction, ravi.user.public_id, 5),
        (LedgerEntry, asha.wallet.public_id, 5),
        (LedgerEntry, sent.public_id, 2),
        (Hold, hold.public_id, 1),
        (Hold, hold.reference, 1),
        (Hold, asha.email, 1),
        (WebhookEvent, newest(WebhookEvent).event_id, 1),
        (WebhookEvent, newest(WebhookEvent).event_id[:-1], 0),
        (BankAccount, told.account.public_id, 1),
        (BankAccount, asha.user.public_id, 1),
        (BankAccount, asha.email, 1),
        (BankAccount, "5010001200 01", 0),
        (Payout, told.account.public_id, 1),
        (Payout, str(payout.payout_id), 1),
        (Payout, payout.key, 1),
        (GatewayRefund, str(refund.refund_id), 1),
        (GatewayRefund, refund.transaction.public_id, 1),
        (Dispute, disputed.dispute_id, 1),
        (SettledItem, newest(SettledItem).settlement_id, SettledItem.objects.count()),
        (SettledItem, asha.email, 3),
        (ParkedPayment, parked.attempt.payment_id, 1),
        (ParkedPayment, paid.payment_id, 0),
    ]
    for paid_for in (GatewayOrder, PaymentAttempt, GatewayRefund, Dispute, ParkedPayment):
        count = 2 if paid_for is PaymentAttempt else 1
        cases += [(paid_for, term, count) for term in (asha.email, str(order.order_id), add.public_id)]
        cases += [(paid_for, term, 0) for term in (ravi.email, "order_OfNobody", "x" * 500)]
    cases += [(GatewayOrder, paid.payment_id, 1), (Payout, asha.email, 1), (Payout, ravi.email, 0)]
    for model, term, count in cases:
        answer = browser.get(list_of(model), {"q": term})
        assert answer.status_code == 200, (model, term)
        assert answer.context["cl"].result_count == count, (model, term)
    for model in MODELS:
        assert browser.get(list_of(model), {"q": "\0"}).status_code == 200


def test_every_filter_narrows_its_list_and_none_reads_a_column_for_its_choices(story: Any) -> None:
    browser = staff(AUDITOR, "Anil Gupta")
    later = timezone.now() + timedelta(hours=1)
    GatewayOrder.objects.update(check_at=later)
    Dispute.objects.update(check_at=later)
    for model, query, count in (
        (GatewayOrder, {"state__exact": "PAID", "gateway": "razorpay", "due": "later"}, 1),
        (GatewayOrder, {"due": "now"}, 0),
        (PaymentAttempt, {"status": "failed"}, 0),
        (PaymentAttempt, {"credited_by": "yes"}, 1),
        (Payout, {"state__exact": "PROCESSED"}, 1),
        (Payout, {"gateway": "stripe"}, 0),
        (Dispute, {"due": "later"}, 1),
        (SettledItem, {"kind": "transfer"}, 0),
        (SettledItem, {"transaction": "no"}, 0),
        (SettledItem, {"transaction": "nonsense", "_facets": "True"}, 3),
        (Reconciliation, {"differences": "some"}, Reconciliation.objects.filter(differences__gt=0).count()),
        (BankAccount, {"removed_at": "no"}, 1),
        (WebhookEvent, {"processed_at": "yes"}, 0),
    ):
        with CaptureQueriesContext(connection) as captured:
            answer = browser.get(list_of(model), query)
        assert answer.status_code == 200, (model, query)
        assert answer.context["cl"].result_count == count, (model, query)
        assert not [row for row in captured if "DISTINCT" in row["sql"]], model


def test_no_page_shows_an_account_number_or_a_key(story: tuple[Story, Holder]) -> None:
    told, _ = story
    browser = browser_of(superuser())
    for page in (list_of(BankAccount), page_of(told.account), page_of(told.payout), list_of(Payout)):
        text = shown(browser.get(page))
        assert "50100012" not in text
        assert "0001" in text
    assert "••••••••0001" in shown(browser.get(page_of(told.account)))


def test_a_payment_that_credits_nobody_says_why_and_where_its_money_is(story: Any) -> None:
    parked = ParkedPayment.objects.get()
    page = shown(staff(SUPPORT).get(page_of(parked.attempt)))
    assert "the order had been paid before" in page
    assert page_of(parked) in page
    assert page_of(GatewayRefund.objects.get(attempt=parked.attempt)) in page


def test_what_a_gateway_said_is_shown_as_text_and_believed_in_nothing(story: Any) -> None:
    event = newest(WebhookEvent)
    evil = b'{"entity": "<script>alert(1)</script>", "a": "\xff"}'
    event = WebhookEvent.objects.create(
        gateway="razorpay", event_id="evil", body=evil, received_at=event.received_at, due_at=event.due_at
    )
    text = shown(staff(SUPPORT).get(page_of(event)))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_list_and_a_page_ask_as_much_for_many_rows_as_for_one(
    gateway: tuple[Shop, Sandbox], story: tuple[Story, Holder]
) -> None:
    told, ravi = story
    browser = staff(SUPPORT)
    pages = [*map(list_of, MODELS), page_of(told.order), page_of(told.paid)]

    def queries() -> dict[str, int]:
        counts = {}
        for page in pages:
            browser.get(page)
            with CaptureQueriesContext(connection) as captured:
                browser.get(page)
            counts[page] = len(captured)
        return counts

    before = queries()
    assert max(before.values()) < 30
    happen(*gateway)
    meera, _ = merchant()
    ravi.post("/wallet/transfer", {"to": meera.email, "amount": "1"})
    assert queries() == before
