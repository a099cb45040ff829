"""
What every answer tells the browser about itself: what a page may load and where its forms may go, that nothing frames
it, reads it from another site or keeps it.

The policy of pages stands in the settings (`CONTENT_SECURITY_POLICY`). A script runs only with its page's nonce; in the
admin, whose own templates know no nonces, from our own files. Whatever is not a page may load nothing at all.
"""

from typing import Any, Final, TypeVar

from csp.constants import HEADER, NONE, SELF
from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest
from django.http.response import HttpResponseBase

R = TypeVar("R", bound=HttpResponseBase)

NOT_A_PAGE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_IN_THE_ADMIN: Final[dict[str, Any]] = {"script-src": [SELF]}
_WITHOUT_SCRIPTS: Final[dict[str, Any]] = {"script-src": [NONE]}


class PageHeadersMiddleware(CSPMiddleware):
    """Before whatever answers by itself, so that refusals, static files and crashes carry them too."""

    def process_response(self, request: HttpRequest, response: R) -> R:
        headers = response.headers
        # Not setdefault: the API's documentation would open itself to windows of other sites.
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        # Static files say how long they keep; everything else is somebody's, or shows who is signed in.
        headers.setdefault("Cache-Control", "no-store, private")
        if headers.get("Content-Type", "").startswith("text/html"):
            super().process_response(request, response)
        else:
            headers[HEADER] = NOT_A_PAGE
        return response

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        match = request.resolver_match
        if match is not None and "admin" in match.app_names:
            parts.replace = _IN_THE_ADMIN
        elif parts.nonce is None:
            parts.replace = _WITHOUT_SCRIPTS
        return parts


class MessageCookies(CookieStorage):
    """Django's messages to whoever looks at the next page, in a cookie with a name as strict as the others'."""

    cookie_name = settings.MESSAGE_COOKIE_NAME
