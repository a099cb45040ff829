"""Giving somebody's top-up back for them: what is proposed, and what is done once a second person agrees."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ledger.models import Transaction
from payments.models import Proposal
from payments.proposal_handling import Handling
from payments.refund_outcomes import left_of
from payments.refunds import PERMISSION, brought_by_top_up, give_back_as_agreed
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money


def terms_of(amount: Money) -> dict[str, str]:
    """A proposal's terms: how much is to go back."""
    return {"amount": amount.text, "currency": amount.currency}


def amount_of(terms: Mapping[str, str]) -> Money:
    return Money.parse(terms["amount"], terms["currency"])


def _judge(subject: str, terms: Mapping[str, str]) -> None:
    brought = brought_by_top_up(subject)
    left = left_of(brought=brought)
    if amount_of(terms).amount > left.amount:
        raise Refusal("refund_exceeds", f"No more than {left.spelled} is left to give back.")


def _told(proposal: Proposal) -> str:
    return f"{amount_of(proposal.terms).spelled} of {proposal.subject} go back to whoever paid."


def _carry_out(proposal: Proposal, now: datetime) -> str:
    answer = give_back_as_agreed(proposal=proposal, amount=amount_of(proposal.terms), now=now)
    transaction = Transaction.objects.get(pk=answer.transaction).public_id
    if answer.code:
        raise Refusal(answer.code, extra={"transaction": transaction})
    return transaction


HANDLING: Final = Handling(may_propose=PERMISSION, judge=_judge, told=_told, carry_out=_carry_out, moves_money=True)
