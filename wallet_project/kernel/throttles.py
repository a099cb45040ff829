"""
Where requests are counted: by REST framework's throttle for the API, by a middleware for pages.

A view says which of `rate_limits.ROUTE_CLASSES` it belongs to, by an attribute `throttle_scope` or the decorator
`counted_as`. One that says nothing is a `read` or moves `money`, by its method; a stranger's is `public`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from django.template.loader import get_template
from django.views.generic.base import View
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from wallet_project.kernel.clients import client
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.rate_limits import rate_limit_headers, spend, standings

V = TypeVar("V", bound=Callable[..., Any])
_SAFE = ("GET", "HEAD", "OPTIONS")


class RouteThrottle(BaseThrottle):
    """
    After authentication and before the body is looked at, so that it uses up no key.

    :raises Refusal: `too_many_requests`, `busy`.
    """

    def allow_request(self, request: Request, view: APIView) -> bool:
        person: int | None = request.user.pk
        usual = "public" if person is None else "read" if request.method in _SAFE else "money"
        spend(getattr(view, "throttle_scope", usual), person=person, address=client.get().address)
        return True


def counted_as(route_class: str) -> Callable[[V], V]:
    """For a page: what is sent to it belongs to this class. Looking at it is counted as any other page."""

    def mark(view: V) -> V:
        view.throttle_scope = route_class  # type: ignore[attr-defined]
        return view

    return mark


class RateLimitMiddleware:
    """
    Counts pages, and writes what was counted into every answer's headers. After authentication.

    What a person sends is counted as `money_pages`, for nearly all of it is, and what they look at as `pages`.
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
        person: int | None = request.user.pk
        if request.method in _SAFE:
            route_class = "public_pages" if person is None else "pages"
        else:
            usual = "public_pages" if person is None else "money_pages"
            route_class = getattr(view, "throttle_scope", getattr(_class_of(view), "throttle_scope", usual))
        try:
            spend(route_class, person=person, address=client.get().address)
        except Refusal as refusal:
            return _page_of(refusal)
        return None


def _class_of(view: Any) -> type[View] | None:
    return getattr(view, "view_class", None)


def _page_of(refusal: Refusal) -> HttpResponse:
    """Rendered without the request: whoever is past a limit is not worth a query."""
    page = HttpResponse(get_template(f"{refusal.status}.html").render(), status=refusal.status)
    page["Retry-After"] = str(refusal.retry_after_seconds)
    page["Cache-Control"] = "no-store"
    return page
