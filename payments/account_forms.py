"""Forms of the account's pages. A courtesy: the deeds judge."""

from typing import Any

from django import forms

from accounts import passwords


class OwnPasswordField(forms.CharField):
    """The password of whoever is signed in, asked for once more."""

    def __init__(self) -> None:
        super().__init__(
            label="Your password",
            max_length=passwords.LONGEST,
            strip=False,
            error_messages={"required": "Write your password."},
            widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        )


class DataForm(forms.Form):
    password = OwnPasswordField()


class CloseForm(forms.Form):
    """:param with_factor: whether a second factor must be shown too."""

    password = OwnPasswordField()
    otp = forms.CharField(
        label="Code",
        max_length=40,
        help_text="From your authenticator app, or one of your recovery codes.",
        error_messages={"required": "Write the code that your app shows."},
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "class": "code"}),
    )

    def __init__(self, *args: Any, with_factor: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_factor:
            del self.fields["otp"]

    @property
    def fields_of_deed(self) -> dict[str, str]:
        return {"password": self.cleaned_data["password"], "otp": self.cleaned_data.get("otp", "")}
