"""The calls by which people add, change and remove their e-mail and phone."""

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.address_changes import begin, begin_removal, confirm
from accounts.models import Channel, User
from accounts.serializers import AddressRequest, Person
from accounts.tasks import wake_sender
from accounts.tokens import Claims
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.fields import Text, UtcTime
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems

# Far past what any of them may be: the deeds say no with better words.
_LONGEST_TEXT = 1000
_AGAIN = ("credentials_invalid", "otp_required", "otp_invalid", "too_many_tries")


class RemoveRequest(serializers.Serializer[None]):
    password = Text(max_length=_LONGEST_TEXT)
    otp = Text(required=False, allow_null=True, max_length=_LONGEST_TEXT, help_text="Only with a second factor.")


class ChangeRequest(RemoveRequest, AddressRequest):
    """Exactly one of `email` and `phone`, and the password once more."""


class AddressConfirmRequest(serializers.Serializer[None]):
    id = Text(max_length=_LONGEST_TEXT, help_text="Of the change, as its beginning answered.")
    code = Text(
        required=False,
        allow_null=True,
        max_length=_LONGEST_TEXT,
        help_text="Which the new address got; of a removal none.",
    )
    own_code = Text(
        required=False,
        allow_null=True,
        max_length=_LONGEST_TEXT,
        help_text="Which an address of yours got, where `own_channel` named one.",
    )


class ChangeAnswer(serializers.Serializer[Any]):
    """A change that waits for its codes. An address that is somebody else's is answered alike, and gets none."""

    id = serializers.CharField(source="change.public_id")
    channel = serializers.ChoiceField(choices=Channel.choices, source="change.channel")
    own_channel = serializers.ChoiceField(
        choices=Channel.choices,
        allow_null=True,
        help_text="Where a code went to an address of yours: send it as `own_code`. Null with a second factor.",
    )
    expires_at = UtcTime()


class AddressesView(APIView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="me_address_begin",
        request=ChangeRequest,
        responses={202: ChangeAnswer, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, *_AGAIN, "not_verified")},
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Add an address, or replace the one of its kind: a code goes there. Who you are is shown by password and `otp`;
        without a second factor by the password and a code that goes to an address of yours. Nothing changes yet.
        """
        given = ChangeRequest(data=request.data)
        given.is_valid(raise_exception=True)
        begun = begin(
            user=cast(User, request.user),
            address=given.validated_data["address"],
            password=given.validated_data["password"],
            code=given.validated_data.get("otp") or "",
            now=timezone.now(),
        )
        wake_sender(begun.messages)
        return Response(ChangeAnswer(begun).data, status=status.HTTP_202_ACCEPTED)


class AddressConfirmView(APIView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="me_address_confirm",
        request=AddressConfirmRequest,
        responses={
            200: Person,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "code_invalid", "not_found", "last_address", "too_many_tries"),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Make the change. Every other session ends; the addresses of before are told, and can undo it for three days, in
        which large payments are answered `support_required`.
        """
        given = AddressConfirmRequest(data=request.data)
        given.is_valid(raise_exception=True)
        confirmed = confirm(
            user=cast(User, request.user),
            change=given.validated_data["id"],
            code=given.validated_data.get("code") or "",
            own_code=given.validated_data.get("own_code") or "",
            keep=cast(Claims, request.auth).session,
            now=timezone.now(),
        )
        wake_sender(confirmed.messages)
        return Response(Person(confirmed.user).data)


class AddressView(APIView):
    throttle_scope = "codes"

    @extend_schema(
        operation_id="me_address_remove",
        parameters=[OpenApiParameter("channel", OpenApiTypes.STR, OpenApiParameter.PATH, enum=Channel.values)],
        request=RemoveRequest,
        responses={
            204: None,
            202: ChangeAnswer,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, *_AGAIN, "not_found", "not_verified", "last_address"),
        },
        tags=["Identity"],
    )
    def delete(self, request: Request, channel: str) -> Response:
        """
        Remove your `email` or `phone`, unless it is the last. With a second factor it is gone (204); without one a code
        goes to an address of yours, and confirming removes it (202).
        """
        given = RemoveRequest(data=request.data)
        given.is_valid(raise_exception=True)
        if channel not in Channel.values:
            raise Refusal("not_found", "Write email or phone.")
        begun = begin_removal(
            user=cast(User, request.user),
            channel=Channel(channel),
            password=given.validated_data["password"],
            code=given.validated_data.get("otp") or "",
            keep=cast(Claims, request.auth).session,
            now=timezone.now(),
        )
        wake_sender(begun.messages)
        if begun.is_done:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(ChangeAnswer(begun).data, status=status.HTTP_202_ACCEPTED)
