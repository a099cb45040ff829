"""The calls by which people change their own account: name, password, addresses."""

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import device_cookies
from accounts.api import PublicView
from accounts.models import User
from accounts.password_change import change_password
from accounts.password_reset import ask_for_reset, reset_password
from accounts.profile import rename
from accounts.serializers import AddressRequest, Person
from accounts.tasks import wake_sender
from wallet_project.kernel.fields import Text
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems

# Far past what any of them may be: the deeds say no with better words, this only bounds their work.
_LONGEST_TEXT = 1000


class RenameRequest(serializers.Serializer[None]):
    """Whatever else is sent is refused by name, never ignored: nobody sets their own status or level."""

    full_name = Text(max_length=_LONGEST_TEXT)

    def to_internal_value(self, data: Any) -> Any:
        refused = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if refused:
            raise serializers.ValidationError(
                {field: serializers.ErrorDetail("This cannot be changed here.", code="unknown") for field in refused}
            )
        return super().to_internal_value(data)


class PasswordChangeRequest(serializers.Serializer[None]):
    old_password = Text(max_length=_LONGEST_TEXT)
    new_password = Text(max_length=_LONGEST_TEXT)


class PasswordResetRequest(AddressRequest):
    code = Text(max_length=_LONGEST_TEXT)
    new_password = Text(max_length=_LONGEST_TEXT)


class MeView(APIView):
    @extend_schema(operation_id="me", responses={200: Person, **problems(*TOKEN_PROBLEMS)}, tags=["Identity"])
    def get(self, request: Request) -> Response:
        """Who is signed in."""
        return Response(Person(cast(User, request.user)).data)

    @extend_schema(
        operation_id="me_change",
        request=RenameRequest,
        responses={200: Person, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS)},
        tags=["Identity"],
    )
    def patch(self, request: Request) -> Response:
        """Change your name. Any other field is refused."""
        given = RenameRequest(data=request.data)
        given.is_valid(raise_exception=True)
        user = rename(user=cast(User, request.user), **given.validated_data, now=timezone.now())
        return Response(Person(user).data)


class PasswordChangeView(APIView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="auth_password_change",
        request=PasswordChangeRequest,
        responses={
            204: None,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "credentials_invalid", "too_many_tries"),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """Choose another password. Every token and session dies, this one too."""
        given = PasswordChangeRequest(data=request.data)
        given.is_valid(raise_exception=True)
        wake_sender(change_password(user=cast(User, request.user), **given.validated_data, now=timezone.now()))
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordResetView(PublicView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="auth_password_reset",
        request=AddressRequest,
        responses={
            202: OpenApiResponse(description="Taken note of, whether or not somebody has that address."),
            **problems(*BODY_PROBLEMS),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Ask for a code for a new password; it goes to an address that somebody verified, with a link that does without
        the code. What was sent before stays good: the code for ten minutes, the link for an hour.
        """
        given = AddressRequest(data=request.data)
        given.is_valid(raise_exception=True)
        wake_sender(
            ask_for_reset(
                **given.validated_data, device_tokens=device_cookies.shown_by(request._request), now=timezone.now()
            )
        )
        return Response(status=status.HTTP_202_ACCEPTED)


class PasswordResetConfirmView(PublicView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="auth_password_reset_confirm",
        request=PasswordResetRequest,
        responses={204: None, **problems(*BODY_PROBLEMS, "code_invalid", "too_many_tries")},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        A new password for the code. Every older token and session dies; a second factor stays. The cookie `device` is
        set, as by a sign-in: strangers' failures are then not this device's.
        """
        given = PasswordResetRequest(data=request.data)
        given.is_valid(raise_exception=True)
        done = reset_password(
            **given.validated_data, device_tokens=device_cookies.shown_by(request._request), now=timezone.now()
        )
        wake_sender(done.messages)
        response = Response(status=status.HTTP_204_NO_CONTENT)
        device_cookies.keep(response, tokens=done.device_tokens)
        return response
