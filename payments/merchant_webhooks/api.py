"""Merchants' webhooks by the API: for the owner of a MERCHANT wallet; for others there is nothing here."""

from typing import Any, Final, cast

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from payments.merchant_webhooks import endpoints, log
from payments.merchant_webhooks.serializers import (
    AgainRequest,
    DeliveryAnswer,
    DeliveryListAnswer,
    DeliveryListRequest,
    DeliveryWithAttemptsAnswer,
    EndpointAnswer,
    EndpointChanges,
    EndpointListAnswer,
    EndpointRequest,
    EndpointWithSecretAnswer,
)
from payments.models import WebhookEndpoint
from payments.tasks import send_merchant_webhooks
from payments.waking import wake
from wallet_project.kernel.bodiless import BodilessView
from wallet_project.kernel.rate_limits import SAFE_METHODS
from wallet_project.kernel.schema import BODILESS_PROBLEMS, BODY_PROBLEMS, TOKEN_PROBLEMS, problems

_AGAIN_PROBLEMS: Final = ("credentials_invalid", "otp_required", "otp_invalid", "too_many_tries")
_TAGS: Final = ["Webhooks"]


class EndpointsView(APIView):
    @property
    def throttle_scope(self) -> str:
        # Each one that is added hashes a password.
        return "read" if self.request.method in SAFE_METHODS else "sign_in"

    @extend_schema(
        operation_id="webhook_endpoints",
        responses={200: EndpointListAnswer, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=_TAGS,
    )
    def get(self, request: Request) -> Response:
        """Where your shop's server is told, oldest first."""
        found = endpoints.endpoints_of(user=cast(User, request.user))
        return Response({"results": EndpointAnswer(found, many=True).data, "next": None})

    @extend_schema(
        operation_id="webhook_endpoint_add",
        request=EndpointRequest,
        responses={
            201: EndpointWithSecretAnswer,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, *_AGAIN_PROBLEMS, "not_found", "limit_exceeded"),
        },
        tags=_TAGS,
    )
    def post(self, request: Request) -> Response:
        """
        Be told of events by signed POST requests (Standard Webhooks 1.0.0); how many addresses is the operator's choice
        (five). The secret is told here and never again.
        """
        endpoints.merchant_wallet_of(user=cast(User, request.user))
        given = EndpointRequest(data=request.data)
        given.is_valid(raise_exception=True)
        added = endpoints.add_endpoint(
            user=cast(User, request.user),
            url=given.validated_data["url"],
            types=given.validated_data.get("types", ()),
            now=timezone.now(),
            **given.of_deed,
        )
        return Response(_with_secret(added), status=201)


class EndpointView(APIView):
    @extend_schema(
        operation_id="webhook_endpoint",
        responses={200: EndpointAnswer, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=_TAGS,
    )
    def get(self, request: Request, id: str) -> Response:
        """One of your endpoints."""
        return Response(EndpointAnswer(_found(request, id)).data)

    @extend_schema(
        operation_id="webhook_endpoint_change",
        request=EndpointChanges,
        responses={200: EndpointAnswer, **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, "not_found")},
        tags=_TAGS,
    )
    def patch(self, request: Request, id: str) -> Response:
        """
        Choose other events, or switch it off or on. Off, it is told nothing of what happens meanwhile; what waited
        already is sent when it is on again.
        """
        found = _found(request, id)
        given = EndpointChanges(data=request.data)
        given.is_valid(raise_exception=True)
        user, now, changes = cast(User, request.user), timezone.now(), given.validated_data
        if "types" in changes:
            found = endpoints.choose_types(user=user, endpoint=id, types=changes["types"], now=now)
        if "active" in changes:
            found = endpoints.switch(user=user, endpoint=id, on=changes["active"], now=now)
        return Response(EndpointAnswer(found).data)

    @extend_schema(
        operation_id="webhook_endpoint_remove",
        responses={204: None, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=_TAGS,
    )
    def delete(self, request: Request, id: str) -> Response:
        """Remove it. What waits for it is not sent any more."""
        endpoints.remove_endpoint(user=cast(User, request.user), endpoint=id, now=timezone.now())
        return Response(status=204)


class RotateView(APIView):
    # Each call hashes a password.
    throttle_scope = "sign_in"

    @extend_schema(
        operation_id="webhook_endpoint_rotate",
        request=AgainRequest,
        responses={
            200: EndpointWithSecretAnswer,
            **problems(*BODY_PROBLEMS, *TOKEN_PROBLEMS, *_AGAIN_PROBLEMS, "not_found"),
        },
        tags=_TAGS,
    )
    def post(self, request: Request, id: str) -> Response:
        """A new secret. For 24 hours each message carries two signatures: by the new one, and by the one before."""
        _found(request, id)
        given = AgainRequest(data=request.data)
        given.is_valid(raise_exception=True)
        rotated = endpoints.rotate_secret(
            user=cast(User, request.user), endpoint=id, now=timezone.now(), **given.of_deed
        )
        return Response(_with_secret(rotated))


class PingView(BodilessView):
    throttle_scope = "deliveries"

    @extend_schema(
        operation_id="webhook_endpoint_ping",
        request=None,
        responses={
            202: DeliveryAnswer,
            **problems(*BODILESS_PROBLEMS, *TOKEN_PROBLEMS, "not_found", "webhook_disabled"),
        },
        tags=_TAGS,
    )
    def post(self, request: Request, id: str) -> Response:
        """Have a test event sent, of type `ping`, whatever events it chose."""
        message = log.ping(user=cast(User, request.user), endpoint=id, now=timezone.now())
        wake(send_merchant_webhooks, endpoint_id=message.endpoint_id)
        return Response(DeliveryAnswer(message).data, status=202)


class DeliveriesView(APIView):
    @extend_schema(
        operation_id="webhook_deliveries",
        parameters=[DeliveryListRequest],
        responses={200: DeliveryListAnswer, **problems("invalid", "cursor_invalid", *TOKEN_PROBLEMS, "not_found")},
        tags=_TAGS,
    )
    def get(self, request: Request, id: str) -> Response:
        """What was sent to it in the last 30 days, or waits to be, newest first."""
        found = _found(request, id)
        given = DeliveryListRequest(data=request.query_params.dict())
        given.is_valid(raise_exception=True)
        page = log.messages_of(endpoint=found, **given.validated_data)
        return Response({"results": DeliveryAnswer(page.messages, many=True).data, "next": page.next})


class DeliveryView(APIView):
    @extend_schema(
        operation_id="webhook_delivery",
        responses={200: DeliveryWithAttemptsAnswer, **problems(*TOKEN_PROBLEMS, "not_found")},
        tags=_TAGS,
    )
    def get(self, request: Request, id: str, message: str) -> Response:
        """One message: what was sent, and what came back of each try."""
        found = log.find_message(endpoint=_found(request, id), message=message)
        shown = vars(found) | {"public_id": found.public_id, "attempts": log.attempts_of(message=found)}
        return Response(DeliveryWithAttemptsAnswer(shown).data)


class RedeliverView(BodilessView):
    throttle_scope = "deliveries"

    @extend_schema(
        operation_id="webhook_redeliver",
        request=None,
        responses={
            202: DeliveryAnswer,
            **problems(*BODILESS_PROBLEMS, *TOKEN_PROBLEMS, "not_found", "webhook_disabled"),
        },
        tags=_TAGS,
    )
    def post(self, request: Request, id: str, message: str) -> Response:
        """Have a message sent again at once, whether or not it was taken before, under the same `webhook-id`."""
        row = log.redeliver(user=cast(User, request.user), endpoint=id, message=message, now=timezone.now())
        wake(send_merchant_webhooks, endpoint_id=row.endpoint_id)
        return Response(DeliveryAnswer(row).data, status=202)


def _found(request: Request, id: str) -> WebhookEndpoint:
    return endpoints.find_endpoint(user=cast(User, request.user), endpoint=id)


def _with_secret(made: endpoints.WithSecret) -> dict[str, Any]:
    return {**EndpointAnswer(made.endpoint).data, "secret": made.secret}
