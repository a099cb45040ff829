"""Counting in a window of time, exactly, in PostgreSQL: tries of a code, messages to an address."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection
from django.db.models import F

from accounts.models import AddressTries
from wallet_project.kernel.database import require_transaction

# One statement, so that a row made, counted or deleted by somebody else meanwhile is waited for, never missed.
# The row stays locked until the transaction ends: parallel callers are counted one after another.
_COUNT: Final = """
    INSERT INTO accounts_addresstries AS counter (kind, address, count, window_started_at)
    VALUES (%(kind)s, %(address)s, 1, %(now)s)
    ON CONFLICT (kind, address) DO UPDATE SET
        count = CASE WHEN counter.window_started_at <= %(closed)s THEN 1 ELSE least(counter.count, %(most)s) + 1 END,
        window_started_at =
            CASE WHEN counter.window_started_at <= %(closed)s THEN %(now)s ELSE counter.window_started_at END
    RETURNING count, window_started_at
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` in a window that opens with the first of them."""

    kind: AddressTries.Kind
    most: int
    window: timedelta


def spend(*, limit: Limit, address: str, now: datetime) -> int | None:
    """
    Count one for this address.

    :returns: None when it was within the limit; else how many seconds until the window closes.
    """
    require_transaction("default")
    parameters: dict[str, str | int | datetime] = {
        "kind": limit.kind.value,
        "address": address,
        "now": now,
        "most": limit.most,
        "closed": now - limit.window,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, parameters)
        count, window_started_at = cursor.fetchone()
    if count <= limit.most:
        return None
    return max(1, int((window_started_at + limit.window - now).total_seconds()) + 1)


def hold(*, kind: AddressTries.Kind, address: str) -> None:
    """Until the transaction ends nobody else is counted for this address."""
    require_transaction("default")
    list(AddressTries.objects.filter(kind=kind, address=address).select_for_update(no_key=True))


def forget(*, kind: AddressTries.Kind, address: str) -> None:
    """After a success the count begins again."""
    AddressTries.objects.filter(kind=kind, address=address).update(count=0)


def give_back(*, kind: AddressTries.Kind, address: str) -> None:
    """The one just counted was none."""
    AddressTries.objects.filter(kind=kind, address=address, count__gt=0).update(count=F("count") - 1)
