"""Pages of the bank accounts that a person withdraws to. Numbers are typed in and never shown again."""

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from accounts.signed_in import SignedInRequest, agreed
from payments.bank_accounts import (
    add_bank_account,
    bank_accounts_of,
    find_bank_account,
    label_of,
    masked_number,
    remove_bank_account,
)
from payments.forms import BankAccountForm
from payments.models import BankAccount
from payments.receipt_wording import status_of_account
from payments.refreshing import look_again
from payments.tasks import check_bank_account
from payments.views import say_errors
from payments.waking import wake
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other

# Where people may be led back to, and nowhere else.
_THEN: Final = "withdraw"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAccount:
    """A bank account as a list shows it."""

    id: str
    label: str
    holder_name: str
    number: str
    ifsc: str
    registered_name: str
    badge: str
    tone: str
    sentence: str


@agreed
@require_safe
def bank_accounts(request: SignedInRequest) -> HttpResponse:
    """Where this person withdraws to, newest first, and whether each bank knows the account."""
    accounts = bank_accounts_of(owner=request.user).accounts
    checking = any(each.check_at is not None and each.validation not in _DECIDED for each in accounts)
    shown = {
        "accounts": [_shown(each) for each in accounts],
        "is_full": len(accounts) >= settings.MOST_BANK_ACCOUNTS,
        "most": settings.MOST_BANK_ACCOUNTS,
        "look_again": look_again(request.GET.dict()) if checking else "",
        "waits": checking,
        "here": "bank_accounts",
    }
    return render(request, "payments/bank_accounts.html", shown)


@sensitive_post_parameters()
@agreed
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: SignedInRequest) -> HttpResponse:
    """Back to the withdrawal afterwards, for whoever came from there."""
    then = _THEN if (request.POST or request.GET).get("then") == _THEN else ""
    form, status = BankAccountForm(request.POST or None), 200
    if form.is_valid():
        try:
            account = add_bank_account(owner=request.user, now=timezone.now(), **form.fields_of_deed)
        except Refusal as refusal:
            say_errors(form, refusal)
            status = refusal.status
        else:
            wake(check_bank_account, account_id=account.pk)
            messages.success(request, f"{label_of(account=account)} is among your bank accounts.")
            return see_other(then or "bank_accounts")
    elif form.is_bound:
        status = 400
    return render(request, "payments/bank_account_add.html", {"form": form, "then": then}, status=status)


@agreed
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: SignedInRequest, account: str) -> HttpResponse:
    """First a page that asks; then the deed."""
    found = find_bank_account(owner=request.user, account=account)
    if request.method == "POST":
        remove_bank_account(owner=request.user, account=account, now=timezone.now())
        messages.success(request, f"{label_of(account=found)} is removed.")
        return see_other("bank_accounts")
    return render(request, "payments/bank_account_remove.html", {"account": _shown(found)})


_DECIDED: Final = (BankAccount.Validation.VALID, BankAccount.Validation.INVALID)


def _shown(account: BankAccount) -> ShownAccount:
    badge, tone, sentence = status_of_account(account)
    return ShownAccount(
        id=account.public_id,
        label=label_of(account=account),
        holder_name=account.holder_name,
        number=masked_number(account=account),
        ifsc=account.ifsc,
        registered_name=account.registered_name,
        badge=badge,
        tone=tone,
        sentence=sentence,
    )
