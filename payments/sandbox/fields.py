"""
The fields of a request's body, each checked as the gateway checks it.

Every reader here raises `GatewayError`, which names the field that is wrong.
"""

import json
import re
from collections.abc import Collection
from typing import Any

from payments.sandbox.errors import GatewayError

AMOUNT_LEAST = 100
AMOUNT_LARGEST = 1_000_000_000_000
NOTES_MOST = 15
NOTE_LONGEST = 256


def read_json(raw: bytes) -> dict[str, Any]:
    """
    The object in a request's body; an empty body is an empty object.

    :raises GatewayError: anything else. NaN, lone surrogates and bottomless nesting are anything else.
    """
    if not raw:
        return {}
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise GatewayError("The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise GatewayError("The request body must be a JSON object.")
    return body


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def amount_of(body: dict[str, Any]) -> int:
    """Whole paise. A JSON 100.0 or "100" is refused: the gateway counts in integers."""
    amount = body.get("amount")
    if amount is None:
        raise GatewayError("The amount field is required.", field="amount")
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise GatewayError("The amount must be an integer.", field="amount")
    if amount < AMOUNT_LEAST:
        raise GatewayError("Order amount less than minimum amount allowed", field="amount")
    if amount > AMOUNT_LARGEST:
        raise GatewayError("Amount exceeds maximum amount allowed.", field="amount")
    return amount


def currency_of(body: dict[str, Any]) -> str:
    """Only the rupee is traded here."""
    if body.get("currency") is None:
        raise GatewayError("The currency field is required.", field="currency")
    if body["currency"] != "INR":
        raise GatewayError("The currency provided is not supported.", field="currency")
    return "INR"


def notes_of(notes: Any) -> dict[str, str]:
    """At most fifteen pairs of short strings; absent, null, {} and [] are all none."""
    if notes is None or notes == []:
        return {}
    if not isinstance(notes, dict):
        raise GatewayError("The notes must be an object.", field="notes")
    if len(notes) > NOTES_MOST:
        raise GatewayError(f"The number of notes may not be greater than {NOTES_MOST}.", field="notes")
    for name, value in notes.items():
        if not isinstance(value, str) or len(name) > NOTE_LONGEST or len(value) > NOTE_LONGEST:
            raise GatewayError(f"Notes must be strings of at most {NOTE_LONGEST} characters.", field="notes")
    return notes


def text_of(
    body: dict[str, Any],
    name: str,
    *,
    longest: int,
    shortest: int = 1,
    pattern: str = "",
    field: str = "",
) -> str | None:
    """
    A string of a bounded length; null and "" are none.

    :param pattern: what the whole of it must match.
    :param field: how the error names it, if it stands inside another object.
    """
    value, field = body.get(name), field or name
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise GatewayError(f"The {field} must be a string.", field=field)
    if len(value) < shortest:
        raise GatewayError(f"The {field} must be at least {shortest} characters.", field=field)
    if len(value) > longest:
        raise GatewayError(f"The {field} may not be greater than {longest} characters.", field=field)
    if not value.strip() or (pattern and not re.fullmatch(pattern, value)):
        raise GatewayError(f"The {field} format is invalid.", field=field)
    return value


def needed(body: dict[str, Any], name: str, *, longest: int, **bounds: Any) -> str:
    """As `text_of`, of a field that must be there."""
    value = text_of(body, name, longest=longest, **bounds)
    if value is None:
        field = bounds.get("field") or name
        raise GatewayError(f"The {field} field is required.", field=field)
    return value


def choice_of(body: dict[str, Any], name: str, choices: Collection[str]) -> str:
    """One of a few words."""
    value = body.get(name)
    if value is None:
        raise GatewayError(f"The {name} field is required.", field=name)
    if not isinstance(value, str) or value not in choices:
        raise GatewayError(f"Invalid {name}: it must be one of {', '.join(sorted(choices))}.", field=name)
    return value


def flag_of(body: dict[str, Any], name: str) -> bool | None:
    """True, false, or nothing said."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise GatewayError(f"The {name} field must be true or false.", field=name)
    return value


def object_of(body: dict[str, Any], name: str) -> dict[str, Any]:
    """An object inside the body."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise GatewayError(f"The {name} field is required.", field=name)
    return value


def refuse_unknown(body: dict[str, Any], known: Collection[str]) -> None:
    """The gateway wants to hear of nothing that it does not know."""
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise GatewayError(f"{', '.join(unknown)[:200]} is/are not required and should not be sent", field=None)
