"""Orders, the attempts to pay them, and payments that credit nobody."""

from django.contrib import admin
from django.db.models import QuerySet

from payments.admin.asking import AskedAgainAdmin
from payments.admin.filters import AttemptStatusFilter, CreditedFilter, DueFilter, GatewayFilter
from payments.admin.finding import WHOSE, attempts_found_by, orders_found_by
from payments.admin.giving_back import GivingBackAdmin
from payments.admin.inlines import Attempts, Disputes, Refunds
from payments.admin.showing import link_to, link_to_owner, spelled
from payments.models import GatewayOrder, ParkedPayment, PaymentAttempt
from wallet_project.kernel.read_only_admin import FoundByNameAdmin

_SEARCH_HELP = f"txn_ id, an order's or a payment's id at the gateway; {WHOSE}"


@admin.register(GatewayOrder)
class GatewayOrderAdmin(GivingBackAdmin):
    list_display = ("receipt", "order_id", "whose", "amount", "state", "created_at", "check_at")
    list_filter = ("state", GatewayFilter, DueFilter)
    list_select_related = ("transaction__to_wallet__owner",)
    search_help_text = _SEARCH_HELP
    fields = readonly_fields = (
        "order_id",
        "gateway",
        "state",
        "whose",
        "amount",
        "transaction",
        "created_at",
        "expires_at",
        "check_at",
        "checks",
        "leased_until",
    )
    inlines = (Attempts,)

    @admin.display
    def whose(self, order: GatewayOrder) -> str:
        return link_to_owner(order.transaction.to_wallet)

    @admin.display
    def amount(self, order: GatewayOrder) -> str:
        return spelled(order.amount_minor, order.currency)

    def find(self, queryset: QuerySet[GatewayOrder], term: str) -> QuerySet[GatewayOrder]:
        return queryset.filter(pk__in=orders_found_by(term).values("pk"))


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(AskedAgainAdmin):
    list_display = ("payment_id", "to_order", "amount", "status", "method", "credited", "last_seen_at")
    list_filter = (AttemptStatusFilter, CreditedFilter, GatewayFilter)
    list_select_related = ("order", "credited_by")
    search_help_text = _SEARCH_HELP
    fields = readonly_fields = (
        "payment_id",
        "gateway",
        "to_order",
        "whose",
        "amount",
        "status",
        "method",
        "error_code",
        "error_reason",
        "credited_by",
        "credits_nobody",
        "reference",
        "refunded",
        "fee",
        "tax",
        "first_seen_at",
        "last_seen_at",
    )
    inlines = (Refunds, Disputes)

    @admin.display(description="order")
    def to_order(self, attempt: PaymentAttempt) -> str:
        return link_to(attempt.order)

    @admin.display
    def whose(self, attempt: PaymentAttempt) -> str:
        return link_to_owner(attempt.order.transaction.to_wallet)

    @admin.display
    def amount(self, attempt: PaymentAttempt) -> str:
        return spelled(attempt.amount_minor, attempt.currency)

    @admin.display(description="credited by")
    def credited(self, attempt: PaymentAttempt) -> str:
        return link_to(attempt.credited_by, attempt.credited_by.public_id if attempt.credited_by else "")

    @admin.display(description="credits nobody")
    def credits_nobody(self, attempt: PaymentAttempt) -> str:
        parked = ParkedPayment.objects.filter(attempt=attempt).first()
        return link_to(parked, parked.get_reason_display() if parked else "")

    @admin.display
    def refunded(self, attempt: PaymentAttempt) -> str:
        return spelled(attempt.refunded_minor, attempt.currency)

    @admin.display(description="fee, tax included")
    def fee(self, attempt: PaymentAttempt) -> str:
        return spelled(attempt.fee_minor, attempt.currency)

    @admin.display
    def tax(self, attempt: PaymentAttempt) -> str:
        return spelled(attempt.tax_minor, attempt.currency)

    def find(self, queryset: QuerySet[PaymentAttempt], term: str) -> QuerySet[PaymentAttempt]:
        return queryset.filter(order__in=orders_found_by(term).values("pk"))


@admin.register(ParkedPayment)
class ParkedPaymentAdmin(FoundByNameAdmin):
    list_display = ("payment", "reason", "amount", "to_order", "brought_by")
    list_filter = ("reason",)
    list_select_related = ("attempt__order", "transaction")
    search_help_text = _SEARCH_HELP
    fields = readonly_fields = ("payment", "to_order", "reason", "amount", "transaction")

    @admin.display
    def payment(self, parked: ParkedPayment) -> str:
        return parked.attempt.payment_id

    @admin.display(description="order")
    def to_order(self, parked: ParkedPayment) -> str:
        return link_to(parked.attempt.order)

    @admin.display
    def amount(self, parked: ParkedPayment) -> str:
        return spelled(parked.attempt.amount_minor, parked.attempt.currency)

    @admin.display(description="brought by")
    def brought_by(self, parked: ParkedPayment) -> str:
        return link_to(parked.transaction, parked.transaction.public_id)

    def find(self, queryset: QuerySet[ParkedPayment], term: str) -> QuerySet[ParkedPayment]:
        return queryset.filter(attempts_found_by(term))
