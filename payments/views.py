"""
Pages that move money. Each form carries its idempotency key (see `payments.forms`), and each view makes one deed
call; what the deed refuses is said next to the field that it is about.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views import View

from accounts.signed_in import SignedInRequest, signed_in
from ledger.queries import see_transaction
from ledger.wording import reason_of
from payments.forms import MoneyForm, PayForm, SendForm, new_key
from payments.idempotency import Answer
from payments.merchant_payments import pay_merchant, preview_payment
from payments.transfers import Quote, preview_transfer, send_money
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other
from wallets.queries import balance_of

# What happened is not known, or will be known on asking again: the same request under the same key finds out.
UNSURE: Final = frozenset({"busy", "gateway_unavailable", "idempotency_key_in_progress"})
_ABOUT_THE_AMOUNT: Final = frozenset({"insufficient_funds", "limit_exceeded", "currency_mismatch"})
_ABOUT_THE_PAYEE: Final = frozenset({"payee_not_found", "recipient_unavailable", "same_wallet"})
_WORDS: Final = {
    "insufficient_funds": "You do not have that much to spend.",
    "idempotency_key_reused": "This form was used before, for another payment. Look in your history what became of "
    "that; then review this one.",
}


def say(form: MoneyForm, code: str, *, payee: str = "", detail: str = "") -> None:
    """Write why the money did not move next to the field that it is about."""
    field = None
    if code in _ABOUT_THE_AMOUNT:
        field = "amount"
    elif code in _ABOUT_THE_PAYEE:
        field = payee
    form.add_error(field, detail or _WORDS.get(code) or reason_of(code))


def say_errors(form: Form, refusal: Refusal) -> None:
    """The same for malformed input that only the deed could judge."""
    for error in refusal.errors:
        form.add_error(error["field"] if error["field"] in form.fields else None, error["detail"])
    if not refusal.errors:
        form.add_error(None, refusal.detail)


class Payment(View):
    """
    Paying somebody in three steps: a form, a review of what would happen, and the deed, which ends in a receipt.

    Only the address under `…/confirm` moves money. The review asks for nothing to be kept; the key that the form was
    given stays with it, so that the review may be confirmed twice and pays once.
    """

    request: SignedInRequest
    confirming: bool = False
    name: ClassVar[str]
    payee: ClassVar[str]
    form_class: ClassVar[type[MoneyForm]]
    unknown_payee: ClassVar[str]

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        return signed_in(super().as_view(**initkwargs))

    def preview(self, **fields: Any) -> Quote:
        raise NotImplementedError

    def pay(self, *, key: str, **fields: Any) -> Answer:
        raise NotImplementedError

    def get(self, request: HttpRequest) -> HttpResponse:
        if self.confirming:
            return see_other(self.name)
        return self.show(self.form_class(initial={"key": new_key(), self.payee: request.GET.get("to", "")}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self.form_class(request.POST)
        if "change" in request.POST:
            return self.show(self.form_class(initial=request.POST.dict()))
        if not form.is_valid():
            if "key" in form.errors:
                return self.refused(form, "invalid", 400, detail="This form was out of date. Look at it once more.")
            return self.show(form, 400)
        try:
            return self.confirmed(form) if self.confirming else self.review(form)
        except Refusal as refusal:
            return self.not_done(form, refusal)

    def review(self, form: MoneyForm) -> HttpResponse:
        quote = self.preview(**form.fields_of_deed)
        shown = {"form": form, "given": form.cleaned_data, "payee": form.cleaned_data[self.payee], "quote": quote}
        return render(self.request, f"payments/{self.name}_review.html", shown)

    def confirmed(self, form: MoneyForm) -> HttpResponse:
        answer = self.pay(key=form.cleaned_data["key"], **form.fields_of_deed)
        if answer.code:
            return self.refused(form, answer.code, answer.http_status)
        return see_other("receipt", see_transaction(user=self.request.user, pk=answer.transaction).public_id)

    def not_done(self, form: MoneyForm, refusal: Refusal) -> HttpResponse:
        """Nothing is kept of these, except that after `busy` nobody knows."""
        if refusal.code in ("blocked", "not_found"):
            raise refusal
        if refusal.code in UNSURE:
            shown = {"form": form, "confirm_url": f"{self.name}_confirm", "given": form.cleaned_data}
            return render(self.request, "payments/unsure.html", shown, status=refusal.status)
        if refusal.code == "invalid":
            shown_again = form.again(fresh_key=False)
            say_errors(shown_again, refusal)
            return self.show(shown_again, refusal.status)
        detail = self.unknown_payee if refusal.code == "payee_not_found" else ""
        return self.refused(form, refusal.code, refusal.status, detail=detail)

    def refused(self, form: MoneyForm, code: str, status: int, *, detail: str = "") -> HttpResponse:
        """The form again, under a fresh key: sending it once more is a new request."""
        again = form.again(fresh_key=True)
        say(again, code, payee=self.payee, detail=detail)
        return self.show(again, status)

    def show(self, form: MoneyForm, status: int = 200) -> HttpResponse:
        shown = {"form": form, "available": balance_of(user=self.request.user).available}
        return render(self.request, f"payments/{self.name}.html", shown, status=status)


class Send(Payment):
    """To another person."""

    name = "send"
    payee = "to"
    form_class = SendForm
    unknown_payee = "Nobody here has verified this address. Ask them to open a wallet, or check the spelling."

    def preview(self, **fields: Any) -> Quote:
        return preview_transfer(sender=self.request.user, **fields)

    def pay(self, *, key: str, **fields: Any) -> Answer:
        return send_money(sender=self.request.user, key=key, **fields)


class Pay(Payment):
    """A merchant."""

    name = "pay"
    payee = "merchant"
    form_class = PayForm
    unknown_payee = "There is no shop of that name."

    def preview(self, **fields: Any) -> Quote:
        return preview_payment(payer=self.request.user, **fields)

    def pay(self, *, key: str, **fields: Any) -> Answer:
        return pay_merchant(payer=self.request.user, key=key, **fields)
