"""Forms of the pages about a merchant's webhooks. A courtesy: the deeds judge."""

from typing import Any, Final

from django import forms

from payments.account_forms import OwnPasswordField
from payments.merchant_webhooks.event_types import TYPES
from wallet_project.kernel.public_addresses import LONGEST_URL

_CHOICES: Final = [(type, f"{type}: {sentence}") for type, sentence in TYPES.items()]


class TypesForm(forms.Form):
    types = forms.MultipleChoiceField(
        label="Tell it of",
        choices=_CHOICES,
        initial=list(TYPES),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one."},
    )


class AgainForm(forms.Form):
    """
    That it is you, once more.

    :param with_code: whether a second factor must be shown too.
    """

    password = OwnPasswordField()
    code = forms.CharField(
        label="Code",
        max_length=40,
        help_text="From your authenticator app, or one of your recovery codes.",
        error_messages={"required": "Write the code."},
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, with_code: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_code:
            del self.fields["code"]

    @property
    def of_deed(self) -> dict[str, Any]:
        return {"password": self.cleaned_data["password"], "code": self.cleaned_data.get("code", "")}


class EndpointForm(AgainForm, TypesForm):
    url = forms.CharField(
        label="Address of your server",
        max_length=LONGEST_URL,
        help_text="Begins with https://.",
        error_messages={"required": "Write the address."},
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "https://"}),
    )
    field_order = ("url", "types", "password", "code")

    @property
    def of_deed(self) -> dict[str, Any]:
        return {**super().of_deed, "url": self.cleaned_data["url"], "types": self.cleaned_data["types"]}
