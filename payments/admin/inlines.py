"""What belongs to a row, on that row's own page."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from payments.admin.showing import link_to, spelled
from payments.models import Dispute, GatewayRefund, PaymentAttempt

if TYPE_CHECKING:
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _TabularInline = admin.TabularInline  # Django's own class takes no parameter


class ReadOnlyInline(_TabularInline):
    """Read there, and changed nowhere."""

    ordering = ("pk",)
    extra = 0
    can_delete = False
    related: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(*self.related)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    @admin.display
    def amount(self, row: Any) -> str:
        return spelled(row.amount_minor, row.currency)


class Attempts(ReadOnlyInline):
    model = PaymentAttempt
    related = ("credited_by",)
    verbose_name_plural = "attempts to pay it"
    fields = readonly_fields = ("payment", "amount", "status", "method", "error_reason", "refunded", "credited_by")

    @admin.display
    def payment(self, attempt: PaymentAttempt) -> str:
        return link_to(attempt, attempt.payment_id)

    @admin.display
    def refunded(self, attempt: PaymentAttempt) -> str:
        return spelled(attempt.refunded_minor, attempt.currency)


class Refunds(ReadOnlyInline):
    model = GatewayRefund
    related = ("transaction",)
    verbose_name_plural = "refunds of it"
    fields = readonly_fields = ("refund", "amount", "state", "transaction", "created_at")

    @admin.display
    def refund(self, refund: GatewayRefund) -> str:
        return link_to(refund)


class Disputes(ReadOnlyInline):
    model = Dispute
    related = ("hold",)
    verbose_name_plural = "disputes of it"
    fields = readonly_fields = ("dispute", "amount", "state", "reason", "opened_at")

    @admin.display
    def dispute(self, dispute: Dispute) -> str:
        return link_to(dispute)
