"""POST /wallet/withdraw: debited at once, PENDING, and kept whatever the answer was. No gateway is needed."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connections
from django.utils import timezone

from ledger.models import IdempotencyKey, Transaction
from ledger.serializers import TransactionAnswer
from payments.bank_accounts import remove_bank_account
from payments.models import BankAccount, Payout
from payments.withdrawals import withdraw_money
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import Holder, fund, holder, merchant, new_key
from tests.payments.withdrawing import bank_account, payout_of, seen, withdraw
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.money import Money
from wallets.models import Wallet
from wallets.opening import open_wallet

pytestmark = pytest.mark.usefixtures("database")


def test_a_withdrawal_is_pending_and_the_wallet_debited_already(superuser_url: str) -> None:
    asha = holder(rupees=500)
    account = bank_account(asha)
    answer = asha.confirm("/wallet/withdraw", {"bank_account": account, "amount": "120.5"})
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == set(TransactionAnswer().fields)
    assert (body["type"], body["status"], body["direction"]) == ("WITHDRAW", "PENDING", "out")
    assert body["amount"] == {"amount": "120.50", "currency": "INR"}
    assert body["balance_after"] == {"amount": "379.50", "currency": "INR"}
    assert body["counterparty"] == {"display_name": "HDFC Bank ••0001", "wallet": None}
    assert (body["failure"], body["reversed_by"], body["completed_at"]) == (None, None, None)
    assert asha.balance == Decimal("379.50")
    assert asha.get("/transactions").json()["results"][0] == body
    payout = payout_of(body)
    assert (payout.state, payout.amount_minor, payout.currency, payout.sends) == ("NEW", 12050, "INR", 0)
    assert payout.transaction.metadata["bank_account"] == account
    assert 4 <= len(payout.key) <= 36
    assert payout.check_at is not None
    assert_books_hold(superuser_url)


def test_a_replay_answers_the_first_withdrawal_even_after_its_account_was_removed() -> None:
    asha, key = holder(rupees=500), new_key()
    account = bank_account(asha)
    first = withdraw(asha, account, "100", key=key)
    assert asha.delete(f"/bank-accounts/{account}").status_code == 204
    again = asha.post("/wallet/withdraw", {"bank_account": account, "amount": "100.00"}, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (202, "true", first)
    assert asha.balance == 400
    other = asha.post("/wallet/withdraw", {"bank_account": account, "amount": "101"}, key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    fresh = asha.post("/wallet/withdraw", {"bank_account": account, "amount": "100"})
    assert (fresh.status_code, fresh.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount": "500.01"}, "insufficient_funds"),
        ({"amount": "0.99"}, "limit_exceeded"),
        ({"amount": "10000000000.01"}, "limit_exceeded"),
        ({"amount": "100", "currency": "JPY"}, "currency_mismatch"),
    ],
)
def test_what_cannot_be_withdrawn_is_refused_kept_and_no_payout(fields: dict[str, str], code: str) -> None:
    asha, key = holder(rupees=500), new_key()
    body = {"bank_account": bank_account(asha), **fields}
    for replayed in (None, "true"):
        answer = asha.confirm("/wallet/withdraw", body, key=key)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.headers.get("Idempotent-Replayed") == replayed
    kept = asha.get(f"/transactions/{answer.json()['transaction']}").json()
    assert (kept["type"], kept["status"], kept["failure"]["code"]) == ("WITHDRAW", "FAILED", code)
    assert kept["counterparty"]["display_name"] == "HDFC Bank ••0001"
    assert asha.balance == 500
    assert not Payout.objects.filter(transaction__from_wallet=asha.wallet).exists()
    # What a dry run would be refused for is the same.
    dry = asha.post("/wallet/withdraw?dry_run=true", body)
    assert (dry.status_code, dry.json()["code"], "transaction" in dry.json()) == (422, code, False)


def test_neither_a_frozen_wallet_nor_one_of_another_currency_pays_out() -> None:
    asha = holder(rupees=500)
    account = bank_account(asha)
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="FROZEN")
    answer = asha.confirm("/wallet/withdraw", {"bank_account": account, "amount": "100"})
    assert (answer.status_code, answer.json()["code"]) == (422, "wallet_frozen")
    yen = open_wallet(user=asha.user, currency="JPY")
    fund(yen, 500)
    path = f"/wallet/withdraw?wallet={yen.public_id}"
    answer = asha.post(path, {"bank_account": account, "amount": "100", "currency": "JPY"})
    assert (answer.status_code, answer.json()["code"]) == (422, "currency_mismatch")


def test_an_account_that_is_not_ones_own_is_not_found_and_uses_no_key() -> None:
    asha, zoya = holder(rupees=500), holder("Zoya Khan", rupees=500)
    key = new_key()
    for wrong in (bank_account(asha), public_id("bnk", new_uuid()), "bnk_", "x" * 900):
        answer = zoya.post("/wallet/withdraw", {"bank_account": wrong, "amount": "100"}, key=key)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert not IdempotencyKey.objects.filter(key=key).exists()
    assert not Transaction.objects.filter(from_wallet=zoya.wallet).exists()
    for malformed in ({}, {"bank_account": 5, "amount": "1"}, {"bank_account": "x", "amount": 1}):
        assert zoya.post("/wallet/withdraw", malformed).status_code == 400
    assert zoya.balance == 500


def test_a_dry_run_says_what_it_would_cost_and_leave_and_moves_nothing() -> None:
    asha = holder(rupees=500)
    answer = asha.post("/wallet/withdraw?dry_run=true", {"bank_account": bank_account(asha), "amount": "500"})
    assert answer.status_code == 200
    assert answer.json() == {
        "amount": {"amount": "500.00", "currency": "INR"},
        "fee": {"amount": "0.00", "currency": "INR"},
        "balance_after": {"amount": "0.00", "currency": "INR"},
        "step_up_required": True,
    }
    assert asha.balance == 500
    assert not Payout.objects.filter(transaction__from_wallet=asha.wallet).exists()


def test_a_merchant_withdraws_from_the_shops_wallet_to_her_own_account() -> None:
    meera, shop = merchant()
    fund(shop.wallet, 900)
    path = f"/wallet/withdraw?wallet={shop.wallet.public_id}"
    body = {"bank_account": bank_account(meera), "amount": "900"}
    assert meera.confirm("/wallet/withdraw", body).json()["code"] == "insufficient_funds"
    answer = meera.confirm(path, body)
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert Wallet.objects.get(pk=shop.wallet.pk).balance == 0


def test_equal_requests_at_once_withdraw_once(superuser_url: str) -> None:
    asha, key = holder(rupees=500), new_key()
    account = bank_account(asha)
    withdraw(asha, account, "50")

    def race(_: int) -> Any:
        try:
            return asha.post("/wallet/withdraw", {"bank_account": account, "amount": "100"}, key=key)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(race, range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert asha.balance == 350
    assert Payout.objects.filter(transaction__from_wallet=asha.wallet).count() == 2
    assert_books_hold(superuser_url)


def test_a_withdrawal_and_the_removal_of_its_account_at_once_leave_no_payout_without_a_number(
    superuser_url: str, settings: LazySettings
) -> None:
    """Whichever comes first: either the money stays, or the number does."""
    settings.STEP_UP_FIRST_WITHDRAWAL = False
    amount = Money.parse("1", "INR")

    def take(asha: Holder, account: str) -> str:
        try:
            withdraw_money(user=asha.user, bank_account=account, amount=amount, key=new_key(), now=timezone.now())
        except Refusal as refusal:
            return refusal.code
        else:
            return "taken"
        finally:
            connections.close_all()

    def remove(asha: Holder, account: str) -> None:
        try:
            remove_bank_account(owner=asha.user, account=account, now=timezone.now())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        for _ in range(6):
            asha = holder(rupees=10)
            account = bank_account(asha)
            taken = [pool.submit(take, asha, account) for _ in range(2)]
            pool.submit(remove, asha, account).result()
            results = [one.result() for one in taken]
            assert set(results) <= {"taken", "not_found"}
            count = results.count("taken")
            kept = BankAccount.objects.get(owner=asha.user)
            assert asha.balance == 10 - count
            assert kept.payouts.count() == count
            assert bool(kept.number_sealed) == (count > 0)
    assert_books_hold(superuser_url)


def test_a_withdrawal_that_waits_is_seen_by_its_owner_alone() -> None:
    asha, zoya = holder(rupees=500), holder("Zoya Khan")
    withdrawal = withdraw(asha, bank_account(asha))
    assert seen(asha, withdrawal)["status"] == "PENDING"
    assert zoya.get(f"/transactions/{withdrawal['id']}").status_code == 404
    (entry,) = seen(asha, withdrawal)["entries"]
    assert (entry["debit"]["amount"], entry["balance_after"]["amount"]) == ("100.00", "400.00")
