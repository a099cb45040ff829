"""
The numbers of identity documents: what shape each kind's has, and how one is written so that it is found again.

Aadhaar is not among them: only those whom the Aadhaar Act names may store its number.
"""

import re
from typing import Final

from accounts.models import KycSubmission
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.sealing import blind_index

PURPOSE: Final = "accounts.kyc.number"
LONGEST_TYPED: Final = 40
_MEANINGLESS: Final = re.compile(r"[ /-]")
_KINDS: Final = KycSubmission.Document
# Kind -> shape, and what it looks like to people.
_SHAPES: Final = {
    # A letter of the series, seven digits (Passport Seva).
    _KINDS.PASSPORT: (re.compile(r"[A-Z][0-9]{7}\Z"), "A passport's number is a letter and seven digits: M1234567."),
    # State, office, year of issue, seven digits (Ministry of Road Transport, Sarathi).
    _KINDS.DRIVING_LICENCE: (
        re.compile(r"[A-Z]{2}[0-9]{2}(?:19|20)[0-9]{2}[0-9]{7}\Z"),
        "A licence's number has fifteen characters: MH12 20150012345.",
    ),
    # EPIC (Election Commission of India).
    _KINDS.VOTER_ID: (
        re.compile(r"[A-Z]{3}[0-9]{7}\Z"),
        "A voter card's number is three letters and seven digits: ABC1234567.",
    ),
    # The fourth letter says whose it is; P is a person's (Income Tax Department).
    _KINDS.PAN: (
        re.compile(r"[A-Z]{3}P[A-Z][0-9]{4}[A-Z]\Z"),
        "A person's PAN has ten characters, the fourth a P: ABCPE1234F.",
    ),
}


def read_number(*, document: str, number: str) -> str:
    """
    As it is kept: capitals and digits, without the blanks and dashes that people write.

    :raises Refusal: `invalid`; it never repeats the number.
    """
    if document not in _KINDS:
        raise Refusal.of_field("document", "Choose one of the documents.")
    shape, says = _SHAPES[_KINDS(document)]
    # Capitals only of ASCII: elsewhere letters become others.
    plain = _MEANINGLESS.sub("", number.upper()) if number.isascii() and len(number) <= LONGEST_TYPED else ""
    if not shape.match(plain):
        raise Refusal.of_field("number", says)
    return plain


def index_of(*, document: str, number: str) -> bytes:
    """By which the same document is found with somebody else. A kind's numbers are its own."""
    return blind_index(f"{document}:{number}", purpose=PURPOSE)
