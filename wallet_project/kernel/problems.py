"""RFC 9457 problem documents: how every refusal leaves the API."""

from typing import Any, Final

import django.db
import psycopg
import structlog
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from wallet_project.kernel.context import request_id
from wallet_project.kernel.errors import CODES, Refusal

log = structlog.get_logger("wallet.problems")

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 1
_DRF_CODES: Final[dict[type[exceptions.APIException], str]] = {
    exceptions.ParseError: "parse_error",
    exceptions.AuthenticationFailed: "token_invalid",
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.PermissionDenied: "permission_denied",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.Throttled: "too_many_requests",
}


def problem(refusal: Refusal) -> dict[str, Any]:
    """The document: `type, title, status, detail, code, request_id, errors` and the refusal's own members."""
    return {
        "type": f"urn:wallet:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "request_id": request_id.get(),
        "errors": refusal.errors,
        **refusal.extra,
    }


def problem_response(refusal: Refusal) -> HttpResponse:
    """A plain Django response, for what is refused outside of DRF."""
    response = JsonResponse(problem(refusal), status=refusal.status, content_type=MEDIA_TYPE)
    if refusal.retry_after_seconds is not None:
        response["Retry-After"] = str(refusal.retry_after_seconds)
    return response


def database_busy(exception: BaseException | None) -> Refusal | None:
    """
    `busy`, where the database gave up or is gone: a lock's or a statement's time-out, an exhausted pool, a lost
    connection, a deadlock. None of them is a bug of ours, and the same request may be sent again.
    """
    if not isinstance(exception, django.db.OperationalError | psycopg.OperationalError):
        return None
    driver = exception if isinstance(exception, psycopg.Error) else exception.__cause__
    # Its text may name hosts and rows.
    log.error("database.unavailable", reason=type(driver or exception).__name__)
    return Refusal("busy", retry_after_seconds=RETRY_AFTER_SECONDS)


def unexpected_problem(exception: Exception) -> HttpResponse:
    """A database that is busy; or else a bug, logged loudly with its trace and answered without it."""
    busy = database_busy(exception)
    if busy is None:
        log.error("http.crash", exc_info=exception)
    return problem_response(busy or Refusal("internal_error"))


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """
    DRF's exception handler. Unlike DRF's own it never sets rollback: deeds own their transactions, and
    a stored refusal or a counted failure must survive its answer.
    """
    refusal = _as_refusal(exception)
    if refusal is None:
        return None
    headers = {}
    if refusal.retry_after_seconds is not None:
        headers["Retry-After"] = str(refusal.retry_after_seconds)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="api"'
    if isinstance(exception, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    # JSON whatever the view would speak: the schema's is YAML, the docs' a page.
    context["request"].accepted_renderer = JSONRenderer()
    context["request"].accepted_media_type = MEDIA_TYPE
    return Response(problem(refusal), status=refusal.status, headers=headers, content_type=MEDIA_TYPE)


def _as_refusal(exception: Exception) -> Refusal | None:
    if isinstance(exception, Refusal):
        return exception
    if isinstance(exception, Http404):
        return Refusal("not_found")
    if isinstance(exception, PermissionDenied):
        return Refusal("permission_denied")
    if isinstance(exception, exceptions.ValidationError):
        errors = list(_flatten("", exception.get_full_details()))
        return Refusal("invalid", errors[0]["detail"] if len(errors) == 1 else "", errors=errors)
    if isinstance(exception, exceptions.APIException):
        for kind, code in _DRF_CODES.items():
            if isinstance(exception, kind):
                # The token library's details are dictionaries, meant for its own answers.
                detail = str(exception.detail) if isinstance(exception.detail, str) else ""
                if code == "parse_error":
                    detail = "The body is not valid JSON."
                wait = getattr(exception, "wait", None)
                return Refusal(code, detail, retry_after_seconds=None if wait is None else int(wait) + 1)
    return database_busy(exception)


def _flatten(field: str, details: Any) -> Any:
    """DRF's nested details as a flat list of `{field, code, detail}`."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        code = details["code"]
        yield {"field": field, "code": code if code not in CODES else "invalid", "detail": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            path = field if name == "non_field_errors" else f"{field}.{name}".lstrip(".")
            yield from _flatten(path, inner)
    else:
        for inner in details:
            yield from _flatten(field, inner)
