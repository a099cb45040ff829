"""
Addresses of people: one spelling each, so that equal addresses are equal text.

E-mail: the whole address in lower case and ASCII (an international domain in its xn-- form). RFC 5321 lets the
local part tell cases apart; no mail server in use does, and people do not. Phone: E.164, as ITU writes it.
"""

from dataclasses import dataclass
from typing import Final

import phonenumbers
from django.conf import settings
from email_validator import EmailNotValidError, validate_email

from accounts.models import Channel

LONGEST: Final = 254


class MalformedAddress(ValueError):
    """Not an address. Its message may be shown to people."""


@dataclass(frozen=True, slots=True)
class Address:
    """One way to reach a person. `value` is normalised; compare it as text."""

    channel: Channel
    value: str


def email_address(text: str) -> Address:
    """
    :raises MalformedAddress: by syntax alone; no name server is asked.
    """
    try:
        found = validate_email(
            text, check_deliverability=False, allow_smtputf8=False, test_environment=settings.IS_LOCAL
        )
    except EmailNotValidError as error:
        raise MalformedAddress("Write an e-mail address such as asha@example.com.") from error
    # Always there when allow_smtputf8 is off.
    spelled = (found.ascii_email or found.normalized).lower()
    if len(spelled) > LONGEST:
        raise MalformedAddress("That e-mail address is too long.")
    return Address(Channel.EMAIL, spelled)


def phone_address(text: str) -> Address:
    """
    :raises MalformedAddress: not written as E.164, or no number that could be dialled.
    """
    malformed = MalformedAddress("Write a phone number with its country, such as +919876543210.")
    if not (text.isascii() and text.startswith("+") and text[1:].isdigit() and len(text) <= 16):
        raise malformed
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise malformed from error
    # E.164 has one spelling; "+91 0…" parses to another one and is refused rather than guessed.
    if not phonenumbers.is_valid_number(number) or _spelled(number) != text:
        raise malformed
    return Address(Channel.PHONE, text)


def any_address(text: str) -> Address:
    """
    What a person types where either will do.

    :raises MalformedAddress: neither an e-mail nor a phone.
    """
    text = text.strip()
    if "@" in text:
        return email_address(text)
    return phone_address(text.replace(" ", "").replace("-", ""))


def _spelled(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def masked(address: str) -> str:
    """What whoever knows the address knows it by, and nobody else: `as…@example.com`, `…3210`."""
    name, at, host = address.rpartition("@")
    return f"{name[:2]}…@{host}" if at else f"…{address[-4:]}"
