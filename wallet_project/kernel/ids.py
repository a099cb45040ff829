"""
Opaque public ids: a prefix and a UUIDv7 (RFC 9562) in Crockford's base 32, lower case.

They sort by time, tell nothing of volume, and never reveal a primary key.
"""

import re
import uuid
from typing import Final

import uuid_utils

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_LENGTH: Final = 26
_SHAPE: Final = re.compile(rf"[a-z]{{3}}_[0-7][{_ALPHABET}]{{{_LENGTH - 1}}}\Z")


def new_uuid() -> uuid.UUID:
    """A fresh UUIDv7."""
    return uuid.UUID(int=uuid_utils.uuid7().int)


def new_uuid_text() -> str:
    """A fresh UUIDv7 as text, for a row that only the database reads."""
    return str(uuid_utils.uuid7())


def public_id(prefix: str, value: uuid.UUID) -> str:
    """`txn_` and 26 letters of base 32."""
    number, letters = value.int, []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 32)
        letters.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(letters))}"


def parse_public_id(prefix: str, text: object) -> uuid.UUID | None:
    """The UUID inside a public id of this prefix, or None for anything else."""
    if not isinstance(text, str) or not _SHAPE.match(text) or not text.startswith(f"{prefix}_"):
        return None
    number = 0
    for letter in text[len(prefix) + 1 :]:
        number = number * 32 + _VALUES[letter]
    return uuid.UUID(int=number)
