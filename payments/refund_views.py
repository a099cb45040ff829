"""Pages that give a top-up back to where it came from, as far as the settings leave that to people."""

from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from ledger.queries import find_transaction
from payments.forms import MoneyForm, RefundForm, new_key
from payments.idempotency import Answer
from payments.refund_quotes import preview_refund
from payments.refunds import give_back, refundable_of
from payments.tasks import send_refund
from payments.transfers import Quote
from payments.views import Payment
from payments.waking import wake
from wallet_project.kernel.redirects import see_other


class GiveBack(Payment):
    """Begun from the receipt of a top-up: how much, a review with what will be left, the deed."""

    name = "refund"
    deed = "refund_confirm"
    form_class = RefundForm
    words: ClassVar = {
        "insufficient_funds": "You do not have that much any more.",
        "limit_exceeded": "Give back at least ₹1.00.",
    }

    @property
    def place(self) -> tuple[str, ...]:
        return (str(self.kwargs["transaction"]),)

    def preview(self, **fields: Any) -> Quote:
        return preview_refund(user=self.request.user, transaction=self.place[0], **fields)

    def pay(self, *, key: str, **fields: Any) -> Answer:
        user, (transaction,) = self.request.user, self.place
        answer = give_back(user=user, transaction=transaction, key=key, now=timezone.now(), **fields)
        if not answer.code:
            wake(send_refund, transaction_id=answer.transaction)
        return answer

    def get(self, request: HttpRequest, key: str = "", **place: str) -> HttpResponse:
        if self.step == "form" and "draft" not in request.GET:
            left = refundable_of(user=self.request.user, transaction=self.place[0])
            amount = "" if left is None else left.text
            return self.show(self.make_form(initial={"key": new_key(), "amount": amount}))
        return super().get(request, key, **place)

    def more_of_review(self, form: MoneyForm) -> dict[str, Any]:  # noqa: ARG002  (nothing of it is asked)
        return {"confirm": reverse(self.deed, args=self.place), "change": reverse(self.name, args=self.place)}

    def show(self, form: MoneyForm, status: int = 200) -> HttpResponse:
        user, (transaction,) = self.request.user, self.place
        seen = find_transaction(user=user, transaction=transaction)
        left = refundable_of(user=user, transaction=transaction)
        if left is None:
            messages.warning(self.request, "Nothing of this can be given back here. Our support can say more.")
            return see_other("receipt", seen.public_id)
        shown = {"form": form, "left": left, "transaction": seen.public_id}
        return render(self.request, "payments/refund.html", shown, status=status)
