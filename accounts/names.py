"""People's names, as they write them themselves."""

import unicodedata
from typing import Final

from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.errors import Refusal

LONGEST: Final = 100
# Marks that turn the reading direction make one name look like another. Joiners stay: Indian scripts need them.
_DIRECTION_MARKS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED_CATEGORIES: Final = ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")


def clean_full_name(text: str, *, field: str = "full_name") -> str:
    """
    Trimmed, in NFC, 1 to `LONGEST` characters, something visible among them, nothing that controls a display,
    no card number.

    :raises Refusal: `invalid`.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if not name:
        raise Refusal.of_field(field, "Write your name.", "blank")
    if len(name) > LONGEST:
        raise Refusal.of_field(field, f"Use at most {LONGEST} characters.", "max_length")
    if any(unicodedata.category(letter) in _REFUSED_CATEGORIES or letter in _DIRECTION_MARKS for letter in name):
        raise Refusal.of_field(field, "A name holds no control characters.")
    if all(unicodedata.category(letter)[0] in "CZM" for letter in name):
        raise Refusal.of_field(field, "Write your name.", "blank")
    refuse_card_number(field=field, text=name)
    return name
