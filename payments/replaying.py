"""A lead of support has a dead letter taken in again, once what it failed on is mended."""

from datetime import datetime
from typing import Final

from accounts import audit
from accounts.models import User
from payments.consumers import GROUPS
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.events.dead_letters import Replay, replay
from wallet_project.kernel.models import DeadLetter

PERMISSION: Final = "kernel.replay_deadletter"
KIND: Final = "dead_letter.replayed"


def replay_letter(*, letter: DeadLetter, by: User, now: datetime) -> Replay | None:
    """
    What became of it; None where it had been taken in before, or somebody else has it in hand.

    :raises Refusal: `permission_denied`; `not_found`: there is no such group any more.
    """
    about = str(letter.event_id)
    if not by.has_perm(PERMISSION):
        audit.record(KIND, now=now, actor=by, object=about, refused="permission_denied")
        raise Refusal("permission_denied")
    group = letter.group.name
    if group not in GROUPS:
        raise Refusal("not_found", f"There is no group {group} any more.")
    outcome = replay(letter_id=letter.pk, handler=GROUPS[group], now=now)
    if outcome is not None:
        audit.record(KIND, now=now, actor=by, object=about, group=group, outcome="failed" if outcome.failed else "done")
    return outcome
