"""The call by which a person says of a notification that it was not them."""

from typing import cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.tasks import wake_sender
from accounts.tokens import Claims
from payments.not_me import own_notification, stop
from wallet_project.kernel.bodiless import BodilessView
from wallet_project.kernel.schema import BODILESS_PROBLEMS, TOKEN_PROBLEMS, problems


class StoppedAnswer(serializers.Serializer[None]):
    """What was done. Repeated, it is less or nothing: it was done before."""

    wallets_frozen = serializers.ListField(child=serializers.CharField(), help_text="Their ids.")
    sessions_ended = serializers.IntegerField(help_text="All of yours but the one that asks.")


class NotMeView(BodilessView):
    @extend_schema(
        operation_id="notification_not_me",
        request=None,
        responses={200: StoppedAnswer, **problems(*BODILESS_PROBLEMS, *TOKEN_PROBLEMS, "not_found")},
        tags=["Identity"],
    )
    def post(self, request: Request, id: str) -> Response:
        """
        "This wasn't me", of one of your notifications: your wallets are frozen until support lifts that, your other
        sessions end, payments that wait for a code die, and support is told.
        """
        notification = own_notification(user=cast(User, request.user), notification=id)
        stopped = stop(notification=notification, keep=cast(Claims, request.auth).session, now=timezone.now())
        wake_sender(stopped.messages)
        return Response({"wallets_frozen": stopped.wallets, "sessions_ended": stopped.sessions})
