"""Forms of the account's pages. They are a courtesy: the deeds judge."""

from typing import Any, Final

from django import forms

from accounts import names, passwords
from accounts.address_field import AddressField

_LONGEST_CODE: Final = 40


def _password(label: str, *, new: bool = False, required: str = "Write your password.") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=passwords.LONGEST,
        strip=False,
        help_text="At least ten characters." if new else "",
        error_messages={"required": required},
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password" if new else "current-password"}),
    )


def _code(label: str, *, help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=_LONGEST_CODE,
        help_text=help_text,
        error_messages={"required": "Write the code."},
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )


class NameForm(forms.Form):
    full_name = forms.CharField(
        label="Your name",
        max_length=names.LONGEST,
        help_text="Those whom you pay read it.",
        error_messages={"required": "Write your name."},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


class PasswordForm(forms.Form):
    old_password = _password("Password now")
    new_password = _password("New password", new=True, required="Choose a password.")


class AskResetForm(forms.Form):
    address = AddressField(help_text="We send a code there, if it is yours.")


class ResetForm(forms.Form):
    address = AddressField()
    code = _code("Code")
    new_password = _password("New password", new=True, required="Choose a password.")


class NewPasswordForm(forms.Form):
    """`token`: of the link (`accounts.reset_links`)."""

    token = forms.CharField(max_length=100, widget=forms.HiddenInput)
    new_password = _password("New password", new=True, required="Choose a password.")


class _WithFactor(forms.Form):
    """The second factor is asked for of whoever has one."""

    def __init__(self, *args: Any, with_factor: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if with_factor:
            self.fields["otp"] = _code("Code", help_text="From your authenticator app, or one of your recovery codes.")
            # Whoever has shown a passkey a moment ago has no code; the deed knows.
            self.fields["otp"].required = False


class AddressForm(_WithFactor):
    address = AddressField(label="New e-mail or phone", help_text="We send a code there.")
    password = _password("Password")


class RemovalForm(_WithFactor):
    password = _password("Password")


class ConfirmAddressForm(forms.Form):
    """The codes that a change still waits for."""

    def __init__(self, *args: Any, wants_code: bool, wants_own: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if wants_own:
            self.fields["own_code"] = _code("Code that your wallet's address got")
        if wants_code:
            self.fields["code"] = _code("Code that the new address got")
