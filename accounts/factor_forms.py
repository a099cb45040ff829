"""Forms of the second factor. They are a courtesy: the deeds judge."""

from typing import Any, Final

from django import forms

from accounts import passkeys, passwords

_LONGEST_CODE: Final = 40


def _code(label: str, *, required: bool = True, help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=_LONGEST_CODE,
        required=required,
        help_text=help_text,
        error_messages={"required": "Write the code."},
        # A recovery code has letters, so no keyboard of digits.
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )


def _password() -> forms.CharField:
    return forms.CharField(
        label="Password",
        max_length=passwords.LONGEST,
        strip=False,
        error_messages={"required": "Write your password."},
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


def _credential() -> forms.CharField:
    """Filled in by the browser's script; its id must not be that of another form's."""
    return forms.CharField(
        max_length=passkeys.LONGEST_ANSWER,
        error_messages={"required": "Your browser made no passkey. Try again."},
        widget=forms.HiddenInput(attrs={"id": None}),
    )


class SecondStepForm(forms.Form):
    """After the password."""

    code = _code("Code", help_text="From your authenticator app, or one of your recovery codes.")


class ConfirmForm(forms.Form):
    """The first code of an app."""

    code = forms.CharField(
        label="Code from the app",
        max_length=_LONGEST_CODE,
        error_messages={"required": "Write the code."},
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


class AgainForm(forms.Form):
    """Password and factor once more, before a factor is changed."""

    password = _password()
    code = _code("Code", help_text="From your authenticator app, or one of your recovery codes.")


class AgainSoonForm(forms.Form):
    """The same, a moment after the factor was shown: then the password is enough."""

    password = _password()


class PasskeyForm(forms.Form):
    """What names a passkey, and who asks for it; the browser adds what it made."""

    name = forms.CharField(
        label="Name",
        max_length=passkeys.LONGEST_NAME,
        initial="This device",
        help_text="So that you know it again.",
        error_messages={"required": "Give it a name."},
    )
    password = _password()
    # Asked for before the challenge is given, of whoever has a factor and did not show it a moment ago.
    code = _code("Code", required=False, help_text="From your authenticator app, or one of your recovery codes.")
    credential = _credential()

    def __init__(self, *args: Any, with_code: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_code:
            del self.fields["code"]


class ShownPasskeyForm(forms.Form):
    """What the browser says for a passkey."""

    credential = _credential()
