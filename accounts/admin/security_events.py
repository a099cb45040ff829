"""The security audit log: who did what, to whom, from where, with what result. Read, and nothing else."""

import ipaddress
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import SecurityEvent, User
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.read_only_admin import FoundByNameAdmin

# The first words of kinds. Written out: to look for those that occur would read the whole log.
SUBJECTS: Final[Mapping[str, str]] = {
    "sign_in": "signing in",
    "session": "sessions",
    "device": "devices",
    "factor": "second factors",
    "password": "passwords",
    "address": "addresses",
    "person": "blocking",
    "wallet": "freezing",
    "role": "roles",
    "kyc": "identity",
    "proposal": "proposals",
    "limit": "limits",
    "own_limit": "people's own limits",
    "account": "accounts",
    "data": "personal data",
    "consent": "consent",
    "message": "messages to people",
    "push": "web push",
}
TIMES: Final[Mapping[str, timedelta]] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}


class KindFilter(admin.SimpleListFilter):
    title = "what it is about"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return list(SUBJECTS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[SecurityEvent]) -> QuerySet[SecurityEvent]:  # noqa: ARG002
        wanted = self.value()
        if wanted not in SUBJECTS:
            return queryset
        return queryset.filter(Q(kind=wanted) | Q(kind__startswith=f"{wanted}."))


class TimeFilter(admin.SimpleListFilter):
    title = "when"
    parameter_name = "within"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        return [(name, f"the last {name}") for name in TIMES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SecurityEvent]) -> QuerySet[SecurityEvent]:  # noqa: ARG002
        span = TIMES.get(self.value() or "")
        return queryset if span is None else queryset.filter(created_at__gte=timezone.now() - span)


@admin.register(SecurityEvent)
class SecurityEventAdmin(FoundByNameAdmin):
    list_display = ("created_at", "kind", "result", "who", "to_whom", "object", "address", "reason")
    list_filter = (KindFilter, "result", TimeFilter)
    ordering = ("-pk",)
    search_help_text = "By or to whom: usr_ id, whole e-mail or phone; an IP address; any other public id; a req_ id"
    fields = readonly_fields = (
        "created_at",
        "kind",
        "result",
        "reason",
        "who",
        "to_whom",
        "object",
        "address",
        "agent",
        "request_id",
        "more",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SecurityEvent]:
        """Joined on the row's own page, too: who is gone would there be looked for in vain, and raise."""
        return super().get_queryset(request).select_related("actor", "subject")

    @admin.display(description="by")
    def who(self, event: SecurityEvent) -> str:
        return _person(event.actor_id, event.actor)

    @admin.display(description="to")
    def to_whom(self, event: SecurityEvent) -> str:
        return _person(event.subject_id, event.subject)

    @admin.display(description="details")
    def more(self, event: SecurityEvent) -> str:
        text = json.dumps(event.details, indent=1, ensure_ascii=False) if event.details else "-"
        return format_html('<pre class="as-it-came">{}</pre>', text)

    def find(self, queryset: QuerySet[SecurityEvent], term: str) -> QuerySet[SecurityEvent]:
        uuid = parse_public_id(User.PREFIX, term)
        if uuid is not None or "@" in term or term.startswith("+"):
            by_address = Q(email=term.lower()) | Q(phone=term.replace(" ", ""))
            wanted = by_address if uuid is None else Q(uuid=uuid)
            people = list(User.objects.filter(wanted).values_list("pk", flat=True)[:100])
            return queryset.filter(Q(actor__in=people) | Q(subject__in=people))
        try:
            return queryset.filter(address=str(ipaddress.ip_address(term)))
        except ValueError:
            return queryset.filter(Q(object=term) | Q(request_id=term))


def _person(key: int | None, person: User | None) -> str:
    """The log outlives registrations that came to nothing."""
    if key is None:
        return "-"
    if person is None:
        return f"a registration that is gone ({key})"
    return format_html('<a href="{}">{}</a>', reverse("admin:accounts_user_change", args=[key]), person.full_name)
