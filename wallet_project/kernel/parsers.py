"""One JSON parser for the API: UTF-8, bounded, an object at the top, no NUL, nothing nested absurdly."""

import json
from collections.abc import Mapping
from typing import IO, Any, Final, NoReturn

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from wallet_project.kernel.middleware import drain_if_too_large

DEEPEST_NESTING: Final = 20


class StrictJSONParser(BaseParser):
    """
    :raises Refusal: `body_too_large`.
    :raises ParseError: not UTF-8, not JSON, NaN or Infinity, not an object, a repeated name, a NUL,
        a lone surrogate, or nested deeper than `DEEPEST_NESTING`.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        request = (parser_context or {})["request"]
        drain_if_too_large(request._request)
        try:
            text = stream.read().decode("utf-8")
            value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unrepeated)
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise ParseError from error
        if not isinstance(value, dict):
            raise ParseError
        _check(value, 0)
        return value


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("repeated name")
    return found


def _check(value: Any, depth: int) -> None:
    """PostgreSQL's text holds neither NUL nor a lone surrogate."""
    if depth > DEEPEST_NESTING:
        raise ParseError
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ParseError
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check(name, depth + 1)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
