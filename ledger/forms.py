"""The form that looks through a history."""

from typing import Any

from django import forms

from ledger.queries import LONGEST_SEARCH, Filters
from ledger.wording import KINDS, STATES


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        # The form in which browsers send it, whatever the person's language.
        super().__init__(format="%Y-%m-%d")


class HistoryForm(forms.Form):
    """Everything is optional; an empty form finds everything."""

    q = forms.CharField(label="Words", required=False, max_length=LONGEST_SEARCH)
    type = forms.ChoiceField(label="Kind", required=False, choices=[("", "All"), *KINDS])
    status = forms.ChoiceField(label="State", required=False, choices=[("", "All"), *STATES])
    to = forms.DateField(label="Until", required=False, widget=DayInput, input_formats=["%Y-%m-%d"])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # `from` is a word of Python's.
        self.fields["from"] = forms.DateField(label="From", required=False, widget=DayInput, input_formats=["%Y-%m-%d"])
        self.order_fields(["q", "type", "status", "from", "to"])

    @property
    def filters(self) -> Filters:
        given = self.cleaned_data
        return Filters(
            type=given["type"] or None,
            status=given["status"] or None,
            from_date=given["from"],
            to_date=given["to"],
            search=given["q"] or None,
        )
