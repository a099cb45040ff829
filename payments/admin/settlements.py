"""What the gateways paid into our bank account, and how a day of ours compared with their books."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from payments.admin.asking import AskedAgainAdmin
from payments.admin.filters import DifferencesFilter, GatewayFilter, ItemKindFilter, PostedFilter
from payments.admin.finding import WHOSE, orders_found_by, transaction_named
from payments.admin.showing import NOTHING, link_to, spelled
from payments.gateways import GATEWAYS
from payments.models import PaymentAttempt, Reconciliation, SettledItem
from wallet_project.kernel.read_only_admin import ReadOnlyAdmin


@admin.register(SettledItem)
class SettledItemAdmin(AskedAgainAdmin):
    list_display = ("entity_id", "settlement_id", "kind", "credit", "debit", "fee", "posted_by", "settled_at")
    list_filter = (ItemKindFilter, PostedFilter, GatewayFilter)
    list_select_related = ("transaction",)
    search_help_text = f"A settlement's, payment's, refund's or order's id at the gateway, txn_ id; {WHOSE}"
    fields = readonly_fields = (
        "settlement_id",
        "entity_id",
        "gateway",
        "kind",
        "payment_id",
        "amount",
        "credit",
        "debit",
        "fee",
        "tax",
        "utr",
        "settled_at",
        "transaction",
    )

    @admin.display
    def amount(self, item: SettledItem) -> str:
        return spelled(item.amount_minor, item.currency)

    @admin.display(description="into the bank")
    def credit(self, item: SettledItem) -> str:
        return spelled(item.credit_minor, item.currency) if item.credit_minor else NOTHING

    @admin.display(description="out of the bank")
    def debit(self, item: SettledItem) -> str:
        return spelled(item.debit_minor, item.currency) if item.debit_minor else NOTHING

    @admin.display(description="fee, tax included")
    def fee(self, item: SettledItem) -> str:
        return spelled(item.fee_minor, item.currency)

    @admin.display
    def tax(self, item: SettledItem) -> str:
        return spelled(item.tax_minor, item.currency)

    @admin.display(description="posted by")
    def posted_by(self, item: SettledItem) -> str:
        return link_to(item.transaction, item.transaction.public_id if item.transaction else "")

    def find(self, queryset: QuerySet[SettledItem], term: str) -> QuerySet[SettledItem]:
        named = transaction_named(term)
        if named is not None and queryset.filter(named).exists():
            return queryset.filter(named)
        ours = Q(gateway__in=list(GATEWAYS))
        by_id = queryset.filter(ours & (Q(settlement_id=term) | Q(entity_id=term)))
        if by_id.exists():
            return by_id
        orders = list(orders_found_by(term).values_list("pk", flat=True))
        payments = PaymentAttempt.objects.filter(order__in=orders).values_list("payment_id", flat=True)
        names = list(payments)
        return queryset.filter(ours & (Q(payment_id__in=names) | Q(entity_id__in=names)))


@admin.register(Reconciliation)
class ReconciliationAdmin(ReadOnlyAdmin):
    list_display = ("date", "gateway", "started_at", "finished_at", "differences")
    list_filter = (DifferencesFilter, GatewayFilter)
    fields = readonly_fields = (
        "date",
        "gateway",
        "started_at",
        "finished_at",
        "differences",
        "open_cases",
        "both_books",
    )

    @admin.display(description="cases")
    def open_cases(self, run: Reconciliation) -> str:
        """The way to those that this run found first."""
        address = f"{reverse('admin:payments_case_changelist')}?found_by__id__exact={run.pk}"
        return format_html('<a href="{}">Those that it found first</a>', address)

    @admin.display(description="totals")
    def both_books(self, run: Reconciliation) -> str:
        """Counts and amounts by kind and currency, here and there."""
        rows = [
            (
                kind.capitalize(),
                total["here_count"],
                spelled(total["here_minor"], currency),
                total["there_count"],
                spelled(total["there_minor"], currency),
            )
            for kind, currencies in run.totals.items()
            for currency, total in currencies.items()
        ]
        lines = format_html_join("", "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        head = format_html(
            "<tr><th>Kind</th><th>{0}: how many</th><th>{0}: how much</th><th>{1}: how many</th>"
            "<th>{1}: how much</th></tr>",
            "Ledger",
            "Gateway",
        )
        return format_html('<table class="both-books"><thead>{}</thead><tbody>{}</tbody></table>', head, lines)
