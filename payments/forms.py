"""
Forms of the pages that move money. A courtesy only: every rule stands in the deeds.

Each carries an idempotency key of its own. It is fresh when the form is first shown, stays through the review and
after an unknown outcome, and is fresh again after a refusal, so that a double click, a reload or Back never moves
money twice.
"""

import re
from typing import Any, Final, Self, cast

from django import forms

from payments.bank_accounts import label_of
from payments.models import BankAccount
from payments.texts import LONGEST_NOTE, LONGEST_ORDER_REFERENCE
from wallet_project.kernel.ids import new_uuid, parse_public_id, public_id
from wallet_project.kernel.money import MalformedAmount, Money

LONGEST_PAYEE: Final = 254
_KEY_PREFIX: Final = "page-"
# How people group digits: 1,00,000 or 100,000. A comma anywhere else may be meant as a decimal point.
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?:\.[0-9]+)?\Z")


def new_key() -> str:
    """Its prefix keeps a page's key apart from those that the person's own programs choose."""
    return _KEY_PREFIX + public_id("key", new_uuid())


class RupeesInput(forms.TextInput):
    """A text box with a ₹ before it; a phone shows its number pad. (`type=number` would round and scroll.)"""


class AmountField(forms.CharField):
    """Text as people write an amount (`₹1,00,000.50`); cleaned it is Money above zero."""

    widget = RupeesInput
    may_be_zero = False
    says = "Write an amount above zero, such as 500 or 1,250.50."

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=40, **kwargs)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "decimal", "autocomplete": "off"}

    def clean(self, value: Any) -> Any:
        """None where it may be left empty and is."""
        text = super().clean(value)
        if not text and not self.required:
            return None
        bare = text.removeprefix("₹").strip()
        if _GROUPED.match(bare):
            bare = bare.replace(",", "")
        try:
            return Money.parse(bare, may_be_zero=self.may_be_zero)
        except MalformedAmount as error:
            raise forms.ValidationError(self.says) from error


class KeyField(forms.CharField):
    """The form's idempotency key; one that we did not make is refused."""

    def __init__(self) -> None:
        # Without autocomplete="off" a browser may put an older key back into a form loaded anew.
        super().__init__(max_length=64, widget=forms.HiddenInput(attrs={"autocomplete": "off"}))

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text.startswith(_KEY_PREFIX) or parse_public_id("key", text.removeprefix(_KEY_PREFIX)) is None:
            raise forms.ValidationError("This form is out of date. Reload the page.")
        return text


class NoteField(forms.CharField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=LONGEST_NOTE, required=False, widget=forms.TextInput, **kwargs)


class PayeeField(forms.CharField):
    """An address as typed; phone numbers are written with blanks and dashes, and the deeds take none."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}
        super().__init__(max_length=LONGEST_PAYEE, widget=forms.TextInput(attrs=attrs), **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return re.sub(r"[ ()-]", "", text) if text.startswith("+") else text


class MoneyForm(forms.Form):
    """A form that moves money once, however often it is sent."""

    key = KeyField()

    def again(self, *, fresh_key: bool) -> Self:
        """The same form as filled in, to be shown once more."""
        data = self.as_typed
        if fresh_key or "key" in self.errors:
            data["key"] = new_key()
        return self.filled(data)

    def filled(self, data: dict[str, str]) -> Self:
        return type(self)(data)

    @property
    def as_typed(self) -> dict[str, str]:
        return {name: str(self.data.get(name, "")) for name in self.fields}

    @property
    def fields_of_deed(self) -> dict[str, Any]:
        """What was filled in, without the key."""
        return {name: value for name, value in self.cleaned_data.items() if name != "key"}


class AddMoneyForm(MoneyForm):
    amount = AmountField(label="Amount", error_messages={"required": "Write an amount."})


class SendForm(MoneyForm):
    to = PayeeField(
        label="To",
        help_text="E-mail address, phone number with its country, or wallet id.",
        error_messages={"required": "Write whom the money is for."},
    )
    amount = AmountField(label="Amount", error_messages={"required": "Write an amount."})
    note = NoteField(label="Note", help_text="The one you pay sees it too.")


class PayForm(MoneyForm):
    merchant = PayeeField(
        label="Shop",
        help_text="Its handle, such as meera-books.",
        error_messages={"required": "Write which shop you pay."},
    )
    amount = AmountField(label="Amount", error_messages={"required": "Write an amount."})
    order_reference = forms.CharField(
        label="Order number",
        required=False,
        max_length=LONGEST_ORDER_REFERENCE,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    note = NoteField(label="Note", help_text="The shop sees it too.")


class AccountField(forms.ChoiceField):
    """One of the person's bank accounts. That it is theirs, the deed judges: here it only has to be an id of one."""

    widget = forms.RadioSelect

    def valid_value(self, value: Any) -> bool:
        return parse_public_id(BankAccount.PREFIX, value) is not None


class WithdrawForm(MoneyForm):
    """:param accounts: those to choose from."""

    bank_account = AccountField(
        label="To",
        error_messages={
            "required": "Choose the account that the money goes to.",
            "invalid_choice": "Choose one of your bank accounts.",
        },
    )
    amount = AmountField(label="Amount", error_messages={"required": "Write an amount."})
    wallet = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput, empty_value=None)

    def __init__(self, *args: Any, accounts: list[BankAccount], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.accounts = accounts
        choices = [(each.public_id, f"{label_of(account=each)} · {each.holder_name}") for each in accounts]
        cast(AccountField, self.fields["bank_account"]).choices = choices

    def filled(self, data: dict[str, str]) -> Self:
        return type(self)(data, accounts=self.accounts)


class AskBackForm(forms.Form):
    """A word to whoever got money by mistake."""

    note = NoteField(label="A word to them", help_text="Such as: I mistyped the number, sorry.")


class BlockForm(forms.Form):
    """Whom to keep away."""

    to = PayeeField(
        label="Block a person",
        help_text="Their e-mail address, phone number with its country, or wallet id.",
        error_messages={"required": "Write whom to block."},
    )


class RefundForm(MoneyForm):
    amount = AmountField(label="Amount", error_messages={"required": "Write an amount."})


class NumberField(forms.CharField):
    """An account number as typed from a passbook: blanks and dashes between its digits mean nothing."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"inputmode": "numeric", "autocomplete": "off", "spellcheck": "false"}
        super().__init__(max_length=40, widget=forms.TextInput(attrs=attrs), **kwargs)

    def clean(self, value: Any) -> Any:
        return re.sub(r"[ -]", "", super().clean(value))


class BankAccountForm(forms.Form):
    """The number is typed twice: money sent to a wrong one may not come back."""

    holder_name = forms.CharField(
        label="Account holder",
        help_text="The name as your bank has it.",
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": "Write the name as your bank has it."},
    )
    ifsc = forms.CharField(
        label="IFSC",
        help_text="Eleven characters, like HDFC0001234. It is on your cheque book and in your bank's app.",
        max_length=40,
        widget=forms.TextInput(attrs={"autocapitalize": "characters", "autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": "Write your branch's IFSC."},
    )
    account_number = NumberField(label="Account number", error_messages={"required": "Write the account number."})
    account_number_again = NumberField(
        label="Account number again", error_messages={"required": "Write the account number a second time."}
    )

    def clean_ifsc(self) -> str:
        return str(self.cleaned_data["ifsc"]).replace(" ", "")

    def clean_account_number_again(self) -> str:
        again = str(self.cleaned_data["account_number_again"])
        if again != self.cleaned_data.get("account_number", again):
            raise forms.ValidationError("The two numbers differ. Look at both once more.")
        return again

    @property
    def fields_of_deed(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "account_number_again"}
