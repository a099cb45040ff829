"""Forms of a lost second factor. They are a courtesy: the deeds judge."""

from django import forms

from accounts import lost_factors


class LostFactorForm(forms.Form):
    """What the person says."""

    statement = forms.CharField(
        label="How can you prove who you are?",
        help_text="For example: which identity document you gave us, your latest payments, when we can call you, and "
        "where. Never write your password or a code.",
        max_length=lost_factors.LONGEST_TEXT,
        error_messages={"required": "Write how you can prove who you are."},
        widget=forms.Textarea(attrs={"rows": 5}),
    )


class DecisionForm(forms.Form):
    """What one of support says."""

    decision = forms.ChoiceField(
        choices=[("approve", "It is them"), ("refuse", "Refuse")],
        widget=forms.RadioSelect,
        error_messages={"required": "Approve or refuse."},
    )
    reason = forms.CharField(
        max_length=lost_factors.LONGEST_TEXT,
        help_text="How you know that it is them. If you refuse: why; the person reads it.",
        error_messages={"required": "Write why."},
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
    )
