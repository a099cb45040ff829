"""Orders, attempts to pay them and the gateway's events, as support and auditors read them."""

from django.contrib import admin
from django.db.models import Q, QuerySet

from ledger.models import Transaction
from payments.models import GatewayOrder, PaymentAttempt, WebhookEvent
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin
from wallets.queries import wallets_found_by


def _orders_found_by(term: str) -> Q:
    """By the gateway's ids or the transaction's; or by whose they are."""
    uuid = parse_public_id(Transaction.PREFIX, term)
    if uuid is not None:
        return Q(transaction__uuid=uuid)
    if term.startswith("order_"):
        return Q(order_id=term)
    if term.startswith("pay_"):
        return Q(attempts__payment_id=term)
    return Q(transaction__to_wallet__in=list(wallets_found_by(term).values_list("pk", flat=True)))


_SEARCH_HELP = "txn_, order_ or pay_ id; or whose: whole e-mail or phone, wal_ or usr_ id"


@admin.register(GatewayOrder)
class GatewayOrderAdmin(FoundByNameAdmin):
    list_display = ("id", "order_id", "receipt", "amount_minor", "currency", "state", "created_at", "check_at")
    list_filter = ("state", "gateway")
    list_select_related = ("transaction",)
    search_help_text = _SEARCH_HELP
    fields = readonly_fields = (
        "order_id",
        "gateway",
        "receipt",
        "transaction",
        "amount_minor",
        "currency",
        "state",
        "created_at",
        "expires_at",
        "check_at",
        "checks",
        "leased_until",
    )

    def find(self, queryset: QuerySet[GatewayOrder], term: str) -> QuerySet[GatewayOrder]:
        return queryset.filter(_orders_found_by(term))


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(FoundByNameAdmin):
    list_display = ("payment_id", "order", "amount_minor", "currency", "status", "method", "credited", "last_seen_at")
    list_filter = ("status", "method")
    list_select_related = ("order", "credited_by")
    search_help_text = _SEARCH_HELP
    fields = readonly_fields = (
        "payment_id",
        "gateway",
        "order",
        "amount_minor",
        "currency",
        "status",
        "method",
        "error_code",
        "error_reason",
        "credited",
        "first_seen_at",
        "last_seen_at",
    )

    @admin.display(description="credited by")
    def credited(self, attempt: PaymentAttempt) -> str:
        return "-" if attempt.credited_by is None else attempt.credited_by.public_id

    def find(self, queryset: QuerySet[PaymentAttempt], term: str) -> QuerySet[PaymentAttempt]:
        orders = GatewayOrder.objects.filter(_orders_found_by(term)).values("pk")
        return queryset.filter(order__in=orders)


@admin.register(WebhookEvent)
class WebhookEventAdmin(FoundByNameAdmin):
    list_display = ("event_id", "gateway", "name", "received_at", "processed_at", "outcome", "tries")
    list_filter = ("gateway", ("processed_at", admin.EmptyFieldListFilter))
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
        return bytes(event.body).decode("utf-8", "replace")

    def find(self, queryset: QuerySet[WebhookEvent], term: str) -> QuerySet[WebhookEvent]:
        return queryset.filter(event_id=term)
