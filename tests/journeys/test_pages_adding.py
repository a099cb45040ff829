"""Adding money from pages through a real sandbox's checkout: where it stands is told truthfully, whatever happens."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.utils import timezone

from ledger.models import Transaction
from payments.disputes import follow_dispute
from payments.expiry import check_order
from payments.models import GatewayOrder, GatewayRefund, PaymentAttempt
from payments.refunds import ask_about_refund
from tests.journeys.browsing import Browser, Page
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.operating import dispute, move_dispute
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao")


def order_of(page: Page, sandbox: Sandbox) -> str:
    """The order whose checkout the page leads to."""
    assert page.status == 303, page.text
    assert page.location.startswith(f"{sandbox.url}/checkout/order_")
    return page.location.rpartition("/")[2]


def come_back(browser: Browser, answer: requests.Response) -> Page:
    """The checkout's redirect, followed by the person's own browser, to the receipt."""
    return browser.follow(browser.open(f"/payments/razorpay/callback?{answer.headers['Location'].partition('?')[2]}"))


def adds_of(person: Holder) -> list[Transaction]:
    return list(Transaction.objects.filter(to_wallet=person.wallet, type="ADD"))


def test_money_paid_at_the_checkout_is_in_the_wallet_when_the_browser_comes_back(
    asha: Holder, sandbox: Sandbox
) -> None:
    browser = Browser(asha.user)
    order = order_of(browser.send(browser.open("/add").form, amount="1,250.50"), sandbox)
    receipt = come_back(browser, sandbox.pay(order, "success@razorpay"))
    assert "Added to your wallet" in receipt.text
    assert "Balance after ₹1,250.50" in receipt.text
    payment = PaymentAttempt.objects.get(credited_by__to_wallet=asha.wallet)
    assert payment.reference
    assert f"Bank reference (RRN) {payment.reference} Payment id {payment.payment_id}" in receipt.text
    assert "Fee None" in receipt.text
    assert "₹1,250.50" in browser.open("/").text


def test_a_double_click_makes_one_order_and_back_after_paying_leads_to_the_receipt(
    asha: Holder, sandbox: Sandbox
) -> None:
    browser = Browser(asha.user)
    form = browser.open("/add").form
    first, second = browser.send(form, amount="500"), browser.send(form, amount="500")
    assert first.location == second.location
    come_back(browser, sandbox.pay(order_of(first, sandbox), "success@razorpay"))
    (add,) = adds_of(asha)
    assert browser.send(form, amount="500").location == f"/receipts/{add.public_id}"
    assert asha.balance == 500


def test_a_payment_that_the_bank_refused_can_be_tried_again_from_its_receipt(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    order = order_of(browser.send(browser.open("/add").form, amount="500"), sandbox)
    receipt = come_back(browser, sandbox.pay(order, "failure@razorpay"))
    assert "Waiting for your payment" in receipt.text
    assert "Your bank said no to the last try. Nothing was taken." in receipt.text
    assert f"{sandbox.url}/checkout/{order}" in receipt.response.content.decode()
    assert asha.balance == 0
    assert "Added to your wallet" in come_back(browser, sandbox.pay(order, "success@razorpay")).text
    assert asha.balance == 500
    assert len(adds_of(asha)) == 1


def test_a_payment_nobody_told_us_of_is_found_by_asking_again(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    order = order_of(browser.send(browser.open("/add").form, amount="500"), sandbox)
    sandbox.pay(order, "success@razorpay")
    (add,) = adds_of(asha)
    waiting = browser.open(f"/receipts/{add.public_id}")
    assert "Waiting for your payment" in waiting.text
    assert "said no" not in waiting.text
    found = browser.follow(browser.send(waiting.form))
    assert "Added to your wallet" in found.text
    # Asking once more changes nothing.
    browser.send(waiting.form)
    assert asha.balance == 500


def test_what_was_not_paid_waits_and_asking_again_says_so(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    order_of(browser.send(browser.open("/add").form, amount="500"), sandbox)
    (add,) = adds_of(asha)
    waiting = browser.open(f"/receipts/{add.public_id}")
    assert "Waiting for your payment" in browser.follow(browser.send(waiting.form)).text
    home = browser.open("/")
    assert "Adding money" in home.text
    assert "Waiting" in home.text
    assert "₹0.00" in home.text


def test_nobody_asks_about_or_sees_another_persons_top_up(asha: Holder, sandbox: Sandbox) -> None:
    browser, zoya = Browser(asha.user), Browser(holder("Zoya Khan").user)
    sandbox.pay(order_of(browser.send(browser.open("/add").form, amount="500"), sandbox), "success@razorpay")
    (add,) = adds_of(asha)
    form = browser.open(f"/receipts/{add.public_id}").form
    form.fields["csrfmiddlewaretoken"] = zoya.open("/add").form.fields["csrfmiddlewaretoken"]
    assert zoya.send(form).status == 404
    assert asha.balance == 0


def test_a_gateway_out_of_reach_keeps_the_key_and_trying_again_goes_on(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    form = browser.open("/add").form
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        unsure = browser.send(form, amount="500")
    assert unsure.status == 503
    assert "cannot be reached just now. Nothing was taken" in unsure.text
    assert unsure.key == form.fields["key"]
    order_of(browser.send(unsure.form), sandbox)
    assert len(adds_of(asha)) == 1


def test_an_amount_that_cannot_be_added_is_said_next_to_it_under_a_fresh_key(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    form = browser.open("/add").form
    for amount in ("0.99", "10000000000.01", "9" * 15):
        page = browser.send(form, amount=amount)
        assert page.status == 422
        assert "Add at least ₹1.00" in page.response.context["form"].errors["amount"][0]
        assert page.key != form.fields["key"]
        form = page.form
    for amount in ("", "0", "-5", "1.001", "much"):
        page = browser.send(form, amount=amount)
        assert page.status == 400
        assert page.response.context["form"].errors["amount"]
        assert page.key == form.fields["key"]
    assert {add.status for add in adds_of(asha)} == {"FAILED"}
    assert order_of(browser.send(form, amount="1"), sandbox)


def test_whoever_left_the_checkout_finds_at_home_and_in_the_history_what_waits(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    order = order_of(browser.send(browser.open("/add").form, amount="500"), sandbox)
    for path in ("/", "/history"):
        page = browser.open(path)
        assert "₹500.00 waits for your payment" in page.text
        assert f"{sandbox.url}/checkout/{order}" in page.response.content.decode()
        assert [form.action.rpartition("/")[2] for form in page.forms if form.action.startswith("/receipts/")] == [
            "check"
        ]
    (again,) = [form for form in browser.open("/").forms if form.action.endswith("/check")]
    assert "no payment has arrived yet" in browser.follow(browser.send(again)).text
    sandbox.pay(order, "silent@razorpay")
    assert "Added to your wallet" in browser.follow(browser.send(again)).text
    assert "waits for your payment" not in browser.open("/").text
    assert "waits for your payment" not in Browser(holder("Ravi Menon").user).open("/").text


def test_while_the_gateway_is_out_of_reach_looking_again_says_that_nothing_is_lost(
    asha: Holder, sandbox: Sandbox
) -> None:
    browser = Browser(asha.user)
    order = order_of(browser.send(browser.open("/add").form, amount="500"), sandbox)
    sandbox.pay(order, "silent@razorpay")
    (add,) = adds_of(asha)
    form = browser.open(f"/receipts/{add.public_id}").form
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        away = browser.follow(browser.send(form))
    assert "cannot be reached just now. Nothing is lost" in away.text
    assert "Waiting for your payment" in away.text
    assert "Added to your wallet" in browser.follow(browser.send(form)).text


def test_what_the_gateway_never_heard_of_says_so_and_leads_to_a_new_beginning(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        browser.send(browser.open("/add").form, amount="500")
    (add,) = adds_of(asha)
    receipt = browser.open(f"/receipts/{add.public_id}")
    assert "Nothing was taken, and nothing is lost: begin again" in receipt.text


def test_a_payment_that_comes_after_its_time_is_added_and_both_receipts_lead_to_each_other(
    asha: Holder, sandbox: Sandbox
) -> None:
    browser = Browser(asha.user)
    order_id = order_of(browser.send(browser.open("/add").form, amount="500"), sandbox)
    order = GatewayOrder.objects.select_related("transaction").get(order_id=order_id)
    check_order(order=order, now=order.expires_at + timedelta(seconds=1))
    over = browser.open(f"/receipts/{order.receipt}")
    assert "It was not paid in time. Nothing was added." in over.text
    assert "waits for your payment" not in browser.open("/").text
    sandbox.pay(order_id, "success@razorpay")
    late = browser.follow(browser.send(over.form))
    (added,) = [add for add in adds_of(asha) if add.status == "SUCCESS"]
    assert f"/receipts/{added.public_id}" in late.response.content.decode()
    assert not late.forms
    receipt = browser.open(f"/receipts/{added.public_id}")
    assert "Added to your wallet" in receipt.text
    assert f"/receipts/{order.receipt}" in receipt.response.content.decode()
    assert asha.balance == 500


def paid(browser: Browser, sandbox: Sandbox, amount: str = "500") -> Page:
    """The receipt of money just added."""
    order = order_of(browser.send(browser.open("/add").form, amount=amount), sandbox)
    return come_back(browser, sandbox.pay(order, "success@razorpay"))


def test_a_top_up_goes_back_to_its_source_in_part_and_never_more_than_is_left(
    asha: Holder, sandbox: Sandbox, settings: Any
) -> None:
    settings.REFUNDS_BY_PERSON = True
    browser = Browser(asha.user)
    paid(browser, sandbox)
    (add,) = adds_of(asha)
    start = f"/receipts/{add.public_id}/refund"
    form = browser.open(start).form
    assert form.fields["amount"] == "500.00"
    for amount, status in (("500.01", 422), ("0.50", 422), ("much", 400)):
        page = browser.send(form, amount=amount)
        assert page.status == status
        assert page.response.context["form"].errors["amount"]
        assert (page.key == form.fields["key"]) is (status == 400)
    review = browser.reviewed(form, amount="300")
    assert "Balance after ₹200.00" in review.text
    first, second = browser.send(review.form), browser.send(review.form)
    assert first.location == second.location
    receipt = browser.follow(first)
    assert "On its way back to your bank" in receipt.text
    assert f"/receipts/{add.public_id}" in receipt.response.content.decode()
    added = browser.open(f"/receipts/{add.public_id}")
    assert "Given back, ₹300.00" in added.text
    assert first.location in added.response.content.decode()
    assert asha.balance == 200
    refund = GatewayRefund.objects.get(transaction__reverses=add)
    ask_about_refund(refund=refund, now=timezone.now())
    refund.refresh_from_db()
    assert refund.refund_id is not None
    assert refund.refund_id in browser.open(first.location).text
    assert browser.open(start).form.fields["amount"] == "200.00"


def test_nobody_gives_back_another_persons_top_up_or_what_support_alone_may(
    asha: Holder, sandbox: Sandbox, settings: Any
) -> None:
    browser = Browser(asha.user)
    receipt = paid(browser, sandbox)
    (add,) = adds_of(asha)
    start = f"/receipts/{add.public_id}/refund"
    settings.REFUNDS_BY_PERSON = False
    assert start not in browser.open(f"/receipts/{add.public_id}").response.content.decode()
    assert "Our support can say more" in browser.follow(browser.open(start)).text
    settings.REFUNDS_BY_PERSON = True
    form, zoya = browser.open(start).form, Browser(holder("Zoya Khan", rupees=500).user)
    assert zoya.open(start).status == 404
    form.fields["csrfmiddlewaretoken"] = zoya.open("/add").form.fields["csrfmiddlewaretoken"]
    for action in (start, f"{start}/confirm"):
        form.action = action
        assert zoya.send(form, amount="10").status == 404
    assert receipt.status == 200
    assert asha.balance == 500


def test_disputed_money_is_shown_as_held_with_its_reason_and_as_taken_once_it_is_lost(
    asha: Holder, sandbox: Sandbox
) -> None:
    browser = Browser(asha.user)
    paid(browser, sandbox)
    payment = PaymentAttempt.objects.get(credited_by__to_wallet=asha.wallet)
    (add,) = adds_of(asha)
    dispute_id = dispute(sandbox, payment.payment_id, amount=30_000)
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    home = browser.open("/")
    assert "₹300.00 held · ₹200.00 can be spent" in home.text
    assert "disputed: its payer has asked their bank to take it back" in home.text
    assert "₹300.00 of it is held" in browser.open(f"/receipts/{add.public_id}").text
    move_dispute(sandbox, dispute_id, "lost")
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    assert "held" not in browser.open("/").text
    (line,) = browser.open("/history?type=CHARGEBACK").response.context["lines"]
    taken = browser.open(f"/receipts/{line.id}")
    assert "Taken back by a bank" in taken.text
    assert f"/receipts/{add.public_id}" in taken.response.content.decode()
    assert f"/receipts/{line.id}" in browser.open(f"/receipts/{add.public_id}").response.content.decode()
    assert asha.balance == 200
