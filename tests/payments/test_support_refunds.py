"""A lead proposes to give a top-up back, another agrees, and it is done once. Against a real sandbox."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from accounts.models import SecurityEvent, User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from ledger.models import Transaction
from payments.captures import settle_order
from payments.models import GatewayOrder, GatewayRefund, Proposal
from payments.refunds import ask_about_refund
from tests.accounts.people import person, superuser
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.money_story import add, pay
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from tests.payments.staff import browser_of, page_of, press, said, shown, staff

pytestmark = pytest.mark.usefixtures("database")
WHY = "She paid twice by mistake"
AGREED = "Seen on the statement"


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
    return browser.post(page_of(order, "refund"), {"amount": amount, "reason": WHY, "step": "confirm", **fields})


def proposal_about(order: GatewayOrder) -> Proposal:
    return Proposal.objects.filter(subject=order.transaction.public_id).latest("pk")


def answer(browser: Client, order: GatewayOrder, word: str = "approve", reason: str = AGREED) -> Any:
    return browser.post(page_of(proposal_about(order), "decide"), {"answer": word, "reason": reason})


def me(browser: Client) -> User:
    return User.objects.get(pk=browser.session["_auth_user_id"])


def test_one_lead_looks_it_over_another_agrees_and_it_goes_back_to_whoever_paid(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    lead, other = staff(SUPPORT_LEAD), staff(SUPPORT_LEAD, "Lata Sen")
    assert page_of(order, "refund") in shown(lead.get(page_of(order)))
    assert 'value="500.00"' in shown(lead.get(page_of(order, "refund")))
    review = shown(send(lead, order, step="review"))
    assert "Give ₹200.00 back?" in review
    assert WHY in review
    assert not Proposal.objects.filter(subject=order.transaction.public_id).exists()
    sent = send(lead, order)
    proposal = proposal_about(order)
    assert (sent.status_code, sent["Location"]) == (302, page_of(proposal))
    assert said(sent) == "Proposed. ₹200.00 goes back once somebody else agrees."
    assert asha.balance == 500
    assert page_of(proposal, "decide") not in shown(lead.get(page_of(proposal)))
    assert page_of(proposal, "decide") in shown(other.get(page_of(proposal)))
    assert WHY in shown(other.get(page_of(proposal, "decide")))
    with capture_logs() as logs:
        done = answer(other, order)
    refund = GatewayRefund.objects.get(attempt__order=order)
    assert (done.status_code, done["Location"]) == (302, page_of(proposal))
    assert "₹200.00" in said(done)
    assert asha.balance == 300
    proposal.refresh_from_db()
    assert (proposal.status, proposal.outcome) == ("DONE", refund.transaction.public_id)
    assert (proposal.reason, proposal.decision) == (WHY, AGREED)
    assert refund.transaction.initiator.user == proposal.proposed_by == me(lead)
    assert proposal.decided_by == me(other)
    assert WHY not in str(logs)
    assert AGREED not in str(logs)
    assert page_of(refund) in shown(staff(SUPPORT).get(page_of(proposal)))
    press(staff(SUPPORT), refund)
    assert refund.transaction.status == "SUCCESS"
    there = sandbox.payments(str(order.order_id))[0]
    assert there["amount_refunded"] == 20_000
    assert 'value="300.00"' in shown(lead.get(page_of(order, "refund")))


def test_double_clicks_propose_once_and_give_back_once(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    lead, other = staff(SUPPORT_LEAD), staff(SUPPORT_LEAD, "Lata Sen")
    people = me(lead), me(other)

    def click(act: Callable[[], Any]) -> str:
        try:
            done = act()
            return f"{done.status_code} {done.get('Location', '')}"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        proposed = set(pool.map(click, [lambda: send(browser_of(people[0]), order, "500")] * 3))
        assert proposed == {f"302 {page_of(proposal_about(order))}"}
        agreed = list(pool.map(click, [lambda: answer(browser_of(people[1]), order)] * 3))
    assert f"302 {page_of(proposal_about(order))}" in agreed
    assert asha.balance == 0
    assert GatewayRefund.objects.filter(attempt__order=order).count() == 1
    assert Transaction.objects.filter(from_wallet=asha.wallet, type="REFUND").count() == 1
    assert Proposal.objects.filter(subject=order.transaction.public_id).count() == 1
    # Nothing is left, so there is no button any more.
    assert page_of(order, "refund") not in shown(lead.get(page_of(order)))


def test_no_more_is_given_back_than_was_added_or_is_there(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    ravi, lead, other = holder("Ravi Kumar"), staff(SUPPORT_LEAD), staff(SUPPORT_LEAD, "Lata Sen")
    assert "No more than ₹500.00 is left to give back." in shown(send(lead, order, "500.01", step="review"))
    # Whoever goes round the first page is refused by the deed.
    assert "No more than ₹500.00 is left to give back." in shown(send(lead, order, "501"))
    send(lead, order, "100")
    asha.post("/wallet/transfer", {"to": ravi.email, "amount": "450"})
    # It was there when it was proposed, and is not when the second person agrees.
    assert "Not enough money." in said(answer(other, order))
    proposal = proposal_about(order)
    failed = Transaction.objects.get(type="REFUND", from_wallet=asha.wallet)
    assert (failed.status, failed.failure_code) == ("FAILED", "insufficient_funds")
    assert (proposal.status, proposal.outcome) == ("REFUSED", failed.public_id)
    assert proposal.decision.startswith(AGREED)
    assert not GatewayRefund.objects.filter(attempt__order=order).exists()
    assert asha.balance == 50
    send(lead, order, "50")
    answer(other, order)
    assert asha.balance == 0


@pytest.mark.parametrize(
    "fields", [{"amount": "0"}, {"amount": "-5"}, {"amount": "1.005"}, {"amount": "x"}, {"reason": " "}]
)
def test_what_is_filled_in_wrongly_is_said_and_proposes_nothing(sandbox: Sandbox, fields: dict[str, str]) -> None:
    asha, order = paid(sandbox)
    page = send(staff(SUPPORT_LEAD), order, **fields)
    assert 'class="errorlist' in shown(page)
    assert not Proposal.objects.filter(subject=order.transaction.public_id).exists()
    assert asha.balance == 500


def test_nobody_but_leads_proposes_and_decides_and_never_the_same_one_both(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    unpaid = add(asha)
    others = (
        (staff(SUPPORT), 403),
        (staff(AUDITOR, "Anil Gupta"), 403),
        (browser_of(person("Zoya Khan")), 302),
        (Client(), 302),
    )
    for browser, status in others:
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
    assert send(root, order).status_code == 302
    for browser, status in (*others, (root, 403)):
        assert browser.get(page_of(proposal_about(order), "decide")).status_code == status
        assert answer(browser, order).status_code == status
    strict.cookies = lead.cookies
    assert answer(strict, order).status_code == 403
    assert lead.get(page_of(proposal_about(order), "decide"), {"answer": "approve", "reason": "x"}).status_code == 200
    assert (asha.balance, proposal_about(order).status) == (500, "PROPOSED")
    tried = SecurityEvent.objects.filter(kind="proposal.decided", object=proposal_about(order).public_id)
    assert {(event.actor, event.reason) for event in tried if event.result == "REFUSED"} >= {
        (me(root), "permission_denied")
    }
    assert answer(lead, order, "refuse", "She did not pay twice").status_code == 302
    assert (asha.balance, proposal_about(order).status) == (500, "REFUSED")


def test_a_refund_that_the_gateway_never_answered_is_sent_again_under_its_key_and_made_once(sandbox: Sandbox) -> None:
    asha, order = paid(sandbox)
    lead = staff(SUPPORT_LEAD)
    assert send(staff(SUPPORT_LEAD, "Lata Sen"), order).status_code == 302
    assert answer(lead, order).status_code == 302
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
