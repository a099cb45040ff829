"""Gives every request an id, an access event in the log, and a bound on its body."""

import sys
import time
from collections.abc import Callable
from typing import Final

import structlog
from django.http import HttpRequest, HttpResponse
from django.template.loader import get_template
from django.views.defaults import server_error

from wallet_project.kernel.body_sizes import most_bytes_for
from wallet_project.kernel.clients import client, client_of
from wallet_project.kernel.context import choose_request_id, request_id
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.problems import database_busy, problem_response, unexpected_problem

log = structlog.get_logger("wallet.http")

_CHUNK: Final = 64 * 1024
# Beyond this we stop reading and close: a client that sends gigabytes is not waiting for an answer.
_MOST_DRAINED_BYTES: Final = 32 * 1024 * 1024
_CODES_OF_PAGES: Final = {400: "invalid", 404: "not_found", 405: "method_not_allowed", 500: "internal_error"}


class RequestContextMiddleware:
    """First in, last out: request id, size limit and access log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = choose_request_id(request.headers.get("X-Request-ID"))
        token, at_other_end = request_id.set(chosen), client.set(client_of(request))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=chosen)
        started = time.perf_counter()
        try:
            response = self.get_response(request)
            _drain(request)
            response["X-Request-ID"] = chosen
            log.info(
                "http.request",
                method=request.method,
                path=request.path[:200],
                status=response.status_code,
                milliseconds=round((time.perf_counter() - started) * 1000, 1),
            )
            return response
        finally:
            request_id.reset(token)
            client.reset(at_other_end)

    def process_view(self, request: HttpRequest, *_view: object) -> HttpResponse | None:
        """
        Django bounds fields, not files: looking for its forgery token, it would read a page's multipart body whatever
        its size.
        """
        too_large = not _is_for_programs(request) and _length_of(request) > most_bytes_for(request.path)
        return _too_large_page() if too_large else None


class ProblemMiddleware:
    """Problems for an API's crashes, and for what Django answers there with a page. Around whatever answers so."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        return _for_programs(response) if _is_for_programs(request) else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not _is_for_programs(request):
            return None
        return unexpected_problem(exception)


def error_page(request: HttpRequest) -> HttpResponse:
    """
    Django's `handler500`: also for what is raised where no view is, such as a session that cannot be saved.

    Rendered without the request: whether somebody is signed in would be asked of the very database that is gone.
    """
    busy = database_busy(sys.exception())
    if busy is None:
        return server_error(request)
    if _is_for_programs(request):
        return problem_response(busy)
    page = HttpResponse(get_template("503.html").render(), status=busy.status)
    page["Retry-After"] = str(busy.retry_after_seconds)
    return page


def _for_programs(response: HttpResponse) -> HttpResponse:
    """Django's own pages (a host not ours, an unknown path, a wrong method, a crash) as problems; nothing is cached."""
    code = _CODES_OF_PAGES.get(response.status_code)
    if code is not None and not _is_problem(response):
        page, response = response, problem_response(Refusal(code))
        for name, value in page.headers.items():
            # Of the page's own: its type, its length and what it may load.
            if not name.startswith("Content-"):
                response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def drain_if_too_large(request: HttpRequest) -> None:
    """
    Refuse a body past what its path may take, after reading it away.

    :raises Refusal: `body_too_large`.
    """
    limit = most_bytes_for(request.path)
    if _length_of(request) <= limit:
        return
    _drain(request)
    raise Refusal("body_too_large", f"The body may hold at most {limit} bytes.")


def _too_large_page() -> HttpResponse:
    return HttpResponse(get_template("400.html").render(), status=413)


def _length_of(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _drain(request: HttpRequest) -> None:
    """
    Read away what nobody has read of a body: a stranger's, say, who was answered before anybody looked at it.

    An undrained body would make the server reset the connection, often before the client has read its answer.
    """
    left = _MOST_DRAINED_BYTES
    try:
        while left > 0 and (chunk := request.read(min(_CHUNK, left))):
            left -= len(chunk)
    except OSError:
        # Whoever sent it has gone.
        return


def _is_for_programs(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/health/"))


def _is_problem(response: HttpResponse) -> bool:
    return response.headers.get("Content-Type", "").startswith("application/problem+json")
