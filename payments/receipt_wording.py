"""Receipts of money that gateways and banks have a part in: where it is, in people's words, and what they call it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from ledger.models import Transaction
from ledger.queries import SeenTransaction
from ledger.wording import Fact, Receipt, receipt_of
from payments.bank_accounts import label_of, masked_number
from payments.disputes import UNDECIDED
from payments.models import BankAccount, Dispute, GatewayRefund, Payout
from payments.provenance import Provenance, Relative

# Past it people are told that it takes long, before they begin to wonder.
SLOW_AFTER: Final = timedelta(minutes=2)
# An answer may be lost once; that it was lost twice is news.
_SENDS_WITHOUT_ANSWER: Final = 2
NO_FEE: Final = Fact("Fee", "None")
_METHODS: Final = {"upi": "UPI", "card": "Card", "netbanking": "Net banking", "wallet": "Another wallet", "emi": "EMI"}
_RELATIVES: Final = {
    "refund": "Given back",
    "chargeback": "Taken back",
    "disputed": "Disputed payment",
    "late": "Paid later",
    "begun": "Begun as",
}
STILL_WITH_THE_BANK: Final = (
    "Your bank has not confirmed it yet. Your money is safe: we keep asking, and if the bank refuses, it comes back."
)
_ON_ITS_WAY: Final = {
    Payout.State.NEW: "It is being handed to your bank. That takes seconds, sometimes longer.",
    Payout.State.QUEUED: "It waits its turn with our payment partner, and goes out by itself.",
}
_UNDER_WAY: Final = (GatewayRefund.State.NEW, GatewayRefund.State.UNKNOWN, GatewayRefund.State.PENDING)


def receipt_with(*, seen: SeenTransaction, behind: Provenance, now: datetime) -> Receipt:
    """A transaction's receipt, with what stands behind it."""
    receipt = receipt_of(seen)
    if behind.payout is not None:
        receipt = _of_withdrawal(receipt, seen, behind.payout, now)
    elif behind.refund is not None:
        receipt = _of_refund(receipt, seen, behind.refund)
    elif seen.type == Transaction.Type.CHARGEBACK:
        receipt = _of_chargeback(receipt, behind)
    elif behind.order is not None or behind.payment is not None:
        receipt = _of_topup(receipt, behind)
    related = [Fact(_name_of(each), each.transaction) for each in behind.relatives]
    return replace(receipt, related=[*receipt.related, *related])


def is_settling(*, seen: SeenTransaction, behind: Provenance) -> bool:
    """Whether looking again may soon show something else."""
    return seen.status == Transaction.Status.PENDING or (
        behind.refund is not None and behind.refund.state in _UNDER_WAY
    )


def sentence_of_dispute(dispute: Dispute | None) -> str:
    """What a top-up's receipt says while its payment is disputed."""
    if dispute is None or dispute.state not in UNDECIDED:
        return ""
    held = "" if dispute.hold is None else f" {dispute.hold.money.spelled} of it is held and cannot be spent."
    return f"Its payer has asked their bank to take this payment back. The banks have not decided yet.{held}"


def status_of_account(account: BankAccount) -> tuple[str, str, str]:
    """Whether its bank knows an account: a badge's word and tone, and a sentence."""
    match account.validation:
        case BankAccount.Validation.VALID:
            return "Confirmed", "good", ""
        case BankAccount.Validation.INVALID:
            return (
                "Unknown to the bank",
                "bad",
                "The bank does not know this account, so nothing can be sent to it. Remove it, and add it again with "
                "the right number.",
            )
    if account.check_at is not None:
        return "Being checked", "wait", "Its bank is being asked. You can withdraw to it already."
    return "Not confirmed", "", "Its bank did not say whether it knows it. You can withdraw to it."


def _name_of(relative: Relative) -> str:
    name = _RELATIVES[relative.kind]
    return f"{name}, {relative.amount.spelled}" if relative.kind in ("refund", "chargeback") else name


def _of_withdrawal(receipt: Receipt, seen: SeenTransaction, payout: Payout, now: datetime) -> Receipt:
    account = payout.bank_account
    facts = [
        Fact("To", label_of(account=account)),
        Fact("Account", masked_number(account=account)),
        Fact("Account holder", account.holder_name),
        NO_FEE,
        *_ids(("Bank reference (UTR)", payout.utr), ("Payout id", payout.payout_id or "")),
    ]
    receipt = replace(receipt, facts=facts)
    bank = label_of(account=account)
    if seen.status == Transaction.Status.PENDING:
        is_slow = now >= payout.created_at + SLOW_AFTER or (
            payout.state == Payout.State.UNKNOWN and payout.sends >= _SENDS_WITHOUT_ANSWER
        )
        if is_slow:
            return replace(receipt, sentence=STILL_WITH_THE_BANK)
        return replace(receipt, sentence=_ON_ITS_WAY.get(Payout.State(payout.state), receipt.sentence))
    if seen.status == Transaction.Status.FAILED and seen.reversed_by is not None:
        why = f"{bank} could not take it" if payout.payout_id else "Our payment partner would not send it"
        return _came_back(receipt, f"{why}. All of it is back in your wallet, and nothing was charged.")
    if seen.reversed_by is not None:
        return _came_back(receipt, f"It had arrived, and {bank} sent it back. All of it is in your wallet again.")
    if seen.status == Transaction.Status.SUCCESS:
        return replace(receipt, title="Arrived at your bank", heading="Arrived at your bank")
    return receipt


def _of_refund(receipt: Receipt, seen: SeenTransaction, refund: GatewayRefund) -> Receipt:
    facts = [
        *(fact for fact in receipt.facts if fact.name != "To"),
        Fact("To", _source_of(refund.attempt.method)),
        NO_FEE,
        *_ids(("Bank reference", refund.reference), ("Refund id", refund.refund_id or "")),
    ]
    receipt = replace(receipt, facts=facts)
    if seen.reversed_by is not None:
        return _came_back(receipt, "The bank it came from would not have it. All of it is back in your wallet.")
    if refund.state in _UNDER_WAY:
        heading = "On its way back to your bank"
        sentence = "It has left your wallet. Banks take minutes, sometimes days, to show it."
        return replace(receipt, title=heading, heading=heading, sentence=sentence, tone="wait", icon="clock")
    return receipt


def _of_topup(receipt: Receipt, behind: Provenance) -> Receipt:
    payment = behind.payment
    if payment is None:
        return receipt
    facts = [
        Fact("From", _source_of(payment.method)),
        NO_FEE,
        *_ids(("Bank reference (RRN)", payment.reference), ("Payment id", payment.payment_id)),
    ]
    return replace(receipt, facts=facts)


def _of_chargeback(receipt: Receipt, behind: Provenance) -> Receipt:
    payment = behind.payment
    if payment is None:
        return receipt
    facts = [
        Fact("To", "The payer's bank"),
        NO_FEE,
        *_ids(("Bank reference (RRN)", payment.reference), ("Payment id", payment.payment_id)),
    ]
    return replace(receipt, facts=facts, tone="wait", icon="alert")


def _came_back(receipt: Receipt, sentence: str) -> Receipt:
    """Without the balance after it, which was that before it came back."""
    heading = "Came back to your wallet"
    return replace(
        receipt, title=heading, heading=heading, sentence=sentence, tone="wait", icon="back", balance_after=None
    )


def _source_of(method: str) -> str:
    return _METHODS.get(method, "Bank or card")


def _ids(*named: tuple[str, str]) -> list[Fact]:
    return [Fact(name, value, is_id=True) for name, value in named if value]
