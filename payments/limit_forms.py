"""Forms about limits. A courtesy: the deeds judge."""

from typing import Any, Final

from django import forms

from accounts.models import User
from payments.allowances import Bounds
from payments.forms import AmountField
from payments.models.limits import Limited
from payments.proposals import LONGEST_REASON
from wallet_project.kernel.money import Money

_REQUIRED: Final = {"required": "Write an amount."}


class LimitField(AmountField):
    """An amount that may be nothing; or no amount: no limit."""

    may_be_zero = True
    says = "Write an amount, such as 500 or 1,250.50."


class OwnLimitsForm(forms.Form):
    """What is left empty is not limited by oneself."""

    per_transaction = LimitField(label="At once", required=False)
    per_day = LimitField(label="In a day", required=False)
    per_month = LimitField(label="In a month", required=False)

    @staticmethod
    def initial_of(own: Bounds) -> dict[str, str]:
        amounts = {"per_transaction": own.per_transaction, "per_day": own.per_day, "per_month": own.per_month}
        return {name: amount.text for name, amount in amounts.items() if amount is not None}


class _Reasoned(forms.Form):
    """What the second person reads."""

    reason = forms.CharField(
        label="Why",
        max_length=LONGEST_REASON,
        error_messages={"required": "Write why."},
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
    )


class LimitRuleForm(_Reasoned):
    """The operator's limits of a level and a type."""

    kyc_level = forms.ChoiceField(label="KYC level", choices=User.KycLevel.choices)
    type = forms.ChoiceField(label="What is", choices=Limited.choices)
    per_transaction = LimitField(label="At once", error_messages=_REQUIRED)
    per_day = LimitField(label="In a day", error_messages=_REQUIRED)
    per_month = LimitField(label="In a month", error_messages=_REQUIRED)

    field_order = ("kyc_level", "type", "per_transaction", "per_day", "per_month", "reason")

    @property
    def amounts(self) -> dict[str, Money]:
        return {name: self.cleaned_data[name] for name in ("per_transaction", "per_day", "per_month")}


class HoldingLimitForm(_Reasoned):
    """What a wallet may hold at a level."""

    kyc_level = forms.ChoiceField(label="KYC level", choices=User.KycLevel.choices)
    most = LimitField(label="At most", error_messages=_REQUIRED)

    field_order = ("kyc_level", "most", "reason")

    @property
    def amounts(self) -> dict[str, Any]:
        return {"most": self.cleaned_data["most"]}
