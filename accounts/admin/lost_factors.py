"""Lost second factors as support sees them: the waiting ones first, decided about by two."""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin.acting import act_with_reason
from accounts.lost_factor_forms import DecisionForm
from accounts.lost_factor_stops import OPEN
from accounts.lost_factors import decide, is_second, may_decide
from accounts.models import LostFactor, User
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin


@admin.register(LostFactor)
class LostFactorAdmin(FoundByNameAdmin):
    list_display = ("public_id", "status", "user", "asked_at", "first", "second", "ready_at", "ended_at")
    list_filter = ("status",)
    list_select_related = ("user", "first_by", "second_by")
    # What waits first, and of it what has waited longest.
    ordering = (F("ended_at").desc(nulls_first=True), "asked_at")
    search_help_text = "los_ or usr_ id"
    fields = readonly_fields = (
        "public_id",
        "status",
        "who",
        "statement",
        "asked_at",
        "first",
        "first_reason",
        "second",
        "second_reason",
        "ready_at",
        "ended_at",
    )
    change_form_template = "admin/accounts/lostfactor/change_form.html"

    @admin.display(description="id")
    def public_id(self, lost: LostFactor) -> str:
        return lost.public_id

    @admin.display(description="person")
    def who(self, lost: LostFactor) -> str:
        """The way to what is known of them."""
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:accounts_user_change", args=[lost.user_id]), str(lost.user)
        )

    @admin.display(description="first")
    def first(self, lost: LostFactor) -> str:
        return "-" if lost.first_by is None else lost.first_by.full_name

    @admin.display(description="second")
    def second(self, lost: LostFactor) -> str:
        return "-" if lost.second_by is None else lost.second_by.full_name

    def find(self, queryset: QuerySet[LostFactor], term: str) -> QuerySet[LostFactor]:
        uuid = parse_public_id(LostFactor.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        person = parse_public_id(User.PREFIX, term)
        return queryset.none() if person is None else queryset.filter(user__uuid=person)

    def get_urls(self) -> list[URLPattern]:
        decision = path("<int:pk>/decide/", self.admin_site.admin_view(self.decide), name="accounts_lostfactor_decide")
        return [decision, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        lost = cast("LostFactor | None", self.get_object(request, object_id))
        offered = lost is not None and lost.status in OPEN and may_decide(lost=lost, by=cast(User, request.user))
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_decide": offered})

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the person says, what the first of support said, and a yes or a no with a reason."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        lost = self.get_queryset(request).select_related("user", "first_by").filter(pk=pk).first()
        if lost is None:
            raise Http404
        by = cast(User, request.user)
        form = DecisionForm(request.POST or None)
        approve = form.is_valid() and form.cleaned_data["decision"] == "approve"

        def told() -> str:
            lost.refresh_from_db()
            return f"{lost.public_id}: {lost.get_status_display()}."

        done = act_with_reason(
            self,
            request,
            row=lost,
            form=form,
            deed=lambda reason: decide(lost=lost, by=by, approve=approve, reason=reason, now=timezone.now()),
            logged="approved" if approve else "refused",
            told=told,
        )
        if done is not None:
            return done
        # After the deed, which keeps a record of whoever tried.
        if not may_decide(lost=lost, by=by):
            raise PermissionDenied
        template, second = "admin/accounts/lostfactor/decide.html", is_second(lost=lost, by=by)
        return self.page_between(request, template, lost=lost, is_second=second, form=form)
