"""Merchants' webhooks as support sees them: where they go, how they stand, and what came of each try."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from payments.admin.filters import WordFilter
from payments.admin.finding import WHOSE, wallets_of
from payments.admin.inlines import ReadOnlyInline
from payments.admin.showing import as_text, link_to, link_to_owner
from payments.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin


class EndpointStateFilter(WordFilter):
    title = "state"
    parameter_name = "state"
    words = tuple(WebhookEndpoint.State.values)


class MessageStateFilter(WordFilter):
    title = "state"
    parameter_name = "state"
    words = tuple(WebhookMessage.State.values)


class Tries(ReadOnlyInline):
    model = WebhookAttempt
    verbose_name_plural = "tries"
    fields = readonly_fields = ("at", "url", "status", "error", "milliseconds", "answered")

    @admin.display(description="answer")
    def answered(self, attempt: WebhookAttempt) -> str:
        return as_text(attempt.response_body)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(FoundByNameAdmin):
    list_display = ("public_id", "whose", "url", "state", "reason", "failing_since", "created_at")
    list_filter = (EndpointStateFilter,)
    list_select_related = ("wallet__owner",)
    search_help_text = f"whk_ id; {WHOSE}"
    fields = readonly_fields = (
        "public_id",
        "whose",
        "url",
        "types",
        "state",
        "reason",
        "state_changed_at",
        "previous_until",
        "failing_since",
        "silences",
        "paused_until",
        "created_at",
    )

    @admin.display(description="id")
    def public_id(self, endpoint: WebhookEndpoint) -> str:
        return endpoint.public_id

    @admin.display
    def whose(self, endpoint: WebhookEndpoint) -> str:
        return link_to_owner(endpoint.wallet)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        """Without what is sealed: no page has a use for it."""
        endpoints: QuerySet[WebhookEndpoint] = super().get_queryset(request)
        return endpoints.defer("secret_sealed", "previous_sealed")

    def find(self, queryset: QuerySet[WebhookEndpoint], term: str) -> QuerySet[WebhookEndpoint]:
        uuid = parse_public_id(WebhookEndpoint.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        person = parse_public_id(User.PREFIX, term)
        if person is not None:
            return queryset.filter(wallet__owner__uuid=person)
        return queryset.filter(wallet__in=wallets_of(term))


@admin.register(WebhookMessage)
class WebhookMessageAdmin(FoundByNameAdmin):
    list_display = ("public_id", "endpoint_link", "type", "state", "tries", "next_attempt_at", "created_at")
    list_filter = (MessageStateFilter,)
    list_select_related = ("endpoint",)
    search_help_text = "msg_ or whk_ id"
    inlines = (Tries,)
    fields = readonly_fields = (
        "public_id",
        "endpoint_link",
        "event_id",
        "type",
        "state",
        "tries",
        "next_attempt_at",
        "claimed_until",
        "created_at",
        "ended_at",
        "body_as_text",
    )

    @admin.display(description="id")
    def public_id(self, message: WebhookMessage) -> str:
        return message.public_id

    @admin.display(description="endpoint")
    def endpoint_link(self, message: WebhookMessage) -> str:
        return link_to(message.endpoint)

    @admin.display(description="body")
    def body_as_text(self, message: WebhookMessage) -> str:
        return as_text(message.body)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """A list of them does without their bodies; the one that is opened has its own read."""
        return super().get_queryset(request).defer("body")

    def find(self, queryset: QuerySet[WebhookMessage], term: str) -> QuerySet[WebhookMessage]:
        message = parse_public_id(WebhookMessage.PREFIX, term)
        endpoint = parse_public_id(WebhookEndpoint.PREFIX, term)
        if message is not None:
            return queryset.filter(uuid=message)
        return queryset.none() if endpoint is None else queryset.filter(endpoint__uuid=endpoint)
