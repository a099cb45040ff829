"""Disputes, and what is held for them."""

from django.contrib import admin
from django.db.models import QuerySet

from payments.admin.asking import AskedAgainAdmin
from payments.admin.filters import DueFilter, GatewayFilter
from payments.admin.finding import WHOSE, attempts_found_by, known_as
from payments.admin.showing import NOTHING, link_to, link_to_owner, spelled
from payments.models import Dispute


@admin.register(Dispute)
class DisputeAdmin(AskedAgainAdmin):
    list_display = ("dispute_id", "payment", "whose", "amount", "held", "missing", "state", "respond_by", "opened_at")
    list_filter = ("state", GatewayFilter, DueFilter)
    list_select_related = ("attempt__order__transaction__to_wallet__owner", "hold")
    search_help_text = f"A dispute's, payment's or order's id at the gateway, txn_ id of the top-up; {WHOSE}"
    fields = readonly_fields = (
        "dispute_id",
        "gateway",
        "state",
        "reason",
        "payment",
        "whose",
        "amount",
        "hold",
        "held",
        "missing",
        "lost_by",
        "respond_by",
        "opened_at",
        "ended_at",
        "check_at",
        "checks",
    )

    @admin.display
    def payment(self, dispute: Dispute) -> str:
        return link_to(dispute.attempt, dispute.attempt.payment_id)

    @admin.display
    def whose(self, dispute: Dispute) -> str:
        return link_to_owner(dispute.attempt.order.transaction.to_wallet)

    @admin.display
    def amount(self, dispute: Dispute) -> str:
        return spelled(dispute.amount_minor, dispute.currency)

    @admin.display
    def held(self, dispute: Dispute) -> str:
        """What was put aside for it, and what became of that."""
        hold = dispute.hold
        return NOTHING if hold is None else f"{hold.money.spelled} ({hold.status.lower()})"

    @admin.display(description="not there")
    def missing(self, dispute: Dispute) -> str:
        return spelled(dispute.shortfall_minor, dispute.currency) if dispute.shortfall_minor else NOTHING

    def find(self, queryset: QuerySet[Dispute], term: str) -> QuerySet[Dispute]:
        found = known_as(Dispute.objects.all(), dispute_id=term)
        return queryset.filter(pk__in=found) if found else queryset.filter(attempts_found_by(term))
