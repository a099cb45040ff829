"""Free text that travels with money, read by others and kept for ever: bounded, without controls or card numbers."""

import unicodedata
from typing import Final

from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.errors import Refusal

LONGEST_NOTE: Final = 280
LONGEST_ORDER_REFERENCE: Final = 64


def check_note(note: str) -> str:
    """
    :raises Refusal: `invalid`: too long, control characters other than a line's end, a card number.
    """
    return _check("note", note, LONGEST_NOTE, allowed="\n")


def check_order_reference(reference: str) -> str:
    """
    :raises Refusal: `invalid`: too long, control characters, a card number.
    """
    return _check("order_reference", reference, LONGEST_ORDER_REFERENCE, allowed="")


def _check(field: str, text: str, longest: int, *, allowed: str) -> str:
    if len(text) > longest:
        raise Refusal.of_field(field, f"At most {longest} characters.", "max_length")
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in allowed for letter in text):
        raise Refusal.of_field(field, "Control characters cannot be stored here.")
    refuse_card_number(field=field, text=text)
    return text
