"""Redirects after a POST."""

from django.http import HttpResponseRedirect
from django.shortcuts import resolve_url


class SeeOther(HttpResponseRedirect):
    """303: whatever the method was, the next request is a GET (RFC 9110), so that a reload repeats nothing."""

    status_code = 303


def see_other(to: str, *args: object) -> SeeOther:
    """To a URL, or to a page by its name and arguments."""
    return SeeOther(resolve_url(to, *args))
