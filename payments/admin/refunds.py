"""Payments on their way back to whoever paid."""

from django.contrib import admin
from django.db.models import QuerySet

from payments.admin.asking import AskedAgainAdmin
from payments.admin.filters import DueFilter, GatewayFilter
from payments.admin.finding import WHOSE, attempts_found_by, known_as, transaction_named
from payments.admin.showing import link_to, link_to_owner, spelled
from payments.models import GatewayRefund


@admin.register(GatewayRefund)
class GatewayRefundAdmin(AskedAgainAdmin):
    list_display = ("refund", "refund_id", "payment", "whose", "amount", "state", "created_at", "check_at")
    list_filter = ("state", GatewayFilter, DueFilter)
    list_select_related = ("transaction", "attempt__order__transaction__to_wallet__owner")
    search_help_text = f"txn_ id, a refund's, payment's or order's id at the gateway; {WHOSE}"
    fields = readonly_fields = (
        "refund_id",
        "gateway",
        "state",
        "status",
        "reason",
        "reference",
        "payment",
        "whose",
        "amount",
        "transaction",
        "key",
        "sends",
        "created_at",
        "sent_at",
        "check_at",
        "checks",
    )

    @admin.display
    def refund(self, refund: GatewayRefund) -> str:
        return refund.transaction.public_id

    @admin.display
    def payment(self, refund: GatewayRefund) -> str:
        return link_to(refund.attempt, refund.attempt.payment_id)

    @admin.display
    def whose(self, refund: GatewayRefund) -> str:
        return link_to_owner(refund.attempt.order.transaction.to_wallet)

    @admin.display
    def amount(self, refund: GatewayRefund) -> str:
        return spelled(refund.amount_minor, refund.currency)

    def find(self, queryset: QuerySet[GatewayRefund], term: str) -> QuerySet[GatewayRefund]:
        refunds = GatewayRefund.objects.all()
        named = transaction_named(term)
        if named is not None and queryset.filter(named).exists():
            return queryset.filter(named)
        found = known_as(refunds, refund_id=term) or known_as(refunds, key=term)
        return queryset.filter(pk__in=found) if found else queryset.filter(attempts_found_by(term))
