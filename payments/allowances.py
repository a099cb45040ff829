"""
What a person may still move: the limits that hold for them, what counts against those, and what is left.

For people to read. What a movement is judged by stands in `limits` and `spending`, under the wallet's lock; both read
the same rows.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from accounts.models import User
from payments.models import HoldingLimit, LimitRule, OwnLimit, Spending
from payments.models.limits import Limited
from payments.own_limits import own_limit_in_force, raise_waiting
from payments.spending import day_of
from wallet_project.kernel.money import Money
from wallets.models import Wallet
from wallets.queries import wallet_of

# Limits are set in rupees.
CURRENCY: Final = "INR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much at once, in a day (Asia/Kolkata's, a setting) and in its month. None: no such limit."""

    per_transaction: Money | None
    per_day: Money | None
    per_month: Money | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRaise:
    """Higher own limits that a person asked for, and from when on they hold."""

    bounds: Bounds
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """
    One type of movement.

    :ivar bounds: what holds: the lower of the operator's and the person's own.
    :ivar left: the most that the next movement may be, whatever is in the wallet; None where nothing limits it.
    """

    type: Limited
    bounds: Bounds
    operators: Bounds
    own: Bounds
    waiting: WaitingRaise | None
    used_today: Money
    used_this_month: Money
    left_today: Money | None
    left_this_month: Money | None
    left: Money | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The most that the person's own wallet may hold, and how much of that is free. None: no such limit."""

    most: Money | None
    left: Money | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowances:
    kyc_level: str
    holding: Holding
    of_types: list[Allowance]


def allowances_of(*, user: User, now: datetime) -> Allowances:
    """
    Of a person's own wallet.

    :raises Refusal: `not_found`: they have none.
    """
    wallet = wallet_of(user=user)
    return Allowances(
        kyc_level=user.kyc_level,
        holding=_holding(user.kyc_level, wallet, now),
        of_types=[_allowance(user, wallet, each, now) for each in Limited],
    )


def allowance_of(*, user: User, type: Limited, now: datetime) -> Allowance:
    """
    Of one type of movement.

    :raises Refusal: `not_found`: they have no wallet.
    """
    return _allowance(user, wallet_of(user=user), type, now)


def bounds_of_level(*, level: str, now: datetime) -> dict[Limited, Bounds]:
    """The operator's limits of a KYC level."""
    return {each: _operators(level, each, now) for each in Limited}


def most_held_at(*, level: str, now: datetime) -> Money | None:
    """The most that a wallet may hold at a KYC level."""
    rule = HoldingLimit.objects.filter(kyc_level=level, since__lte=now).order_by("-since", "-pk").first()
    return None if rule is None else Money(rule.most, CURRENCY)


def _holding(level: str, wallet: Wallet, now: datetime) -> Holding:
    most = most_held_at(level=level, now=now)
    return Holding(most=most, left=None if most is None else _at_least_nothing(most.amount - wallet.balance))


def _allowance(user: User, wallet: Wallet, type: Limited, now: datetime) -> Allowance:
    operators = _operators(user.kyc_level, type, now)
    own = _bounds(own_limit_in_force(user=user, type=type, now=now))
    bounds = Bounds(
        per_transaction=_lower(operators.per_transaction, own.per_transaction),
        per_day=_lower(operators.per_day, own.per_day),
        per_month=_lower(operators.per_month, own.per_month),
    )
    today, this_month = _used(wallet, type, now)
    left_today, left_this_month = _left(bounds.per_day, today), _left(bounds.per_month, this_month)
    waiting = raise_waiting(user=user, type=type, now=now)
    return Allowance(
        type=type,
        bounds=bounds,
        operators=operators,
        own=own,
        waiting=None if waiting is None else WaitingRaise(bounds=_bounds(waiting), since=waiting.since),
        used_today=today,
        used_this_month=this_month,
        left_today=left_today,
        left_this_month=left_this_month,
        left=_lower(bounds.per_transaction, _lower(left_today, left_this_month)),
    )


def _operators(level: str, type: Limited, now: datetime) -> Bounds:
    rules = LimitRule.objects.filter(kyc_level=level, type=type, since__lte=now)
    return _bounds(rules.order_by("-since", "-pk").first())


def _used(wallet: Wallet, type: Limited, now: datetime) -> tuple[Money, Money]:
    """Today and this month. The last row carries the totals of its own day and month."""
    last = Spending.objects.filter(wallet=wallet, type=type).order_by("-pk").first()
    today, today_sum, month_sum = day_of(now), Decimal(0), Decimal(0)
    if last is not None and last.day == today:
        today_sum = last.day_total
    if last is not None and (last.day.year, last.day.month) == (today.year, today.month):
        month_sum = last.month_total
    return Money(today_sum, CURRENCY), Money(month_sum, CURRENCY)


def _bounds(row: LimitRule | OwnLimit | None) -> Bounds:
    amounts = (None, None, None) if row is None else (row.per_transaction, row.per_day, row.per_month)
    once, day, month = (None if amount is None else Money(amount, CURRENCY) for amount in amounts)
    return Bounds(per_transaction=once, per_day=day, per_month=month)


def _left(most: Money | None, used: Money) -> Money | None:
    return None if most is None else _at_least_nothing(most.amount - used.amount)


def _at_least_nothing(amount: Decimal) -> Money:
    """A limit that was lowered may stand below what was moved before."""
    return Money(max(amount, Decimal(0)), CURRENCY)


def _lower(one: Money | None, other: Money | None) -> Money | None:
    known = [each for each in (one, other) if each is not None]
    return min(known, key=lambda each: each.amount) if known else None
