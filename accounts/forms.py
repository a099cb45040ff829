"""Forms of the accounts' pages and of the admin. They are a courtesy: the deeds judge."""

from collections.abc import Mapping
from typing import Any

from django import forms

from accounts import blocking, names, passwords
from accounts.address_field import AddressField, AddressInput


class ConsentField(forms.BooleanField):
    """A box that must be ticked; the texts open beside the form, so that nothing typed is lost."""

    def __init__(self) -> None:
        super().__init__(
            label="I agree to the terms of use and the privacy notice.",
            error_messages={"required": "Without this we may not hold money for you."},
        )


class RegisterForm(forms.Form):
    full_name = forms.CharField(
        label="Your name",
        max_length=names.LONGEST,
        error_messages={"required": "Write your name."},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    address = AddressField(help_text="We send a code there.")
    password = forms.CharField(
        label="Password",
        max_length=passwords.LONGEST,
        strip=False,
        help_text="At least ten characters.",
        error_messages={"required": "Choose a password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    accepts = ConsentField()


class ConsentForm(forms.Form):
    """`seen`: the editions that were shown, by name."""

    accepts = ConsentField()
    seen = forms.CharField(max_length=200, widget=forms.HiddenInput)
    next = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)


class _SignInInput(AddressInput):
    """Programs that know Django's admin name it `username`."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        return super().value_from_datadict(data, files, name if name in data else "username")


class SignInForm(forms.Form):
    address = AddressField(widget=_SignInInput())
    password = forms.CharField(
        label="Password",
        max_length=passwords.LONGEST,
        strip=False,
        error_messages={"required": "Write your password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    next = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)


class ResendForm(forms.Form):
    address = AddressField()


class ReasonForm(forms.Form):
    """Why somebody is blocked, or a wallet frozen, or that lifted; kept for ever."""

    reason = forms.CharField(
        max_length=blocking.LONGEST_REASON, widget=forms.Textarea(attrs={"rows": 4, "cols": 60, "autofocus": True})
    )
