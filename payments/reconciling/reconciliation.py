"""
The ledger held against a gateway's books, a day at a time.

Nothing is posted: each difference becomes a case with what could be posted, in words. Cases that an earlier run over
the same day had opened, and that do not differ any more, are closed. A gateway that falls silent on the way leaves
no half verdict: no case is opened or closed, and the run stands unfinished.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import structlog
from django.db.models.functions import Now
from django.utils.timezone import get_default_timezone, localdate

from payments.cases import open_case, settle_found
from payments.gateways import gateway_named, set_up_here
from payments.gateways.base import NotOffered
from payments.models import Case, Reconciliation
from payments.reconciling.clearing import check_clearing
from payments.reconciling.comparing import Books, compare
from payments.reconciling.disputes import LOST, DisputeBooks
from payments.reconciling.findings import MOST_DIFFERENCES, Difference, Findings, Scope, Total
from payments.reconciling.payments import CAPTURED, PaymentBooks
from payments.reconciling.payouts import PROCESSED, REVERSED, PayoutBooks
from payments.reconciling.refunds import REFUNDED, RefundBooks
from payments.reconciling.settlements import SETTLED, SettlementBooks
from wallet_project.kernel.errors import GatewayError

log = structlog.get_logger("payments.reconciliation")

# In the order in which people read them.
LABELS: Final = (CAPTURED, REFUNDED, PROCESSED, REVERSED, LOST, SETTLED)
DAYS_BACK: Final = (1, 7)
_USUAL_CURRENCY: Final = "INR"


class FutureDay(ValueError):
    """A day that has not begun has no books."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the verdict's table."""

    label: str
    currency: str
    total: Total


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    :ivar differences: the first of them, at most `MOST_DIFFERENCES`; `count` is of all.
    :ivar closed: earlier cases of this day that do not differ any more.
    """

    lines: list[Line]
    differences: list[Difference]
    count: int
    closed: int
    in_flight: dict[str, int]
    not_offered: list[str]


def reconcile(*, gateway: str, date: date, now: datetime) -> Verdict:
    """
    Hold one day of ours (the wallet's time zone) against the gateway's books. Safe to run again at any time.

    :raises GatewayError: the gateway stopped answering; there is no verdict.
    :raises FutureDay:
    """
    zone = get_default_timezone()
    if date > localdate(now, zone):
        raise FutureDay(f"{date} has not begun.")
    run = Reconciliation.objects.create(gateway=gateway, date=date, started_at=now)
    scope = Scope(
        gateway=gateway_named(gateway),
        date=date,
        begin=datetime.combine(date, time(), zone),
        end=datetime.combine(date + timedelta(days=1), time(), zone),
        now=now,
    )
    findings = Findings()
    every: tuple[Books[Any, Any], ...] = (
        PaymentBooks(),
        RefundBooks(),
        PayoutBooks(),
        DisputeBooks(),
        SettlementBooks(),
    )
    for books in every:
        try:
            compare(books=books, scope=scope, findings=findings)
        except NotOffered:
            findings.not_offered.append(books.what)
    check_clearing(scope=scope, findings=findings)
    return _conclude(run, findings, now)


def reconcile_lately(*, now: datetime) -> None:
    """
    What a night does: yesterday, and the day a week ago, whose payouts may have come back since. With every gateway,
    once a night: one that fell silent is asked again by the next call, and does not stop the others.
    """
    today = localdate(now, get_default_timezone())
    for gateway in set_up_here():
        for days in DAYS_BACK:
            day = today - timedelta(days=days)
            if _has_verdict(gateway, day, since=today):
                continue
            try:
                reconcile(gateway=gateway, date=day, now=now)
            except GatewayError as error:
                reason = type(error).__name__
                log.error("reconciliation.no_verdict", gateway=gateway, date=day.isoformat(), reason=reason)


def _has_verdict(gateway: str, day: date, *, since: date) -> bool:
    runs = Reconciliation.objects.filter(gateway=gateway, date=day, finished_at__isnull=False)
    return runs.filter(started_at__gte=datetime.combine(since, time(), get_default_timezone())).exists()


def _conclude(run: Reconciliation, findings: Findings, now: datetime) -> Verdict:
    for difference in findings.differences:
        _raise(run, difference, now)
    closed = _close_others(run, findings, now)
    lines = _lines(findings)
    totals: dict[str, dict[str, dict[str, int]]] = {}
    for line in lines:
        total = line.total
        totals.setdefault(line.label, {})[line.currency] = {
            "here_count": total.here_count,
            "here_minor": total.here_minor,
            "there_count": total.there_count,
            "there_minor": total.there_minor,
        }
    Reconciliation.objects.filter(pk=run.pk).update(finished_at=Now(), totals=totals, differences=findings.count)
    say = log.error if findings.count else log.info
    say(
        "reconciliation.finished",
        gateway=run.gateway,
        date=run.date.isoformat(),
        differences=findings.count,
        closed=closed,
    )
    return Verdict(
        lines=lines,
        differences=findings.differences,
        count=findings.count,
        closed=closed,
        in_flight=dict(findings.in_flight),
        not_offered=findings.not_offered,
    )


def _raise(run: Reconciliation, difference: Difference, now: datetime) -> None:
    open_case(
        kind=difference.kind,
        gateway=run.gateway,
        subject=difference.subject,
        reason=difference.reason,
        suggestion=difference.suggestion,
        amount_here_minor=difference.here_minor,
        amount_there_minor=difference.there_minor,
        currency=difference.currency,
        transaction=difference.transaction,
        found_by=run.pk,
        now=now,
    )


def _close_others(run: Reconciliation, findings: Findings, now: datetime) -> int:
    """What runs over this day had found, and this one did not. Not where there are more than were kept."""
    if findings.count > MOST_DIFFERENCES:
        return 0
    found = {(each.kind, each.subject) for each in findings.differences}
    earlier = Case.objects.filter(
        state=Case.State.OPEN, found_by__gateway=run.gateway, found_by__date=run.date
    ).values_list("pk", "kind", "subject")
    explained = [pk for pk, kind, subject in earlier if (kind, subject) not in found]
    return settle_found(
        found=Case.objects.filter(pk__in=explained),
        resolution=f"A later reconciliation of {run.date} found no difference any more.",
        now=now,
    )


def _lines(findings: Findings) -> list[Line]:
    """Every label, whether or not there was anything of it; other currencies where there was."""
    for label in LABELS:
        findings.totals[(label, _USUAL_CURRENCY)]
    keys = sorted(findings.totals, key=lambda key: (LABELS.index(key[0]), key[1]))
    return [Line(label=label, currency=currency, total=findings.totals[(label, currency)]) for label, currency in keys]
