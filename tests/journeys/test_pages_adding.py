"""Adding money from pages through a real sandbox's checkout: where it stands is told truthfully, whatever happens."""

from collections.abc import Iterator

import pytest
import requests

from ledger.models import Transaction
from tests.journeys.browsing import Browser, Page
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, wallet_speaks_to
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
