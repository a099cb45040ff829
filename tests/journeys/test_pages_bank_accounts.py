"""Pages of bank accounts: a number is typed in twice, and never shown again."""

from typing import Any

import pytest
from django.conf import settings

from payments.bank_accounts import number_of
from payments.models import BankAccount
from tests.journeys.browsing import Browser, Page
from tests.payments.cast import Holder, holder
from tests.payments.withdrawing import bank_account
from wallet_project.kernel.ids import new_uuid, public_id

pytestmark = pytest.mark.usefixtures("database")

NUMBER = "501000120001"


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao")


def add(browser: Browser, **fields: str) -> Page:
    filled = {"holder_name": "Asha Rao", "ifsc": "HDFC0001234", "account_number": NUMBER}
    filled["account_number_again"] = fields.get("account_number", NUMBER)
    return browser.send(browser.open("/bank-accounts/add").form, **{**filled, **fields})


def accounts_of(person: Holder) -> list[BankAccount]:
    return list(BankAccount.objects.filter(owner=person.user, removed_at=None).order_by("pk"))


def test_an_account_is_added_as_people_type_it_and_shown_masked(asha: Holder) -> None:
    browser = Browser(asha.user)
    assert "No bank account yet" in browser.open("/bank-accounts").text
    added = add(browser, ifsc=" hdfc 0001234", account_number="5010 0012-0001", account_number_again=NUMBER)
    assert added.location == "/bank-accounts"
    page = browser.follow(added)
    for words in ("HDFC Bank ••0001", "Asha Rao", "••••••••0001", "HDFC0001234", "Being checked"):
        assert words in page.text
    assert NUMBER not in page.response.content.decode()
    (account,) = accounts_of(asha)
    assert number_of(account=account) == NUMBER
    # The same again is the same.
    add(browser)
    assert len(accounts_of(asha)) == 1


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("holder_name", ""),
        ("holder_name", "7"),
        ("holder_name", "आशा"),
        ("ifsc", ""),
        ("ifsc", "HDFC1234"),
        ("ifsc", "x" * 41),
        ("account_number", ""),
        ("account_number", "1234"),
        ("account_number", "12E456789"),
        ("account_number", "१२३४५६७"),
        ("account_number_again", ""),
        ("account_number_again", "501000120002"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_typed_is_lost(asha: Holder, field: str, typed: str) -> None:
    page = add(Browser(asha.user), **{field: typed})
    assert page.status == 400
    errors = page.response.context["form"].errors
    assert field in errors
    assert "__all__" not in errors
    assert page.form.fields[field] == typed
    assert page.form.fields["holder_name" if field == "ifsc" else "ifsc"] in ("Asha Rao", "HDFC0001234")
    assert not accounts_of(asha)


def test_the_state_of_the_check_is_told_in_peoples_words(asha: Holder) -> None:
    bank_account(asha)
    browser, account = Browser(asha.user), BankAccount.objects.filter(owner=asha.user)
    states: list[tuple[dict[str, Any], str]] = [
        ({"validation": "ASKED"}, "Being checked"),
        ({"validation": "VALID", "registered_name": "ASHA K RAO", "check_at": None}, "in the name of ASHA K RAO"),
        ({"validation": "INVALID", "registered_name": ""}, "Unknown to the bank"),
        ({"validation": "UNCHECKED"}, "Not confirmed"),
    ]
    for changes, words in states:
        account.update(**changes)
        page = browser.open("/bank-accounts")
        assert words in page.text
        # It looks again by itself for as long as there is something to come.
        assert ("waiting.js" in page.response.content.decode()) is (words == "Being checked")


def test_removing_asks_first(asha: Holder) -> None:
    account, browser = bank_account(asha), Browser(asha.user)
    asked = browser.open(f"/bank-accounts/{account}/remove")
    assert "Remove this account?" in asked.text
    assert "••••••••0001" in asked.text
    assert len(accounts_of(asha)) == 1
    removed = browser.follow(browser.send(asked.form))
    assert "HDFC Bank ••0001 is removed." in removed.text
    assert "No bank account yet" in removed.text
    assert browser.send(asked.form).status == 404


def test_the_eleventh_is_refused_with_a_reason(asha: Holder) -> None:
    for number in range(settings.MOST_BANK_ACCOUNTS):
        bank_account(asha, f"{number:04}")
    browser = Browser(asha.user)
    assert "Remove one to add another" in browser.open("/bank-accounts").text
    page = add(browser, account_number="501000129999")
    assert page.status == 422
    assert "Remove one first" in page.text
    assert page.form.fields["account_number"] == "501000129999"


def test_other_peoples_accounts_are_not_there(asha: Holder) -> None:
    account, zoya = bank_account(asha), Browser(holder("Zoya Khan").user)
    form = Browser(asha.user).open(f"/bank-accounts/{account}/remove").form
    form.fields["csrfmiddlewaretoken"] = zoya.open("/add").form.fields["csrfmiddlewaretoken"]
    assert zoya.send(form).status == 404
    for id in (account, "1", public_id("bnk", new_uuid()), "%00"):
        assert zoya.open(f"/bank-accounts/{id}/remove").status == 404
    assert "••0001" not in zoya.open("/bank-accounts").text
    assert len(accounts_of(asha)) == 1


def test_without_a_forgery_token_nothing_is_added_or_removed(asha: Holder) -> None:
    browser, account = Browser(asha.user), bank_account(asha)
    assert add(browser, csrfmiddlewaretoken="", account_number="501000120009").status == 403
    assert browser.send(browser.open(f"/bank-accounts/{account}/remove").form, csrfmiddlewaretoken="").status == 403
    assert len(accounts_of(asha)) == 1


def test_after_adding_people_are_led_back_here_or_to_the_withdrawal_and_nowhere_else(asha: Holder) -> None:
    browser = Browser(asha.user)
    form = browser.open("/bank-accounts/add?then=https://evil.example").form
    assert "then" not in form.fields
    filled = {"holder_name": "Asha Rao", "ifsc": "HDFC0001234", "account_number": NUMBER}
    sent = browser.send(form, **filled, account_number_again=NUMBER, then="//evil.example")
    assert sent.location == "/bank-accounts"
