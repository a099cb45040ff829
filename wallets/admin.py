"""Wallets and merchants as support and auditors read them; and the page that freezes a wallet, with a reason."""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.admin.acting import act_with_reason
from accounts.forms import ReasonForm
from accounts.models import User
from wallet_project.kernel.read_only_admin import FoundByNameAdmin
from wallets.freezing import freeze, may_freeze, unfreeze
from wallets.models import Merchant, Wallet, WalletStatusChange
from wallets.queries import wallets_found_by


class StatusChanges(admin.TabularInline):  # type: ignore[type-arg]  # generic in its stubs only
    model = WalletStatusChange
    fields = readonly_fields = ("created_at", "status", "by", "reason")
    ordering = ("-pk",)
    extra = 0
    can_delete = False
    verbose_name_plural = "frozen and unfrozen"

    def get_queryset(self, request: HttpRequest) -> QuerySet[WalletStatusChange]:
        return super().get_queryset(request).select_related("by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


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
    inlines = (StatusChanges,)
    change_form_template = "admin/wallets/wallet/change_form.html"

    @admin.display(description="id")
    def public_id(self, wallet: Wallet) -> str:
        return wallet.public_id

    def find(self, queryset: QuerySet[Wallet], term: str) -> QuerySet[Wallet]:
        return queryset.filter(pk__in=wallets_found_by(term).values("pk"))

    def get_urls(self) -> list[URLPattern]:
        change = path(
            "<int:pk>/status/", self.admin_site.admin_view(self.change_status), name="wallets_wallet_change_status"
        )
        return [change, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        wallet = self.get_object(request, object_id)
        offered = (
            wallet is not None
            and wallet.status != Wallet.Status.CLOSED
            and may_freeze(wallet=wallet, by=cast(User, request.user))
        )
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_freeze": offered})

    def change_status(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page in between: asks for the reason, then freezes or unfreezes."""
        wallet = Wallet.objects.select_related("owner").filter(pk=pk).first()
        if wallet is None:
            raise Http404
        if not self.has_view_permission(request):
            raise PermissionDenied
        by = cast(User, request.user)
        # What the page offered, not what the row says now: two people of support may stand at one page.
        act = request.POST.get("act") or ("unfreeze" if wallet.status == Wallet.Status.FROZEN else "freeze")
        deed = {"freeze": freeze, "unfreeze": unfreeze}.get(act)
        form = ReasonForm(request.POST or None)
        done = deed and act_with_reason(
            self,
            request,
            row=wallet,
            form=form,
            deed=lambda reason: deed(wallet=wallet, by=by, reason=reason, now=timezone.now()),
            logged=act,
            told=lambda: f"{wallet.public_id}: {'frozen' if deed is freeze else 'unfrozen'}.",
        )
        if done is not None:
            return done
        # After the deed, which keeps a record of whoever tried.
        if not may_freeze(wallet=wallet, by=by):
            raise PermissionDenied
        template = "admin/wallets/wallet/change_status.html"
        return self.page_between(request, template, wallet=wallet, act=act, form=form)


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
