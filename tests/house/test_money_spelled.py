"""Money as people read it."""

from decimal import Decimal

import pytest
from django.template import Context, Template

from wallet_project.kernel.money import Money


@pytest.mark.parametrize(
    ("amount", "currency", "spelled"),
    [
        ("0", "INR", "₹0.00"),
        ("5", "INR", "₹5.00"),
        ("999.5", "INR", "₹999.50"),
        ("1000", "INR", "₹1,000.00"),
        ("99999", "INR", "₹99,999.00"),
        ("100000", "INR", "₹1,00,000.00"),
        ("1234567.89", "INR", "₹12,34,567.89"),
        ("899999999999999.99", "INR", "₹89,99,99,99,99,99,999.99"),
        ("-250.5", "INR", "−₹250.50"),
        ("1234567", "JPY", "JPY\N{NO-BREAK SPACE}1,234,567"),
        ("1234.5", "KWD", "KWD\N{NO-BREAK SPACE}1,234.500"),
    ],
)
def test_money_is_spelled_as_people_in_india_read_it(amount: str, currency: str, spelled: str) -> None:
    value = Money(Decimal(amount), currency)
    assert value.spelled == spelled
    assert Template("{% load money %}{{ value|money }}").render(Context({"value": value})) == spelled


def test_a_template_that_spells_something_other_than_money_crashes() -> None:
    with pytest.raises(AttributeError):
        Template("{% load money %}{{ value|money }}").render(Context({"value": Decimal(5)}))
