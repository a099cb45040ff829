"""Lists as the gateway gives them: newest first, with `from`, `to`, `count` and `skip`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from payments.sandbox.errors import GatewayError

COUNT_DEFAULT = 10
COUNT_LARGEST = 100
_LATEST = 9_999_999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of a list is asked for; times are Unix seconds, both ends included."""

    from_time: int
    to_time: int
    count: int
    skip: int

    @classmethod
    def asked_by(cls, query: Mapping[str, str]) -> "Window":
        """
        :raises GatewayError: a value is not a whole number within its bounds.
        """
        return cls(
            from_time=whole(query, "from", default=0),
            to_time=whole(query, "to", default=_LATEST),
            count=whole(query, "count", default=COUNT_DEFAULT, least=1, largest=COUNT_LARGEST),
            skip=whole(query, "skip", default=0),
        )

    def parameters(self) -> dict[str, int]:
        """The window as named parameters of a query."""
        return {"from_time": self.from_time, "to_time": self.to_time, "count": self.count, "skip": self.skip}


def collection(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The gateway's envelope round a list."""
    listed = list(items)
    return {"entity": "collection", "count": len(listed), "items": listed}


def whole(query: Mapping[str, str], name: str, *, default: int, least: int = 0, largest: int = _LATEST) -> int:
    """
    A whole number in a query; `default` if it is not there.

    :raises GatewayError: it is none, or out of its bounds.
    """
    if name not in query:
        return default
    if not re.fullmatch(r"[0-9]{1,10}", query[name]):
        raise GatewayError(f"The {name} must be an integer.", field=name)
    value = int(query[name])
    if value < least:
        raise GatewayError(f"The {name} must be at least {least}.", field=name)
    if value > largest:
        raise GatewayError(f"The {name} may not be greater than {largest}.", field=name)
    return value
