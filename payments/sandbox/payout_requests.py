"""The body of POST /v1/payouts, checked as the gateway checks it."""

from dataclasses import dataclass
from typing import Any

from payments.sandbox.errors import GatewayError
from payments.sandbox.fields import (
    amount_of,
    choice_of,
    currency_of,
    flag_of,
    needed,
    notes_of,
    refuse_unknown,
    text_of,
)

# In paise. RTGS is for more than ₹2,00,000 (RBI); IMPS and UPI end where NPCI ends them.
IMPS_LARGEST = 500_000_00
UPI_LARGEST = 100_000_00
RTGS_ABOVE = 200_000_00

MODES = ("IMPS", "NEFT", "RTGS", "UPI")
# A merchant may add purposes of his own on the real dashboard. This sandbox has none.
PURPOSES = ("refund", "cashback", "payout", "salary", "utility bill", "vendor bill")
_FIELDS = {
    "account_number",
    "fund_account_id",
    "amount",
    "currency",
    "mode",
    "purpose",
    "queue_if_low_balance",
    "reference_id",
    "narration",
    "notes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRequest:
    """A checked request for a payout."""

    fund_account_id: str
    amount: int
    currency: str
    mode: str
    purpose: str
    may_queue: bool
    reference_id: str | None
    narration: str | None
    notes: dict[str, str]


def payout_request(body: dict[str, Any], *, account_number: str) -> PayoutRequest:
    """
    :param account_number: the only account of the merchant's that money can come from.
    :raises GatewayError: names the first field that is wrong.
    """
    refuse_unknown(body, _FIELDS)
    refuse_other_account(needed(body, "account_number", longest=40), account_number=account_number)
    asked = PayoutRequest(
        fund_account_id=needed(body, "fund_account_id", longest=40),
        amount=amount_of(body),
        currency=currency_of(body),
        mode=choice_of(body, "mode", MODES),
        purpose=choice_of(body, "purpose", PURPOSES),
        may_queue=flag_of(body, "queue_if_low_balance") is not False,
        reference_id=text_of(body, "reference_id", longest=40),
        narration=text_of(body, "narration", longest=30, pattern=r"[A-Za-z0-9 ]+"),
        notes=notes_of(body.get("notes")),
    )
    _check_limit(asked)
    return asked


def refuse_other_account(given: str, *, account_number: str) -> None:
    """
    :raises GatewayError: that account is not the merchant's.
    """
    if given != account_number:
        raise GatewayError("The account number is not one of yours.", field="account_number")


def _check_limit(asked: PayoutRequest) -> None:
    if asked.mode == "IMPS" and asked.amount > IMPS_LARGEST:
        raise GatewayError("The amount must be at most INR 500000 for IMPS.", field="amount")
    if asked.mode == "UPI" and asked.amount > UPI_LARGEST:
        raise GatewayError("The amount must be at most INR 100000 for UPI.", field="amount")
    if asked.mode == "RTGS" and asked.amount <= RTGS_ABOVE:
        raise GatewayError("The amount must be more than INR 200000 for RTGS.", field="amount")
