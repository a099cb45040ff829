"""
Pages that look again by themselves while something is still to come.

With JavaScript a script does it, which disturbs nobody (static/js/waiting.js); without, the browser loads the page
anew, and the address counts how often, so that a page left open comes to rest.
"""

from collections.abc import Mapping
from typing import Final

MOST_LOOKS: Final = 20
_NAME: Final = "look"
_LONGEST: Final = 3


def look_again(query: Mapping[str, str]) -> str:
    """
    Where a browser without JavaScript looks next; empty once it has looked often enough.

    :param query: of the address that is looked at now.
    """
    given = query.get(_NAME, "0")
    is_number = given.isascii() and given.isdigit() and len(given) <= _LONGEST
    looked = int(given) if is_number else MOST_LOOKS
    return f"?{_NAME}={looked + 1}" if looked < MOST_LOOKS else ""
