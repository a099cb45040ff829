"""The calls about what a person was told, and where they want to hear of it."""

from typing import Any, cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import notifications
from accounts.models import Notification, User
from accounts.notification_choices import Choice, choose
from accounts.notification_preferences import ROWS, Preference, preferences_of
from accounts.notification_texts import KINDS
from accounts.tasks import wake_sender
from wallet_project.kernel.bodiless import BodilessView
from wallet_project.kernel.fields import RowLimit, Text, UtcTime
from wallet_project.kernel.schema import BODILESS_PROBLEMS, BODY_PROBLEMS, TOKEN_PROBLEMS, problems

# Far past what any name of ours is: the deed says no with better words.
_LONGEST_TEXT = 100
_MOST_CHOICES = 100


class Flag(serializers.BooleanField):
    """JSON's true and false and nothing else (DRF's own field takes words and numbers too)."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class NotificationListRequest(serializers.Serializer[None]):
    """The query of the list."""

    limit = RowLimit(required=False, default=notifications.USUAL_ROWS, min_value=1, max_value=notifications.MOST_ROWS)
    cursor = Text(required=False, allow_blank=True)


class NotificationAnswer(serializers.Serializer[Notification]):
    """One thing that you were told, as it was then."""

    id = serializers.CharField(source="public_id")
    kind = serializers.CharField(help_text=", ".join(f"`{kind}`" for kind in sorted(KINDS)) + "; more may come.")
    title = serializers.CharField()
    text = serializers.CharField()
    transaction = serializers.CharField(
        source="transaction_id", allow_null=True, help_text="Of yours, that it tells of."
    )
    read_at = UtcTime(allow_null=True)
    created_at = UtcTime()


class NotificationListAnswer(serializers.Serializer[None]):
    results = NotificationAnswer(many=True)
    next = serializers.CharField(allow_null=True, help_text="Pass it as `cursor` for the next page.")
    unread = serializers.IntegerField(help_text="How many of all are not read yet.")


class ChoiceRequest(serializers.Serializer[None]):
    kind = Text(max_length=_LONGEST_TEXT, help_text=", ".join(f"`{row.name}`" for row in ROWS))
    email = Flag(required=False, help_text="What is left out stays as it is.")
    sms = Flag(required=False)
    push = Flag(required=False)


class PreferencesRequest(serializers.Serializer[None]):
    # The stubs know it as one of its members.
    preferences = ChoiceRequest(many=True, max_length=_MOST_CHOICES)  # type: ignore[call-arg]


class PreferenceAnswer(serializers.Serializer[Preference]):
    """Where you hear of one kind of thing. The app itself tells everything."""

    kind = serializers.CharField(source="row.name")
    # DRF takes declared fields off the class, so its own `label` stays.
    label = serializers.CharField(source="row.label")  # type: ignore[assignment]
    email = serializers.BooleanField()
    sms = serializers.BooleanField(help_text="Without a choice of yours: only if you have no e-mail address.")
    push = serializers.BooleanField()
    locked = serializers.BooleanField(source="row.is_locked", help_text="It cannot be switched off.")


class PreferencesAnswer(serializers.Serializer[Any]):
    preferences = PreferenceAnswer(many=True)


class NotificationsView(APIView):
    @extend_schema(
        operation_id="notifications",
        parameters=[NotificationListRequest],
        responses={200: NotificationListAnswer, **problems("invalid", "cursor_invalid", *TOKEN_PROBLEMS)},
        tags=["Notifications"],
    )
    def get(self, request: Request) -> Response:
        """What you were told, newest first, and how much of it is not read yet."""
        given = NotificationListRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        user = cast(User, request.user)
        page = notifications.notifications_of(user=user, **given.validated_data)
        shown = NotificationAnswer(page.rows, many=True)  # type: ignore[arg-type]  # the stubs know no list
        return Response({"results": shown.data, "next": page.next, "unread": notifications.unread_of(user=user)})


class ReadAllView(BodilessView):
    throttle_scope = "read"

    @extend_schema(
        operation_id="notifications_read",
        request=None,
        responses={204: None, **problems(*BODILESS_PROBLEMS, *TOKEN_PROBLEMS)},
        tags=["Notifications"],
    )
    def post(self, request: Request) -> Response:
        """All that you were told until now is read."""
        notifications.read_all(user=cast(User, request.user), now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReadView(BodilessView):
    throttle_scope = "read"

    @extend_schema(
        operation_id="notification_read",
        request=None,
        responses={200: NotificationAnswer, **problems(*BODILESS_PROBLEMS, *TOKEN_PROBLEMS, "not_found")},
        tags=["Notifications"],
    )
    def post(self, request: Request, id: str) -> Response:
        """You have read it. Twice is as good as once, and keeps the first time."""
        found = notifications.read(user=cast(User, request.user), notification=id, now=timezone.now())
        return Response(NotificationAnswer(found).data)


class PreferencesView(APIView):
    throttle_scope = "read"

    @extend_schema(
        operation_id="me_notification_preferences",
        responses={200: PreferencesAnswer, **problems(*TOKEN_PROBLEMS)},
        tags=["Notifications"],
    )
    def get(self, request: Request) -> Response:
        """What you hear of by e-mail, SMS and push, by kind."""
        return _answer(cast(User, request.user))

    @extend_schema(
        operation_id="me_notification_preferences_set",
        request=PreferencesRequest,
        responses={200: PreferencesAnswer, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "preference_locked")},
        tags=["Notifications"],
    )
    def put(self, request: Request) -> Response:
        """
        Switch channels on or off. Kinds and channels that are left out stay as they are; all are set, or none. What is
        `locked` cannot be switched off: `preference_locked`. You are told by every channel when something is.
        """
        given = PreferencesRequest(data=request.data)
        given.is_valid(raise_exception=True)
        user = cast(User, request.user)
        choices = [Choice(**each) for each in given.validated_data["preferences"]]
        wake_sender(choose(user=user, choices=choices, now=timezone.now()))
        return _answer(user)


def _answer(user: User) -> Response:
    return Response(PreferencesAnswer({"preferences": preferences_of(user=user)}).data)
