"""What the gateways told us, as they told it. What none of them signed is not kept: it is a case."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from payments.admin.asking import AskedAgainAdmin
from payments.admin.filters import GatewayFilter, ProcessedFilter
from payments.admin.finding import known_as
from payments.admin.showing import as_text
from payments.event_bodies import body_of
from payments.models import WebhookEvent


@admin.register(WebhookEvent)
class WebhookEventAdmin(AskedAgainAdmin):
    list_display = ("event_id", "gateway", "name", "received_at", "processed_at", "outcome", "tries")
    list_filter = (GatewayFilter, ProcessedFilter)
    search_help_text = "The gateway's event id, whole"
    fields = readonly_fields = (
        "event_id",
        "gateway",
        "name",
        "received_at",
        "due_at",
        "tries",
        "processed_at",
        "outcome",
        "body_as_text",
    )

    @admin.display(description="body")
    def body_as_text(self, event: WebhookEvent) -> str:
        return as_text(body_of(event=event).decode("utf-8", "replace"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """A list of them does without their bodies; the one that is opened has its own read."""
        return super().get_queryset(request).defer("body")

    def find(self, queryset: QuerySet[WebhookEvent], term: str) -> QuerySet[WebhookEvent]:
        return queryset.filter(pk__in=known_as(WebhookEvent.objects.all(), event_id=term))
