"""Messages to people as support sees them: what left, what waits, what was given up and why. Never what they say."""

from typing import Any, Final, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.addresses import masked
from accounts.admin.acting import act_with_reason
from accounts.forms import ReasonForm
from accounts.models import OutgoingMessage, User
from accounts.resending import may_send_again, send_again
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin

_STATES: Final = {
    "given_up": ("given up", Q(given_up_at__isnull=False)),
    "waiting": ("waiting", Q(sent_at=None, given_up_at=None)),
    "sent": ("sent", Q(sent_at__isnull=False)),
}
_LONGEST_KEY: Final = 18


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(name, words) for name, (words, _) in _STATES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OutgoingMessage]) -> QuerySet[OutgoingMessage]:  # noqa: ARG002
        wanted = self.value()
        return queryset.filter(_STATES[wanted][1]) if wanted in _STATES else queryset


@admin.register(OutgoingMessage)
class OutgoingMessageAdmin(FoundByNameAdmin):
    list_display = ("number", "state", "last_error", "channel", "what", "person", "to", "requested_at", "sent_at")
    list_filter = (StateFilter, "channel")
    list_select_related = ("user", "notification")
    ordering = ("-pk",)
    search_help_text = "number, usr_ id, or whole e-mail or phone"
    fields = readonly_fields = (
        "state",
        "channel",
        "what",
        "who",
        "to",
        "requested_at",
        "attempts",
        "next_at",
        "sent_at",
        "provider_id",
        "given_up_at",
        "last_error",
    )
    change_form_template = "admin/accounts/outgoingmessage/change_form.html"

    @admin.display(description="number")
    def number(self, message: OutgoingMessage) -> int:
        return message.pk

    @admin.display(description="state")
    def state(self, message: OutgoingMessage) -> str:
        if message.given_up_at is not None:
            return "given up"
        return "waiting" if message.sent_at is None else "sent"

    @admin.display(description="what")
    def what(self, message: OutgoingMessage) -> str:
        if message.purpose != OutgoingMessage.Purpose.NOTICE:
            return message.get_purpose_display()
        told = message.notification
        return str(message.details.get("kind") or (told.kind if told is not None else "gone"))

    @admin.display(description="person")
    def person(self, message: OutgoingMessage) -> str:
        return message.user.public_id

    @admin.display(description="person")
    def who(self, message: OutgoingMessage) -> str:
        """The way to what is known of them."""
        at = reverse("admin:accounts_user_change", args=[message.user_id])
        return format_html('<a href="{}">{}</a>', at, message.user.public_id)

    @admin.display(description="to")
    def to(self, message: OutgoingMessage) -> str:
        return message.address if message.channel == OutgoingMessage.By.PUSH else masked(message.address)

    def find(self, queryset: QuerySet[OutgoingMessage], term: str) -> QuerySet[OutgoingMessage]:
        if term.isdecimal() and len(term) <= _LONGEST_KEY:
            return queryset.filter(pk=int(term))
        uuid = parse_public_id(User.PREFIX, term)
        if uuid is not None:
            return queryset.filter(user__uuid=uuid)
        return queryset.filter(address=term.lower().replace(" ", ""))

    def get_urls(self) -> list[URLPattern]:
        resend = path(
            "<int:pk>/resend/", self.admin_site.admin_view(self.resend), name="accounts_outgoingmessage_resend"
        )
        return [resend, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        message = cast("OutgoingMessage | None", self.get_object(request, object_id))
        offered = (
            message is not None
            and message.given_up_at is not None
            and may_send_again(message=message, by=cast(User, request.user))
        )
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_resend": offered})

    def resend(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page in between: asks for the reason first."""
        message = self.get_queryset(request).select_related("user", "notification").filter(pk=pk).first()
        if message is None:
            raise Http404
        if not self.has_view_permission(request):
            raise PermissionDenied
        by, form = cast(User, request.user), ReasonForm(request.POST or None)
        done = act_with_reason(
            self,
            request,
            row=message,
            form=form,
            deed=lambda reason: send_again(message=message, by=by, reason=reason, now=timezone.now()),
            logged="sent again",
            told=lambda: f"Message {pk} is tried again.",
        )
        if done is not None:
            return done
        # After the deed, which keeps a record of whoever tried.
        if not may_send_again(message=message, by=by):
            raise PermissionDenied
        template, what, to = "admin/accounts/outgoingmessage/resend.html", self.what(message), self.to(message)
        return self.page_between(request, template, original=message, what=what, to=to, form=form)
