"""The identity calls. `POST /auth/verify` is in wallets: a person who is verified gets a wallet with it."""

from typing import cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from accounts.registration import register
from accounts.serializers import (
    AddressRequest,
    Person,
    RefreshRequest,
    RegisterAnswer,
    RegisterRequest,
    TokenAnswer,
    TokenRequest,
)
from accounts.sign_in import refresh, sign_in, sign_out
from accounts.tasks import wake_sender
from accounts.verification import resend
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems


class PublicView(APIView):
    """A call made before there is a token; one that is sent along is not looked at."""

    authentication_classes = ()
    permission_classes = ()


class RegisterView(PublicView):
    @extend_schema(
        operation_id="auth_register",
        request=RegisterRequest,
        responses={201: RegisterAnswer, **problems(*BODY_PROBLEMS)},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """Register. An address that is already taken is answered alike; its owner is told."""
        given = RegisterRequest(data=request.data)
        given.is_valid(raise_exception=True)
        registration = register(**given.validated_data, now=timezone.now())
        wake_sender(registration.messages)
        return Response(
            RegisterAnswer({"user": registration.user, "verification": registration}).data,
            status=status.HTTP_201_CREATED,
        )


class ResendView(PublicView):
    @extend_schema(
        operation_id="auth_verify_resend",
        request=AddressRequest,
        responses={
            202: OpenApiResponse(description="Taken note of, whether or not a code is due."),
            **problems(*BODY_PROBLEMS),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """Send another code. Earlier ones stay good until they expire."""
        given = AddressRequest(data=request.data)
        given.is_valid(raise_exception=True)
        wake_sender(resend(address=given.validated_data["address"], now=timezone.now()))
        return Response(status=status.HTTP_202_ACCEPTED)


class TokenView(PublicView):
    @extend_schema(
        operation_id="auth_token",
        request=TokenRequest,
        responses={200: TokenAnswer, **problems(*BODY_PROBLEMS, "credentials_invalid", "not_verified", "blocked")},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """Sign in: a ten-minute access token, and a refresh token that works once."""
        given = TokenRequest(data=request.data)
        given.is_valid(raise_exception=True)
        pair = sign_in(
            address=given.validated_data["address"], password=given.validated_data["password"], now=timezone.now()
        )
        return Response(TokenAnswer(pair).data)


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


class MeView(APIView):
    @extend_schema(operation_id="me", responses={200: Person, **problems(*TOKEN_PROBLEMS)}, tags=["Identity"])
    def get(self, request: Request) -> Response:
        """Who is signed in."""
        return Response(Person(cast(User, request.user)).data)
