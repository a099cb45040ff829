"""People as support and auditors see them: searched and read, blocked and unblocked with a reason, never edited."""

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.admin.acting import act_with_reason
from accounts.blocking import block, can_change_status, may_change_status, unblock
from accounts.forms import ReasonForm
from accounts.models import StatusChange, User
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import ReadOnlyAdmin

# Groups are made and granted by migrations; a hand-made one would be a role that no test knows.
admin.site.unregister(Group)


class StatusChanges(admin.TabularInline):  # type: ignore[type-arg]  # generic in its stubs only
    model = StatusChange
    fk_name = "user"
    fields = readonly_fields = ("created_at", "status", "by", "reason")
    ordering = ("-pk",)
    extra = 0
    can_delete = False
    verbose_name_plural = "blocked and unblocked"

    def get_queryset(self, request: HttpRequest) -> QuerySet[StatusChange]:
        return super().get_queryset(request).select_related("by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


@admin.register(User)
class PersonAdmin(ReadOnlyAdmin):
    list_display = ("public_id", "full_name", "email", "phone", "status", "has_verified_address", "created_at")
    list_filter = ("status", "is_staff")
    ordering = ("-pk",)
    search_fields = ("full_name",)
    search_help_text = "Name, whole e-mail or phone, or usr_ id"
    fields = readonly_fields = (
        "public_id",
        "full_name",
        "email",
        "email_verified_at",
        "phone",
        "phone_verified_at",
        "status",
        "kyc_level",
        "is_staff",
        "is_superuser",
        "groups",
        "created_at",
    )
    inlines = (StatusChanges,)
    change_form_template = "admin/accounts/user/change_form.html"

    @admin.display(description="id", ordering="uuid")
    def public_id(self, user: User) -> str:
        return user.public_id

    @admin.display(description="verified", boolean=True)
    def has_verified_address(self, user: User) -> bool:
        return user.has_verified_address

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Addresses and ids by their indexes; a name by its parts."""
        term = search_term.strip()
        uuid = parse_public_id(User.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid), False
        if "@" in term or term.startswith("+"):
            return queryset.filter(Q(email=term.lower()) | Q(phone=term.replace(" ", ""))), False
        return super().get_search_results(request, queryset, term)

    def get_urls(self) -> list[URLPattern]:
        change = path(
            "<int:pk>/status/", self.admin_site.admin_view(self.change_status), name="accounts_user_change_status"
        )
        return [change, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user, by = self.get_object(request, object_id), cast(User, request.user)
        offered = user is not None and can_change_status(user=user) and may_change_status(user=user, by=by)
        context = {
            **(extra_context or {}),
            "may_change_status": offered,
            "may_see_log": by.has_perm("accounts.view_securityevent"),
        }
        return super().change_view(request, object_id, form_url, context)

    def change_status(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page in between: asks for the reason, then blocks or unblocks."""
        user = User.objects.filter(pk=pk).first()
        if user is None:
            raise Http404
        if not self.has_view_permission(request):
            raise PermissionDenied
        by = cast(User, request.user)
        # What the page offered, not what the row says now: two people of support may stand at one page.
        act = request.POST.get("act") or ("unblock" if user.status == User.Status.BLOCKED else "block")
        deed = {"block": block, "unblock": unblock}.get(act)
        form = ReasonForm(request.POST or None)
        done = deed and act_with_reason(
            self,
            request,
            row=user,
            form=form,
            deed=lambda reason: deed(user=user, by=by, reason=reason, now=timezone.now()),
            logged=act,
            told=lambda: f"{user.full_name}: {act}ed.",
        )
        if done is not None:
            return done
        # After the deed, which keeps a record of whoever tried.
        if not may_change_status(user=user, by=by):
            raise PermissionDenied
        template = "admin/accounts/user/change_status.html"
        return self.page_between(request, template, person=user, act=act, form=form)
