"""
Reading what a gateway answers: JSON that may lack anything, or hold something else there.

What must be there and is not is a ValueError, which `http.readable` turns into an answer that says nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

_LARGEST_WHOLE: Final = 2**63 - 1
# The year 9999.
_END_OF_TIME: Final = 253_370_764_800


def word(values: Mapping[str, Any], name: str) -> str:
    """
    A field that may be missing, null, `"null"` or `"NA"`: all of them mean that there is nothing to say. Neither does
    text with a NUL, a control character or a lone surrogate in it, which PostgreSQL could not even look for.
    """
    value = values.get(name)
    return value if isinstance(value, str) and value.isprintable() and value not in ("null", "NA") else ""


def whole(values: Mapping[str, Any], name: str) -> int:
    """
    A number that must be there, like an amount. No fraction: money is counted in minor units.

    :raises ValueError: it is not.
    """
    value = whole_or_none(values, name)
    if value is None:
        raise ValueError(name)
    return value


def whole_or_none(values: Mapping[str, Any], name: str) -> int | None:
    """
    :returns: None where it is missing or null.
    :raises ValueError: it is something else than a whole number that PostgreSQL can hold.
    """
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST_WHOLE:
        raise ValueError(name)
    return value


def moment(values: Mapping[str, Any], name: str) -> datetime | None:
    """Unix seconds; None where they are missing (as in real samples) or make no sense."""
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < _END_OF_TIME:
        return None
    return datetime.fromtimestamp(value, UTC)


def text(values: Mapping[str, Any], name: str) -> str:
    """
    A word that must be there.

    :raises ValueError: it is not.
    """
    found = word(values, name)
    if not found:
        raise ValueError(name)
    return found


def inner(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside; none where it is missing, null, or an empty list, as empty notes are."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}
