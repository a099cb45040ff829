"""The support queue: what the system could not decide or explain, worked off by people."""

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from accounts.models import User
from ledger.admin import party
from payments.admin.asking import AskedAgainAdmin, told
from payments.admin.filters import GatewayFilter
from payments.admin.finding import WHOSE, transaction_named, wallets_of
from payments.admin.forms import ResolutionForm
from payments.admin.showing import NOTHING, address_of, link_to, spelled
from payments.asking_again import ask_about_case
from payments.cases import resolve_case
from payments.models import Case
from payments.support_queue import Subject, subjects_of
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id

RESOLVE = "payments.change_case"


class Queue(ChangeList):
    """A page of cases, each with the row that it is about: all of them found together."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        know_subjects(cast("Sequence[Case]", self.result_list))


def know_subjects(cases: Sequence[Case]) -> None:
    subjects = subjects_of(cases)
    for case in cases:
        vars(case)["about"] = subjects.get(case.pk)


def subject_of(case: Case) -> Subject | None:
    if "about" not in vars(case):
        know_subjects([case])
    return cast("Subject | None", vars(case)["about"])


@admin.register(Case)
class CaseAdmin(AskedAgainAdmin):
    list_display = ("public_id", "kind", "about", "here", "there", "reason", "state", "opened_at", "times")
    list_filter = ("state", "kind", GatewayFilter)
    # The open ones first, and of them the oldest.
    ordering = ("state", "opened_at")
    search_help_text = f"cas_ or txn_ id, or what it is about, as the list shows it; {WHOSE}"
    fields = readonly_fields = (
        "public_id",
        "state",
        "kind",
        "reason",
        "suggestion",
        "about",
        "gateway",
        "here",
        "there",
        "transaction",
        "whose",
        "opened_at",
        "last_seen_at",
        "times",
        "found_by",
        "resolved_at",
        "resolved_by",
        "resolution",
    )

    @admin.display(description="id")
    def public_id(self, case: Case) -> str:
        return case.public_id

    @admin.display
    def about(self, case: Case) -> str:
        """The row's page, where a row knows the subject."""
        row = subject_of(case)
        return case.subject if row is None else link_to(row, case.subject)

    @admin.display(description="amount here")
    def here(self, case: Case) -> str:
        return spelled(case.amount_here_minor, case.currency)

    @admin.display(description="amount there")
    def there(self, case: Case) -> str:
        return spelled(case.amount_there_minor, case.currency)

    @admin.display
    def whose(self, case: Case) -> str:
        movement = case.transaction
        return NOTHING if movement is None else f"{party(movement.from_wallet)} → {party(movement.to_wallet)}"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002
        return Queue

    def get_urls(self) -> list[URLPattern]:
        resolve = path("<int:pk>/resolve/", self.admin_site.admin_view(self.resolve), name="payments_case_resolve")
        return [resolve, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        case = self.get_object(request, object_id)
        is_open = case is not None and case.state == Case.State.OPEN
        can_be_asked = is_open and subject_of(cast(Case, case)) is not None
        context = {
            **(extra_context or {}),
            "may_resolve": is_open and self._may_resolve(request),
            "nothing_to_ask": not can_be_asked,
        }
        return super().change_view(request, object_id, form_url, context)

    def ask(self, row: Case, *, by: User) -> str:
        about, answer = ask_about_case(case=row, by=by, now=timezone.now())
        explained = " That explains the case: it is resolved." if row.state == Case.State.RESOLVED else ""
        return f"{str(about._meta.verbose_name).capitalize()} {about}: {told(answer)}{explained}"

    def resolve(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page in between: asks what was done, and closes the case with it."""
        if not (self._may_resolve(request) and self.has_view_permission(request)):
            raise PermissionDenied
        case = self.get_queryset(request).filter(pk=pk).first()
        if case is None:
            raise Http404
        if case.state == Case.State.OPEN:
            form = ResolutionForm(request.POST or None)
            if not form.is_valid():
                return self._asks(request, case, form)
            resolution = form.cleaned_data["resolution"]
            try:
                resolved = resolve_case(
                    case=case, by=cast(User, request.user), resolution=resolution, now=timezone.now()
                )
            except Refusal as refusal:
                form.add_error("resolution", refusal.detail)
                return self._asks(request, case, form)
            if resolved:
                self.log_change(request, case, f"Resolved: {resolution}")
                messages.success(request, f"{case.public_id} is resolved.")
                return HttpResponseRedirect(reverse("admin:payments_case_changelist"))
        messages.warning(request, f"{case.public_id} had been resolved before; that stands.")
        return HttpResponseRedirect(address_of(case))

    def _asks(self, request: HttpRequest, case: Case, form: ResolutionForm) -> HttpResponse:
        return self.page_between(request, "admin/payments/case/resolve.html", case=case, form=form)

    def _may_resolve(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(RESOLVE)

    def find(self, queryset: QuerySet[Case], term: str) -> QuerySet[Case]:
        uuid = parse_public_id(Case.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        # A payout is known by its transaction's id.
        about = Q(subject=term) | (transaction_named(term) or Q(pk__in=[]))
        wallets = wallets_of(term)
        if wallets:
            about |= Q(transaction__from_wallet__in=wallets) | Q(transaction__to_wallet__in=wallets)
        return queryset.filter(about)
