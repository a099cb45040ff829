"""The calls about where a person is signed in."""

from typing import cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import sessions
from accounts.models import Session, User
from accounts.tokens import Claims
from wallet_project.kernel.fields import RowLimit, Text, UtcTime
from wallet_project.kernel.schema import TOKEN_PROBLEMS, problems

_USUAL_ROWS = 20


class SessionListRequest(serializers.Serializer[None]):
    """The query of the list."""

    limit = RowLimit(required=False, default=_USUAL_ROWS, min_value=1, max_value=sessions.MOST_LISTED)
    cursor = Text(required=False, allow_blank=True)


class SessionAnswer(serializers.Serializer[Session]):
    """One device that is signed in."""

    id = serializers.CharField(source="public_id")
    kind = serializers.ChoiceField(choices=Session.Kind.choices, help_text="With tokens, or at the pages.")
    # DRF takes declared fields off the class, so its own `label` stays.
    label = serializers.CharField(help_text="What the device says it is: `Firefox on Linux`.")  # type: ignore[assignment]
    address = serializers.CharField(allow_null=True, help_text="The IP address that it signed in from.")
    created_at = UtcTime()
    last_used_at = UtcTime()
    current = serializers.SerializerMethodField(help_text="Whether it is the one that asks.")
    second_factor = serializers.SerializerMethodField(help_text="Whether one was shown in it.")

    def get_current(self, session: Session) -> bool:
        return bool(session.uuid == self.context["current"])

    def get_second_factor(self, session: Session) -> bool:
        return session.factor_at is not None


class SessionListAnswer(serializers.Serializer[None]):
    results = SessionAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page.")


class SessionsView(APIView):
    @extend_schema(
        operation_id="me_sessions",
        parameters=[SessionListRequest],
        responses={200: SessionListAnswer, **problems("invalid", "cursor_invalid", *TOKEN_PROBLEMS)},
        tags=["Identity"],
    )
    def get(self, request: Request) -> Response:
        """Where you are signed in, newest first: programs and browsers."""
        given = SessionListRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        page = sessions.open_sessions_of(user=cast(User, request.user), now=timezone.now(), **given.validated_data)
        context = {"current": cast(Claims, request.auth).session}
        shown = SessionAnswer(page.sessions, many=True, context=context)  # type: ignore[arg-type]
        return Response({"results": shown.data, "next": page.next})


class SessionView(APIView):
    @extend_schema(
        operation_id="me_session_end",
        responses={204: None, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=["Identity"],
    )
    def delete(self, request: Request, id: str) -> Response:
        """Sign one device out: its tokens and its pages die with the next request. Twice is as good as once."""
        sessions.end(user=cast(User, request.user), session=id, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
