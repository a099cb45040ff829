"""Transactions and entries as support and auditors read them."""

from django.contrib import admin
from django.db.models import Q, QuerySet

from ledger.models import Hold, LedgerEntry, Transaction
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin
from wallets.models import Wallet
from wallets.queries import wallets_found_by


def party(wallet: Wallet | None) -> str:
    """One side of a movement: a person, or what a system wallet stands for."""
    if wallet is None:
        return "-"
    return wallet.label if wallet.owner is None else f"{wallet.owner.full_name} ({wallet.public_id})"


@admin.register(Transaction)
class TransactionAdmin(FoundByNameAdmin):
    list_display = ("public_id", "type", "status", "money", "payer", "payee", "failure_code", "created_at")
    list_filter = ("type", "status")
    list_select_related = ("from_wallet__owner", "to_wallet__owner")
    search_help_text = "txn_ id; or whose: whole e-mail or phone, wal_, usr_ or mer_ id, or a merchant's handle"
    fields = readonly_fields = (
        "public_id",
        "type",
        "status",
        "failure_code",
        "money",
        "payer",
        "payee",
        "initiator",
        "group",
        "reverses",
        "note",
        "metadata",
        "created_at",
        "posted_at",
        "completed_at",
    )

    @admin.display(description="id")
    def public_id(self, transaction: Transaction) -> str:
        return transaction.public_id

    @admin.display(description="amount")
    def money(self, transaction: Transaction) -> str:
        return f"{transaction.money.text} {transaction.currency}"

    @admin.display(description="from")
    def payer(self, transaction: Transaction) -> str:
        return party(transaction.from_wallet)

    @admin.display(description="to")
    def payee(self, transaction: Transaction) -> str:
        return party(transaction.to_wallet)

    def find(self, queryset: QuerySet[Transaction], term: str) -> QuerySet[Transaction]:
        uuid = parse_public_id(Transaction.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        wallets = list(wallets_found_by(term).values_list("pk", flat=True))
        # The index of what came in leaves out others' failed attempts; with its own words it can be used.
        came_in = Q(to_wallet__in=wallets) & (~Q(status=Transaction.Status.FAILED) | Q(type=Transaction.Type.ADD))
        return queryset.filter(Q(from_wallet__in=wallets) | came_in)


@admin.register(LedgerEntry)
class EntryAdmin(FoundByNameAdmin):
    list_display = ("id", "owner", "sequence", "debit", "credit", "balance_after", "transaction_id_shown", "created_at")
    list_select_related = ("wallet__owner", "transaction")
    search_help_text = TransactionAdmin.search_help_text
    fields = readonly_fields = (
        "id",
        "owner",
        "sequence",
        "transaction",
        "debit",
        "credit",
        "balance_after",
        "hash_in_hex",
        "created_at",
    )

    @admin.display(description="wallet")
    def owner(self, entry: LedgerEntry) -> str:
        return party(entry.wallet)

    @admin.display(description="transaction")
    def transaction_id_shown(self, entry: LedgerEntry) -> str:
        return entry.transaction.public_id

    @admin.display(description="hash")
    def hash_in_hex(self, entry: LedgerEntry) -> str:
        return bytes(entry.hash).hex()

    def find(self, queryset: QuerySet[LedgerEntry], term: str) -> QuerySet[LedgerEntry]:
        uuid = parse_public_id(Transaction.PREFIX, term)
        if uuid is not None:
            return queryset.filter(transaction__uuid=uuid)
        wallets = list(wallets_found_by(term).values_list("pk", flat=True))
        return queryset.filter(wallet__in=wallets)


@admin.register(Hold)
class HoldAdmin(FoundByNameAdmin):
    list_display = ("public_id", "owner", "money", "reason", "reference", "status", "created_at", "expires_at")
    list_filter = ("status",)
    list_select_related = ("wallet__owner",)
    search_help_text = "hld_ id; what it is for, as the list shows it; or whose, as among transactions"
    fields = readonly_fields = (
        "public_id",
        "owner",
        "money",
        "reason",
        "reference",
        "status",
        "captured_by",
        "created_at",
        "expires_at",
        "ended_at",
    )

    @admin.display(description="id")
    def public_id(self, hold: Hold) -> str:
        return hold.public_id

    @admin.display(description="wallet")
    def owner(self, hold: Hold) -> str:
        return party(hold.wallet)

    @admin.display(description="amount")
    def money(self, hold: Hold) -> str:
        return hold.money.spelled

    def find(self, queryset: QuerySet[Hold], term: str) -> QuerySet[Hold]:
        uuid = parse_public_id(Hold.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        named = queryset.filter(reference=term)
        if named.exists():
            return named
        wallets = list(wallets_found_by(term).values_list("pk", flat=True))
        return queryset.filter(wallet__in=wallets)
