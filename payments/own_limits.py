"""
Limits that people set themselves, below the operator's: lower ones hold at once, higher ones a day later (a setting).

The day is the control. Whoever has got hold of somebody's phone cannot lift what its owner set, and the owner, who is
told, can drop the wish meanwhile.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts import audit
from accounts.models import User
from accounts.notices import notify
from payments.models import OwnLimit
from payments.models.limits import Limited
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import BOUND, Money

log = structlog.get_logger("payments.own_limits")

# What a row holds, in this order; None: only the operator's.
Amounts: TypeAlias = tuple[Decimal | None, Decimal | None, Decimal | None]
_NAMES: Final = ("per_transaction", "per_day", "per_month")


def set_own_limits(
    *,
    user: User,
    type: Limited,
    per_transaction: Money | None,
    per_day: Money | None,
    per_month: Money | None,
    now: datetime,
) -> list[int]:
    """
    Replace this person's own limits of one type of movement. What is lower, or limited for the first time, holds at
    once; what is higher, or limited no more, after a day. An earlier wish that does not hold yet is dropped.

    :param per_transaction: and the others: rupees, nothing or more; None for no limit of one's own.
    :returns: ids of the messages that tell of a raise.
    :raises Refusal: `invalid`.
    """
    wished = _read(per_transaction, per_day, per_month)
    with transaction.atomic():
        # One at a time for each person: two at once would each take the other's for what held before.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        held = own_limit_in_force(user=user, type=type, now=now)
        before = _amounts(held)
        dropped = _waiting(user, type, now).update(dropped_at=now)
        at_once: Amounts = tuple(map(_lower, before, wished))  # type: ignore[assignment]  # three and three are three
        if not dropped and before == at_once == wished:
            return []
        if at_once != before:
            # Not before the row that it follows, should another process's clock go ahead.
            since = max(now, held.since) if held else now
            _write(user, type, at_once, asked_at=since, since=since)
        if wished == at_once:
            _tell_audit(user, type, wished, now=now, since=None)
            return []
        since = now + timedelta(hours=settings.OWN_LIMIT_RAISE_HOURS)
        _write(user, type, wished, asked_at=now, since=since)
        _tell_audit(user, type, wished, now=now, since=since)
        return notify(user=user, kind="limits_raised", now=now, limit=f"what is {type.label}")


def drop_raise(*, user: User, type: Limited, now: datetime) -> bool:
    """
    Higher limits that do not hold yet will not.

    :returns: whether any waited.
    """
    with transaction.atomic():
        dropped = _waiting(user, type, now).update(dropped_at=now)
        if dropped:
            audit.record("own_limit.raise_dropped", now=now, actor=user, subject=user, type=type.value)
    return bool(dropped)


def own_limit_in_force(*, user: User, type: Limited, now: datetime) -> OwnLimit | None:
    """The newest that holds; one of before stays on record."""
    # What holds from when it was asked for holds, also where another process's clock went ahead of this one's.
    holds = Q(since__lte=now) | Q(since=F("asked_at"))
    return _kept(user, type).filter(holds).order_by("-since", "-pk").first()


def raise_waiting(*, user: User, type: Limited, now: datetime) -> OwnLimit | None:
    """What was asked for and holds from tomorrow on."""
    return _waiting(user, type, now).order_by("-since", "-pk").first()


def _kept(user: User, type: Limited) -> QuerySet[OwnLimit]:
    return OwnLimit.objects.filter(user=user, type=type, dropped_at=None)


def _waiting(user: User, type: Limited, now: datetime) -> QuerySet[OwnLimit]:
    return _kept(user, type).filter(since__gt=now).exclude(since=F("asked_at"))


def _write(user: User, type: Limited, amounts: Amounts, *, asked_at: datetime, since: datetime) -> None:
    OwnLimit.objects.create(
        user=user, type=type, asked_at=asked_at, since=since, **dict(zip(_NAMES, amounts, strict=True))
    )


def _read(*given: Money | None) -> Amounts:
    for name, money in zip(_NAMES, given, strict=True):
        if money is not None and (money.currency != "INR" or not 0 <= money.amount < BOUND):
            raise Refusal.of_field(name, "Write an amount in rupees, or nothing for no limit of your own.")
    once, day, month = (None if money is None else money.amount for money in given)
    return once, day, month


def _amounts(row: OwnLimit | None) -> Amounts:
    return (None, None, None) if row is None else (row.per_transaction, row.per_day, row.per_month)


def _lower(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """No limit is above every limit."""
    return min((each for each in (one, other) if each is not None), default=None)


def _tell_audit(user: User, type: Limited, wished: Amounts, *, now: datetime, since: datetime | None) -> None:
    amounts = {name: "" if amount is None else str(amount) for name, amount in zip(_NAMES, wished, strict=True)}
    holds = {} if since is None else {"raised_since": since.isoformat()}
    audit.record("own_limit.set", now=now, actor=user, subject=user, type=type.value, **amounts, **holds)
