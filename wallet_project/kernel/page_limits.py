"""Where pages are counted, and where every answer is told how much is left."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.template.loader import get_template

from wallet_project.kernel.clients import client
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.rate_limits import SAFE_METHODS, rate_limit_headers, spend, standings

V = TypeVar("V", bound=Callable[..., Any])


def counted_as(route_class: str) -> Callable[[V], V]:
    """
    For a page, outermost: what is sent to it belongs to this one of `rate_limits.ROUTE_CLASSES`. Looking at it is
    counted as any other page.
    """

    def mark(view: V) -> V:
        view.throttle_scope = route_class  # type: ignore[attr-defined]
        return view

    return mark


def looks_by_itself(view: V) -> V:
    """
    For a page that an open page's script asks for again and again, outermost: it is counted apart, so that it uses up
    nothing of what its person may do, and is no sign that somebody is there (`accounts.page_sessions`).
    """
    view.looks_by_itself = True  # type: ignore[attr-defined]
    return view


class RateLimitMiddleware:
    """
    Counts pages, and writes what was counted into every answer's headers. After authentication.

    What a person sends is counted as `money_pages`, for nearly all of it is, what they look at as `pages`, and what
    their open pages look at by themselves as `live`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = standings.set(())
        try:
            response = self.get_response(request)
            for name, value in rate_limit_headers(standings.get()).items():
                response[name] = value
            return response
        finally:
            standings.reset(token)

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        if request.path.startswith(("/api/", "/health/")):
            return None
        person: str | None = getattr(request.user, "public_id", None)
        if request.method in SAFE_METHODS:
            own = "live" if getattr(view, "looks_by_itself", False) else "pages"
            route_class = "public_pages" if person is None else own
        else:
            route_class = getattr(view, "throttle_scope", "public_pages" if person is None else "money_pages")
        try:
            spend(route_class, person=person, address=client.get().address)
        except Refusal as refusal:
            return _page_of(refusal)
        return None


def _page_of(refusal: Refusal) -> HttpResponse:
    """Rendered without the request: whoever is past a limit is not worth a query."""
    page = HttpResponse(get_template(f"{refusal.status}.html").render(), status=refusal.status)
    page["Retry-After"] = str(refusal.retry_after_seconds)
    page["Cache-Control"] = "no-store, private"
    return page
