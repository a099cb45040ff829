"""
Published is not yet told: an event is settled once every group that is owed it has recorded it, and until then it is
published again, at growing intervals. A broker that lost its memory, or a consumer that lost its place, loses nothing.
"""

from datetime import datetime
from typing import Final, NamedTuple

import structlog

from wallet_project.kernel.events.lanes import Session
from wallet_project.kernel.events.relaying import Chore

log = structlog.get_logger("kernel.republishing")

BATCH: Final = 2000
# Each further publication waits twice as long, up to so many times the first wait.
MOST_DOUBLINGS: Final = 6

# Rows in the order in which they were published, after the place where the last look ended. What a group has not
# recorded counts only if it had registered before the event was: it is owed nothing older.
_LOOK: Final = """
WITH looked AS (
    SELECT o.transaction_id, o.wallet_id, o.status, o.published_at, o.publications, EXISTS (
        SELECT FROM kernel_consumergroup g WHERE g.registered_at <= o.created_at AND NOT EXISTS (
            SELECT FROM kernel_consumedevent c WHERE c.group_id = g.id AND c.event_id = o.event_id
        )
    ) AS is_owed
    FROM kernel_outboxevent o
    WHERE o.published_at > %(after)s AND o.published_at <= %(before)s AND o.settled_at IS NULL
        AND o.published_at <= now() - make_interval(secs => %(settle_seconds)s)
    ORDER BY o.published_at LIMIT %(batch)s
), settled AS (
    UPDATE kernel_outboxevent o SET settled_at = clock_timestamp() FROM looked l
    WHERE NOT l.is_owed AND o.published_at = l.published_at
        AND o.transaction_id = l.transaction_id AND o.wallet_id = l.wallet_id AND o.status = l.status
    RETURNING 1
), again AS (
    -- It waits once more: the owner of its lane publishes it, in order.
    UPDATE kernel_outboxevent o SET published_at = NULL FROM looked l
    WHERE l.is_owed AND o.published_at = l.published_at
        AND o.transaction_id = l.transaction_id AND o.wallet_id = l.wallet_id AND o.status = l.status
        AND l.published_at <= now() - make_interval(
            secs => %(seconds)s * 2.0 ^ least(greatest(l.publications - 1, 0), %(most_doublings)s))
    RETURNING 1
)
SELECT count(*), max(published_at), (SELECT count(*) FROM settled), (SELECT count(*) FROM again) FROM looked
"""


def republishing(seconds: float) -> Chore:
    """
    A chore that looks at what was published and settles it or has it published again.

    :param seconds: after how long what some group has not recorded is published again for the first time.
    """
    after: datetime | str = "-infinity"

    def look(session: Session) -> bool:
        nonlocal after
        # Consumers need a moment; what is looked at too early is looked at twice.
        found = _look(session, seconds=seconds, settle_seconds=min(seconds / 2, 5.0), after=after)
        # From the beginning again, once the end was seen: there lie those that are owed still.
        after = found.last if found.is_full else "-infinity"
        # Where a group is far behind, many are owed and not due: there is no hurry to get past them.
        return found.is_full and found.changed > 0

    return look


def publish_all_again(session: Session) -> None:
    """
    The broker has forgotten everything, so all that is still owed is published again, at once and in order.

    A relay that dies half-way through leaves the rest to `republishing`.
    """
    ((before,),) = session.execute("SELECT clock_timestamp()").fetchall()
    # Always from the beginning: whatever was looked at is settled or waits, and many may be of one moment.
    while _look(session, seconds=0, settle_seconds=0, after="-infinity", before=before).is_full:
        continue


class _Found(NamedTuple):
    """What became of a batch. `last` is when the youngest of it was published."""

    is_full: bool
    last: datetime
    changed: int


def _look(
    session: Session,
    *,
    seconds: float,
    settle_seconds: float,
    after: datetime | str,
    before: datetime | str = "infinity",
) -> _Found:
    ((looked, last, settled, again),) = session.execute(
        _LOOK,
        {
            "after": after,
            "before": before,
            "settle_seconds": settle_seconds,
            "seconds": seconds,
            "most_doublings": MOST_DOUBLINGS,
            "batch": BATCH,
        },
    ).fetchall()
    if again:
        log.info("outbox.again", events=again)
    return _Found(looked == BATCH, last, settled + again)
