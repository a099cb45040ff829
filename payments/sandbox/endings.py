"""
What payouts to an account do: by the last four digits of its number, as the test UPI addresses decide for payments.

One row per ending: a new behaviour is a new row, and a new field where no field says it yet.
"""

import sqlite3
from dataclasses import dataclass
from typing import Literal

# Account numbers that begin so are nobody's: their bank denies them, and takes no payout. Nobody types them by
# chance, as they do zeros.
NOBODYS = "40404"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """
    `begins`: the status a payout is accepted in.
    `ends`: what becomes of it a second after the bank got it; None leaves it with the bank for ever.
    `reversed_after_seconds`: when the bank sends it back after all.
    `drops_reply`: the payout is made, and the connection closed without an answer.
    `stumbles`: how a new payout is answered instead, once each and in that order, before it works.
    """

    digits: str
    says: str
    begins: Literal["processing", "queued"] = "processing"
    ends: Literal["processed", "failed"] | None = "processed"
    reversed_after_seconds: int | None = None
    drops_reply: bool = False
    stumbles: tuple[Literal["bad gateway", "too many requests"], ...] = ()


ENDINGS: dict[str, Ending] = {
    ending.digits: ending
    for ending in (
        Ending(digits="0001", says="Processed after a second"),
        Ending(digits="0002", says="Failed after a second", ends="failed"),
        Ending(digits="0003", says="Processed, then reversed five seconds later", reversed_after_seconds=5),
        Ending(digits="0004", says="Accepted, the reply dropped; processed", drops_reply=True),
        Ending(digits="0005", says="Queued for low balance, until released", begins="queued"),
        Ending(digits="0006", says="Never leaves processing", ends=None),
        Ending(
            digits="0007",
            says="First answers 502 with HTML, then 429, then works",
            stumbles=("bad gateway", "too many requests"),
        ),
    )
}


def ending_of(account: sqlite3.Row) -> Ending:
    """How a fund account behaves. Any other number is as good as 0001; `failure@…` fails."""
    if account["account_type"] == "vpa":
        return ENDINGS["0002" if account["address"].lower().startswith("failure@") else "0001"]
    if account["account_number"].startswith(NOBODYS):
        return ENDINGS["0002"]
    return ENDINGS.get(account["account_number"][-4:], ENDINGS["0001"])
