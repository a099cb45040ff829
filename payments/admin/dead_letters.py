"""Events that a consumer group could not take in: what they were, why, and the buttons that try again or give up."""

from typing import Any, Final, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.admin.acting import act_with_reason
from accounts.models import User
from payments.admin.forms import DiscardForm
from payments.admin.showing import address_of, as_text
from payments.replaying import PERMISSION, discard_letter, replay_letter
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.events.dead_letters import WAITING
from wallet_project.kernel.models import DeadLetter
from wallet_project.kernel.read_only_admin import FoundByNameAdmin

LONGEST_SHOWN: Final = 4_000
_STATES: Final = {
    "waiting": WAITING,
    "replayed": Q(replayed_at__isnull=False),
    "discarded": Q(discarded_at__isnull=False),
}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(name, name) for name in _STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:  # noqa: ARG002
        wanted = self.value()
        return queryset.filter(_STATES[wanted]) if wanted in _STATES else queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(FoundByNameAdmin):
    list_display = ("event_id", "group", "state", "cause", "tries", "created_at")
    list_filter = (StateFilter, "group")
    list_select_related = ("group",)
    ordering = ("-pk",)
    search_help_text = "The event's id, whole"
    fields = readonly_fields = (
        "event_id",
        "group",
        "cause",
        "tries",
        "created_at",
        "replayed_at",
        "discarded_at",
        "discard_reason",
        "published_at",
        "partition",
        "offset",
        "message",
    )
    change_form_template = "admin/kernel/deadletter/change_form.html"

    @admin.display
    def state(self, letter: DeadLetter) -> str:
        if letter.discarded_at is not None:
            return "discarded"
        return "waiting" if letter.replayed_at is None else "replayed"

    @admin.display
    def message(self, letter: DeadLetter) -> str:
        return as_text(bytes(letter.value).decode("utf-8", "replace").replace("\0", "�")[:LONGEST_SHOWN])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """A list of them does without their values; the one that is opened has its own read."""
        return super().get_queryset(request).defer("value")

    def get_urls(self) -> list[URLPattern]:
        replay = path("<int:pk>/replay/", self.admin_site.admin_view(self.replay), name="kernel_deadletter_replay")
        discard = path("<int:pk>/discard/", self.admin_site.admin_view(self.discard), name="kernel_deadletter_discard")
        return [replay, discard, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        letter = self.get_object(request, object_id)
        is_waiting = letter is not None and self.state(letter) == "waiting"
        context = {**(extra_context or {}), "may_replay": is_waiting and self._may_replay(request)}
        return super().change_view(request, object_id, form_url, context)

    def replay(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Safe to press twice: what was taken in is not taken in again."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not (self._may_replay(request) and self.has_view_permission(request)):
            raise PermissionDenied
        letter = self._letter(request, pk)
        try:
            outcome = replay_letter(letter=letter, by=cast(User, request.user), now=timezone.now())
        except Refusal as refusal:
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(address_of(letter))
        if outcome is None:
            messages.warning(request, "Nothing to do: it was taken in before, or somebody else is at it.")
        elif outcome.failed:
            messages.error(request, f"It still fails: {outcome.failed}")
            self.log_change(request, letter, "Tried again, and it failed.")
        else:
            messages.success(request, f"{letter.group} has taken it in.")
            self.log_change(request, letter, "Tried again, and it was taken in.")
        return HttpResponseRedirect(address_of(letter))

    def discard(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page in between: asks why, and gives the letter up."""
        if not (self._may_replay(request) and self.has_view_permission(request)):
            raise PermissionDenied
        letter = self._letter(request, pk)
        form = DiscardForm(request.POST or None)
        by = cast(User, request.user)
        done = act_with_reason(
            self,
            request,
            row=letter,
            form=form,
            deed=lambda reason: discard_letter(letter=letter, by=by, reason=reason, now=timezone.now()),
            logged="Discarded",
            told=lambda: "It is discarded.",
        )
        return done or self.page_between(request, "admin/kernel/deadletter/discard.html", letter=letter, form=form)

    def _letter(self, request: HttpRequest, pk: int) -> DeadLetter:
        letter: DeadLetter | None = self.get_queryset(request).select_related("group").filter(pk=pk).first()
        if letter is None:
            raise Http404
        return letter

    def _may_replay(self, request: HttpRequest) -> bool:
        return cast(User, request.user).has_perm(PERMISSION)

    def find(self, queryset: QuerySet[DeadLetter], term: str) -> QuerySet[DeadLetter]:
        try:
            return queryset.filter(event_id=UUID(term))
        except ValueError:
            return queryset.filter(Q(pk__in=[]))
