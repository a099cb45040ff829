"""
Cases: what the system cannot decide or explain by itself, for somebody to look at.

One stands open for each kind, gateway and subject. Whoever finds the same again makes no second one, two at once
neither: the database's unique index and one statement see to that, inside a posting's `within` as well as outside.
"""

from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from django.db import connections, router
from django.db.models import QuerySet
from django.db.transaction import on_commit

from accounts.models import User
from payments.models import Case
from wallet_project.kernel.ids import new_uuid
from wallet_project.kernel.reasons import read_reason

log = structlog.get_logger("payments.cases")

_LONGEST: Final = 300

# In SQL, for Django's upsert knows neither a partial index nor counting. What was known of the amounts before
# and is not said again stays.
_OPEN: Final = """
INSERT INTO payments_case AS found (uuid, kind, gateway, subject, transaction_id, amount_here_minor,
    amount_there_minor, currency, reason, suggestion, state, times, opened_at, last_seen_at, resolution,
    found_by_id)
VALUES (%(uuid)s, %(kind)s, %(gateway)s, %(subject)s, %(transaction)s, %(amount_here_minor)s,
    %(amount_there_minor)s, %(currency)s, %(reason)s, %(suggestion)s, 'OPEN', 1, %(now)s, %(now)s, '', %(found_by)s)
ON CONFLICT (kind, gateway, subject) WHERE state = 'OPEN' DO UPDATE SET
    times = found.times + 1,
    reason = excluded.reason,
    suggestion = excluded.suggestion,
    amount_here_minor = coalesce(excluded.amount_here_minor, found.amount_here_minor),
    amount_there_minor = coalesce(excluded.amount_there_minor, found.amount_there_minor),
    last_seen_at = greatest(excluded.last_seen_at, found.last_seen_at)
RETURNING id, times
"""


def open_case(
    *,
    kind: str,
    subject: str,
    reason: str,
    now: datetime,
    gateway: str = "",
    transaction: int | None = None,
    amount_here_minor: int | None = None,
    amount_there_minor: int | None = None,
    currency: str = "",
    suggestion: str = "",
    found_by: int | None = None,
) -> Case:
    """
    Put something into the support queue, or say once more that it is there.

    Inside a posting's `within` it stands or falls with the posting. A case that was resolved and is found again
    is a new one.

    :param kind: one of `Case.Kind`.
    :param subject: what it is about, by its id at the gateway or ours; at most 100 characters.
    :param reason: a sentence, cut at 300 characters, as is `suggestion`: what somebody should post or do.
    :param transaction: primary key of the transaction that it is about.
    :param found_by: primary key of the reconciliation that finds it. One that finds it no more may close it again,
        unless somebody else had opened it.
    """
    alias = router.db_for_write(Case)
    kind = Case.Kind(kind).value
    values: dict[str, Any] = {
        "uuid": new_uuid(),
        "kind": kind,
        "gateway": gateway,
        "subject": subject,
        "transaction": transaction,
        "amount_here_minor": amount_here_minor,
        "amount_there_minor": amount_there_minor,
        "currency": currency,
        "reason": reason[:_LONGEST],
        "suggestion": suggestion[:_LONGEST],
        "found_by": found_by,
        "now": now,
    }
    with connections[alias].cursor() as cursor:
        cursor.execute(_OPEN, values)
        pk, times = cursor.fetchone()
    _tell(alias, kind=kind, gateway=gateway, subject=subject, times=times)
    return Case.objects.get(pk=pk)


def resolve_case(*, case: Case, by: User, resolution: str, now: datetime) -> bool:
    """
    Somebody has dealt with it.

    :param resolution: what was done, a sentence.
    :returns: False where it had been resolved before; that stands.
    :raises Refusal: `invalid`.
    """
    resolution = read_reason(resolution, longest=_LONGEST, field="resolution")
    return _resolve(Case.objects.filter(pk=case.pk), by=by, resolution=resolution, now=now) == 1


def settle_case(*, kind: str, subject: str, resolution: str, now: datetime, gateway: str = "") -> bool:
    """
    It explained itself: whatever stands open under this kind, gateway and subject is resolved by the system.

    Works inside a posting's `within` too.

    :returns: whether anything stood open.
    """
    return (
        settle_found(
            found=Case.objects.filter(kind=kind, gateway=gateway, subject=subject), resolution=resolution, now=now
        )
        > 0
    )


def settle_found(*, found: QuerySet[Case], resolution: str, now: datetime) -> int:
    """
    Many cases explained themselves.

    :returns: how many of them were open.
    """
    return _resolve(found, by=None, resolution=resolution, now=now)


def _resolve(found: QuerySet[Case], *, by: User | None, resolution: str, now: datetime) -> int:
    resolved = found.filter(state=Case.State.OPEN).update(
        state=Case.State.RESOLVED, resolved_at=now, resolved_by=by, resolution=resolution[:_LONGEST]
    )
    if resolved:
        log.info("case.resolved", cases=resolved, by=by.pk if by else None)
    return resolved


def _tell(alias: str, *, kind: str, gateway: str, subject: str, times: int) -> None:
    """Once it is really there: the posting around it may run again, or not happen at all."""
    say = log.error if times == 1 else log.info
    event = "case.opened" if times == 1 else "case.seen_again"
    on_commit(partial(say, event, kind=kind, gateway=gateway, subject=subject, times=times), using=alias)
