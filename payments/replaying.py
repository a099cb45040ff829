"""A lead of support has a dead letter taken in again, once what it failed on is mended, or gives it up."""

from datetime import datetime
from typing import Final

from django.db import transaction

from accounts import audit
from accounts.models import User
from payments.consumers import GROUPS
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.events.dead_letters import Replay, discard, replay
from wallet_project.kernel.models import DeadLetter
from wallet_project.kernel.reasons import read_reason

PERMISSION: Final = "kernel.replay_deadletter"
KIND: Final = "dead_letter.replayed"
DISCARDED: Final = "dead_letter.discarded"
LONGEST_REASON: Final = DeadLetter._meta.get_field("discard_reason").max_length or 200


def replay_letter(*, letter: DeadLetter, by: User, now: datetime) -> Replay | None:
    """
    What became of it; None where it had been taken in before, or somebody else has it in hand.

    :raises Refusal: `permission_denied`; `not_found`: there is no such group any more.
    """
    _require(by, KIND, letter, now)
    group = letter.group.name
    if group not in GROUPS:
        raise Refusal("not_found", f"There is no group {group} any more.")
    outcome = replay(letter_id=letter.pk, handler=GROUPS[group], now=now)
    if outcome is not None:
        told = "failed" if outcome.failed else "done"
        audit.record(KIND, now=now, actor=by, object=str(letter.event_id), group=group, outcome=told)
    return outcome


def discard_letter(*, letter: DeadLetter, by: User, reason: str, now: datetime) -> list[int]:
    """
    Give it up; what it told is never taken in.

    :returns: no messages: nobody is told.
    :raises Refusal: `permission_denied`; `invalid`: no reason, or none that may be kept; `not_found`: it waits no
        more, or somebody else has it in hand.
    """
    _require(by, DISCARDED, letter, now)
    _discard(letter, by, reason, now)
    return []


def discard_as_operator(*, letter: DeadLetter, reason: str, now: datetime) -> None:
    """The same, by whoever runs the programs."""
    _discard(letter, None, reason, now)


def _discard(letter: DeadLetter, by: User | None, reason: str, now: datetime) -> None:
    reason = read_reason(reason, longest=LONGEST_REASON)
    with transaction.atomic():
        if not discard(letter_id=letter.pk, reason=reason, now=now):
            raise Refusal("not_found", "It waits no more, or somebody else has it in hand.")
        about, group = str(letter.event_id), letter.group.name
        audit.record(DISCARDED, now=now, actor=by, object=about, reason=reason, group=group)


def _require(by: User, kind: str, letter: DeadLetter, now: datetime) -> None:
    if not by.has_perm(PERMISSION):
        audit.record(kind, now=now, actor=by, object=str(letter.event_id), refused="permission_denied")
        raise Refusal("permission_denied")
