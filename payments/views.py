"""
Pages that move money. Each form carries its idempotency key (see `payments.forms`), and each view makes one deed
call; what the deed refuses is said next to the field that it is about.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Literal

from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views import View

from accounts.signed_in import SignedInRequest, agreed
from ledger.models import Transaction
from ledger.queries import see_transaction
from ledger.wording import reason_of
from payments.drafts import close_draft, find_draft, keep_draft, receipt_of_draft
from payments.forms import AddMoneyForm, MoneyForm, PayForm, SendForm, new_key
from payments.idempotency import Answer
from payments.merchant_payments import pay_merchant, preview_payment
from payments.step_up_views import ask_for_step_up, step_up_of
from payments.topups import add_money
from payments.transfers import Quote, preview_transfer, send_money
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import SeeOther, see_other
from wallets.queries import balance_of

# What happened is not known, or will be known on asking again: the same request under the same key finds out.
UNSURE: Final = {
    "busy": "Too much is going on just now, and we cannot say whether this went through.",
    "idempotency_key_in_progress": "This is still being worked on.",
    "gateway_unavailable": "Our payment partner cannot be reached just now. Nothing was taken from you, and nothing is "
    "lost.",
}
_ABOUT_THE_AMOUNT: Final = frozenset({"insufficient_funds", "limit_exceeded", "currency_mismatch", "refund_exceeds"})
_ABOUT_THE_PAYEE: Final = frozenset(
    {"payee_not_found", "recipient_unavailable", "same_wallet", "bank_account_invalid", "not_found", "unblock_first"}
)
_WORDS: Final = {
    "insufficient_funds": "You do not have that much to spend.",
    "idempotency_key_reused": "This form was used before, for something else. Look in your history what became of "
    "that; then check this once more.",
    "unblock_first": "You have blocked this person. Unblock them in your account, if you mean to pay them.",
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
        return agreed(super().as_view(**initkwargs))

    def act(self, form: MoneyForm) -> HttpResponse:
        """The one deed call. What it raises is answered by `not_done`."""
        raise NotImplementedError

    @property
    def place(self) -> tuple[str, ...]:
        """What its addresses hold besides the page's own words."""
        return ()

    def make_form(self, data: Mapping[str, Any] | None = None, *, initial: dict[str, Any] | None = None) -> MoneyForm:
        return self.form_class(data, initial=initial)

    def get(self, request: HttpRequest, **_place: str) -> HttpResponse:  # noqa: ARG002  (Django's signature)
        return self.show(self.make_form(initial={"key": new_key()}))

    def post(self, request: HttpRequest, **_place: str) -> HttpResponseBase:
        form = self.make_form(request.POST)
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
            shown = {
                "form": form,
                "again": reverse(self.deed, args=self.place),
                "given": form.cleaned_data,
                "sentence": UNSURE[refusal.code],
            }
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
        again.add_error(field or None, self.words.get(code) or _WORDS.get(code) or reason_of(code))
        return self.show(again, status)

    def show(self, form: MoneyForm, status: int = 200) -> HttpResponse:
        shown = {"form": form, "balance": balance_of(user=self.request.user), "here": self.name}
        return render(self.request, f"payments/{self.name}.html", shown, status=status)


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
    Paying somebody in three steps, each with an address of its own: a form, a review of what would happen, the deed.

    Only `…/confirm` moves money. The review may be opened again (Back, reload) and confirmed twice: it keeps the
    form's key, and pays once.
    """

    step: Literal["form", "review", "confirm"] = "form"

    def preview(self, **fields: Any) -> Quote:
        raise NotImplementedError

    def pay(self, *, key: str, **fields: Any) -> Answer:
        raise NotImplementedError

    @property
    def page(self) -> str:
        """Where its drafts belong."""
        return "/".join((self.name, *self.place))

    def get(self, request: HttpRequest, key: str = "", **place: str) -> HttpResponse:
        if self.step == "confirm":
            return see_other(self.name, *self.place)
        wanted = key if self.step == "review" else request.GET.get("draft", "")
        draft = find_draft(request.session, page=self.page, key=wanted)
        if draft is None:
            return see_other(self.name, *self.place) if self.step == "review" else super().get(request, **place)
        made = receipt_of_draft(draft)
        if made is not None:
            return see_other("receipt", made)
        return self.review(self.make_form(draft)) if self.step == "review" else self.show(self.make_form(initial=draft))

    @property
    def step_up(self) -> str | None:
        return step_up_of(self.request)

    def not_done(self, form: MoneyForm, refusal: Refusal) -> HttpResponse:
        """What asks for a code keeps its key: the same payment is sent once more, with the code."""
        asked = ask_for_step_up(self.request, form, refusal, confirm=reverse(self.deed, args=self.place))
        return asked or super().not_done(form, refusal)

    def review(self, form: MoneyForm) -> HttpResponse:
        if not form.is_valid():
            return self.show(form, 400)
        try:
            quote = self.preview(**form.fields_of_deed)
        except Refusal as refusal:
            return self.not_done(form, refusal)
        shown = {
            "form": form,
            "given": form.cleaned_data,
            "payee": form.cleaned_data.get(self.payee),
            "quote": quote,
            **self.more_of_review(form),
        }
        return render(self.request, f"payments/{self.name}_review.html", shown)

    def more_of_review(self, form: MoneyForm) -> dict[str, Any]:  # noqa: ARG002  (for those who have more)
        return {}

    def act(self, form: MoneyForm) -> HttpResponse:
        key = form.cleaned_data["key"]
        if self.step == "form":
            self.preview(**form.fields_of_deed)
            keep_draft(self.request.session, page=self.page, draft=form.as_typed)
            return see_other(f"{self.name}_review", *self.place, key)
        answer = self.pay(key=key, **form.fields_of_deed)
        if answer.code:
            return self.refused(form, answer.code, answer.http_status)
        made = see_transaction(user=self.request.user, pk=answer.transaction).public_id
        close_draft(self.request.session, key=key, receipt=made)
        return see_other("receipt", made)


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
        return send_money(sender=self.request.user, key=key, step_up=self.step_up, now=timezone.now(), **fields)


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
        return pay_merchant(payer=self.request.user, key=key, step_up=self.step_up, now=timezone.now(), **fields)
