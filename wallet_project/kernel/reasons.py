"""Why somebody did something, in their own words: kept for ever, and read by others."""

import unicodedata
from typing import Final

from wallet_project.kernel.card_numbers import refuse_card_number
from wallet_project.kernel.errors import Refusal

_LINES: Final = "\r\n\t"


def read_reason(text: str, *, longest: int, field: str = "reason") -> str:
    """
    Trimmed, not empty, nothing that controls a display, no card number.

    :param longest: characters.
    :raises Refusal: `invalid`.
    """
    reason = text.strip()
    if not reason or len(reason) > longest:
        raise Refusal.of_field(field, f"Give a reason of at most {longest} characters.")
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in _LINES for letter in reason):
        raise Refusal.of_field(field, "Control characters cannot be stored here.")
    refuse_card_number(field=field, text=reason)
    return reason
