"""Limits by the API: what holds for a person and what is left of it, and setting their own."""

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.tasks import wake_sender
from payments.allowances import allowance_of, allowances_of
from payments.models.limits import Limited
from payments.own_limits import set_own_limits
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.fields import Text, UtcTime
from wallet_project.kernel.money import MalformedAmount, Money
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems
from wallets.serializers import MoneyAnswer

_LONGEST_TEXT = 1000


class LimitAmount(Text):
    """Rupees as the contract writes an amount; nothing at all is an amount here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "allow_null": True, "max_length": _LONGEST_TEXT, **options})

    def run_validation(self, data: Any = serializers.empty) -> Money | None:
        text = super().run_validation(data)
        if text is None:
            return None
        try:
            return Money.parse(text, may_be_zero=True)
        except MalformedAmount as error:
            raise serializers.ValidationError(str(error), code="invalid") from error


class OwnLimitsRequest(serializers.Serializer[None]):
    """All of one's own limits of this type. What is null or left out is not limited by oneself."""

    per_transaction = LimitAmount(default=None, help_text='Rupees: "500.00".')
    per_day = LimitAmount(default=None)
    per_month = LimitAmount(default=None)


class BoundsAnswer(serializers.Serializer[Any]):
    per_transaction = MoneyAnswer(allow_null=True)
    per_day = MoneyAnswer(allow_null=True)
    per_month = MoneyAnswer(allow_null=True)


class WaitingRaiseAnswer(serializers.Serializer[Any]):
    per_transaction = MoneyAnswer(allow_null=True, source="bounds.per_transaction")
    per_day = MoneyAnswer(allow_null=True, source="bounds.per_day")
    per_month = MoneyAnswer(allow_null=True, source="bounds.per_month")
    since = UtcTime()


class AllowanceAnswer(BoundsAnswer):
    """What holds is the lower of the operator's and one's own. Days and months are Asia/Kolkata's."""

    type = serializers.ChoiceField(choices=Limited.choices)
    per_transaction = MoneyAnswer(allow_null=True, source="bounds.per_transaction")
    per_day = MoneyAnswer(allow_null=True, source="bounds.per_day")
    per_month = MoneyAnswer(allow_null=True, source="bounds.per_month")
    used_today = MoneyAnswer()
    used_this_month = MoneyAnswer()
    left_today = MoneyAnswer(allow_null=True)
    left_this_month = MoneyAnswer(allow_null=True)
    left = MoneyAnswer(allow_null=True, help_text="The most that the next one may be, whatever the wallet holds.")
    own = BoundsAnswer(help_text="One's own.")
    waiting = WaitingRaiseAnswer(allow_null=True, help_text="Higher ones of one's own, and from when on they hold.")


class HoldingAnswer(serializers.Serializer[Any]):
    most = MoneyAnswer(allow_null=True)
    left = MoneyAnswer(allow_null=True)


class AllowancesAnswer(serializers.Serializer[Any]):
    kyc_level = serializers.ChoiceField(choices=User.KycLevel.choices)
    holding = HoldingAnswer(help_text="The most that the wallet may hold.")
    limits = AllowanceAnswer(many=True, source="of_types")


class LimitsView(APIView):
    @extend_schema(
        operation_id="limits",
        responses={200: AllowancesAnswer, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=["Limits"],
    )
    def get(self, request: Request) -> Response:
        """How much you may still move, by type, and how much your wallet may hold."""
        found = allowances_of(user=cast(User, request.user), now=timezone.now())
        return Response(AllowancesAnswer(found).data)


class OwnLimitsView(APIView):
    @extend_schema(
        operation_id="limits_set",
        parameters=[OpenApiParameter("type", OpenApiTypes.STR, OpenApiParameter.PATH, enum=Limited.values)],
        request=OwnLimitsRequest,
        responses={200: AllowanceAnswer, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "not_found")},
        tags=["Limits"],
    )
    def put(self, request: Request, type: str) -> Response:
        """
        Set your own limits of one type, below the operator's. Lower ones hold at once; higher ones, or none, after a
        day, and a later wish takes their place.
        """
        if type not in Limited:
            raise Refusal("not_found")
        given = OwnLimitsRequest(data=request.data)
        given.is_valid(raise_exception=True)
        user, now = cast(User, request.user), timezone.now()
        wake_sender(set_own_limits(user=user, type=Limited(type), now=now, **given.validated_data))
        return Response(AllowanceAnswer(allowance_of(user=user, type=Limited(type), now=now)).data)
