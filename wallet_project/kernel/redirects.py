"""Redirects after a POST, and to addresses that a request named."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme


class SeeOther(HttpResponseRedirect):
    """303: whatever the method was, the next request is a GET (RFC 9110), so that a reload repeats nothing."""

    status_code = 303


def see_other(to: str, *args: object) -> SeeOther:
    """To a path from the root, literally, or to a page by its name and arguments."""
    return SeeOther(to if to.startswith("/") else resolve_url(to, *args))


def own_address(request: HttpRequest, wanted: str) -> str:
    """
    Where to go after signing in, if it is a path from the root of this site; the first page, if not. Anything else that
    stays here (`wallet`, or this site's own URL) could be the name of a route, and nothing of ours asks for it so.
    """
    allowed = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None, require_https=request.is_secure())
    if allowed and wanted.startswith("/"):
        return wanted
    return resolve_url(settings.LOGIN_REDIRECT_URL)
