"""Forms about identity documents. They are a courtesy: the deeds judge."""

from typing import Any

from django import forms

from accounts import kyc, kyc_images, kyc_numbers, names
from accounts.models import KycSubmission


class KycForm(forms.Form):
    full_name = forms.CharField(
        label="Your name",
        help_text="As the document has it.",
        max_length=names.LONGEST,
        error_messages={"required": "Write your name."},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    born = forms.DateField(
        label="Date of birth",
        error_messages={"required": "Write your date of birth.", "invalid": "Write a date."},
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", "autocomplete": "bday"}),
    )
    address = forms.CharField(
        label="Where you live",
        max_length=kyc.LONGEST_ADDRESS,
        error_messages={"required": "Write your address."},
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "street-address"}),
    )
    document = forms.ChoiceField(
        label="Document",
        choices=[(value, label[0].upper() + label[1:]) for value, label in KycSubmission.Document.choices],
        error_messages={"required": "Choose a document."},
    )
    number = forms.CharField(
        label="Its number",
        help_text="Kept encrypted. After this page you see no more of it than its last four characters.",
        max_length=kyc_numbers.LONGEST_TYPED,
        error_messages={"required": "Write the document's number."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    image = forms.FileField(
        label="A photograph of it",
        help_text="JPEG, PNG or WebP, at most five megabytes. Only the people who check it see it.",
        error_messages={"required": "Choose a photograph or scan.", "empty": "This file is empty."},
        widget=forms.FileInput(attrs={"accept": "image/jpeg,image/png,image/webp"}),
    )

    def clean_image(self) -> bytes:
        """Its bytes; its name and its type say nothing that can be believed."""
        uploaded = self.cleaned_data["image"]
        if uploaded.size > kyc_images.MOST_BYTES:
            raise forms.ValidationError("The image may have at most five megabytes.")
        return bytes(uploaded.read())

    @property
    def fields_of_deed(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


class DecisionForm(forms.Form):
    """What support says of a document."""

    decision = forms.ChoiceField(
        choices=[("approve", "Approve"), ("refuse", "Refuse")],
        widget=forms.RadioSelect,
        error_messages={"required": "Approve or refuse."},
    )
    reason = forms.CharField(
        max_length=kyc.LONGEST_REASON,
        help_text="The person reads it.",
        error_messages={"required": "Write why."},
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
    )
