"""What a kind of proposal is made of: who may propose it, when it makes sense, and what is done once two agree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from payments.models import Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """
    How one kind of proposal is dealt with.

    :ivar may_propose: the permission of whoever proposes; they must still have it when a second person agrees.
    :ivar judge: `(subject, terms)`: raises a Refusal where it makes no sense; asked when it is proposed.
    :ivar told: what is to be done, in a sentence for the second person.
    :ivar carry_out: `(proposal, now)`: does it, and returns the public id of what came of it, or nothing. A Refusal
        ends the proposal as refused. `proposal.decided_by` is set by then.
    :ivar moves_money: carried out by a posting, so outside of any transaction, and under the proposal's id as its key:
        it may be called again. Else inside the transaction that writes that it is done, once.
    """

    may_propose: str
    judge: Callable[[str, Mapping[str, str]], None]
    told: Callable[[Proposal], str]
    carry_out: Callable[[Proposal, datetime], str]
    moves_money: bool = False
