"""What the wallets' calls give."""

from typing import Any

from rest_framework import serializers

from wallet_project.kernel.fields import UtcTime
from wallets.models import Wallet
from wallets.queries import Balance


class MoneyAnswer(serializers.Serializer[Any]):
    """An exact amount: `{"amount": "500.00", "currency": "INR"}`."""

    amount = serializers.CharField(source="text", help_text="With exactly the currency's decimals.")
    currency = serializers.CharField()


class BalanceAnswer(serializers.Serializer[Balance]):
    wallet = serializers.CharField(source="wallet.public_id")
    balance = MoneyAnswer()
    available = MoneyAnswer(help_text="The balance less what is held.")
    status = serializers.ChoiceField(source="wallet.status", choices=Wallet.Status.choices)
    as_of = UtcTime()
