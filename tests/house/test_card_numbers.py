"""Card numbers are known by their form, however they are written, and other long numbers are left alone."""

import pytest

from wallet_project.kernel.card_numbers import holds_card_number, refuse_card_number
from wallet_project.kernel.errors import Refusal

# The numbers that the schemes give out for testing: Visa of 13, 16 and 19 digits, Mastercard of both series, American
# Express, Diners, Discover, JCB, RuPay, UnionPay, Maestro.
CARDS = [
    "4222222222222",
    "4111111111111111",
    "4000000000000000006",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "6011111111111117",
    "3530111333300000",
    "6527658900001005",
    "6205500000000000004",
    "6759649826438453",
]
WRITTEN = [
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111.1111.1111.1111",
    "4111 - 1111 - 1111 - 1111",
    "4111\u20111111\u20131111\u20141111",
    "4111\u00a01111\u202f1111\u30001111",
    "4111\n1111\n1111\n1111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "4111\u200b1111\u20601111\u00ad1111",
    "4111/1111/1111/1111",
    "３７８２８２２４６３１０００５",
    "४१११ ११११ ११११ ११११",
    "my card is4111111111111111, thanks",
    "12 4111 1111 1111 1111 27",
    "3782 822463 10005",
    "paid 500.00 with 5555 5555 5555 4444 exp 12/29",
    "+4111111111111111",
    "+91 98765 43210 4111 1111 1111 1111",
]
ORDINARY = [
    "",
    "Lunch on Sunday",
    "+91 98765 43210",
    "9876543210, 9876543211",
    "Order 4111111111111112",
    # Numbers of this length that end in Luhn's digit, and begin as no card does: a date, a reference, a phone.
    "order 2026112500000012",
    "1234567890123452",
    "UTR HDFCN52026112500000012",
    "RRN 411111111111",
    "IMEI 490154203237518",
    "+4915112345678",
    "+49 151 12345678",
    "+91 98765 43210 / +91 98765 43211",
    "9223372036854775807",
    "411111111111",
    "41111111111111111111111111111111",
    "0000000000000000",
    "2026-11-25 04:15:30",
    "₹1,00,00,00,00,000.00",
    "txn_06dnrq5w7zv3h9qk7t8x2m4pbc",
    "HDFC0001234 50100012340001",
    "4111 1111 1111 1111a2".replace("1111a2", "1112"),
]


@pytest.mark.parametrize("text", [*CARDS, *WRITTEN])
def test_a_card_number_is_seen_however_it_is_written(text: str) -> None:
    assert holds_card_number(text)
    with pytest.raises(Refusal) as refused:
        refuse_card_number(field="note", text=text)
    assert refused.value.status == 400
    assert refused.value.errors[0]["field"] == "note"
    # What is refused is not said again: an error may be logged.
    assert "1111" not in str(refused.value)


@pytest.mark.parametrize("text", ORDINARY)
def test_other_numbers_pass(text: str) -> None:
    assert not holds_card_number(text)


def test_one_in_ten_numbers_of_that_length_is_refused_and_no_more() -> None:
    """The price of the rule, which the sentence that people read tells them. Of numbers made of a date, none."""
    assert sum(holds_card_number(str(number)) for number in range(4026112500000000, 4026112500001000)) == 100
    assert not any(holds_card_number(str(number)) for number in range(2026112500000000, 2026112500001000))


def test_a_long_text_of_digits_is_judged_in_no_time() -> None:
    assert not holds_card_number("1 " * 5_000)
