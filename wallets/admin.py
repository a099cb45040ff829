"""Wallets and merchants as support and auditors read them."""

from django.contrib import admin
from django.db.models import QuerySet

from wallet_project.kernel.read_only_admin import FoundByNameAdmin
from wallets.models import Merchant, Wallet
from wallets.queries import wallets_found_by


@admin.register(Wallet)
class WalletAdmin(FoundByNameAdmin):
    list_display = ("public_id", "owner", "kind", "label", "currency", "balance", "held", "status", "moved_at")
    list_filter = ("kind", "status", "currency")
    list_select_related = ("owner",)
    search_help_text = "Whole e-mail or phone, wal_, usr_ or mer_ id, or a merchant's handle"
    fields = readonly_fields = (
        "public_id",
        "owner",
        "kind",
        "purpose",
        "shard",
        "label",
        "currency",
        "balance",
        "held",
        "minimum_balance",
        "status",
        "entry_count",
        "moved_at",
        "created_at",
    )

    @admin.display(description="id")
    def public_id(self, wallet: Wallet) -> str:
        return wallet.public_id

    def find(self, queryset: QuerySet[Wallet], term: str) -> QuerySet[Wallet]:
        return queryset.filter(pk__in=wallets_found_by(term).values("pk"))


@admin.register(Merchant)
class MerchantAdmin(FoundByNameAdmin):
    list_display = ("public_id", "handle", "display_name", "owner", "created_at")
    list_select_related = ("wallet__owner",)
    search_help_text = WalletAdmin.search_help_text
    fields = readonly_fields = ("public_id", "handle", "display_name", "owner", "wallet", "created_at")

    @admin.display(description="id")
    def public_id(self, merchant: Merchant) -> str:
        return merchant.public_id

    @admin.display
    def owner(self, merchant: Merchant) -> str:
        return str(merchant.wallet.owner)

    def find(self, queryset: QuerySet[Merchant], term: str) -> QuerySet[Merchant]:
        return queryset.filter(wallet__in=wallets_found_by(term).values("pk"))
