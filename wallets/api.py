"""The wallets' calls: verification, which opens a wallet, and the balance."""

from typing import Final, cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import PublicView
from accounts.models import User
from accounts.serializers import VerifyAnswer, VerifyRequest
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems
from wallets.opening import verify_and_open_wallet
from wallets.queries import balance_of
from wallets.serializers import BalanceAnswer

WALLET_PARAMETER: Final = OpenApiParameter(
    "wallet", str, description="Another wallet of yours (a merchant's) instead of your own USER wallet."
)


class VerifyView(PublicView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="auth_verify",
        request=VerifyRequest,
        responses={200: VerifyAnswer, **problems(*BODY_PROBLEMS, "code_invalid", "blocked", "too_many_tries")},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """Prove an address with the code sent there. The person is active from then on, and has a wallet."""
        given = VerifyRequest(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        user = verify_and_open_wallet(
            address=asked["address"], code=asked["code"], registration=asked["user"], now=timezone.now()
        )
        return Response(VerifyAnswer({"user": user}).data)


class BalanceView(APIView):
    @extend_schema(
        operation_id="wallet_balance",
        parameters=[WALLET_PARAMETER],
        responses={200: BalanceAnswer, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=["Money"],
    )
    def get(self, request: Request) -> Response:
        """What is in the wallet, and what of it may leave now."""
        balance = balance_of(user=cast(User, request.user), wanted=request.query_params.get("wallet"))
        return Response(BalanceAnswer(balance).data)
