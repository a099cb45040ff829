"""
Numbers of payment cards, which no free text of ours may hold.

Whoever stores one has the card industry's rules (PCI DSS, requirement 3) on the whole system, and a note is read by the
other side. A number is recognised by its form, ISO/IEC 7812-1: it begins as a scheme's numbers do, is as long as they
are, and ends in Luhn's check digit, written with or without blanks, dashes and the like. One in ten other numbers that
begin so has it by chance and is refused as well; what people read says so. Phone numbers, references of banks (UTR,
RRN) and numbers made of a date pass: they are shorter, or begin otherwise.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from wallet_project.kernel.errors import Refusal

FEWEST_DIGITS: Final = 13
MOST_DIGITS: Final = 19
# A phone number with its country has at most 15 (E.164), and written with a plus no more than this in practice.
_MOST_OF_A_PHONE: Final = 14
# How the schemes' numbers begin (ISO/IEC 7812 issuer numbers, as the schemes publish them) and how long they are.
_SCHEMES: Final = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|220[0-4][0-9]{12,15}"  # Mir
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-59]|[689][0-9])[0-9]{11,16}"  # Diners Club
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB, and RuPay with it
    r"|5[06-9][0-9]{11,17}"  # Maestro, RuPay, Verve
    r"|6[0-9]{12,18}"  # Discover, RuPay, UnionPay, Maestro
    r"|8[12][0-9]{14,17}"  # RuPay, UnionPay
)
# Groups of digits, with at most this between them: blanks, all kinds of dashes, dots, strokes. No comma and no colon:
# amounts and times have those.
_GROUPS: Final = re.compile(r"\+?[0-9]+(?:[\s\u00ad\u2010-\u2015\u2212._/*'-]{1,3}\+?[0-9]+)*")
_GROUP: Final = re.compile(r"\+?[0-9]+")
# What nobody sees, but what would part one digit from the next.
_UNSEEN: Final = ("Cf", "Mn", "Me")


def holds_card_number(text: str) -> bool:
    """Whether some run of whole groups of digits in it has the form of a card's number."""
    if sum(map(str.isdigit, text)) < FEWEST_DIGITS:
        # As nearly every text.
        return False
    plain = "".join(_plain(text))
    return any(_is_one(run) for groups in _GROUPS.finditer(plain) for run in _runs(_GROUP.findall(groups[0])))


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
    """Neighbouring groups as one number, as far as it is not too long. A plus stays before the first."""
    for first in range(len(groups)):
        run = ""
        for group in groups[first:]:
            run += group.removeprefix("+") if run else group
            if len(run) > MOST_DIGITS + 1:
                break
            yield run


def _is_one(run: str) -> bool:
    digits = run.removeprefix("+")
    if digits != run and len(digits) <= _MOST_OF_A_PHONE:
        return False
    return _SCHEMES.fullmatch(digits) is not None and _luhn(digits) == 0


def _luhn(digits: str) -> int:
    """ISO/IEC 7812-1, annex B: zero for a number with its check digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10
