"""Pages that take money out of a wallet, to a bank account."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone

from payments.bank_accounts import bank_accounts_of, find_bank_account, masked_number
from payments.forms import MoneyForm, WithdrawForm
from payments.idempotency import Answer
from payments.models import BankAccount
from payments.tasks import send_payout
from payments.transfers import Quote
from payments.views import Payment
from payments.waking import wake
from payments.withdrawals import preview_withdrawal, withdraw_money
from wallet_project.kernel.errors import Refusal
from wallets.queries import balance_of


class Withdraw(Payment):
    """To one of one's own bank accounts: a form, a review with what will be left, the deed."""

    name = "withdraw"
    payee = "bank_account"
    deed = "withdraw_confirm"
    form_class = WithdrawForm
    words: ClassVar = {
        "insufficient_funds": "You do not have that much to withdraw.",
        "limit_exceeded": "Withdraw at least ₹1.00, and not more than may be moved at once.",
        "not_found": "This account is not among yours any more. Choose another.",
    }

    def make_form(self, data: Mapping[str, Any] | None = None, *, initial: dict[str, Any] | None = None) -> MoneyForm:
        known = bank_accounts_of(owner=self.request.user).accounts
        accounts = [each for each in known if each.validation != BankAccount.Validation.INVALID]
        if initial is not None:
            first = accounts[0].public_id if accounts else ""
            initial = {"bank_account": first, "wallet": self.request.GET.get("wallet"), **initial}
        return WithdrawForm(data, initial=initial, accounts=accounts)

    def preview(self, **fields: Any) -> Quote:
        return preview_withdrawal(user=self.request.user, **fields)

    def pay(self, *, key: str, **fields: Any) -> Answer:
        user, now = self.request.user, timezone.now()
        answer = withdraw_money(user=user, key=key, step_up=self.step_up, now=now, **fields)
        if not answer.code:
            wake(send_payout, transaction_id=answer.transaction)
        return answer

    def not_done(self, form: MoneyForm, refusal: Refusal) -> HttpResponse:
        """An account that was removed meanwhile is no page that is missing: another can be chosen."""
        if refusal.code == "not_found":
            return self.refused(form, refusal.code, refusal.status)
        return super().not_done(form, refusal)

    def more_of_review(self, form: MoneyForm) -> dict[str, Any]:
        account = find_bank_account(owner=self.request.user, account=form.cleaned_data["bank_account"])
        return {"account": account, "number": masked_number(account=account)}

    def show(self, form: MoneyForm, status: int = 200) -> HttpResponse:
        # Another person's wallet is not there, whatever the form says.
        balance = balance_of(user=self.request.user, wanted=form["wallet"].value() or None)
        shown = {"form": form, "balance": balance, "here": self.name}
        return render(self.request, "payments/withdraw.html", shown, status=status)
