"""
Pages that move money. Each form carries its idempotency key (see `payments.forms`), and each view makes one deed
call; what the deed refuses is said next to the field that it is about.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views import View

from accounts.signed_in import SignedInRequest, signed_in
from ledger.models import Transaction
from ledger.queries import see_transaction
from ledger.wording import reason_of
from payments.forms import AddMoneyForm, MoneyForm, PayForm, SendForm, new_key
from payments.idempotency import Answer
from payments.merchant_payments import pay_merchant, preview_payment
from payments.topups import add_money
from payments.transfers import Quote, preview_transfer, send_money
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import SeeOther, see_other
from wallets.queries import balance_of

# What happened is not known, or will be known on asking again: the same request under the same key finds out.
UNSURE: Final = {
    "busy": "Too much is going on just now, and we cannot say whether this went through.",
    "idempotency_key_in_progress": "This is still being worked on.",
    "gateway_unavailable": "Our payment partner cannot be reached just now. Nothing was taken from you.",
}
_ABOUT_THE_AMOUNT: Final = frozenset({"insufficient_funds", "limit_exceeded", "currency_mismatch"})
_ABOUT_THE_PAYEE: Final = frozenset({"payee_not_found", "recipient_unavailable", "same_wallet"})
_WORDS: Final = {
    "insufficient_funds": "You do not have that much to spend.",
    "idempotency_key_reused": "This form was used before, for something else. Look in your history what became of "
    "that; then check this once more.",
    "form_outdated": "This form was out of date. Check it once more.",
}


def say_errors(form: Form, refusal: Refusal) -> None:
    """Say next to its fields what only the deed could judge."""
    for error in refusal.errors:
        form.add_error(error["field"] if error["field"] in form.fields else None, error["detail"])
    if not refusal.errors:
        form.add_error(None, refusal.detail)


class MoneyPage(View):
    """
    A form that asks for one deed with money, which ends in a receipt.

    The key that the form was given first stays with it until the deed has refused, so that whatever the browser sends
    twice happens once.
    """

    request: SignedInRequest
    name: ClassVar[str]
    deed: ClassVar[str]
    form_class: ClassVar[type[MoneyForm]]
    payee: ClassVar[str] = ""
    words: ClassVar[dict[str, str]] = {}

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        return signed_in(super().as_view(**initkwargs))

    def act(self, form: MoneyForm) -> HttpResponse:
        """The one deed call. What it raises is answered by `not_done`."""
        raise NotImplementedError

    def get(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002  (Django's signature)
        return self.show(self.form_class(initial={"key": new_key()}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self.form_class(request.POST)
        if not form.is_valid():
            if "key" in form.errors:
                return self.refused(form, "form_outdated", 400)
            return self.show(form, 400)
        try:
            return self.act(form)
        except Refusal as refusal:
            return self.not_done(form, refusal)

    def not_done(self, form: MoneyForm, refusal: Refusal) -> HttpResponse:
        """Nothing is kept of these, except that after an unknown outcome nobody knows."""
        if refusal.code in ("blocked", "not_found"):
            raise refusal
        if refusal.code in UNSURE:
            shown = {"form": form, "deed": self.deed, "given": form.cleaned_data, "sentence": UNSURE[refusal.code]}
            return render(self.request, "payments/unsure.html", shown, status=refusal.status)
        if refusal.code == "invalid":
            shown_again = form.again(fresh_key=False)
            say_errors(shown_again, refusal)
            return self.show(shown_again, refusal.status)
        return self.refused(form, refusal.code, refusal.status)

    def refused(self, form: MoneyForm, code: str, status: int) -> HttpResponse:
        """The form again, under a fresh key: sending it once more is a new request."""
        again = form.again(fresh_key=True)
        field = None
        if code in _ABOUT_THE_AMOUNT:
            field = "amount"
        elif code in _ABOUT_THE_PAYEE:
            field = self.payee
        again.add_error(field, self.words.get(code) or _WORDS.get(code) or reason_of(code))
        return self.show(again, status)

    def show(self, form: MoneyForm, status: int = 200) -> HttpResponse:
        shown = {"form": form, "balance": balance_of(user=self.request.user)}
        return render(self.request, f"payments/{self.name}.html", shown, status=status)

    def receipt(self, transaction: int) -> HttpResponse:
        return see_other("receipt", see_transaction(user=self.request.user, pk=transaction).public_id)


class AddMoney(MoneyPage):
    """Through the gateway's hosted checkout, which sends the browser back to the receipt."""

    name = "add"
    deed = "add"
    form_class = AddMoneyForm
    words: ClassVar = {"limit_exceeded": "Add at least ₹1.00, and not more than may be moved at once."}

    def act(self, form: MoneyForm) -> HttpResponse:
        answer = add_money(
            user=self.request.user, key=form.cleaned_data["key"], now=timezone.now(), **form.fields_of_deed
        )
        if answer.code:
            return self.refused(form, answer.code, answer.http_status)
        seen = see_transaction(user=self.request.user, pk=answer.transaction)
        if answer.checkout is None or seen.status != Transaction.Status.PENDING:
            return see_other("receipt", seen.public_id)
        return SeeOther(answer.checkout["url"])


class Payment(MoneyPage):
    """
    Paying somebody in three steps: a form, a review of what would happen, and the deed.

    Only the address under `…/confirm` moves money. The review keeps nothing but the form's key, so that a review may
    be confirmed twice and pays once.
    """

    confirming: bool = False

    def preview(self, **fields: Any) -> Quote:
        raise NotImplementedError

    def pay(self, *, key: str, **fields: Any) -> Answer:
        raise NotImplementedError

    def get(self, request: HttpRequest) -> HttpResponse:
        return see_other(self.name) if self.confirming else super().get(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        if "change" in request.POST:
            return self.show(self.form_class(initial=request.POST.dict()))
        return super().post(request)

    def act(self, form: MoneyForm) -> HttpResponse:
        if not self.confirming:
            quote = self.preview(**form.fields_of_deed)
            shown = {"form": form, "given": form.cleaned_data, "payee": form.cleaned_data[self.payee], "quote": quote}
            return render(self.request, f"payments/{self.name}_review.html", shown)
        answer = self.pay(key=form.cleaned_data["key"], **form.fields_of_deed)
        if answer.code:
            return self.refused(form, answer.code, answer.http_status)
        return self.receipt(answer.transaction)


class Send(Payment):
    """To another person."""

    name = "send"
    payee = "to"
    deed = "send_confirm"
    form_class = SendForm
    words: ClassVar = {
        "payee_not_found": "Nobody here has verified this address. Check the spelling, or ask them to open a wallet."
    }

    def preview(self, **fields: Any) -> Quote:
        return preview_transfer(sender=self.request.user, **fields)

    def pay(self, *, key: str, **fields: Any) -> Answer:
        return send_money(sender=self.request.user, key=key, **fields)


class Pay(Payment):
    """A merchant."""

    name = "pay"
    payee = "merchant"
    deed = "pay_confirm"
    form_class = PayForm
    words: ClassVar = {"payee_not_found": "There is no shop of that name."}

    def preview(self, **fields: Any) -> Quote:
        return preview_payment(payer=self.request.user, **fields)

    def pay(self, *, key: str, **fields: Any) -> Answer:
        return pay_merchant(payer=self.request.user, key=key, **fields)
