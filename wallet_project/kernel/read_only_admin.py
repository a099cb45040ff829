"""The admin of whatever support may read and nobody may edit."""

from typing import TYPE_CHECKING, Any, Final, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.functional import cached_property

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin  # Django's own class takes no parameter


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic in its stubs only
    """Counts no further than a person would leaf: counting a whole ledger reads all of it."""

    MOST_ROWS: Final = 10_000

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return len(rows.values_list("pk")[: self.MOST_ROWS])


class ReadOnlyAdmin(_ModelAdmin):
    """Nothing is added, changed or deleted here, whoever asks: superusers and bulk actions included."""

    actions = None
    # A count of the whole table on every page would read the whole table.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    paginator = BoundedPaginator

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What the address asks for, without the one character that no text of PostgreSQL can hold."""
        if any("\0" in text for name, texts in request.GET.lists() for text in (name, *texts)):
            asked = QueryDict(mutable=True)
            for name, texts in request.GET.lists():
                asked.setlist(name.replace("\0", ""), [text.replace("\0", "") for text in texts])
            request.GET = asked  # type: ignore[assignment]  # nobody changes it from here on
        return super().changelist_view(request, extra_context)

    def page_between(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """A page of the admin that asks something, before anything is done."""
        every = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**every, **context})

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False


class FoundByNameAdmin(ReadOnlyAdmin):
    """Searched by whole ids and addresses, each found by its index, instead of by parts of text."""

    # Never looked into: it makes the search box appear.
    search_fields = ("pk",)

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """The rows that `term` names; never blank."""
        raise NotImplementedError

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002  (Django's signature)
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        return (self.find(queryset, term) if term else queryset), False
