"""Forms of the admin. A courtesy: the deeds judge."""

from typing import Final

from django import forms

from payments.models import Case

LONGEST_RESOLUTION: Final = Case._meta.get_field("resolution").max_length or 300


class ResolutionForm(forms.Form):
    """What was done about a case; kept with it."""

    resolution = forms.CharField(
        label="What was done",
        max_length=LONGEST_RESOLUTION,
        error_messages={"required": "Write what was done."},
        widget=forms.Textarea(attrs={"rows": 4, "cols": 60, "autofocus": True}),
    )
