"""The form field for an e-mail address or a phone number, where either will do."""

from typing import Any

from django import forms

from accounts.addresses import LONGEST, MalformedAddress, any_address


class AddressInput(forms.TextInput):
    """One line, as browsers fill it in."""

    def __init__(self) -> None:
        super().__init__({"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"})


class AddressField(forms.CharField):
    """Cleaned to an `Address`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                "label": "E-mail or phone",
                "max_length": LONGEST,
                "widget": AddressInput(),
                "error_messages": {"required": "Write your e-mail address or phone number."},
                **kwargs,
            }
        )

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return any_address(text) if text else None
        except MalformedAddress as error:
            if "@" in text:
                raise forms.ValidationError(str(error)) from error
            raise forms.ValidationError(
                "Write an e-mail address, or a phone number with its country, such as +919876543210."
            ) from error
