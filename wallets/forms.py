"""Forms of the wallets' pages."""

from django import forms

from accounts.address_field import AddressField
from accounts.verification import CODE_DIGITS


class VerifyForm(forms.Form):
    address = AddressField()
    code = forms.CharField(
        label="Code",
        max_length=20,
        help_text=f"The {CODE_DIGITS} digits that we sent you.",
        error_messages={"required": "Write the code that we sent you."},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "class": "code"}),
    )

    def clean_code(self) -> str:
        """People copy codes with spaces in them."""
        return "".join(str(self.cleaned_data["code"]).split())
