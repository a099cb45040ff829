"""
Going on with what is due: one way for orders, payouts, refunds, bank accounts and disputes.

What is due stands in the rows themselves (`check_at`). Whoever goes on with a row claims it first, by moving that time
on; so two never claim it at once, and a row whose worker dies comes again when its claim is over.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.db.models import F, QuerySet

from payments.asking import last_asked_by
from payments.models import BankAccount, Dispute, GatewayOrder, GatewayRefund, Payout
from wallet_project.kernel.errors import GatewayError, Refusal

MOST_AT_ONCE: Final = 100
# No request is still on its way that was begun before that.
LONGEST_IN_FLIGHT: Final = timedelta(minutes=2)

Row = TypeVar("Row", GatewayOrder, Payout, GatewayRefund, BankAccount, Dispute)


class SentMeanwhile(Exception):
    """Within a posting: somebody else sent it, or heard of it, since the gateway was asked. Nothing is given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand(Generic[Row]):
    """
    What is done with a row that is due.

    :ivar work: goes on with it, and may raise whatever it likes.
    :ivar next_check: when it is due again where `work` does not decide that; None for never.
    :ivar names: how logs call it.
    :ivar put_off: the log's event where the gateway would not say, or we were busy.
    :ivar failed: the log's event where something went wrong here.
    """

    work: Callable[[Row, datetime], None]
    next_check: Callable[[Row, datetime], datetime | None]
    names: Callable[[Row], Mapping[str, str]]
    log: Any
    put_off: str
    failed: str


def sweep_due(*, rows: QuerySet[Row], errand: Errand[Row], now: datetime, longest_seconds: float) -> int:
    """
    Go on with those of the rows that are due, the longest due first. Safe to run twice at once: each is claimed first;
    and one that cannot be worked on does not stop the others.

    :param longest_seconds: after that long no further one is begun; the next sweep goes on.
    :returns: how many were gone on with, well or not.
    """
    due = list(rows.filter(check_at__lte=now).order_by("check_at", "pk")[:MOST_AT_ONCE])
    attended, until = 0, time.monotonic() + longest_seconds
    for row in due:
        if time.monotonic() > until:
            break
        attended += attend(row=row, errand=errand, now=now)
    return attended


def attend(*, row: Row, errand: Errand[Row], now: datetime) -> bool:
    """
    Claim a row and go on with it. What goes wrong is logged: the row comes again by schedule.

    :returns: False where somebody else has it.
    """
    if not claim(row=row, errand=errand, now=now):
        return False
    names = errand.names(row)
    try:
        errand.work(row, now)
    except (GatewayError, Refusal) as error:
        status = error.http_status if isinstance(error, GatewayError) else error.status
        errand.log.warning(errand.put_off, **names, reason=type(error).__name__, http_status=status)
    except Exception:
        # One that cannot be worked on must not keep the others from it; it comes again, and is heard of again.
        errand.log.exception(errand.failed, **names)
    return True


def claim(*, row: Row, errand: Errand[Row], now: datetime) -> bool:
    """
    Put a row off, if it is due when it was read to be. Whoever dies after this is followed then by somebody else.

    :returns: False where somebody else was faster.
    """
    unclaimed = type(row).objects.filter(pk=row.pk, check_at=row.check_at)
    # Counted here and not at the end: one that kills its worker each time comes ever more rarely by its schedule, as
    # one that nobody answers about does, though no worker ever lives to put it off.
    return bool(unclaimed.update(check_at=errand.next_check(row, now), checks=F("checks") + 1))


def claim_unsent(*, row: Payout | GatewayRefund, errand: Errand[Any], now: datetime) -> None:
    """
    Claim what is to be sent for somebody who cannot wait until it is due. Its last claim tells nothing of how that
    ended: while its request may still be on its way, no second one is sent.

    :param row: on the schedule of `next_ask`.
    :raises Refusal: `busy`: somebody else may have it in hand.
    """
    is_over = row.check_at is None or row.check_at <= now
    if row.check_at is not None and not is_over:
        is_over = last_asked_by(asked=row.checks - 1, next_at=row.check_at) + LONGEST_IN_FLIGHT <= now
    if not is_over or not claim(row=row, errand=errand, now=now):
        raise Refusal("busy", "It is being sent right now, or was a moment ago. Ask again in two minutes.")
