"""The calls of a whole account: closing it, and having all data about oneself."""

from typing import Any, cast

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.tasks import wake_sender
from payments.closing import close_account
from payments.personal_data import download
from wallet_project.kernel.fields import Text
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems

# Far past what any of them may be: the deed says no with better words, this only bounds its work.
_LONGEST_TEXT = 1000
_CLOSE_PROBLEMS = (
    "credentials_invalid",
    "otp_required",
    "otp_invalid",
    "permission_denied",
    "account_not_empty",
    "too_many_tries",
)


class CloseRequest(serializers.Serializer[None]):
    password = Text(max_length=_LONGEST_TEXT)
    otp = Text(required=False, allow_null=True, max_length=_LONGEST_TEXT, help_text="Only with a second factor.")


class CloseView(APIView):
    # Each call hashes a password.
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="me_close",
        request=CloseRequest,
        responses={204: None, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, *_CLOSE_PROBLEMS)},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Close your account for ever. Your wallets must be empty and nothing on its way: else 422 `account_not_empty`,
        whose `errors` say what is left.
        """
        given = CloseRequest(data=request.data)
        given.is_valid(raise_exception=True)
        password, otp = given.validated_data["password"], given.validated_data.get("otp") or ""
        wake_sender(close_account(user=cast(User, request.user), password=password, otp=otp, now=timezone.now()))
        return Response(status=status.HTTP_204_NO_CONTENT)


class DataView(APIView):
    @extend_schema(
        operation_id="me_data",
        responses={200: OpenApiTypes.OBJECT, **problems(*TOKEN_PROBLEMS, "too_many_requests")},
        tags=["Identity"],
    )
    def get(self, request: Request) -> Any:
        """
        All data that the wallet keeps about you, a few times a day. Parts may be added to it at any time. Of an
        identity document's number these are the last four characters; the page, which asks for your password, has it
        whole.
        """
        pieces = download(user=cast(User, request.user), password=None, now=timezone.now())
        return StreamingHttpResponse(pieces, content_type="application/json")
