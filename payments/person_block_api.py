"""The calls by which people keep others away."""

from typing import Final, cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from ledger.queries import MOST_ROWS, USUAL_ROWS
from payments import person_blocks
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.fields import RowLimit, Text, UtcTime
from wallet_project.kernel.schema import BODY_PROBLEMS, TOKEN_PROBLEMS, problems

_LONGEST_TEXT: Final = 1000


class BlockListRequest(serializers.Serializer[None]):
    """The query of the list."""

    limit = RowLimit(required=False, default=USUAL_ROWS, min_value=1, max_value=MOST_ROWS)
    cursor = Text(required=False, allow_blank=True)


class BlockRequest(serializers.Serializer[None]):
    """Exactly one of the two."""

    to = Text(
        required=False,
        allow_null=True,
        max_length=_LONGEST_TEXT,
        help_text="Their e-mail address, phone number or own wallet's id.",
    )
    transaction = Text(
        required=False,
        allow_null=True,
        max_length=_LONGEST_TEXT,
        help_text="The id of one of yours, with them on its other side.",
    )


class BlockAnswer(serializers.Serializer[person_blocks.Kept]):
    """A person whom you keep away."""

    id = serializers.CharField(source="block.public_id")
    display_name = serializers.CharField(source="name", help_text="Masked: `Asha R.`")
    created_at = UtcTime(source="block.created_at")


class BlockListAnswer(serializers.Serializer[None]):
    results = BlockAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page.")


class BlockedPeopleView(APIView):
    # To block somebody by an address is to learn whose it is.
    throttle_scope = "payee"

    @extend_schema(
        operation_id="me_blocked_people",
        parameters=[BlockListRequest],
        responses={200: BlockListAnswer, **problems("invalid", "cursor_invalid", *TOKEN_PROBLEMS)},
        tags=["Identity"],
    )
    def get(self, request: Request) -> Response:
        """Whom you keep away, newest first."""
        given = BlockListRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        page = person_blocks.blocked_by(user=cast(User, request.user), **given.validated_data)
        shown = BlockAnswer(page.blocks, many=True)  # type: ignore[arg-type]  # many of them
        return Response({"results": shown.data, "next": page.next})

    @extend_schema(
        operation_id="me_block_person",
        request=BlockRequest,
        responses={
            201: BlockAnswer,
            200: BlockAnswer,
            **problems(
                *BODY_PROBLEMS,
                *TOKEN_PROBLEMS,
                "payee_not_found",
                "recipient_unavailable",
                "not_found",
                "limit_exceeded",
            ),
        },
        tags=["Identity"],
    )
    def post(self, request: Request) -> Response:
        """
        Keep a person away: they cannot pay you, ask you for money, or look up your name, and are not told why. One
        that you keep away already is answered again, with 200.
        """
        given = BlockRequest(data=request.data)
        given.is_valid(raise_exception=True)
        user, now = cast(User, request.user), timezone.now()
        named = {name: value for name, value in given.validated_data.items() if value is not None}
        if len(named) != 1:
            raise Refusal.of_field("to", "Name a person by `to` or by `transaction`, and not by both.")
        if "to" in named:
            kept = person_blocks.block_payee(user=user, to=named["to"], now=now)
        else:
            kept = person_blocks.block_counterparty(user=user, transaction=named["transaction"], now=now)
        return Response(BlockAnswer(kept).data, status=status.HTTP_201_CREATED if kept.is_new else status.HTTP_200_OK)


class BlockedPersonView(APIView):
    @extend_schema(
        operation_id="me_unblock_person",
        responses={204: None, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=["Identity"],
    )
    def delete(self, request: Request, id: str) -> Response:
        """Let a person in again."""
        person_blocks.unblock(user=cast(User, request.user), block=id)
        return Response(status=status.HTTP_204_NO_CONTENT)
