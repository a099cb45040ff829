"""Home, history and receipts: what people read of their money, and what they do not."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from ledger.queries import USUAL_ROWS
from payments.merchant_payments import pay_merchant
from payments.transfers import send_money
from tests.journeys.browsing import Browser, Page
from tests.payments.cast import Holder, holder, merchant, new_key
from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.money import Money

pytestmark = pytest.mark.usefixtures("database")


def send(sender: Holder, recipient: Holder, rupees: str, note: str = "") -> None:
    send_money(
        sender=sender.user, to=recipient.email, amount=Money.parse(rupees), key=new_key(), note=note, now=timezone.now()
    )


def lines(page: Page) -> list[str]:
    """The titles of the transactions shown."""
    return [line.title for line in page.response.context["lines"]]


def receipts_of(page: Page) -> list[str]:
    return [f"/receipts/{line.id}" for line in page.response.context["lines"]]


def test_home_shows_the_balance_in_indian_grouping_and_what_happened_last() -> None:
    asha, ravi = holder("Asha Rao", rupees=123_456), holder("Ravi Menon")
    send(asha, ravi, "1000.50", "Rent")
    page = Browser(asha.user).open("/")
    assert "Hello, Asha Rao" in page.text
    assert "₹1,22,455.50" in page.text
    assert lines(page) == ["To Ravi M.", "Money added"]
    assert "−₹1,000.50" in page.text
    assert "+₹1,23,456.00" in page.text


def test_home_of_somebody_new_says_how_to_begin() -> None:
    page = Browser(holder("Ravi Menon").user).open("/")
    assert "₹0.00" in page.text
    assert "Nothing here yet" in page.text


def test_home_of_a_stranger_offers_to_sign_in_or_to_register() -> None:
    page = Browser().open("/")
    assert page.status == 200
    assert "Open a wallet Sign in" in page.text


def test_both_sides_read_one_transaction_under_one_reference() -> None:
    asha, ravi = holder("Asha Rao", rupees=500), holder("Ravi Menon")
    send(asha, ravi, "200", "Dinner")
    out, into = Browser(asha.user).open("/history"), Browser(ravi.user).open("/history")
    assert lines(out)[0] == "To Ravi M."
    assert lines(into) == ["From Asha R."]
    (shared,) = receipts_of(into)
    assert receipts_of(out)[0] == shared
    assert "Balance after ₹300.00" in Browser(asha.user).open(shared).text
    received = Browser(ravi.user).open(shared)
    assert "Received from Asha R." in received.text
    assert "Balance after ₹200.00" in received.text
    assert "₹300.00" not in received.text


def test_a_failed_attempt_says_why_and_only_to_whoever_made_it() -> None:
    asha, ravi = holder("Asha Rao", rupees=5), holder("Ravi Menon")
    send(asha, ravi, "10")
    browser = Browser(asha.user)
    page = browser.open("/history")
    assert "Failed" in page.text
    failed = receipts_of(page)[0]
    receipt = browser.open(failed)
    assert "Not sent" in receipt.text
    assert "There was not enough money to spend." in receipt.text
    assert "Balance after" not in receipt.text
    assert Browser(ravi.user).open("/history").response.context["lines"] == []
    assert Browser(ravi.user).open(failed).status == 404


def test_other_peoples_receipts_are_not_there() -> None:
    asha, ravi, zoya = holder("Asha Rao", rupees=500), holder("Ravi Menon"), holder("Zoya Khan", rupees=1)
    send(asha, ravi, "200")
    (theirs,) = receipts_of(Browser(ravi.user).open("/history"))
    browser = Browser(zoya.user)
    for path in (theirs, f"/receipts/{public_id('txn', new_uuid())}", "/receipts/1", "/receipts/%00", "/receipts/€"):
        page = browser.open(path)
        assert page.status == 404, path
        assert "There is no such page" in page.text
    assert browser.open(f"/history?wallet={asha.wallet.public_id}").status == 404


def test_history_is_paged_without_gaps_while_new_payments_come_in() -> None:
    asha, ravi = holder("Asha Rao", rupees=500), holder("Ravi Menon")
    for number in range(USUAL_ROWS + 2):
        send(asha, ravi, "1", f"number {number}")
    browser = Browser(asha.user)
    first = browser.open("/history")
    assert len(lines(first)) == USUAL_ROWS
    send(asha, ravi, "1", "a newcomer")
    second = browser.open(f"/history{first.response.context['older']}")
    shown = [line.note for page in (first, second) for line in page.response.context["lines"]]
    assert shown == [f"number {number}" for number in reversed(range(USUAL_ROWS + 2))] + [""]
    assert not second.response.context["older"]
    assert "Newest" in second.text


def test_history_finds_by_words_kind_state_and_day() -> None:
    asha, ravi = holder("Asha Rao", rupees=500), holder("Ravi Menon")
    _, shop = merchant()
    send(asha, ravi, "20", "100% wool")
    send(asha, ravi, "900", "too much")
    pay_merchant(payer=asha.user, merchant=shop.handle, amount=Money.parse("30"), key=new_key(), now=timezone.now())
    browser = Browser(asha.user)
    today, tomorrow = timezone.localdate(), timezone.localdate() + timedelta(days=1)
    for query, found in {
        "": ["Meera Books", "To Ravi M.", "To Ravi M.", "Money added"],
        f"q={quote('100%')}": ["To Ravi M."],
        "q=meera": ["Meera Books"],
        "type=ADD": ["Money added"],
        "type=TRANSFER&status=FAILED": ["To Ravi M."],
        f"from={today}&to={today}&type=PAY": ["Meera Books"],
        f"from={tomorrow}": [],
        "q=nothing+is+called+so": [],
    }.items():
        assert lines(browser.open(f"/history?{query}")) == found, query
    assert "No transaction is like that" in browser.open(f"/history?from={tomorrow}").text


def test_a_filter_that_makes_no_sense_is_said_next_to_it() -> None:
    browser = Browser(holder("Asha Rao", rupees=5).user)
    for query in ("from=yesterday", "type=GIFT", "status=DONE", "q=" + "x" * 101, "to=2026-13-01", "q=%00"):
        page = browser.open(f"/history?{query}")
        assert page.status == 400, query
        assert page.response.context["filters"].errors


def test_a_cursor_that_is_none_leads_to_the_newest_page() -> None:
    browser = Browser(holder("Asha Rao", rupees=5).user)
    for cursor in ("x", "cur_" + "0" * 26, "%00", public_id("cur", new_uuid())):
        assert browser.open(f"/history?type=ADD&cursor={cursor}").location == "/history?type=ADD"


def test_a_merchant_sees_the_shops_wallet_beside_their_own() -> None:
    asha, (meera, shop) = holder("Asha Rao", rupees=500), merchant()
    pay_merchant(
        payer=asha.user,
        merchant=shop.handle,
        amount=Money.parse("349"),
        key=new_key(),
        order_reference="A-1",
        now=timezone.now(),
    )
    browser = Browser(meera.user)
    assert "₹0.00" in browser.open("/").text
    home = browser.open(f"/?wallet={shop.wallet.public_id}")
    assert "₹349.00" in home.text
    assert lines(home) == ["From Asha R."]
    history = browser.open(f"/history?wallet={shop.wallet.public_id}")
    assert lines(history) == ["From Asha R."]
    assert history.form.fields["wallet"] == shop.wallet.public_id
    assert "A-1" in browser.open(receipts_of(history)[0]).text


def test_what_people_write_is_shown_and_never_run() -> None:
    asha, ravi = holder("Asha <b>Rao</b>", rupees=500), holder("Ravi Menon")
    send(asha, ravi, "1", "<script>alert(1)</script>\"' onload=x")
    for user, path in ((asha.user, "/"), (asha.user, "/history"), (ravi.user, "/history")):
        page = Browser(user).open(path)
        assert "<script>alert(1)" not in page.response.content.decode()
        assert not page.inline
        assert "<script>alert(1)</script>\"' onload=x" in page.text


def test_times_are_those_of_india() -> None:
    asha = holder("Asha Rao", rupees=500)
    page = Browser(asha.user).open("/history")
    (line,) = page.response.context["lines"]
    local = line.at + timedelta(hours=5, minutes=30)
    assert local.strftime("%-d %b %Y, %-I:%M %p") in page.text
