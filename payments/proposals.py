"""
Four eyes: one of staff proposes, another decides, and only then is anything done.

A yes is written down before anything moves, and is final. What moves money is then posted under the proposal's id as
its key, so that after a crash between the two `finish` does it again and it still happens once.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NoReturn

import structlog
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.models import User
from payments.models import Proposal
from payments.proposal_handling import Handling
from payments.proposal_kinds import HANDLINGS
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.reasons import read_reason

log = structlog.get_logger("payments.proposals")

PERMISSION: Final = "payments.decide_proposal"
LIFETIME: Final = timedelta(days=7)
LONGEST_REASON: Final = 300
# How many a sweep works off at most; the next one goes on.
MOST_AT_ONCE: Final = 100

_OPEN: Final = Proposal.Status.PROPOSED


def propose(*, kind: str, subject: str, terms: Mapping[str, str], by: User, reason: str, now: datetime) -> Proposal:
    """
    Put an act before a second person. The same, proposed again by the same person, is the one that is open.

    :param kind: one of `Proposal.Kind`.
    :param subject: a public id or name of what it is about; only one proposal of a kind is open for it.
    :param terms: what exactly is to be done, as the kind's handling reads them.
    :raises Refusal: `permission_denied`; `invalid` (no reason); `proposal_exists`: another one waits for its
        decision; and as the kind's handling judges it.
    """
    handling = HANDLINGS[kind]
    if not by.has_perm(handling.may_propose):
        _refuse(Refusal("permission_denied"), kind="proposal.made", by=by, object=subject, now=now)
    reason = read_reason(reason, longest=LONGEST_REASON)
    waiting = _waiting(kind, subject, now)
    if waiting is None:
        handling.judge(subject, terms)
        waiting = _write(kind=kind, subject=subject, terms=dict(terms), by=by, reason=reason, now=now)
        if waiting is not None:
            return waiting
        waiting = _waiting(kind, subject, now)
    if waiting is not None and (waiting.proposed_by_id, waiting.terms) == (by.pk, dict(terms)):
        return waiting
    raise Refusal("proposal_exists")


def decide(*, proposal: Proposal, by: User, approve: bool, reason: str, now: datetime) -> Proposal:
    """
    The second person's yes or no. After a yes it is done at once; where that fails for good, it stands as refused.

    A yes to what another has said yes to, and was not done for some mishap, does it now.

    :returns: the proposal: DONE or REFUSED, with what came of it.
    :raises Refusal: `permission_denied`: may decide nothing, or proposed it themselves, or whoever proposed it may
        not any longer; `invalid` (no reason); `proposal_over`: decided otherwise before, or expired; `busy`: a yes that
        could not be carried out yet, and will be.
    """
    if not may_decide(proposal=proposal, by=by):
        _refuse(Refusal("permission_denied"), kind="proposal.decided", by=by, object=proposal.public_id, now=now)
    reason = read_reason(reason, longest=LONGEST_REASON)
    expire_overdue(now=now)
    with transaction.atomic():
        # One decision at a time. `no_key`, for rows that point here need not wait.
        locked = Proposal.objects.select_for_update(no_key=True).get(pk=proposal.pk)
        agreed_before = locked.decided_by_id is not None
        if locked.status != _OPEN or (agreed_before and not approve):
            raise Refusal("proposal_over")
        if not agreed_before:
            if approve and not locked.proposed_by.has_perm(HANDLINGS[locked.kind].may_propose):
                raise Refusal("permission_denied", "Whoever proposed this may not do so any longer.")
            locked.decided_by, locked.decided_at, locked.decision = by, now, reason
            if not approve:
                locked.status = Proposal.Status.REFUSED
                _told("proposal.refused", locked, by=by, now=now, reason=reason)
            locked.save(update_fields=["decided_by", "decided_at", "decision", "status"])
    return finish(proposal=locked, now=now) if approve else locked


def finish(*, proposal: Proposal, now: datetime) -> Proposal:
    """
    Do what two have agreed on. Safe to run any number of times, at once too.

    :raises Refusal: `busy` and its like (503): not now; it is tried again.
    """
    handling = HANDLINGS[proposal.kind]
    try:
        if handling.moves_money:
            return _end(proposal, Proposal.Status.DONE, outcome=handling.carry_out(proposal, now), now=now)
        return _carry_out_within(proposal, handling, now)
    except Refusal as refusal:
        if refusal.status == 503:
            raise
        outcome = str(refusal.extra.get("transaction", ""))
        return _end(proposal, Proposal.Status.REFUSED, outcome=outcome, now=now, why=refusal)


def finish_agreed(*, now: datetime) -> int:
    """
    What a crash left between a second person's yes and its being done; and what nobody decided in time is over.

    :returns: how many proposals were ended.
    """
    ended = expire_overdue(now=now)
    for proposal in Proposal.objects.filter(status=_OPEN, decided_by__isnull=False).order_by("pk")[:MOST_AT_ONCE]:
        try:
            finish(proposal=proposal, now=now)
            ended += 1
        except Refusal as refusal:
            log.warning("proposal.put_off", proposal=proposal.public_id, reason=refusal.code)
        except Exception:
            # One that cannot be done keeps no other from it.
            log.exception("proposal.failed", proposal=proposal.public_id)
    return ended


def expire_overdue(*, now: datetime) -> int:
    """Undecided ones whose time is over. What was agreed on does not expire."""
    overdue = Proposal.objects.filter(status=_OPEN, decided_by__isnull=True, expires_at__lte=now)
    return overdue.update(status=Proposal.Status.EXPIRED)


def may_decide(*, proposal: Proposal, by: User) -> bool:
    """Whoever proposed it never decides it, whatever else they may do; the database holds that too."""
    return by.has_perm(PERMISSION) and by.pk != proposal.proposed_by_id


def _waiting(kind: str, subject: str, now: datetime) -> Proposal | None:
    expire_overdue(now=now)
    return Proposal.objects.filter(kind=kind, subject=subject, status=_OPEN).first()


def _write(*, kind: str, subject: str, terms: dict[str, str], by: User, reason: str, now: datetime) -> Proposal | None:
    """None where somebody else's came in between: the database takes one."""
    try:
        with transaction.atomic():
            made = Proposal.objects.create(
                kind=kind,
                subject=subject,
                terms=terms,
                reason=reason,
                proposed_by=by,
                proposed_at=now,
                expires_at=now + LIFETIME,
            )
            _told("proposal.made", made, by=by, now=now, reason=reason)
    except IntegrityError:
        return None
    return made


def _carry_out_within(proposal: Proposal, handling: Handling, now: datetime) -> Proposal:
    """The act and the word that it is done, in one transaction: once, however many try."""
    with transaction.atomic():
        locked = Proposal.objects.select_for_update(no_key=True).get(pk=proposal.pk)
        if locked.status != _OPEN:
            return locked
        return _end(locked, Proposal.Status.DONE, outcome=handling.carry_out(locked, now), now=now)


def _end(
    proposal: Proposal, status: Proposal.Status, *, outcome: str, now: datetime, why: Refusal | None = None
) -> Proposal:
    """Written by whoever is first; others find it written."""
    decision = proposal.decision if why is None else f"{proposal.decision} · Not done: {why.detail}"
    with transaction.atomic():
        ended = Proposal.objects.filter(pk=proposal.pk, status=_OPEN).update(
            status=status, outcome=outcome, decision=decision[:500]
        )
        if ended:
            by = proposal.decided_by
            refused = why.code if why else ""
            _told("proposal.done", proposal, by=by, now=now, reason=proposal.decision, refused=refused)
    proposal.refresh_from_db()
    return proposal


def _told(kind: str, proposal: Proposal, *, by: User | None, now: datetime, reason: str, refused: str = "") -> None:
    audit.record(
        kind,
        now=now,
        actor=by,
        subject=None if by is not None and by.pk == proposal.proposed_by_id else proposal.proposed_by,
        object=proposal.public_id,
        reason=reason,
        refused=refused,
        about=proposal.subject,
        act=proposal.kind,
    )


def _refuse(refusal: Refusal, *, kind: str, by: User, object: str, now: datetime) -> NoReturn:
    """An attempt that must not be made is on record, outside of anything that is rolled back."""
    audit.record(kind, now=now, actor=by, object=object, refused=refusal.code)
    raise refusal
