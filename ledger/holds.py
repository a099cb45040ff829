"""Holds whose time is over."""

from django.db.models.functions import Now

from ledger.models import Hold
from ledger.movements import Group, ReleaseHold
from ledger.posting import post

MOST_AT_ONCE = 200


def release_expired_holds(*, initiator: int) -> int:
    """
    Give back what was held for too long. The kernel looks at each again under its wallet's lock, by the database's
    clock: a capture at the same moment wins or loses whole. Safe to run twice, and at once.

    :param initiator: the primary key of an actor.
    :returns: how many ended now; at most `MOST_AT_ONCE`, the next call goes on.
    :raises Refusal: `busy`.
    """
    over = Hold.objects.filter(status=Hold.Status.OPEN, expires_at__lte=Now()).order_by("expires_at")
    groups = [
        Group(initiator=initiator, movements=(ReleaseHold(hold=pk, expired=True),))
        for pk in over.values_list("pk", flat=True)[:MOST_AT_ONCE]
    ]
    return sum(outcome.kind == "posted" for outcome in post(groups))
