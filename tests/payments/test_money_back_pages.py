"""The pages of money that was asked back, and of people who are kept away, in a browser without JavaScript."""

import re

import pytest
from django.utils import timezone

from accounts.models import PersonBlock
from ledger.models import Transaction
from payments import money_back
from payments.models import MoneyBack
from tests.accounts.people import code_sent_to, new_email
from tests.journeys.browsing import Browser, Page, PageForm
from tests.payments.cast import Holder, holder

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao", rupees=50_000)


@pytest.fixture
def ravi() -> Holder:
    return holder("Ravi Kumar")


def sent(payer: Holder, payee: Holder, amount: str = "300") -> str:
    answer = payer.confirm("/wallet/transfer", {"to": payee.email, "amount": amount})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def asked(payer: Holder, transaction: str, note: str = "") -> str:
    said = money_back.ask(asker=payer.user, transaction=transaction, note=note, now=timezone.now())
    return said.money_back.public_id


def button(page: Page, word: str) -> PageForm:
    """The form that this answer's button sends."""
    (form,) = [form for form in page.forms if form.action.endswith(f"/{word}")]
    return form


def test_from_a_receipt_it_is_asked_back_and_given_back_with_one_tap(asha: Holder, ravi: Holder) -> None:
    paid = sent(asha, ravi)
    hers, his = Browser(asha.user), Browser(ravi.user)
    assert "Sent to the wrong person?" in hers.open(f"/receipts/{paid}").text
    form = hers.open(f"/receipts/{paid}/money-back").form
    asking = hers.send(form, note="My <b>rent</b>")
    assert (asking.status, asking.location) == (303, f"/receipts/{paid}")
    receipt = hers.open(asking.location)
    assert "You asked for it back" in receipt.text
    assert "Sent to the wrong person?" not in receipt.text
    page = his.open(f"/receipts/{paid}")
    assert "Asha R. asks for this back My <b>rent</b>" in page.text
    given = his.send(button(page, "give"))
    assert given.status == 303
    assert "Refunded to Asha R." in his.open(given.location).text
    # Pressed twice, it is the same receipt, and moved once.
    assert his.send(button(page, "give")).location == given.location
    assert (asha.balance, ravi.balance) == (50_000, 0)
    assert "You gave it back" in his.open(f"/receipts/{paid}").text
    assert "Given back" in hers.open("/history").text
    # A page that stood open since before says so, and nothing happens.
    late = his.send(button(page, "decline"))
    assert "answered before" in his.open(late.location).text
    assert MoneyBack.objects.get(transfer__uuid__isnull=False, asker=asha.user).status == "GIVEN"


def test_set_aside_declined_and_withdrawn_by_their_buttons(asha: Holder, ravi: Holder) -> None:
    paid = sent(asha, ravi)
    hers, his = Browser(asha.user), Browser(ravi.user)
    asked(asha, paid)
    assert his.send(button(his.open(f"/receipts/{paid}"), "hold")).location == f"/receipts/{paid}"
    page = his.open(f"/receipts/{paid}")
    assert "You have set ₹300.00 aside" in page.text
    assert [form.action.rsplit("/", 1)[1] for form in page.forms if "money-back" in form.action] == ["give", "decline"]
    home = his.open("/").text
    assert "Somebody says that they sent it to you by mistake" in home
    assert "has set ₹300.00 aside" in hers.open(f"/receipts/{paid}").text
    assert his.send(button(page, "decline")).status == 303
    assert "Ravi K. said no" in hers.open(f"/receipts/{paid}").text
    request = asked(asha, paid)
    assert hers.send(button(hers.open(f"/money-back/{request}"), "withdraw")).status == 303
    assert "They do not ask any more" in his.open(f"/money-back/{request}").text
    listed = his.open("/money-back").text
    assert "Asha R. asks you" in listed
    assert "Declined" in listed
    assert "Withdrawn" in listed
    assert hers.open("/money-back?cursor=nonsense").location == "/money-back"


def test_what_cannot_be_given_back_is_said_beside_the_button_which_stays(asha: Holder, ravi: Holder) -> None:
    paid = sent(asha, ravi)
    asked(asha, paid)
    sent(ravi, asha, "1")
    his = Browser(ravi.user)
    page = his.open(f"/receipts/{paid}")
    refused = his.send(button(page, "give"))
    assert refused.status == 422
    assert "You have not got that much" in refused.text
    assert button(refused, "give").fields["key"] != button(page, "give").fields["key"]
    aside = his.send(button(page, "hold"))
    assert "You have not got that much" in his.open(aside.location).text
    sent(asha, ravi, "1")
    assert his.send(button(refused, "give")).status == 303
    assert his.open(button(page, "give").action).location.startswith("/money-back/"), "nothing but the button gives"


def test_giving_much_back_asks_for_a_code_on_a_page_of_its_own(asha: Holder, ravi: Holder) -> None:
    paid = sent(asha, ravi, "6000")
    asked(asha, paid)
    his = Browser(ravi.user)
    page = his.send(button(his.open(f"/receipts/{paid}"), "give"))
    assert page.asks_for_code
    assert "₹6,000.00" in page.text
    assert "Asha R." in page.text
    done = his.send(page.forms[0], code=code_sent_to(ravi.email))
    assert done.status == 303
    assert Transaction.objects.filter(type="REFUND", to_wallet=asha.wallet, status="SUCCESS").count() == 1


def test_what_cannot_be_asked_back_offers_nothing_and_says_why(asha: Holder, ravi: Holder) -> None:
    hers, paid = Browser(asha.user), sent(asha, ravi)
    added = asha.get("/transactions?type=ADD").json()["results"][0]["id"]
    for path in (f"/receipts/{added}/money-back", f"/receipts/{added}/block"):
        assert hers.open(path).location == f"/receipts/{added}"
    assert Browser(ravi.user).open(f"/receipts/{paid}/money-back").location == f"/receipts/{paid}"
    form = hers.open(f"/receipts/{paid}/money-back").form
    refused = hers.send(form, note="4111 1111 1111 1111")
    assert (refused.status, MoneyBack.objects.filter(asker=asha.user).count()) == (400, 0)
    for path in ("/receipts/nonsense/money-back", "/receipts/nonsense/block", "/money-back/nonsense"):
        assert hers.open(path).status == 404


def test_a_person_is_blocked_from_a_receipt_and_let_in_from_the_account(asha: Holder, ravi: Holder) -> None:
    paid = sent(asha, ravi)
    his = Browser(ravi.user)
    assert "Block this person" in his.open(f"/receipts/{paid}").text
    blocked = his.send(his.open(f"/receipts/{paid}/block").form)
    assert (blocked.status, blocked.location) == (303, "/account/blocked-people")
    page = his.open(blocked.location)
    assert "Asha R. is blocked. They are not told." in page.text
    assert "You have blocked them" in his.open(f"/receipts/{paid}").text
    # She reads what is read of anybody who cannot be paid.
    hers = Browser(asha.user)
    form = hers.open("/send").form
    assert "They cannot receive money at the moment" in hers.send(form, to=ravi.email, amount="5").text
    # He is led to let her in first.
    mine = his.send(his.open("/send").form, to=asha.email, amount="5")
    assert "Unblock them in your account" in mine.text
    assert his.send(button(page, "remove")).status == 303
    assert not PersonBlock.objects.filter(blocker=ravi.user).exists()
    assert hers.send(form, to=ravi.email, amount="5").status == 303


def test_and_by_an_address_where_there_is_no_receipt(asha: Holder, ravi: Holder) -> None:
    browser = Browser(asha.user)
    page = browser.open("/account/blocked-people")
    assert browser.send(page.form, to=ravi.email).status == 303
    assert "Ravi K." in browser.open("/account/blocked-people").text
    for to, status in ((new_email("nobody"), 404), (asha.email, 400), ("nonsense", 400), ("", 400)):
        answer = browser.send(page.form, to=to)
        assert (to, answer.status) == (to, status)
        assert re.search("Nobody here|That is you|Write", answer.text)
    assert browser.open("/account/blocked-people?cursor=nonsense").location == "/account/blocked-people"
