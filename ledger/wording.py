"""Transactions in people's words: one line of a history, and a receipt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ledger.models import Transaction
from ledger.queries import SeenTransaction
from wallet_project.kernel.errors import sentence_of
from wallet_project.kernel.money import Money

Type = Transaction.Type
Status = Transaction.Status
_Words = Mapping[tuple[Type, str], str]

# What people may look for in their history.
KINDS: Final = [
    (Type.ADD, "Money added"),
    (Type.TRANSFER, "Transfers"),
    (Type.PAY, "Shops"),
    (Type.WITHDRAW, "Withdrawals"),
    (Type.REFUND, "Refunds"),
    (Type.REVERSAL, "Returned money"),
    (Type.CHARGEBACK, "Disputed payments"),
]
STATES: Final = [(Status.SUCCESS, "Done"), (Status.PENDING, "Waiting"), (Status.FAILED, "Failed")]

# (type, direction) -> a line's title while and after it succeeds; `{name}` is the other side.
_TITLES: Final = {
    (Type.ADD, "in"): "Money added",
    (Type.TRANSFER, "out"): "To {name}",
    (Type.TRANSFER, "in"): "From {name}",
    (Type.PAY, "out"): "{name}",
    (Type.PAY, "in"): "From {name}",
    (Type.WITHDRAW, "out"): "Withdrawal",
    (Type.REFUND, "in"): "Refund from {name}",
    (Type.REFUND, "out"): "Refund to {name}",
    (Type.REVERSAL, "in"): "Returned to you",
    (Type.REVERSAL, "out"): "Returned to {name}",
    (Type.CHARGEBACK, "out"): "Taken back by a bank",
    (Type.FEE, "out"): "Fee",
}
# The same where the other side is no person: what {name} would say of it helps nobody.
_TITLES_WITHOUT_NAME: Final = {
    (Type.REFUND, "out"): "Given back to your bank",
    (Type.REFUND, "in"): "Refund",
    (Type.REVERSAL, "out"): "Returned",
}
_HEADINGS: Final = {
    (Type.ADD, "in"): "Added to your wallet",
    (Type.TRANSFER, "out"): "Sent to {name}",
    (Type.TRANSFER, "in"): "Received from {name}",
    (Type.PAY, "out"): "Paid to {name}",
    (Type.PAY, "in"): "Received from {name}",
    (Type.WITHDRAW, "out"): "Withdrawn to your bank",
    (Type.REFUND, "out"): "Refunded to {name}",
    (Type.REFUND, "in"): "Refunded by {name}",
    (Type.REVERSAL, "in"): "Returned to your wallet",
    (Type.REVERSAL, "out"): "Returned to {name}",
    (Type.CHARGEBACK, "out"): "Taken back by a bank",
}
_HEADINGS_WITHOUT_NAME: Final = {
    (Type.REFUND, "out"): "Given back to where it came from",
    (Type.REFUND, "in"): "Refunded to your wallet",
    (Type.REVERSAL, "out"): "Returned",
}
_SENTENCES: Final = {
    Type.CHARGEBACK: "Whoever paid it in asked their bank for it, and their bank decided for them.",
}
_PENDING_HEADINGS: Final = {Type.ADD: "Waiting for your payment", Type.WITHDRAW: "On its way to your bank"}
_PENDING_SENTENCES: Final = {
    Type.ADD: "Not in your wallet yet. Once you have paid, it is added as soon as your bank confirms, even if you "
    "close this page.",
    Type.WITHDRAW: "Banks confirm within minutes, sometimes days. If yours refuses, the money comes back.",
}
_FAILED_HEADINGS: Final = {
    Type.ADD: "Not added",
    Type.TRANSFER: "Not sent",
    Type.PAY: "Not paid",
    Type.WITHDRAW: "Not withdrawn",
    Type.REFUND: "Not given back",
}
_REASONS: Final = {
    "insufficient_funds": "There was not enough money to spend.",
    "limit_exceeded": "That is past what may be moved at once.",
    "wallet_frozen": "The wallet is frozen, so nothing can leave it. Our support can tell you why.",
    "recipient_unavailable": "They cannot receive money at the moment.",
    "same_wallet": "That is your own wallet.",
    "currency_mismatch": "Their wallet holds another currency.",
    "order_expired": "It was not paid in time. Nothing was added.",
    "gateway_refused": "Our payment partner would not take it.",
    "payout_failed": "The bank could not pay it. The money is back in your wallet.",
    "bank_account_invalid": "The bank does not know this account. Check its number and add it again.",
    "refund_exceeds": "That is more than is left of this payment to give back.",
    "not_refundable": "This cannot be given back here: it was not paid, or its payer's bank has been asked about it.",
    "hold_expired": "What was set aside for it was set free before.",
}
# What an open hold of that reason means for whoever owns the wallet.
_HOLDS: Final = {
    "dispute": "A payment that was added here is disputed: its payer has asked their bank to take it back. Until the "
    "banks have decided, this much cannot be spent.",
    "money_back": "Somebody says that they sent it to you by mistake, and you have set it aside until you give it back "
    "or say no.",
}
_RELATED: Final = {Type.REFUND: "Refund of", Type.REVERSAL: "What came back"}


def reason_of(code: str) -> str:
    """Why money did not move, in a sentence."""
    return _REASONS.get(code) or sentence_of(code)


def reason_of_hold(reason: str) -> str:
    """Why money is in a wallet and cannot be spent, in a sentence."""
    return _HOLDS.get(reason, "It is set aside and cannot be spent at the moment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    A transaction as a list shows it.

    :ivar tone: `in` or `out` where money moved, `none` where it has not.
    """

    id: str
    title: str
    money: Money
    sign: str
    tone: str
    icon: str
    note: str
    at: datetime
    badge: str = ""
    badge_tone: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """:ivar is_id: made of letters and digits that mean nothing to people, who may have to spell it out."""

    name: str
    value: str
    is_id: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """
    A transaction as its own page shows it.

    :ivar waiting: it may still change, so that looking again makes sense.
    :ivar related: other receipts, `value` their ids.
    """

    title: str
    heading: str
    sentence: str
    tone: str
    icon: str
    line: Line
    facts: list[Fact]
    balance_after: Money | None
    waiting: bool
    related: list[Fact] = field(default_factory=list)


def line_of(seen: SeenTransaction) -> Line:
    moved = seen.balance_after is not None
    badge, badge_tone = "", ""
    if seen.status == Status.PENDING:
        badge, badge_tone = "Waiting", "wait"
    elif seen.status == Status.FAILED:
        badge, badge_tone = "Failed", "bad"
    elif seen.reversed_by is not None:
        # Of a transfer it was whoever got it that let go of it.
        badge, badge_tone = "Given back" if seen.type == Type.TRANSFER else "Returned", "wait"
    return Line(
        id=seen.public_id,
        title=_title_of(seen),
        money=seen.amount,
        sign=("+" if seen.direction == "in" else "\N{MINUS SIGN}") if moved else "",
        tone=seen.direction if moved else "none",
        icon=_icon_of(seen),
        note=seen.note,
        at=seen.created_at,
        badge=badge,
        badge_tone=badge_tone,
    )


def receipt_of(seen: SeenTransaction) -> Receipt:
    key = (Type(seen.type), seen.direction)
    heading = _worded(_HEADINGS, _HEADINGS_WITHOUT_NAME, seen)
    sentence, tone, icon = _SENTENCES.get(key[0], ""), "good", "check"
    if seen.status == Status.PENDING:
        heading = _PENDING_HEADINGS[key[0]]
        sentence, tone, icon = _PENDING_SENTENCES[key[0]], "wait", "clock"
    elif seen.status == Status.FAILED:
        heading = _FAILED_HEADINGS.get(key[0], "Failed")
        sentence, tone, icon = reason_of(seen.failure_code), "bad", "cross"
    elif seen.reversed_by is not None:
        sentence = "It was given back later." if key[0] == Type.TRANSFER else "It was returned later."
    return Receipt(
        title=heading,
        heading=heading,
        sentence=sentence,
        tone=tone,
        icon=icon,
        line=line_of(seen),
        facts=_facts_of(seen),
        balance_after=seen.balance_after,
        waiting=seen.status == Status.PENDING,
        related=[
            Fact(name, other)
            for name, other in (
                (_RELATED.get(key[0], "Belongs to"), seen.reverses),
                ("Given back with" if key[0] == Type.TRANSFER else "Came back with", seen.reversed_by),
            )
            if other is not None
        ],
    )


def _title_of(seen: SeenTransaction) -> str:
    kind = Type(seen.type)
    if kind == Type.ADD and seen.status != Status.SUCCESS:
        return "Adding money"
    return _worded(_TITLES, _TITLES_WITHOUT_NAME, seen)


def _worded(named: _Words, nameless: _Words, seen: SeenTransaction) -> str:
    key = (Type(seen.type), seen.direction)
    if seen.counterparty_wallet is None and key in nameless:
        return nameless[key]
    return named.get(key, "{name}").format(name=seen.counterparty_name)


def _icon_of(seen: SeenTransaction) -> str:
    if seen.type == Type.ADD:
        return "add"
    if seen.type == Type.PAY and seen.direction == "out":
        return "shop"
    return "receive" if seen.direction == "in" else "send"


def _facts_of(seen: SeenTransaction) -> list[Fact]:
    facts = [Fact("To" if seen.direction == "out" else "From", seen.counterparty_name)]
    if seen.order_reference:
        facts.append(Fact("Order", seen.order_reference))
    if seen.note:
        facts.append(Fact("Note", seen.note))
    return facts
