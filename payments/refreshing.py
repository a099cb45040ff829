"""
Pages that look again by themselves while something is still to come.

With JavaScript a script does it, which disturbs nobody (static/js/waiting.js); without, the browser loads the page
anew, and the address counts how often, so that a page left open comes to rest.
"""

from typing import Final

from django.http import HttpRequest

MOST_LOOKS: Final = 20
_NAME: Final = "look"


def look_again(request: HttpRequest) -> str:
    """Where a browser without JavaScript looks next; empty once it has looked often enough."""
    given = request.GET.get(_NAME, "0")
    looked = int(given) if given.isascii() and given.isdigit() and len(given) < 4 else MOST_LOOKS
    return f"?{_NAME}={looked + 1}" if looked < MOST_LOOKS else ""
