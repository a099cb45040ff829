"""
One wallet with one hold, as a child would keep them: the rules of the design, without the project.

All amounts are whole rupees.
"""

from dataclasses import dataclass


@dataclass
class PlainWallet:
    """:ivar over: the time of the hold is over. :ivar status: of the hold."""

    balance: int
    hold: int
    over: bool
    status: str = "OPEN"

    @property
    def held(self) -> int:
        return self.hold if self.status == "OPEN" else 0

    def spend(self, amount: int) -> tuple[str, str]:
        if self.balance - self.held < amount:
            return "refused", "insufficient_funds"
        self.balance -= amount
        return "posted", ""

    def receive(self, amount: int) -> tuple[str, str]:
        self.balance += amount
        return "posted", ""

    def place_again(self) -> tuple[str, str]:
        return "unchanged", self.status

    def capture(self, amount: int) -> tuple[str, str]:
        if self.status != "OPEN":
            return "unchanged", self.status
        if self.over:
            return "refused", "hold_expired"
        self.status, self.balance = "CAPTURED", self.balance - amount
        return "posted", ""

    def release(self) -> tuple[str, str]:
        if self.status != "OPEN":
            return "unchanged", self.status
        self.status = "RELEASED"
        return "posted", ""

    def expire(self) -> tuple[str, str]:
        if self.status != "OPEN" or not self.over:
            return "unchanged", self.status
        self.status = "EXPIRED"
        return "posted", ""

    def swap(self) -> tuple[str, str]:
        """Release and spend all of it, in one group: all or nothing."""
        if self.status != "OPEN":
            return "unchanged", self.status
        if self.balance < self.hold + 1:
            return "refused", "insufficient_funds"
        self.status, self.balance = "RELEASED", self.balance - self.hold - 1
        return "posted", ""
