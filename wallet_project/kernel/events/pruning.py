"""The outbox keeps what was told for some days, and forgets it together with who has recorded it."""

from typing import Final

from wallet_project.kernel.events.lanes import Session
from wallet_project.kernel.events.relaying import Chore

BATCH: Final = 1000

# Only what is settled: published, and recorded by every group that is owed it.
_PRUNE: Final = """
WITH old AS (
    SELECT o.transaction_id, o.wallet_id, o.status, o.event_id FROM kernel_outboxevent o
    WHERE o.settled_at <= now() - make_interval(days => %(days)s) ORDER BY o.settled_at LIMIT %(batch)s
), recorded AS (
    DELETE FROM kernel_consumedevent c USING old WHERE c.event_id = old.event_id
), told AS (
    DELETE FROM kernel_outboxevent o USING old
    WHERE o.transaction_id = old.transaction_id AND o.wallet_id = old.wallet_id AND o.status = old.status
)
SELECT count(*) FROM old
"""


def pruning(keep_days: int) -> Chore:
    """A chore that removes what was settled so many days ago."""

    def prune(session: Session) -> bool:
        row = session.execute(_PRUNE, {"days": keep_days, "batch": BATCH}).fetchone()
        return row == (BATCH,)

    return prune
