"""The pages of money that went to the wrong person: asking for it from its receipt, and answering."""

from typing import Any, ClassVar, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.signed_in import SignedInRequest, agreed, signed_in
from accounts.tasks import wake_sender
from ledger.queries import USUAL_ROWS, find_transaction, see_transaction
from ledger.wording import reason_of
from payments import money_back, money_back_answers
from payments.forms import AskBackForm, MoneyForm, new_key
from payments.money_back_queries import SeenMoneyBack, find_one, of_person
from payments.step_up_views import ask_for_step_up, step_up_of
from payments.views import MoneyPage, say_errors
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.redirects import see_other

_SAID: Final = {
    "hold": "It is set aside. It is still yours, and nobody can spend it until you give it back or say no.",
    "decline": "You keep it. They are told that you said no.",
    "withdraw": "You do not ask for it any more.",
}
_ACTS: Final = {
    "hold": money_back_answers.hold,
    "decline": money_back_answers.decline,
    "withdraw": money_back.withdraw,
}
_WORDS: Final = {
    "insufficient_funds": "You have not got that much to spend any more.",
    "wallet_frozen": "Your wallet is frozen, so nothing can leave it. Our support can tell you why.",
    "recipient_unavailable": "They cannot receive money at the moment. Try again later, or say no.",
    "support_required": "One of your addresses was changed lately, so write to our support about this first.",
}


@signed_in
@require_safe
def money_backs(request: SignedInRequest) -> HttpResponse:
    """What this person asked for and was asked for."""
    cursor = request.GET.get("cursor") or None
    try:
        page = of_person(user=request.user, limit=USUAL_ROWS, cursor=cursor)
    except Refusal:
        # A cursor that is none of ours: begin at the top.
        return redirect("money_backs")
    shown = {"rows": page.rows, "older": page.next, "paged": cursor is not None, "here": "account"}
    return render(request, "payments/money_backs.html", shown)


@signed_in
@require_safe
def thread(request: SignedInRequest, id: str) -> HttpResponse:
    """One request, and what can be answered."""
    return _show(request, find_one(user=request.user, money_back=id), MoneyForm(initial={"key": new_key()}))


@agreed
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request: SignedInRequest, transaction: str) -> HttpResponse:
    """The question that leads there from a receipt: a word to whoever got it."""
    seen = find_transaction(user=request.user, transaction=transaction)
    form, status = AskBackForm(request.POST or None), 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                said = money_back.ask(
                    asker=request.user, transaction=transaction, note=form.cleaned_data["note"], now=timezone.now()
                )
            except Refusal as refusal:
                say_errors(form, refusal)
                status = refusal.status
            else:
                wake_sender(said.messages)
                messages.success(request, f"{seen.counterparty_name} is told that you ask for it back.")
                return see_other("receipt", transaction)
    elif not money_back.can_ask(user=request.user, transaction=transaction, now=timezone.now()):
        return see_other("receipt", transaction)
    shown = {"form": form, "seen": seen, "days": money_back.LIFETIME.days, "here": "history"}
    return render(request, "payments/money_back_ask.html", shown, status=status)


class Give(MoneyPage):
    """One tap: the button of a receipt, or of the request's own page, which is shown again where it was refused."""

    name = "money_back_give"
    deed = "money_back_give"
    form_class = MoneyForm
    words: ClassVar = {"form_outdated": "This page was out of date. Look at it once more."}

    @property
    def place(self) -> tuple[str, ...]:
        return (str(self.kwargs["id"]),)

    def get(self, request: HttpRequest, **place: str) -> HttpResponse:  # noqa: ARG002  (Django's signature)
        return see_other("money_back", *place.values())

    def act(self, form: MoneyForm) -> HttpResponse:
        request, (id,) = self.request, self.place
        seen = find_one(user=request.user, money_back=id)
        # What the pages on the way say of it.
        form.cleaned_data.update(amount=seen.amount, to=seen.counterparty_name)
        answer = money_back_answers.give(
            user=request.user,
            money_back=id,
            key=form.cleaned_data["key"],
            step_up=step_up_of(request),
            now=timezone.now(),
        )
        if answer.code:
            return self.refused(form, answer.code, answer.http_status)
        return see_other("receipt", see_transaction(user=request.user, pk=answer.transaction).public_id)

    def not_done(self, form: MoneyForm, refusal: Refusal) -> HttpResponse:
        if refusal.code == "money_back_over":
            return _over(self.request, self.place[0])
        confirm = reverse(self.deed, args=self.place)
        return ask_for_step_up(self.request, form, refusal, confirm=confirm) or super().not_done(form, refusal)

    def refused(self, form: MoneyForm, code: str, status: int) -> HttpResponse:
        """Under a fresh key: once more is a new request."""
        again = form.again(fresh_key=True)
        again.add_error(None, _WORDS.get(code) or self.words.get(code) or reason_of(code))
        return self.show(again, status)

    def show(self, form: MoneyForm, status: int = 200) -> HttpResponse:
        return _show(self.request, find_one(user=self.request.user, money_back=self.place[0]), form, status)


@agreed
@require_POST
def act(request: SignedInRequest, id: str, word: str) -> HttpResponse:
    """The answers that move nothing: each is a button, and twice is as good as once."""
    try:
        said = _ACTS[word](user=request.user, money_back=id, now=timezone.now())
    except Refusal as refusal:
        if refusal.code == "not_found":
            raise
        if refusal.code == "money_back_over":
            return _over(request, id)
        messages.error(request, _WORDS.get(refusal.code) or reason_of(refusal.code))
        return see_other("money_back", id)
    wake_sender(said.messages)
    messages.success(request, _SAID[word])
    return see_other("receipt", said.money_back.transfer.public_id)


def _show(request: SignedInRequest, seen: SeenMoneyBack, form: MoneyForm, status: int = 200) -> HttpResponse:
    shown: dict[str, Any] = {"money_back": seen, "give_form": form, "here": "history"}
    return render(request, "payments/money_back.html", shown, status=status)


def _over(request: SignedInRequest, id: str) -> HttpResponse:
    messages.warning(request, "This was answered before, or is over. Nothing happened now.")
    return see_other("money_back", id)
