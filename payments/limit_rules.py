"""
The operator's limits: how they stand, and how two of staff change them.

A row is added and none is changed, so that the table is its own history; the next posting reads the newest.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from accounts import audit
from accounts.models import User
from payments.models import HoldingLimit, LimitRule, Proposal
from payments.models.limits import Limited
from payments.proposal_handling import Handling
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import BOUND, MalformedAmount, Money

PERMISSION: Final = "payments.set_limitrule"
_AMOUNTS: Final = ("per_transaction", "per_day", "per_month")
_MOST: Final = "most"


def limit_subject(*, level: str, type: str) -> str:
    """What a proposal to change a limit is about."""
    return f"{level}:{type}"


def limit_terms(*, per_transaction: Money, per_day: Money, per_month: Money) -> dict[str, str]:
    """A proposal's terms; rupees."""
    return {"per_transaction": per_transaction.text, "per_day": per_day.text, "per_month": per_month.text}


def holding_terms(*, most: Money) -> dict[str, str]:
    """The terms of a proposal to change what a wallet may hold; its subject is the level."""
    return {_MOST: most.text}


def rule_in_force(*, level: str, type: str, now: datetime) -> LimitRule | None:
    rules = LimitRule.objects.filter(kyc_level=level, type=type, since__lte=now)
    return rules.order_by("-since", "-pk").first()


def holding_in_force(*, level: str, now: datetime) -> HoldingLimit | None:
    return HoldingLimit.objects.filter(kyc_level=level, since__lte=now).order_by("-since", "-pk").first()


def _judge_limit(subject: str, terms: Mapping[str, str]) -> None:
    _level_and_type(subject)
    once, day, month = (_rupees(name, terms) for name in _AMOUNTS)
    if not once.amount <= day.amount <= month.amount:
        raise Refusal.of_field("per_day", "A payment is at most a day's limit, and a day's at most a month's.")


def _judge_holding(subject: str, terms: Mapping[str, str]) -> None:
    if subject not in User.KycLevel:
        raise Refusal.of_field("kyc_level", "There is no such level.")
    _rupees(_MOST, terms)


def _told_limit(proposal: Proposal) -> str:
    level, type_ = _level_and_type(proposal.subject)
    once, day, month = (_rupees(name, proposal.terms).spelled for name in _AMOUNTS)
    return f"At level {level}, what is {type_.label}: at most {once} at once, {day} a day, {month} a month."


def _told_holding(proposal: Proposal) -> str:
    return f"At level {proposal.subject} a wallet holds at most {_rupees(_MOST, proposal.terms).spelled}."


def _carry_out_limit(proposal: Proposal, now: datetime) -> str:
    level, type_ = _level_and_type(proposal.subject)
    once, day, month = (_rupees(name, proposal.terms).amount for name in _AMOUNTS)
    newest = LimitRule.objects.filter(kyc_level=level, type=type_).order_by("-since", "-pk").first()
    LimitRule.objects.create(
        kyc_level=level,
        type=type_,
        per_transaction=once,
        per_day=day,
        per_month=month,
        # Not before the row that it follows, should another process's clock go ahead.
        since=max(now, newest.since) if newest else now,
        set_by=proposal.proposed_by,
        reason=proposal.reason,
    )
    _tell_audit(proposal, now)
    return ""


def _carry_out_holding(proposal: Proposal, now: datetime) -> str:
    newest = HoldingLimit.objects.filter(kyc_level=proposal.subject).order_by("-since", "-pk").first()
    HoldingLimit.objects.create(
        kyc_level=proposal.subject,
        most=_rupees(_MOST, proposal.terms).amount,
        since=max(now, newest.since) if newest else now,
        set_by=proposal.proposed_by,
        reason=proposal.reason,
    )
    _tell_audit(proposal, now)
    return ""


def _tell_audit(proposal: Proposal, now: datetime) -> None:
    audit.record(
        "limit.set",
        now=now,
        actor=proposal.decided_by,
        object=proposal.public_id,
        reason=proposal.reason,
        about=proposal.subject,
        proposed_by=proposal.proposed_by.public_id,
        **proposal.terms,
    )


def _level_and_type(subject: str) -> tuple[str, Limited]:
    level, _, type_ = subject.partition(":")
    if level not in User.KycLevel:
        raise Refusal.of_field("kyc_level", "There is no such level.")
    if type_ not in Limited:
        raise Refusal.of_field("type", "There is no limit on this.")
    return level, Limited(type_)


def _rupees(name: str, terms: Mapping[str, str]) -> Money:
    """:raises Refusal: `invalid`: no amount, or none that a limit can be."""
    try:
        amount = Money.parse(terms.get(name), may_be_zero=True)
    except MalformedAmount as error:
        raise Refusal.of_field(name, str(error)) from error
    if amount.amount >= BOUND:
        raise Refusal.of_field(name, "Write a smaller amount.")
    return amount


HANDLING_OF_LIMITS: Final = Handling(
    may_propose=PERMISSION, judge=_judge_limit, told=_told_limit, carry_out=_carry_out_limit
)
HANDLING_OF_HOLDINGS: Final = Handling(
    may_propose=PERMISSION, judge=_judge_holding, told=_told_holding, carry_out=_carry_out_holding
)
