"""The calls of the second factor: an authenticator app enrolled, confirmed and removed."""

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import totp
from accounts.models import User
from accounts.sessions import begun_at
from accounts.tasks import wake_sender
from accounts.tokens import Claims
from wallet_project.kernel.fields import Text
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems

# Far past what either may be: the deeds say no with better words.
_LONGEST_TEXT = 1000


class TotpAnswer(serializers.Serializer[Any]):
    """What an authenticator app must be told: shown this once."""

    secret = serializers.CharField(help_text="Base 32, to be typed.")
    otpauth_uri = serializers.CharField(help_text="The same and the rest, to be scanned.")
    qr_svg = serializers.CharField(help_text="The URI as a QR code, an SVG document.")


class TotpRequest(serializers.Serializer[None]):
    password = Text(
        required=False,
        allow_null=True,
        max_length=_LONGEST_TEXT,
        help_text="Only where the sign-in is older than ten minutes; a refresh is none.",
    )
    otp = Text(
        required=False,
        allow_null=True,
        max_length=_LONGEST_TEXT,
        help_text="Only with a second factor: a recovery code.",
    )


class TotpConfirmRequest(serializers.Serializer[None]):
    code = Text(max_length=_LONGEST_TEXT, help_text="What the app shows now.")


class RecoveryCodesAnswer(serializers.Serializer[Any]):
    recovery_codes = serializers.ListField(child=serializers.CharField(), help_text="Ten, each good once; shown once.")


class TotpRemoveRequest(serializers.Serializer[None]):
    password = Text(max_length=_LONGEST_TEXT)
    otp = Text(max_length=_LONGEST_TEXT, help_text="The app's code, or a recovery code.")


class TotpView(APIView):
    @extend_schema(
        operation_id="auth_totp",
        request=TotpRequest,
        responses={
            200: TotpAnswer,
            **problems(
                *BODY_PROBLEMS,
                *TOKEN_PROBLEMS,
                "factor_already_on",
                "credentials_invalid",
                "otp_required",
                "otp_invalid",
                "too_many_tries",
            ),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        A secret for an authenticator app, within ten minutes of signing in or with the `password`. Nothing changes
        until it is confirmed, by the same session within ten minutes; the last one asked for counts.
        """
        given = TotpRequest(data=request.data)
        given.is_valid(raise_exception=True)
        session = cast(Claims, request.auth).session
        enrolment = totp.begin(
            user=cast(User, request.user),
            session=session,
            password=given.validated_data.get("password") or "",
            code=given.validated_data.get("otp") or "",
            signed_in_at=begun_at(session=session),
            now=timezone.now(),
        )
        return Response(TotpAnswer(enrolment).data)

    @extend_schema(
        operation_id="auth_totp_remove",
        request=TotpRemoveRequest,
        responses={
            204: None,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "credentials_invalid", "otp_invalid", "too_many_tries"),
        },
        tags=["Identity"],
    )
    def delete(self, request: Request) -> Response:
        """Remove the app. Every other session ends."""
        given = TotpRemoveRequest(data=request.data)
        given.is_valid(raise_exception=True)
        messages = totp.remove(
            user=cast(User, request.user),
            password=given.validated_data["password"],
            code=given.validated_data["otp"],
            keep=cast(Claims, request.auth).session,
            now=timezone.now(),
        )
        wake_sender(messages)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TotpConfirmView(APIView):
    @extend_schema(
        operation_id="auth_totp_confirm",
        request=TotpConfirmRequest,
        responses={
            200: RecoveryCodesAnswer,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "code_invalid", "too_many_tries"),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Show that the app has the secret that this session asked for. From now on it is asked for; every other session
        ends. For an account older than a day it proves payments and changes of address a day later; until then their
        codes go to an address.
        """
        given = TotpConfirmRequest(data=request.data)
        given.is_valid(raise_exception=True)
        confirmed = totp.confirm(
            user=cast(User, request.user),
            code=given.validated_data["code"],
            keep=cast(Claims, request.auth).session,
            now=timezone.now(),
        )
        wake_sender(confirmed.messages)
        return Response(RecoveryCodesAnswer(confirmed).data)
