"""The identity calls. `POST /auth/verify` is in wallets: a person who is verified gets a wallet with it."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import device_cookies
from accounts.registration import register
from accounts.serializers import (
    RefreshRequest,
    RegisterAnswer,
    RegisterRequest,
    RegistrationRequest,
    SignInAnswer,
    TokenAnswer,
    TokenRequest,
)
from accounts.sign_in import refresh, sign_in, sign_out
from accounts.tasks import wake_sender
from accounts.verification import resend
from wallet_project.kernel.schema import BODY_PROBLEMS, problems


class PublicView(APIView):
    """A call made before there is a token; one that is sent along is not looked at. Counted by network address."""

    authentication_classes = ()
    permission_classes = ()


class RegisterView(PublicView):
    throttle_scope = "register"

    @extend_schema(
        operation_id="auth_register",
        request=RegisterRequest,
        responses={201: RegisterAnswer, **problems(*BODY_PROBLEMS)},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Register. An address that is already taken is answered alike; its owner is told.

        Whoever registers agrees to the terms of use (`/terms`) and the privacy notice (`/privacy`) in force; show them.
        """
        given = RegisterRequest(data=request.data)
        given.is_valid(raise_exception=True)
        registration = register(**given.validated_data, now=timezone.now())
        wake_sender(registration.messages)
        return Response(
            RegisterAnswer({"user": registration.user, "verification": registration}).data,
            status=status.HTTP_201_CREATED,
        )


class ResendView(PublicView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="auth_verify_resend",
        request=RegistrationRequest,
        responses={
            202: OpenApiResponse(description="Taken note of, whether or not a code is due."),
            **problems(*BODY_PROBLEMS),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Send another code for the registration `user`; without that, one for each of the newest registrations of this
        address, in messages of their own that tell whose each is. Earlier ones stay good until they expire.
        """
        given = RegistrationRequest(data=request.data)
        given.is_valid(raise_exception=True)
        asked = given.validated_data
        wake_sender(resend(address=asked["address"], registration=asked["user"], now=timezone.now()))
        return Response(status=status.HTTP_202_ACCEPTED)


class TokenView(PublicView):
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="auth_token",
        request=TokenRequest,
        parameters=[
            OpenApiParameter(
                device_cookies.HEADER,
                location=OpenApiParameter.HEADER,
                description="What an earlier sign-in gave as `device`: strangers' failures are then not yours.",
            )
        ],
        responses={
            200: SignInAnswer,
            **problems(
                *BODY_PROBLEMS,
                "credentials_invalid",
                "otp_required",
                "otp_invalid",
                "not_verified",
                "blocked",
                "too_many_tries",
            ),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """Sign in: a ten-minute access token, and a refresh token that works once."""
        given = TokenRequest(data=request.data)
        given.is_valid(raise_exception=True)
        signed_in = sign_in(
            address=given.validated_data["address"],
            password=given.validated_data["password"],
            otp=given.validated_data.get("otp"),
            device_tokens=device_cookies.shown_by(request._request),
            now=timezone.now(),
        )
        wake_sender(signed_in.messages)
        response = Response(SignInAnswer(signed_in).data)
        device_cookies.keep(response, tokens=signed_in.device_tokens)
        return response


class RefreshView(PublicView):
    @extend_schema(
        operation_id="auth_token_refresh",
        request=RefreshRequest,
        responses={200: TokenAnswer, **problems(*BODY_PROBLEMS, "token_invalid", "blocked")},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """A new pair for a refresh token. Using one twice ends the session."""
        given = RefreshRequest(data=request.data)
        given.is_valid(raise_exception=True)
        return Response(TokenAnswer(refresh(refresh=given.validated_data["refresh"], now=timezone.now())).data)


class LogoutView(PublicView):
    @extend_schema(
        operation_id="auth_logout",
        request=RefreshRequest,
        responses={204: None, **problems(*BODY_PROBLEMS, "token_invalid")},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """End the session: its refresh and access tokens die at once. Twice is as good as once."""
        given = RefreshRequest(data=request.data)
        given.is_valid(raise_exception=True)
        sign_out(refresh=given.validated_data["refresh"], now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
