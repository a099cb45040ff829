"""What the money calls take and give."""

from typing import Any

from rest_framework import serializers

from ledger.queries import MOST_ROWS, USUAL_ROWS
from ledger.serializers import TransactionAnswer
from payments.bank_accounts import masked_number
from payments.bank_names import bank_of
from payments.models import BankAccount
from payments.texts import LONGEST_NOTE, LONGEST_ORDER_REFERENCE
from wallet_project.kernel.fields import RowLimit, Text, UtcTime
from wallet_project.kernel.money import DECIMALS, MalformedAmount, Money
from wallets.serializers import MoneyAnswer

_LONGEST_TEXT = 1000


class AmountRequest(serializers.Serializer[None]):
    """`amount` and `currency`, read to `money`. The decimals follow the currency."""

    amount = Text(max_length=_LONGEST_TEXT, help_text='Digits, with at most the currency\'s decimals: "500.00".')
    currency = Text(required=False, allow_null=True, max_length=_LONGEST_TEXT, default="INR")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        currency = attrs.pop("currency") or "INR"
        amount = attrs.pop("amount")
        if currency not in DECIMALS:
            raise serializers.ValidationError({"currency": "The wallet does not know this currency."}, code="invalid")
        try:
            return {**attrs, "amount": Money.parse(amount, currency)}
        except MalformedAmount as error:
            raise serializers.ValidationError({"amount": str(error)}, code="invalid") from error


class TransferRequest(AmountRequest):
    to = Text(max_length=_LONGEST_TEXT, help_text="An e-mail address, a phone number in E.164, or a wallet id.")
    note = Text(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_NOTE)


class PayRequest(AmountRequest):
    merchant = Text(max_length=_LONGEST_TEXT, help_text="The merchant's id or handle.")
    order_reference = Text(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_ORDER_REFERENCE)
    note = Text(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_NOTE)


class WithdrawRequest(AmountRequest):
    bank_account = Text(max_length=_LONGEST_TEXT, help_text="The account's id, `bnk_…`.")


class QuoteAnswer(serializers.Serializer[Any]):
    """What a payment would cost and leave; nothing has moved."""

    amount = MoneyAnswer()
    fee = MoneyAnswer()
    balance_after = MoneyAnswer()
    step_up_required = serializers.BooleanField()


class PayeeRequest(serializers.Serializer[None]):
    to = Text(max_length=_LONGEST_TEXT, help_text="An e-mail address, a phone number in E.164, or a wallet id.")


class PayeeAnswer(serializers.Serializer[None]):
    display_name = serializers.CharField(help_text="A person's is masked: `Asha R.`")


class AddRequest(AmountRequest):
    """How much to add."""


class RefundRequest(serializers.Serializer[None]):
    """How much of a top-up to give back; without an amount, all that is left of it."""

    amount = Text(
        required=False, allow_null=True, max_length=_LONGEST_TEXT, help_text="Without one: all that is left of it."
    )
    currency = Text(required=False, allow_null=True, max_length=_LONGEST_TEXT, default="INR")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("amount") is None:
            return {}
        amounts = AmountRequest(data=attrs)
        amounts.is_valid(raise_exception=True)
        return dict(amounts.validated_data)


class CheckoutAnswer(serializers.Serializer[None]):
    provider = serializers.CharField()
    order_id = serializers.CharField()
    key_id = serializers.CharField()
    amount_minor = serializers.IntegerField(help_text="In paise.")
    currency = serializers.CharField()
    url = serializers.CharField(help_text="The hosted checkout.")


class AddAnswer(serializers.Serializer[None]):
    transaction = TransactionAnswer()
    checkout = CheckoutAnswer(allow_null=True, help_text="As first given.")


class ConfirmRequest(serializers.Serializer[None]):
    """The three fields that the gateway's checkout comes back with."""

    razorpay_order_id = Text(max_length=_LONGEST_TEXT)
    razorpay_payment_id = Text(max_length=_LONGEST_TEXT)
    razorpay_signature = Text(max_length=_LONGEST_TEXT)


class BankAccountRequest(serializers.Serializer[None]):
    holder_name = Text(max_length=_LONGEST_TEXT, help_text="As the bank has it: 3 to 50 characters.")
    ifsc = Text(max_length=_LONGEST_TEXT, help_text="Eleven characters, in any case.")
    account_number = Text(max_length=_LONGEST_TEXT, help_text="5 to 18 digits.")


class BankAccountListRequest(serializers.Serializer[None]):
    """The query of the list."""

    limit = RowLimit(required=False, default=USUAL_ROWS, min_value=1, max_value=MOST_ROWS)
    cursor = Text(required=False, allow_blank=True)


class BankAccountAnswer(serializers.Serializer[Any]):
    """A bank account, masked."""

    id = serializers.CharField(source="public_id")
    holder_name = serializers.CharField()
    ifsc = serializers.CharField()
    account_number = serializers.SerializerMethodField(help_text="Only the last four digits: `••••••••0001`.")
    bank = serializers.SerializerMethodField(help_text="The bank's name, where it is known.")
    status = serializers.ChoiceField(
        source="validation",
        choices=BankAccount.Validation.choices,
        help_text="Whether its bank knows it. Only INVALID refuses withdrawals.",
    )
    created_at = UtcTime()

    def get_account_number(self, account: BankAccount) -> str:
        return masked_number(account=account)

    def get_bank(self, account: BankAccount) -> str | None:
        return bank_of(account.ifsc)


class BankAccountListAnswer(serializers.Serializer[None]):
    results = BankAccountAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page.")
