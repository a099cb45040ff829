"""What merchants can be told. A type is stable for ever: its payload may gain members and loses none."""

from typing import Final

PAYMENT_SUCCEEDED: Final = "payment.succeeded"
REFUND_SUCCEEDED: Final = "refund.succeeded"
PAYOUT_PENDING: Final = "payout.pending"
PAYOUT_SUCCEEDED: Final = "payout.succeeded"
PAYOUT_FAILED: Final = "payout.failed"
PAYOUT_REVERSED: Final = "payout.reversed"
# Sent where somebody asks for it, to whatever endpoint; nobody chooses it.
PING: Final = "ping"

TYPES: Final = {
    PAYMENT_SUCCEEDED: "Somebody paid you.",
    REFUND_SUCCEEDED: "You gave money back.",
    PAYOUT_PENDING: "A withdrawal left your wallet and is on its way to your bank.",
    PAYOUT_SUCCEEDED: "A withdrawal arrived at your bank.",
    PAYOUT_FAILED: "The bank could not pay a withdrawal; the money is back in your wallet.",
    PAYOUT_REVERSED: "The bank sent a withdrawal back after it had arrived; the money is back in your wallet.",
}
# What a message can be of, as a field's choices.
CHOICES: Final = tuple((type, type) for type in (*TYPES, PING))
