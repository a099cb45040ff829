"""Forms of the admin. A courtesy: the deeds judge."""

from typing import Final

from django import forms

from payments.forms import AmountField
from payments.models import Case
from payments.proposals import LONGEST_REASON
from payments.replaying import LONGEST_REASON as LONGEST_DISCARD

LONGEST_RESOLUTION: Final = Case._meta.get_field("resolution").max_length or 300


def _why(*, longest: int, help_text: str) -> forms.CharField:
    """The only field of a page in between."""
    return forms.CharField(
        label="Why",
        max_length=longest,
        error_messages={"required": "Write why."},
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off", "autofocus": True}),
        help_text=help_text,
    )


class ResolutionForm(forms.Form):
    """What was done about a case; kept with it."""

    resolution = forms.CharField(
        label="What was done",
        max_length=LONGEST_RESOLUTION,
        error_messages={"required": "Write what was done."},
        widget=forms.Textarea(attrs={"rows": 4, "cols": 60, "autofocus": True}),
    )


class RefundForm(forms.Form):
    """How much of a top-up is to go back to whoever paid, and why."""

    amount = AmountField(label="Amount", error_messages={"required": "Write an amount."})
    reason = forms.CharField(
        label="Why",
        max_length=LONGEST_REASON,
        error_messages={"required": "Write why."},
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}),
        help_text="Whoever decides reads it. Kept for ever.",
    )


class ClosingForm(forms.Form):
    """Why support ends a request for money back."""

    reason = _why(longest=LONGEST_REASON, help_text="Kept with it, for support and auditors.")


class DiscardForm(forms.Form):
    """Why a dead letter is given up."""

    reason = _why(longest=LONGEST_DISCARD, help_text="Kept with it and in the audit log.")


class DecisionForm(forms.Form):
    """Why a proposal is agreed to or refused."""

    reason = _why(longest=LONGEST_REASON, help_text="Kept for ever beside the first reason.")
