"""
What goes out in messages and can be made by us alone: in letters only, so that nothing in a message looks like a code.

One letter for each hexadecimal digit, a to p.
"""

import hmac
from typing import Final

from django.conf import settings

_DIGITS_TO_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_LETTERS_TO_DIGITS: Final = str.maketrans("abcdefghijklmnop", "0123456789abcdef")
_LETTERS: Final = frozenset("abcdefghijklmnop")
MAC_BYTES: Final = 20


def in_letters(data: bytes) -> str:
    """Two letters for each byte."""
    return data.hex().translate(_DIGITS_TO_LETTERS)


def out_of_letters(text: str, *, length: int) -> bytes | None:
    """
    The bytes that stand in a text; None for one that `in_letters` never made of so many.

    :param length: in bytes.
    """
    if len(text) != 2 * length or not _LETTERS.issuperset(text):
        return None
    return bytes.fromhex(text.translate(_LETTERS_TO_DIGITS))


def mac_of(made_of: bytes, *, length: int = MAC_BYTES) -> bytes:
    """
    HMAC-SHA256 under CODE_PEPPER, cut short.

    :param made_of: begins with what it is for, so that none is good for something else.
    """
    return hmac.digest(settings.CODE_PEPPER, made_of, "sha256")[:length]
