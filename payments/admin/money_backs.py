"""Requests for money that went to the wrong person: what both sides said, and, for support, an end to it."""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.timezone import localtime

from accounts.admin.acting import act_with_reason
from accounts.models import User
from ledger.models import Transaction
from payments.admin.finding import WHOSE, wallets_of
from payments.admin.forms import ClosingForm
from payments.admin.showing import NOTHING, link_to
from payments.models import MoneyBack
from payments.money_back import PERMISSION, close
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin


@admin.register(MoneyBack)
class MoneyBackAdmin(FoundByNameAdmin):
    change_form_template = "admin/payments/moneyback/change_form.html"
    list_display = ("public_id", "amount", "who_asks", "who_is_asked", "status", "asked_at", "expires_at", "ended_at")
    list_filter = ("status",)
    list_select_related = ("transfer", "asker", "asked")
    ordering = ("-pk",)
    search_help_text = f"mbk_ id, txn_ id of the transfer or of its refund; {WHOSE}"
    fields = readonly_fields = (
        "public_id",
        "status",
        "amount",
        "the_transfer",
        "who_asks",
        "who_is_asked",
        "thread",
        "held",
        "the_refund",
        "expires_at",
        "closed_by",
        "closing_reason",
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.close)
        return [path("<int:pk>/close/", view, name="payments_moneyback_close"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        may = row is not None and row.is_open and self._may_close(request)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_close": may})

    def close(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page in between: asks why, and ends the request with it."""
        if not (self._may_close(request) and self.has_view_permission(request)):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        form = ClosingForm(request.POST or None)
        by = cast(User, request.user)
        done = act_with_reason(
            self,
            request,
            row=row,
            form=form,
            deed=lambda reason: close(money_back=row, by=by, reason=reason, now=timezone.now()).messages,
            logged="Closed",
            told=lambda: f"{row.public_id} is closed.",
        )
        return done or self.page_between(request, "admin/payments/moneyback/close.html", row=row, form=form)

    def _may_close(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(PERMISSION)

    @admin.display
    def amount(self, row: MoneyBack) -> str:
        return row.money.spelled

    @admin.display
    def who_asks(self, row: MoneyBack) -> str:
        return link_to(row.asker, row.asker.full_name)

    @admin.display
    def who_is_asked(self, row: MoneyBack) -> str:
        return link_to(row.asked, row.asked.full_name)

    @admin.display(description="transfer")
    def the_transfer(self, row: MoneyBack) -> str:
        return link_to(row.transfer, row.transfer.public_id)

    @admin.display(description="refund")
    def the_refund(self, row: MoneyBack) -> str:
        return NOTHING if row.refund is None else link_to(row.refund, row.refund.public_id)

    @admin.display
    def held(self, row: MoneyBack) -> str:
        """What was set aside for it, and what became of that."""
        return NOTHING if row.hold is None else f"{row.hold.money.spelled} ({row.hold.status.lower()})"

    @admin.display
    def thread(self, row: MoneyBack) -> str:
        """Of all requests about this transfer, what each side said and did, the oldest first."""
        of_this = MoneyBack.objects.filter(transfer=row.transfer).select_related("asker", "asked").order_by("pk")
        return format_html_join(
            "", "<p>{} · {}</p>", ((date_format(localtime(at), "j M Y, H:i"), said) for at, said in _said(of_this))
        )

    def find(self, queryset: QuerySet[MoneyBack], term: str) -> QuerySet[MoneyBack]:
        uuid = parse_public_id(MoneyBack.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        transaction = parse_public_id(Transaction.PREFIX, term)
        if transaction is not None:
            return queryset.filter(Q(transfer__uuid=transaction) | Q(refund__uuid=transaction))
        wallets = wallets_of(term)
        return queryset.filter(Q(asker__wallets__in=wallets) | Q(asked__wallets__in=wallets)).distinct()


def _said(rows: QuerySet[MoneyBack]) -> list[tuple[Any, str]]:
    told: list[tuple[Any, str]] = []
    for row in rows:
        word = f": “{row.note}”" if row.note else "."
        told.append((row.asked_at, f"{row.asker.full_name} asked for it back{word}"))
        if row.held_at is not None:
            told.append((row.held_at, f"{row.asked.full_name} set it aside."))
        if row.ended_at is not None:
            who = {
                MoneyBack.Status.GIVEN: f"{row.asked.full_name} gave it back.",
                MoneyBack.Status.DECLINED: f"{row.asked.full_name} declined.",
                MoneyBack.Status.WITHDRAWN: f"{row.asker.full_name} withdrew it.",
            }.get(MoneyBack.Status(row.status), "Its time was over.")
            told.append((row.ended_at, f"Closed by support: {row.closing_reason}" if row.closing_reason else who))
    return told
