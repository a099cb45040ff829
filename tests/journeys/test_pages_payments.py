"""Sending and paying from pages: a double click, a reload or Back never moves money twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import psycopg
import pytest

from accounts.models import User
from ledger.models import Transaction
from payments.drafts import MOST_DRAFTS
from tests.environment import Database
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, holder, merchant
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao", rupees=1000)


@pytest.fixture
def ravi() -> Holder:
    return holder("Ravi Menon")


def sent_by(person: Holder) -> list[Transaction]:
    return list(Transaction.objects.filter(from_wallet=person.wallet).order_by("pk"))


def test_sending_shows_name_and_balance_first_and_ends_in_a_receipt(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="250.50", note="Dinner")
    assert review.status == 200
    assert "Ravi M." in review.text
    assert "Menon" not in review.text
    assert "Balance after ₹749.50" in review.text
    assert not sent_by(asha)

    confirmed = browser.send(review.form)
    assert confirmed.status == 303
    (transaction,) = sent_by(asha)
    assert confirmed.location == f"/receipts/{transaction.public_id}"
    receipt = browser.follow(confirmed)
    assert "Sent to Ravi M." in receipt.text
    assert "₹250.50" in receipt.text
    assert "Dinner" in receipt.text
    assert (asha.balance, ravi.balance) == (Decimal("749.50"), Decimal("250.50"))


def test_a_double_click_on_confirm_moves_money_once_and_shows_one_receipt(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="250")
    first, second = browser.send(review.form), browser.send(review.form)
    assert first.status == second.status == 303
    assert first.location == second.location
    assert ravi.balance == 250


def test_reloading_or_going_back_to_the_review_pays_once(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    form = browser.open("/send").form
    filled = {"to": ravi.email, "amount": "250"}
    where = browser.send(form, **filled).location
    assert ravi.email not in where
    review, reloaded = browser.open(where), browser.open(where)
    assert reloaded.key == review.key == form.fields["key"]
    first = browser.send(review.form)
    # Back to the review, once the money has gone: it leads to the receipt.
    assert browser.open(where).location == first.location
    # Even a review that was left open in another window pays nothing more, nor does the first form sent anew.
    assert browser.send(reloaded.form).location == first.location
    assert browser.follow(browser.send(form, **filled)).status == 200
    assert browser.send(reloaded.form).location == first.location
    assert ravi.balance == 250


def test_every_form_opened_anew_is_a_new_payment(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    assert browser.open("/send").key != browser.open("/send").key
    for _ in range(2):
        browser.send(browser.review("/send", to=ravi.email, amount="100").form)
    assert ravi.balance == 200


def test_change_goes_back_to_the_form_as_it_was_filled_in(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="1,000", note="Rent")
    form = browser.open(f"/send?draft={review.key}").form
    assert form.fields["to"] == ravi.email
    assert form.fields["amount"] == "1,000"
    assert form.fields["note"] == "Rent"
    assert form.fields["key"] == review.key


def test_a_refusal_known_before_confirming_is_said_next_to_its_field_and_kept_nowhere(
    asha: Holder, ravi: Holder
) -> None:
    page = Browser(asha.user).review("/send", to=ravi.email, amount="1000.01")
    assert page.status == 422
    assert "You do not have that much to spend." in page.text
    assert page.form.fields["amount"] == "1000.01"
    assert not sent_by(asha)


def test_a_recorded_refusal_gives_the_form_a_fresh_key_so_that_it_can_be_sent_again(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="800")
    # Meanwhile, in another window, the money is spent.
    browser.send(browser.review("/send", to=ravi.email, amount="900").form)
    refused = browser.send(review.form)
    assert refused.status == 422
    assert "You do not have that much to spend." in refused.text
    assert refused.key != review.key
    # The same click again finds the same refusal, and not a second one.
    assert browser.send(review.form).status == 422
    assert [row.status for row in sent_by(asha)] == ["SUCCESS", "FAILED"]
    second = browser.send(browser.reviewed(refused.form, amount="100").form)
    assert second.status == 303
    assert ravi.balance == 1000


@contextmanager
def locked(wallet: Wallet, url: str) -> Iterator[None]:
    """Somebody holds on to a wallet's row for longer than a posting waits."""
    with psycopg.connect(url) as other:
        other.execute("SELECT FROM wallets_wallet WHERE id = %s FOR UPDATE", [wallet.pk])
        yield


def test_an_unknown_outcome_keeps_its_key_so_that_trying_again_pays_once(
    asha: Holder, ravi: Holder, database: Database
) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="250")
    with locked(asha.wallet, database.app_url):
        unsure = browser.send(review.form)
    assert unsure.status == 503
    assert "We do not know yet" in unsure.text
    assert unsure.key == review.key
    first, second = browser.send(unsure.form), browser.send(unsure.form)
    assert first.status == 303
    assert first.location == second.location
    assert ravi.balance == 250


def test_a_used_form_filled_in_differently_moves_nothing_and_is_reviewed_anew(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="250")
    browser.send(review.form)
    reused = browser.send(review.form, amount="300")
    assert reused.status == 422
    assert "This form was used before" in reused.text
    assert ravi.balance == 250
    assert browser.send(browser.reviewed(reused.form).form).status == 303
    assert ravi.balance == 550


def test_a_key_that_is_not_ours_is_replaced_and_nothing_moves(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="250")
    for key in ("", "page-1", "mine", "page-key_" + "z" * 26, "x" * 300):
        page = browser.send(review.form, key=key)
        assert page.status == 400
        assert "out of date" in page.text
        assert page.key.startswith("page-key_")
    assert ravi.balance == 0


@pytest.mark.parametrize(
    "amount", ["", "0", "-1", "1e3", "NaN", "1.001", "  ", "1_0", "१०", "9" * 40, "1,5", "1,00,00", "five", "₹", "1\0"]
)
def test_an_amount_that_is_none_is_said_next_to_it(asha: Holder, ravi: Holder, amount: str) -> None:
    page = Browser(asha.user).review("/send", to=ravi.email, amount=amount)
    assert page.status == 400
    assert page.response.context["form"].errors["amount"]
    assert not sent_by(asha)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("5.00 ", "5.00"),
        ("1,999.5", "1,999.50"),
        ("₹ 1,00,000", "1,00,000.00"),
        ("100,000.5", "1,00,000.50"),
        ("007", "7.00"),
    ],
)
def test_an_amount_is_read_as_people_write_it(ravi: Holder, typed: str, meant: str) -> None:
    asha = holder("Asha Rao", rupees=200_000)
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount=typed)
    assert f"₹{meant}" in review.text
    browser.send(review.form)
    amount = Decimal(meant.replace(",", ""))
    # Of much to somebody new a code is asked for first.
    assert ravi.balance == (amount if amount < 2000 else 0)


def test_payees_who_cannot_be_paid_are_said_next_to_the_field(asha: Holder) -> None:
    browser = Browser(asha.user)
    zoya = holder("Zoya Khan")
    User.objects.filter(pk=zoya.user.pk).update(status=User.Status.BLOCKED)
    for to, words, status in [
        ("nobody@example.com", "Nobody here has verified this address", 404),
        ("not an address", "Write an e-mail address", 400),
        (asha.email, "That is your own wallet", 422),
        (zoya.email, "They cannot receive money", 422),
    ]:
        page = browser.review("/send", to=to, amount="10")
        assert page.status == status
        (error,) = page.response.context["form"].errors["to"]
        assert words in error
    assert not sent_by(asha)


def test_a_phone_number_may_be_typed_with_blanks(asha: Holder) -> None:
    ravi = holder("Ravi Menon", phone="+919812345670")
    review = Browser(asha.user).review("/send", to="+91 98123-45670", amount="10")
    assert "Ravi M." in review.text
    assert ravi.balance == 0


def test_a_shop_is_paid_with_its_order_number(asha: Holder) -> None:
    meera, shop = merchant()
    browser = Browser(asha.user)
    review = browser.review("/pay", merchant=shop.handle.upper(), amount="349", order_reference="A-17")
    assert "Meera Books" in review.text
    receipt = browser.follow(browser.send(review.form))
    assert "Paid to Meera Books" in receipt.text
    assert "A-17" in receipt.text
    assert Wallet.objects.get(pk=shop.wallet_id).balance == 349
    assert meera.balance == 0


def test_a_shop_that_is_not_there_is_said_next_to_the_field(asha: Holder) -> None:
    page = Browser(asha.user).review("/pay", merchant="no-such-shop", amount="349")
    assert page.status == 404
    assert page.response.context["form"].errors["merchant"]


def test_a_payment_without_a_forgery_token_is_refused_with_a_page(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    review = browser.review("/send", to=ravi.email, amount="250")
    page = browser.send(review.form, csrfmiddlewaretoken="")
    assert page.status == 403
    assert "This page was open too long" in page.text
    assert ravi.balance == 0


def test_reviews_are_kept_for_their_own_session_and_page_and_not_without_bound(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    keys = [browser.review("/send", to=ravi.email, amount="1").key for _ in range(MOST_DRAFTS + 1)]
    assert browser.open(f"/send/review/{keys[0]}").location == "/send"
    assert browser.open(f"/send/review/{keys[1]}").status == 200
    assert browser.open(f"/pay/review/{keys[1]}").location == "/pay"
    assert Browser(ravi.user).open(f"/send/review/{keys[1]}").location == "/send"
    assert Browser(asha.user).open(f"/send?draft={keys[1]}").form.fields["to"] == ""


def test_the_confirming_address_opened_by_hand_leads_to_the_form(asha: Holder) -> None:
    assert Browser(asha.user).open("/send/confirm").location == "/send"


def test_a_key_is_the_senders_own(asha: Holder, ravi: Holder) -> None:
    browser, other = Browser(asha.user), Browser(ravi.user)
    key = browser.open("/send").key
    browser.send(browser.review("/send", to=ravi.email, amount="500", key=key).form)
    assert other.send(other.review("/send", to=asha.email, amount="100", key=key).form).status == 303
    assert (asha.balance, ravi.balance) == (Decimal(600), Decimal(400))
