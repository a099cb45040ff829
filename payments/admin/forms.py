"""Forms of the admin. A courtesy: the deeds judge."""

from typing import Final

from django import forms

from payments.forms import AmountField, MoneyForm
from payments.models import Case

LONGEST_RESOLUTION: Final = Case._meta.get_field("resolution").max_length or 300
LONGEST_REASON: Final = 200


class ResolutionForm(forms.Form):
    """What was done about a case; kept with it."""

    resolution = forms.CharField(
        label="What was done",
        max_length=LONGEST_RESOLUTION,
        error_messages={"required": "Write what was done."},
        widget=forms.Textarea(attrs={"rows": 4, "cols": 60, "autofocus": True}),
    )


class RefundForm(MoneyForm):
    """How much of a top-up goes back to whoever paid, and why. The key makes a double click one refund."""

    amount = AmountField(label="Amount", error_messages={"required": "Write an amount."})
    reason = forms.CharField(
        label="Why",
        max_length=LONGEST_REASON,
        error_messages={"required": "Write why."},
        widget=forms.TextInput(attrs={"size": 60, "autocomplete": "off"}),
        help_text="Kept in the admin's log, and shown to nobody else.",
    )
