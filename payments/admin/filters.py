"""What lists of payments are narrowed by. None of them reads a whole column to find its choices."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from payments.gateways import GATEWAYS

_Choices = Sequence[tuple[str, str]]


class WordFilter(admin.SimpleListFilter):
    """By one of a few words that a column may hold."""

    words: ClassVar[Sequence[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> _Choices:  # noqa: ARG002  (Django's signature)
        return [(word, word) for word in self.words]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        return queryset if self.value() is None else queryset.filter(**{str(self.parameter_name): self.value()})


class GatewayFilter(WordFilter):
    title = "gateway"
    parameter_name = "gateway"
    words = tuple(GATEWAYS)


class AttemptStatusFilter(WordFilter):
    """The gateways' own words (https://razorpay.com/docs/payments/payments/payment-life-cycle)."""

    title = "status"
    parameter_name = "status"
    words = ("created", "authorized", "captured", "refunded", "failed")


class ItemKindFilter(WordFilter):
    title = "kind"
    parameter_name = "kind"
    words = ("payment", "refund", "adjustment", "transfer")


class GivenFilter(admin.SimpleListFilter):
    """By whether a column holds anything at all, in words for either."""

    given: ClassVar[str]
    missing: ClassVar[str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> _Choices:  # noqa: ARG002
        return [("yes", self.given), ("no", self.missing)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(**{f"{self.parameter_name}__isnull": self.value() == "no"})


class CreditedFilter(GivenFilter):
    title = "whether it credited"
    parameter_name = "credited_by"
    given = "it did"
    missing = "it did not"


class PostedFilter(GivenFilter):
    title = "whether it is posted"
    parameter_name = "transaction"
    given = "posted"
    missing = "not explained"


class ProcessedFilter(GivenFilter):
    title = "whether it is processed"
    parameter_name = "processed_at"
    given = "processed"
    missing = "waiting"


class RemovedFilter(GivenFilter):
    title = "whether it is removed"
    parameter_name = "removed_at"
    given = "removed"
    missing = "in use"


class DueFilter(admin.SimpleListFilter):
    """By when the gateway is next asked on nobody's request."""

    title = "when the gateway is asked"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> _Choices:  # noqa: ARG002
        return [("now", "now: it is due"), ("later", "later"), ("never", "not any more")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        now = timezone.now()
        conditions: dict[str, dict[str, Any]] = {
            "now": {"check_at__lte": now},
            "later": {"check_at__gt": now},
            "never": {"check_at__isnull": True},
        }
        return queryset.filter(**conditions.get(self.value() or "", {}))


class DifferencesFilter(admin.SimpleListFilter):
    """Days on which the books differed."""

    title = "differences"
    parameter_name = "differences"

    def lookups(self, request: HttpRequest, model_admin: Any) -> _Choices:  # noqa: ARG002
        return [("some", "some"), ("none", "none")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002
        conditions: dict[str, dict[str, Any]] = {"some": {"differences__gt": 0}, "none": {"differences": 0}}
        return queryset.filter(**conditions.get(self.value() or "", {}))
