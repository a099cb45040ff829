"""
The test UPI addresses, and how a payment from each behaves.

One row per address: a new behaviour is a new row, and a new field where no field says it yet.
"""

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpa:
    """
    `outcome`: the bank pays, declines, or never answers (the payment stays `created`).
    `payments`: how many payments one press of the button makes.
    `short_by`: how many paise less than the order asks for are paid.
    `recovers_after_seconds`: when the bank that declined finds that it has paid after all.
    `webhook_copies`: how many times each webhook is sent at once.
    `forged_webhook`: somebody else tells the merchant, with a wrong signature, that it was captured.
    `returns`: whether the browser is sent back to the merchant.
    """

    address: str
    says: str
    outcome: Literal["paid", "declined", "unanswered"]
    payments: int = 1
    short_by: int = 0
    recovers_after_seconds: int | None = None
    webhook_copies: int = 1
    forged_webhook: bool = False
    returns: bool = True


VPAS: dict[str, Vpa] = {
    vpa.address: vpa
    for vpa in (
        Vpa(address="success@razorpay", says="The payment goes through", outcome="paid"),
        Vpa(address="failure@razorpay", says="The bank declines it", outcome="declined"),
        Vpa(
            address="late@razorpay",
            says="The bank declines it, and pays five seconds later",
            outcome="declined",
            recovers_after_seconds=5,
        ),
        Vpa(
            address="duplicate@razorpay",
            says="Goes through; every notice is sent five times",
            outcome="paid",
            webhook_copies=5,
        ),
        Vpa(
            address="silent@razorpay",
            says="Goes through, but nobody is told",
            outcome="paid",
            webhook_copies=0,
            returns=False,
        ),
        Vpa(
            address="forged@razorpay",
            says="No money moves; a forged notice claims it did",
            outcome="unanswered",
            forged_webhook=True,
            returns=False,
        ),
        Vpa(address="twice@razorpay", says="Pays two times over", outcome="paid", payments=2),
        Vpa(address="short@razorpay", says="Pays one rupee less than is asked", outcome="paid", short_by=100),
    )
}


def is_vpa(text: str) -> bool:
    """Whether `text` has the form of a UPI address (NPCI: `name@handle`)."""
    return re.fullmatch(r"[a-z0-9._-]{2,200}@[a-z][a-z0-9]{1,50}", text) is not None
