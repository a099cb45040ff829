"""Where people's withdrawals go. The number is shown to nobody: its last four digits tell accounts apart."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.models import User
from payments.admin.filters import DueFilter, GatewayFilter, RemovedFilter
from payments.admin.finding import WHOSE, wallets_of
from payments.admin.showing import link_to
from payments.bank_accounts import masked_number
from payments.models import BankAccount
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin
from wallets.models import Wallet


@admin.register(BankAccount)
class BankAccountAdmin(FoundByNameAdmin):
    list_display = ("public_id", "whose", "holder_name", "ifsc", "number", "validation", "created_at", "removed_at")
    list_filter = ("validation", RemovedFilter, GatewayFilter, DueFilter)
    list_select_related = ("owner",)
    search_help_text = f"bnk_ id; {WHOSE}"
    fields = readonly_fields = (
        "public_id",
        "whose",
        "holder_name",
        "ifsc",
        "number",
        "gateway",
        "fund_account_id",
        "validation",
        "validation_id",
        "registered_name",
        "created_at",
        "removed_at",
        "check_at",
        "checks",
    )

    @admin.display(description="id")
    def public_id(self, account: BankAccount) -> str:
        return account.public_id

    @admin.display
    def whose(self, account: BankAccount) -> str:
        return link_to(account.owner, account.owner.full_name)

    @admin.display
    def number(self, account: BankAccount) -> str:
        return masked_number(account=account)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BankAccount]:
        """Without what is sealed: no page has a use for it."""
        accounts: QuerySet[BankAccount] = super().get_queryset(request)
        return accounts.defer("number_sealed", "number_index")

    def find(self, queryset: QuerySet[BankAccount], term: str) -> QuerySet[BankAccount]:
        uuid = parse_public_id(BankAccount.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        person = parse_public_id(User.PREFIX, term)
        owners = Wallet.objects.filter(pk__in=wallets_of(term)).values("owner")
        return queryset.filter(Q(owner__in=owners) if person is None else Q(owner__uuid=person))
