"""
Numbers of payment cards, which no free text of ours may hold.

Whoever stores one has the card industry's rules (PCI DSS, requirement 3) on the whole system, and a note is read by the
other side. A number is recognised by its form, ISO/IEC 7812-1: 13 to 19 digits whose last one is Luhn's check digit,
written with or without blanks, dashes and the like. One in ten other numbers of that length has it by chance and is
refused as well; what people read says so.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from wallet_project.kernel.errors import Refusal

FEWEST_DIGITS: Final = 13
MOST_DIGITS: Final = 19
# Groups of digits, with at most this between them: blanks, all kinds of dashes, dots, strokes. No comma and no colon:
# amounts and times have those.
_GROUPS: Final = re.compile(r"[0-9]+(?:[\s\u00ad\u2010-\u2015\u2212._/*'-]{1,3}[0-9]+)*")
# What nobody sees, but what would part one digit from the next.
_UNSEEN: Final = ("Cf", "Mn", "Me")


def holds_card_number(text: str) -> bool:
    """Whether some run of whole groups of digits in it has the form of a card's number."""
    plain = "".join(_plain(text))
    return any(_is_one(run) for groups in _GROUPS.finditer(plain) for run in _runs(re.findall("[0-9]+", groups[0])))


def refuse_card_number(*, field: str, text: str) -> None:
    """
    :param field: where it was written, as the request names it.
    :raises Refusal: `invalid`.
    """
    if holds_card_number(text):
        raise Refusal.of_field(
            field,
            "Write no card numbers here. (A number of 13 to 19 digits that only looks like one is refused too: "
            "leave it out or write it otherwise.)",
            "card_number",
        )


def _plain(text: str) -> Iterator[str]:
    """Digits of every script as ASCII; nothing that is not seen."""
    for letter in text:
        if unicodedata.category(letter) not in _UNSEEN:
            yield str(unicodedata.digit(letter, letter))


def _runs(groups: list[str]) -> Iterator[str]:
    """Neighbouring groups as one number, as far as it is not too long."""
    for first in range(len(groups)):
        run = ""
        for group in groups[first:]:
            run += group
            if len(run) > MOST_DIGITS:
                break
            yield run


def _is_one(run: str) -> bool:
    # No card begins with a zero, and a row of zeros would pass.
    return len(run) >= FEWEST_DIGITS and run[0] != "0" and _luhn(run) == 0


def _luhn(digits: str) -> int:
    """ISO/IEC 7812-1, annex B: zero for a number with its check digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10
