"""Withdrawals at the bank's side."""

from django.contrib import admin
from django.db.models import Q, QuerySet

from payments.admin.asking import AskedAgainAdmin
from payments.admin.filters import DueFilter, GatewayFilter
from payments.admin.finding import WHOSE, known_as, transaction_named, wallets_of
from payments.admin.showing import link_to, link_to_owner, spelled
from payments.models import BankAccount, Payout
from wallet_project.kernel.ids import parse_public_id


@admin.register(Payout)
class PayoutAdmin(AskedAgainAdmin):
    list_display = ("withdrawal", "payout_id", "whose", "bank_account", "amount", "state", "created_at", "check_at")
    list_filter = ("state", GatewayFilter, DueFilter)
    list_select_related = ("transaction__from_wallet__owner", "bank_account")
    search_help_text = f"txn_ or bnk_ id, a payout's id at the gateway; {WHOSE}"
    fields = readonly_fields = (
        "payout_id",
        "gateway",
        "state",
        "status",
        "reason",
        "utr",
        "whose",
        "to_account",
        "amount",
        "fee",
        "tax",
        "transaction",
        "key",
        "sends",
        "created_at",
        "sent_at",
        "check_at",
        "checks",
    )

    @admin.display
    def withdrawal(self, payout: Payout) -> str:
        return payout.transaction.public_id

    @admin.display
    def whose(self, payout: Payout) -> str:
        return link_to_owner(payout.transaction.from_wallet)

    @admin.display(description="bank account")
    def to_account(self, payout: Payout) -> str:
        return link_to(payout.bank_account)

    @admin.display
    def amount(self, payout: Payout) -> str:
        return spelled(payout.amount_minor, payout.currency)

    @admin.display(description="fee, tax included")
    def fee(self, payout: Payout) -> str:
        return spelled(payout.fee_minor, payout.currency)

    @admin.display
    def tax(self, payout: Payout) -> str:
        return spelled(payout.tax_minor, payout.currency)

    def find(self, queryset: QuerySet[Payout], term: str) -> QuerySet[Payout]:
        named = transaction_named(term)
        if named is not None:
            return queryset.filter(named)
        account = parse_public_id(BankAccount.PREFIX, term)
        if account is not None:
            return queryset.filter(bank_account__uuid=account)
        payouts = Payout.objects.all()
        found = known_as(payouts, payout_id=term) or known_as(payouts, key=term)
        return queryset.filter(Q(pk__in=found) if found else Q(transaction__from_wallet__in=wallets_of(term)))
