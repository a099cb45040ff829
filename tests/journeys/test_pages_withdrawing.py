"""Withdrawing from pages: once, to one's own account, and with the truth about where the money is at any time."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from ledger.models import Transaction
from payments.models import BankAccount, Payout
from payments.receipt_wording import STILL_WITH_THE_BANK
from payments.refreshing import MOST_LOOKS
from tests.accounts.people import code_sent_to
from tests.environment import Database
from tests.journeys.browsing import Browser, Page
from tests.journeys.test_pages_payments import locked
from tests.payments.cast import Holder, fund, holder, merchant
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from tests.payments.withdrawing import ask_until, bank_account, operate
from wallet_project.kernel.ids import parse_public_id
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (_, sandbox):
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(running.url)):
        yield running


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao", rupees=1000)


def withdrawals_of(person: Holder) -> list[Transaction]:
    return list(Transaction.objects.filter(from_wallet=person.wallet, type="WITHDRAW").order_by("pk"))


def withdraw(browser: Browser, account: str, amount: str = "250") -> Page:
    """The receipt, right after it was confirmed."""
    form = browser.review("/withdraw", bank_account=account, amount=amount).form
    owner = BankAccount.objects.select_related("owner").get(uuid=parse_public_id(BankAccount.PREFIX, account)).owner
    return browser.follow(browser.confirm(form, address=owner.email or ""))


def bank_answers(person: Holder, state: str) -> Payout:
    (withdrawal,) = withdrawals_of(person)
    return ask_until({"id": withdrawal.public_id}, state)


def test_asha_withdraws_and_reads_where_it_is_until_it_has_arrived(asha: Holder, sandbox: Sandbox) -> None:
    browser, account = Browser(asha.user), bank_account(asha)
    review = browser.review("/withdraw", bank_account=account, amount="250.50")
    for words in ("HDFC Bank ••0001", "••••••••0001", "HDFC0001234", "Fee ₹0.00", "Balance after ₹749.50"):
        assert words in review.text
    assert not withdrawals_of(asha)

    asked = browser.send(review.form)
    assert asked.asks_for_code
    assert "to HDFC Bank ••0001" in asked.text
    assert not withdrawals_of(asha)
    code = code_sent_to(asha.email)
    first, second = (browser.send(asked.forms[0], code=code) for _ in range(2))
    assert first.status == second.status == 303
    assert first.location == second.location
    assert asha.balance == Decimal("749.50")
    on_its_way = browser.follow(first)
    assert "On its way to your bank" in on_its_way.text
    assert "HDFC Bank ••0001" in on_its_way.text
    assert "Waiting" in browser.open("/").text

    payout = bank_answers(asha, "PROCESSED")
    arrived = browser.open(first.location)
    assert "Arrived at your bank" in arrived.text
    assert f"Bank reference (UTR) {payout.utr}" in arrived.text
    assert payout.utr
    assert "Fee None" in arrived.text
    # Back to the review leads to the receipt.
    assert browser.open(f"/withdraw/review/{review.key}").location == first.location


def test_what_the_bank_refuses_comes_back_and_both_receipts_lead_to_each_other(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    withdraw(browser, bank_account(asha, "0002"))
    (withdrawal,) = withdrawals_of(asha)
    bank_answers(asha, "FAILED")
    receipt = browser.open(f"/receipts/{withdrawal.public_id}")
    assert "Came back to your wallet" in receipt.text
    assert "HDFC Bank ••0002 could not take it. All of it is back in your wallet" in receipt.text
    assert asha.balance == 1000
    reversal = Transaction.objects.get(reverses=withdrawal)
    assert f"/receipts/{reversal.public_id}" in receipt.response.content.decode()
    back = browser.open(f"/receipts/{reversal.public_id}")
    assert "Returned to your wallet" in back.text
    assert f"/receipts/{withdrawal.public_id}" in back.response.content.decode()


def test_what_the_bank_sends_back_days_later_says_that_it_had_arrived(asha: Holder, sandbox: Sandbox) -> None:
    browser = Browser(asha.user)
    withdraw(browser, bank_account(asha))
    payout = bank_answers(asha, "PROCESSED")
    operate(sandbox, f"payouts/{payout.payout_id}/move", to="reversed")
    bank_answers(asha, "REVERSED")
    receipt = browser.open(f"/receipts/{payout.key}")
    assert "It had arrived, and HDFC Bank ••0001 sent it back." in receipt.text
    assert "Returned" in browser.open("/history?type=WITHDRAW").text
    assert asha.balance == 1000


def test_a_bank_that_takes_long_is_told_of_without_alarm_and_the_page_looks_again_but_not_for_ever(
    asha: Holder, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(asha.user)
    quick = withdraw(browser, bank_account(asha, "0006"))
    assert STILL_WITH_THE_BANK not in quick.text
    payout = bank_answers(asha, "PROCESSING")
    monkeypatch.setattr("payments.receipt_wording.SLOW_AFTER", timedelta(0))
    slow = browser.open(f"/receipts/{payout.key}")
    assert STILL_WITH_THE_BANK in slow.text
    assert "On its way to your bank" in slow.text
    assert 'content="6;url=?look=1"' in slow.response.content.decode()
    for looked in (str(MOST_LOOKS), "-1", "x", "9" * 30):
        at_rest = browser.open(f"/receipts/{payout.key}?look={looked}")
        assert at_rest.status == 200
        assert "http-equiv" not in at_rest.response.content.decode()


def test_with_nowhere_to_withdraw_to_people_are_led_to_add_an_account_and_back(asha: Holder) -> None:
    browser = Browser(asha.user)
    empty = browser.open("/withdraw")
    assert "Add a bank account" in empty.text
    assert "/bank-accounts/add?then=withdraw" in empty.response.content.decode()
    filled = {"holder_name": "Asha Rao", "ifsc": "hdfc0001234"}
    numbers = {"account_number": "5010 0012 0001", "account_number_again": "501000120001"}
    added = browser.send(browser.open("/bank-accounts/add?then=withdraw").form, **filled, **numbers)
    assert added.location == "/withdraw"
    page = browser.follow(added)
    assert "HDFC Bank ••0001 is among your bank accounts" in page.text
    # The only account is chosen already.
    (account,) = BankAccount.objects.filter(owner=asha.user)
    assert browser.reviewed(page.form, amount="100").response.context["given"]["bank_account"] == account.public_id


def test_an_account_that_its_bank_does_not_know_is_not_offered(asha: Holder) -> None:
    bank_account(asha)
    BankAccount.objects.filter(owner=asha.user).update(validation="INVALID")
    browser = Browser(asha.user)
    assert "Where to?" in browser.open("/withdraw").text
    assert "Unknown to the bank" in browser.open("/bank-accounts").text


def test_what_cannot_be_withdrawn_is_said_beside_its_field_and_nothing_typed_is_lost(asha: Holder) -> None:
    browser, account = Browser(asha.user), bank_account(asha)
    form = browser.open("/withdraw").form
    for amount, words, status in [
        ("1000.01", "You do not have that much to withdraw.", 422),
        ("0.99", "Withdraw at least ₹1.00", 422),
        ("much", "Write an amount above zero", 400),
        ("", "Write an amount.", 400),
    ]:
        page = browser.send(form, bank_account=account, amount=amount)
        assert page.status == status
        assert words in page.response.context["form"].errors["amount"][0]
        assert page.form.fields["amount"] == amount
        # A fresh key after a refusal, the same after a mistake.
        assert (page.key == form.fields["key"]) is (status == 400)
    for chosen in ("", "HDFC", "bnk_1"):
        page = browser.send(form, bank_account=chosen, amount="10")
        assert page.status == 400
        assert page.response.context["form"].errors["bank_account"]
    assert not withdrawals_of(asha)


def test_a_refusal_at_the_last_moment_gives_a_fresh_key_and_an_unknown_outcome_keeps_it(
    asha: Holder, database: Database
) -> None:
    browser, account = Browser(asha.user), bank_account(asha)
    review = browser.review("/withdraw", bank_account=account, amount="800")
    with locked(asha.wallet, database.app_url):
        unsure = browser.send(review.form)
    assert unsure.status == 503
    assert unsure.key == review.key
    assert browser.confirm(unsure.form, address=asha.email).status == 303
    late = browser.review("/withdraw", bank_account=account, amount="200")
    withdraw(browser, account, "100")
    refused = browser.send(late.form)
    assert refused.status == 422
    assert refused.key != late.key
    assert [row.status for row in withdrawals_of(asha)] == ["PENDING", "PENDING", "FAILED"]
    assert "Not withdrawn" in browser.open(f"/receipts/{withdrawals_of(asha)[-1].public_id}").text
    assert asha.balance == 100


def test_other_peoples_accounts_and_wallets_and_removed_accounts_are_not_there(asha: Holder) -> None:
    ravi = holder("Ravi Menon", rupees=5)
    browser, mine, theirs = Browser(asha.user), bank_account(asha), bank_account(ravi)
    form = browser.open("/withdraw").form
    assert browser.send(form, bank_account=theirs, amount="10").status == 404
    assert browser.send(form, bank_account=mine, amount="10", wallet=ravi.wallet.public_id).status == 404
    assert browser.open(f"/withdraw?wallet={ravi.wallet.public_id}").status == 404
    review = browser.review("/withdraw", bank_account=mine, amount="10")
    browser.send(browser.open(f"/bank-accounts/{mine}/remove").form)
    gone = browser.send(review.form)
    assert gone.status == 404
    assert "is not among yours any more" in gone.text
    assert "Add a bank account" in gone.text
    assert asha.balance == 1000
    assert not withdrawals_of(asha)


def test_meera_withdraws_what_her_shop_was_paid(sandbox: Sandbox) -> None:
    meera, shop = merchant()
    fund(shop.wallet, 349)
    browser, account = Browser(meera.user), bank_account(meera)
    home = browser.open(f"/?wallet={shop.wallet.public_id}")
    assert f"/withdraw?wallet={shop.wallet.public_id}" in home.response.content.decode()
    form = browser.open(f"/withdraw?wallet={shop.wallet.public_id}").form
    review = browser.reviewed(form, bank_account=account, amount="300")
    assert "Balance after ₹49.00" in review.text
    assert "On its way" in browser.follow(browser.confirm(review.form, address=meera.email)).text
    assert Wallet.objects.get(pk=shop.wallet_id).balance == 49


def test_nobody_reads_another_persons_withdrawal(asha: Holder) -> None:
    withdraw(Browser(asha.user), bank_account(asha))
    (withdrawal,) = withdrawals_of(asha)
    assert Browser(holder("Zoya Khan").user).open(f"/receipts/{withdrawal.public_id}").status == 404
