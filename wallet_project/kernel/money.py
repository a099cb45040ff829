"""
Money: exact decimals with a currency, never a float.

The wire form of an amount is ASCII `[0-9]{1,15}(\\.[0-9]{1,d})?`, untrimmed, above zero, where d is the
currency's number of decimals (ISO 4217: INR 2, JPY 0, KWD 3).
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

# Strictly within this bound an amount in 1/10,000 fits a signed 64-bit integer.
BOUND: Final = Decimal(900_000_000_000_000)
SCALE: Final = 10_000
DECIMALS: Final[dict[str, int]] = {"INR": 2, "JPY": 0, "KWD": 3}

_AMOUNT: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,4}))?\Z")
_EVERY_SECOND: Final = re.compile(r"(?<=[0-9])(?=(?:[0-9]{2})+\Z)")


class MalformedAmount(ValueError):
    """The text is not an amount in this currency. Its message may be shown to people."""


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount of one currency; may be zero or negative (a balance)."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError("Money holds a Decimal; a float or int is never money.")
        if not self.amount.is_finite():
            raise ValueError("Money is finite.")
        decimals = decimals_of(self.currency)
        if self.amount != self.amount.quantize(Decimal(1).scaleb(-decimals)):
            raise ValueError(f"{self.currency} has {decimals} decimals.")

    @classmethod
    def parse(cls, text: object, currency: str = "INR", *, may_be_zero: bool = False) -> Self:
        """
        Read an amount as the API's contract writes it.

        :param may_be_zero: for what is no movement: a limit of nothing.
        :raises MalformedAmount: anything but a string of that form above zero.
        """
        decimals = decimals_of(currency)
        found = _AMOUNT.match(text) if isinstance(text, str) else None
        if found is None or len(found.group(2) or "") > decimals:
            raise MalformedAmount(
                f"Write the amount as a string of digits with at most {decimals} decimals, such as "
                f'"{cls(Decimal(500), currency).text}".'
            )
        amount = Decimal(found.group())
        if amount == 0 and not may_be_zero:
            raise MalformedAmount("The amount must be above zero.")
        return cls(amount, currency)

    @property
    def text(self) -> str:
        """The amount with exactly its currency's decimals: `500.00`."""
        return f"{self.amount:.{decimals_of(self.currency)}f}"

    @property
    def spelled(self) -> str:
        """
        As people read it: `₹1,00,000.00`, in India's grouping (the last three digits, then by twos); any other
        currency by its code, grouped by threes. A minus sign, never a hyphen, stands before the symbol.
        """
        sign = "\N{MINUS SIGN}" if self.amount < 0 else ""
        whole, point, fraction = f"{abs(self.amount):.{decimals_of(self.currency)}f}".partition(".")
        if self.currency == "INR":
            head, tail = whole[:-3], whole[-3:]
            return f"{sign}₹{_EVERY_SECOND.sub(',', head)}{',' if head else ''}{tail}{point}{fraction}"
        return f"{sign}{self.currency}\N{NO-BREAK SPACE}{int(whole):,}{point}{fraction}"

    @property
    def minor(self) -> int:
        """The amount in minor units: paise for INR."""
        return int(self.amount.scaleb(decimals_of(self.currency)))

    @classmethod
    def from_minor(cls, minor: int, currency: str) -> Self:
        return cls(Decimal(minor).scaleb(-decimals_of(currency)), currency)

    def as_json(self) -> dict[str, str]:
        return {"amount": self.text, "currency": self.currency}


def decimals_of(currency: str) -> int:
    """
    How many decimals a currency has.

    :raises ValueError: a currency the wallet does not hold.
    """
    try:
        return DECIMALS[currency]
    except KeyError:
        raise ValueError(f"Unknown currency {currency!r}.") from None


def to_units(amount: Decimal) -> int:
    """An amount as an integer of 1/10,000, the form that hashes are made of."""
    if not isinstance(amount, Decimal):
        raise TypeError("Money is a Decimal.")
    units = amount * SCALE
    if units != units.to_integral_value():
        raise ValueError("Finer than 1/10,000.")
    return int(units)


def from_units(units: int) -> Decimal:
    return Decimal(units) / SCALE
