"""Leads give a top-up back from its order's page: filled in, looked over, and done once. Against a real sandbox."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connections
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from accounts.models import User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from ledger.models import Transaction
from payments.captures import settle_order
from payments.forms import new_key
from payments.models import GatewayOrder, GatewayRefund
from payments.refunds import ask_about_refund
from tests.accounts.people import person, superuser
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.money_story import add, pay
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from tests.payments.staff import browser_of, page_of, press, said, shown, staff

pytestmark = pytest.mark.usefixtures("database")
WHY = "She paid twice by mistake"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (_, sandbox):
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(running.url)):
        yield running


def paid(sandbox: Sandbox) -> tuple[Holder, GatewayOrder]:
    """Asha, with 500 rupees, and the order that brought them."""
    asha = holder()
    order = add(asha)
    pay(sandbox, order)
    settle_order(order=order, now=timezone.now())
    assert asha.balance == 500
    return asha, order


def send(browser: Client, order: GatewayOrder, amount: str = "200", **fields: str) -> Any:
    form = {"amount": amount, "reason": WHY, "key": new_key(), "step": "confirm", **fields}
    return browser.post(page_of(order, "refund"), form)


def test_a_lead_looks_it_over_and_then_it_goes_back_to_whoever_paid(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    lead = staff(SUPPORT_LEAD)
    assert page_of(order, "refund") in shown(lead.get(page_of(order)))
    assert 'value="500.00"' in shown(lead.get(page_of(order, "refund")))
    review = shown(send(lead, order, step="review"))
    assert "Give ₹200.00 back?" in review
    assert WHY in review
    assert asha.balance == 500
    with capture_logs() as logs:
        answer = send(lead, order)
    refund = GatewayRefund.objects.get(attempt__order=order)
    assert (answer.status_code, answer["Location"]) == (302, page_of(refund))
    assert said(answer) == "₹200.00 goes back to whoever paid."
    assert asha.balance == 300
    me = User.objects.get(pk=lead.session["_auth_user_id"])
    assert refund.transaction.initiator.user == me
    told = next(line for line in logs if line["event"] == "support.gave_back")
    assert (told["by"], told["refused"]) == (me.public_id, "")
    assert WHY not in str(logs)
    kept = LogEntry.objects.get(object_id=str(order.pk), content_type__model="gatewayorder")
    assert kept.change_message == f"Given back: ₹200.00. {WHY}"
    press(staff(SUPPORT), refund)
    assert refund.transaction.status == "SUCCESS"
    there = sandbox.payments(str(order.order_id))[0]
    assert there["amount_refunded"] == 20_000
    assert 'value="300.00"' in shown(lead.get(page_of(order, "refund")))


def test_a_double_click_gives_back_once(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    lead, key = staff(SUPPORT_LEAD), new_key()
    me = User.objects.get(pk=lead.session["_auth_user_id"])

    def click(_: int) -> str:
        try:
            return str(send(browser_of(me), order, "500", key=key)["Location"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        places = set(pool.map(click, range(3)))
    assert send(lead, order, "500", key=key)["Location"] in places
    assert len(places) == 1
    assert asha.balance == 0
    assert GatewayRefund.objects.filter(attempt__order=order).count() == 1
    assert LogEntry.objects.filter(object_id=str(order.pk), content_type__model="gatewayorder").count() == 1
    # Nothing is left, so there is no button any more.
    assert page_of(order, "refund") not in shown(lead.get(page_of(order)))


def test_no_more_is_given_back_than_was_added_or_is_there(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    ravi, lead = holder("Ravi Kumar"), staff(SUPPORT_LEAD)
    assert "No more than ₹500.00 is left to give back." in shown(send(lead, order, "500.01", step="review"))
    # Whoever goes round the first page is refused by the deed.
    answer = send(lead, order, "501")
    assert "Nothing was given back. More than is left to be refunded." in shown(answer)
    asha.post("/wallet/transfer", {"to": ravi.email, "amount": "450"})
    first, answer = new_key(), send(lead, order, "100")
    assert "Nothing was given back. Not enough money." in shown(answer)
    form = answer.context["form"]
    assert form["key"].value() not in ("", first)
    assert asha.balance == 50
    assert not GatewayRefund.objects.filter(attempt__order=order).exists()
    refused = Transaction.objects.filter(type="REFUND", from_wallet=asha.wallet)
    assert {transaction.status for transaction in refused} == {"FAILED"}
    kept = LogEntry.objects.filter(object_id=str(order.pk)).order_by("pk").values_list("change_message", flat=True)
    assert [message.partition(":")[0] for message in kept] == [
        "Not given back (refund_exceeds)",
        "Not given back (insufficient_funds)",
    ]
    assert send(lead, order, "50").status_code == 302
    assert asha.balance == 0


@pytest.mark.parametrize(
    "fields",
    [{"amount": "0"}, {"amount": "-5"}, {"amount": "1.005"}, {"amount": "x"}, {"reason": " "}, {"key": "my"}],
)
def test_what_is_filled_in_wrongly_is_said_and_moves_nothing(sandbox: Sandbox, fields: dict[str, str]) -> None:
    asha, order = paid(sandbox)
    page = send(staff(SUPPORT_LEAD), order, **fields)
    assert 'class="errorlist' in shown(page)
    assert asha.balance == 500


def test_nobody_but_leads_gives_anything_back(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    unpaid = add(asha)
    for browser, status in (
        (staff(SUPPORT), 403),
        (staff(AUDITOR, "Anil Gupta"), 403),
        (browser_of(person("Zoya Khan")), 302),
        (Client(), 302),
    ):
        if status == 403:
            assert page_of(order, "refund") not in shown(browser.get(page_of(order)))
        assert browser.get(page_of(order, "refund")).status_code == status
        assert send(browser, order).status_code == status
    root = browser_of(superuser())
    assert root.get(page_of(unpaid, "refund")).status_code == 404
    assert page_of(unpaid, "refund") not in shown(root.get(page_of(unpaid)))
    lead = staff(SUPPORT_LEAD)
    assert lead.get(page_of(order, "refund"), {"step": "confirm", "amount": "1"}).status_code == 200
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = lead.cookies
    assert send(strict, order).status_code == 403
    assert asha.balance == 500
    assert send(root, order).status_code == 302
    assert asha.balance == 300


def test_a_refund_that_the_gateway_never_answered_is_sent_again_under_its_key_and_made_once(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    lead = staff(SUPPORT_LEAD)
    assert send(lead, order).status_code == 302
    refund = GatewayRefund.objects.get(attempt__order=order)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        assert "did not answer" in press(lead, refund)
    # That request may still be on its way: no second one before the next is due.
    assert "Ask again in two minutes" in press(lead, refund)
    refund.refresh_from_db()
    assert (refund.sends, refund.refund_id) == (1, None)
    GatewayRefund.objects.filter(pk=refund.pk).update(check_at=timezone.now())
    press(lead, refund)
    press(lead, refund)
    refund.refresh_from_db()
    assert refund.refund_id is not None
    ask_about_refund(refund=refund, now=timezone.now())
    refunds = sandbox.call("GET", f"/payments/{refund.attempt.payment_id}/refunds").json()["items"]
    assert [item["id"] for item in refunds] == [refund.refund_id]
    assert asha.balance == 300
