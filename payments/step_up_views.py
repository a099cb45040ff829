"""The page between a payment's review and its receipt: where it asks for a code that shows once more who pays."""

from typing import Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.tasks import wake_sender
from payments.bank_accounts import label_of
from payments.forms import MoneyForm, WithdrawForm
from payments.models import StepUp
from payments.step_ups import StepUpRequired
from wallet_project.kernel.errors import Refusal

_ABOUT_THE_CODE: Final = frozenset({"step_up_invalid", "too_many_tries"})
_WORDS: Final = {"step_up_invalid": "This code is wrong, used or too old. Look again, or ask for another."}


class StepUpForm(forms.Form):
    """Sent with the payment's own fields. A courtesy: the deed judges what was typed."""

    challenge = forms.CharField(max_length=64, widget=forms.HiddenInput)
    channel = forms.ChoiceField(choices=StepUp.Channel, widget=forms.HiddenInput)
    code = forms.CharField(
        label="Code",
        max_length=20,
        error_messages={"required": "Write the code."},
        widget=forms.TextInput(
            attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "class": "code", "autofocus": True}
        ),
    )


def step_up_of(request: HttpRequest) -> str | None:
    """`<challenge>:<code>`, as typed, where the page was sent; a challenge without a code is a wrong one."""
    challenge = request.POST.get("challenge", "")
    return f"{challenge}:{request.POST.get('code', '')}" if challenge else None


def ask_for_step_up(request: HttpRequest, form: MoneyForm, refusal: Refusal, *, confirm: str) -> HttpResponse | None:
    """
    The page that asks, or asks again; None for a refusal that is about something else.

    :param confirm: where the payment is sent to once more.
    """
    if isinstance(refusal, StepUpRequired):
        wake_sender(refusal.messages)
        asked = StepUpForm(initial={name: refusal.extra[name] for name in ("challenge", "channel")})
        sentence = refusal.detail
    elif refusal.code in _ABOUT_THE_CODE and "challenge" in request.POST:
        asked = StepUpForm(request.POST)
        if {"challenge", "channel"} & asked.errors.keys():
            return None
        if "code" not in asked.errors:
            asked.add_error("code", _WORDS.get(refusal.code, refusal.detail))
        sentence = ""
    else:
        return None
    shown = {
        "form": asked,
        "payment": form,
        "amount": form.cleaned_data["amount"],
        "payee": _payee_of(form),
        "sentence": sentence,
        "confirm": confirm,
    }
    return render(request, "payments/step_up.html", shown, status=refusal.status)


def _payee_of(form: MoneyForm) -> str:
    """As typed, or as chosen: whoever confirms reads once more where the money goes."""
    given = form.cleaned_data
    if isinstance(form, WithdrawForm):
        chosen = [each for each in form.accounts if each.public_id == given["bank_account"]]
        return label_of(account=chosen[0]) if chosen else ""
    return str(given.get("to") or given.get("merchant") or "")
