"""Changes of people's addresses as support sees them, who may let large payments pass before the days are over."""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.address_changes import held_until, lift, may_lift
from accounts.admin.acting import act_with_reason
from accounts.forms import ReasonForm
from accounts.models import AddressChange, User
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin


@admin.register(AddressChange)
class AddressChangeAdmin(FoundByNameAdmin):
    list_display = ("public_id", "person", "channel", "status", "requested_at", "done_at", "held_until")
    list_filter = ("status", "channel")
    list_select_related = ("user",)
    ordering = ("-pk",)
    search_help_text = "adc_ or usr_ id, whole e-mail or phone, of before or after"
    fields = readonly_fields = (
        "public_id",
        "person",
        "channel",
        "old_value",
        "new_value",
        "status",
        "requested_at",
        "done_at",
        "undo_until",
        "undone_at",
        "held_until",
    )
    change_form_template = "admin/accounts/addresschange/change_form.html"

    @admin.display(description="id")
    def public_id(self, change: AddressChange) -> str:
        return change.public_id

    @admin.display(description="person")
    def person(self, change: AddressChange) -> str:
        return change.user.public_id

    def find(self, queryset: QuerySet[AddressChange], term: str) -> QuerySet[AddressChange]:
        uuid = parse_public_id(AddressChange.PREFIX, term)
        if uuid is not None:
            return queryset.filter(uuid=uuid)
        uuid = parse_public_id(User.PREFIX, term)
        if uuid is not None:
            return queryset.filter(user__uuid=uuid)
        value = term.lower().replace(" ", "")
        return queryset.filter(new_value=value) | queryset.filter(old_value=value)

    def get_urls(self) -> list[URLPattern]:
        lift_page = path("<int:pk>/lift/", self.admin_site.admin_view(self.lift), name="accounts_addresschange_lift")
        return [lift_page, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        change = cast("AddressChange | None", self.get_object(request, object_id))
        offered = (
            change is not None
            and may_lift(user=change.user, by=cast(User, request.user))
            and held_until(user=change.user, now=timezone.now()) is not None
        )
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_lift": offered})

    def lift(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page in between: asks for the reason first. Of all that holds this person."""
        change = self.get_queryset(request).select_related("user").filter(pk=pk).first()
        if change is None:
            raise Http404
        if not self.has_view_permission(request):
            raise PermissionDenied
        by, form = cast(User, request.user), ReasonForm(request.POST or None)
        done = act_with_reason(
            self,
            request,
            row=change,
            form=form,
            deed=lambda reason: lift(user=change.user, by=by, reason=reason, now=timezone.now()),
            logged="large payments pass",
            told=lambda: f"Large payments of {change.user.full_name} pass.",
        )
        if done is not None:
            return done
        # After the deed, which keeps a record of whoever tried.
        if not may_lift(user=change.user, by=by):
            raise PermissionDenied
        return self.page_between(request, "admin/accounts/addresschange/lift.html", original=change, form=form)
