"""
What becomes of a payout, and of its money: a table of what may follow what, and one posting for each step.

Money comes back only where the gateway says that it did or that it never left, and it comes back once: the kernel
completes a withdrawal once and reverses it once, whoever asks and however often. An outcome that nobody knows is a
state of its own, and nothing follows from it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import structlog

from accounts.actors import system_actor
from ledger.models import Transaction
from ledger.movements import Completion, Group, Movement, Outcome
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from payments.asking import next_ask
from payments.cases import open_case, settle_case
from payments.gateways.base import RemotePayout
from payments.models import Case, Payout
from payments.orders import GATEWAY_ACTOR
from payments.spending import give_spending_back
from payments.sweeping import SentMeanwhile
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.payouts")

State = Payout.State

OPEN: Final = frozenset({State.NEW, State.UNKNOWN, State.QUEUED, State.PROCESSING})
_ANYTHING: Final = frozenset(State) - {State.NEW}
# `processed → reversed` comes days later, and `failed ↔ reversed` happens: both of these mean that the money is back.
# That a payout arrives whose money is back is a contradiction, and for people to decide.
FOLLOWS: Final[Mapping[str, frozenset[State]]] = {
    State.NEW: _ANYTHING,
    State.UNKNOWN: _ANYTHING - {State.UNKNOWN},
    State.QUEUED: frozenset({State.PROCESSING, State.PROCESSED, State.FAILED, State.REVERSED}),
    State.PROCESSING: frozenset({State.PROCESSED, State.FAILED, State.REVERSED}),
    State.PROCESSED: frozenset({State.REVERSED, State.FAILED}),
    State.FAILED: frozenset({State.REVERSED}),
    State.REVERSED: frozenset({State.FAILED}),
}
# How long a payout that arrived may still be sent back.
LISTENING: Final = timedelta(days=7)
_RARELY: Final = 9
# NEW → PROCESSED → REVERSED, and somebody else in between each time.
_MOST_STEPS: Final = 6
_LONGEST: Final = {"status": 20, "utr": 100, "reason": 200}
# A reason is the gateway's or a bank's own text, and may name the account.
_NUMBERS: Final = re.compile(r"[0-9]{5,}")

Verdict = Literal["known", "stale", "contradiction"]


class _BookedMeanwhile(Exception):
    """Somebody else has booked what the payout cost since its row was read: it is read again."""


def apply_outcome(*, payout: Payout, remote: RemotePayout, now: datetime) -> Verdict:
    """
    Bring a payout to where the gateway says that it is. Safe to run any number of times, at once too.

    :returns: `stale` for an answer from before what is known already; `contradiction` where the money is back and the
        gateway says that it arrived, or has a payout that was never accepted. Nothing was done about either.
    :raises Refusal: `busy`.
    """
    for _ in range(_MOST_STEPS):
        payout.refresh_from_db()
        try:
            if payout.state == remote.state:
                _note(payout, remote, now)
                return "known"
            step = _next_step(payout, remote)
            if step is None:
                was_accepted = payout.payout_id is not None
                return "contradiction" if remote.state == State.PROCESSED or not was_accepted else "stale"
            _take(payout, step, remote, now)
        except _BookedMeanwhile:
            log.info("payout.cost_booked_meanwhile", payout=payout.key)
    raise RuntimeError(f"Payout {payout.key} does not come to rest.")


def fail_unaccepted(*, payout: Payout, sends: int, reason: str, now: datetime) -> None:
    """
    It was never accepted, and the gateway has nothing of it: the money comes back. Safe to run twice and at once.

    :param sends: how often it had been sent when the gateway said so. One that was sent again since is left alone.
    """
    unaccepted = Payout.objects.filter(pk=payout.pk, payout_id=None, sends=sends)
    fields = {"reason": _clean("reason", reason)}
    try:
        _give_back(payout, State.FAILED, fields, now, code="gateway_refused", among=unaccepted)
    except SentMeanwhile:
        log.info("payout.sent_meanwhile", payout=payout.key)


def next_check(*, payout: Payout, state: str, now: datetime) -> datetime | None:
    """By schedule while it is open; rarely for some days once it arrived; never again once the money is back."""
    if state in OPEN:
        return next_ask(asked=payout.checks, now=now)
    at = next_ask(asked=max(payout.checks, _RARELY), now=now)
    arrived_at = payout.transaction.completed_at or now
    return at if state == State.PROCESSED and at < arrived_at + LISTENING else None


def _next_step(payout: Payout, remote: RemotePayout) -> State | None:
    """
    One that the bank gave a reference had arrived before it was sent back, even if nobody looked in between: people
    see both, and what it cost is booked.
    """
    follows = FOLLOWS[payout.state]
    if payout.state in OPEN and remote.state == State.REVERSED and remote.utr:
        return State.PROCESSED
    return State(remote.state) if remote.state in follows else None


def _take(payout: Payout, step: State, remote: RemotePayout, now: datetime) -> None:
    words = _words(remote)
    if step in OPEN:
        check_at = next_check(payout=payout, state=step, now=now)
        _among(payout).update(state=step, payout_id=remote.id, check_at=check_at, **words)
    elif step == State.PROCESSED:
        _arrive(payout, remote, now)
    elif payout.state == State.PROCESSED:
        _come_back(payout, step, remote, now)
    elif payout.state in OPEN:
        _give_back(payout, step, {**words, "payout_id": remote.id}, now, code="payout_failed")
    else:
        # The money is back already, and comes back once.
        _among(payout).update(state=step, **words)
    log.info("payout.moved", payout=payout.key, state=step, was=payout.state)


def _arrive(payout: Payout, remote: RemotePayout, now: datetime) -> None:
    """The bank has it: the withdrawal is done, and clearing is settled with our bank account and what it cost."""
    withdrawal, costs = payout.transaction, _costs(payout, remote)
    settled = _movement(payout, Transaction.Type.SETTLEMENT, withdrawal.to_wallet_id, _bank(payout), remote)

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            check_at = next_check(payout=payout, state=State.PROCESSED, now=now)
            Payout.objects.filter(pk=payout.pk).update(
                state=State.PROCESSED, payout_id=remote.id, check_at=check_at, **_words(remote)
            )
            _charge(payout, remote, costs)
            _explain(payout, now)

    completion = Completion(transaction=withdrawal.pk, status="SUCCESS")
    post([_group(completion, settled, *costs)], within=remember)


def _come_back(payout: Payout, step: State, remote: RemotePayout, now: datetime) -> None:
    """It had arrived and was sent back: the withdrawal stays done, and one REVERSAL returns its money."""
    withdrawal, costs = payout.transaction, _costs(payout, remote)
    settled_back = _movement(payout, Transaction.Type.SETTLEMENT, _bank(payout), withdrawal.to_wallet_id, remote)

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            Payout.objects.filter(pk=payout.pk).update(state=step, check_at=None, **_words(remote))
            _charge(payout, remote, costs)
            _mind_diversion(payout, outcomes[0], now)
            give_spending_back(transaction=withdrawal.pk, now=now)

    outcome = post([_group(_reversal(payout), settled_back, *costs)], within=remember)[0]
    if outcome.kind == "unchanged" and _among(payout).update(state=step, check_at=None, **_words(remote)):
        # Not by us, or the row would have moved with it. The money is back; what clearing lacks, the nightly finds.
        log.error("payout.reversed_elsewhere", payout=payout.key)


def _give_back(
    payout: Payout, step: State, fields: dict[str, Any], now: datetime, *, code: str, among: Any = None
) -> None:
    """
    It never arrived: the withdrawal fails and its money returns, in one breath.

    :param among: the payout, if it still is as it must be for that.
    :raises SentMeanwhile: it is not.
    """
    rows = Payout.objects.filter(pk=payout.pk) if among is None else among

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            if not rows.update(state=step, check_at=None, **fields):
                raise SentMeanwhile
            give_spending_back(transaction=payout.transaction_id, now=now)
            _mind_diversion(payout, outcomes[0], now)
            _explain(payout, now)

    completion = Completion(transaction=payout.transaction_id, status="FAILED", failure_code=code)
    post([_group(completion, _reversal(payout))], within=remember)


def _note(payout: Payout, remote: RemotePayout, now: datetime) -> None:
    """Where it was, with what the gateway says of it now. A cost that was not known when it arrived is booked late."""
    told = {**_words(remote), "payout_id": remote.id}
    changed = {name: value for name, value in told.items() if getattr(payout, name) != value}
    if changed:
        _among(payout).update(**changed)
    costs = _costs(payout, remote) if payout.state == State.PROCESSED else []
    if not costs:
        return

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            _charge(payout, remote, costs)

    post([_group(*costs)], within=remember)
    log.info("payout.cost_booked_late", payout=payout.key, at=now.isoformat())


def _among(payout: Payout) -> Any:
    """The payout, unless somebody else has moved it since it was read."""
    return Payout.objects.filter(pk=payout.pk, state=payout.state)


def _group(*acts: Movement | Completion) -> Group:
    return Group(initiator=system_actor(GATEWAY_ACTOR).pk, movements=acts)


def _bank(payout: Payout) -> int:
    return system_wallet(Purpose.BANK, payout.currency)


def _movement(payout: Payout, kind: str, debited: int | None, credited: int | None, remote: RemotePayout) -> Movement:
    """The payout's amount, between our bank account and the very shard of clearing that the withdrawal went into."""
    assert debited is not None and credited is not None  # noqa: S101, PT018  (a withdrawal has both wallets)
    return Movement(
        type=kind,
        amount=Money.from_minor(payout.amount_minor, payout.currency).amount,
        currency=payout.currency,
        from_wallet=debited,
        to_wallet=credited,
        metadata={"payout": remote.id},
        fact=True,
    )


def _reversal(payout: Payout) -> Movement:
    withdrawal = payout.transaction
    assert withdrawal.to_wallet_id is not None  # noqa: S101  (a withdrawal has both wallets)
    return Movement(
        type=Transaction.Type.REVERSAL,
        amount=withdrawal.amount,
        currency=withdrawal.currency,
        from_wallet=withdrawal.to_wallet_id,
        to_wallet=withdrawal.from_wallet_id,
        reverses=withdrawal.pk,
        metadata=withdrawal.metadata,
        fact=True,
    )


def _costs(payout: Payout, remote: RemotePayout) -> list[Movement]:
    """What the gateway took from our bank account on top, and the tax within it; nothing where it was booked before."""
    if payout.fee_minor is not None or not remote.fee_minor:
        return []
    tax = min(remote.tax_minor or 0, remote.fee_minor)
    parts = ((Purpose.GATEWAY_FEES, remote.fee_minor - tax), (Purpose.GST, tax))
    return [
        Movement(
            type=Transaction.Type.FEE,
            amount=Money.from_minor(minor, payout.currency).amount,
            currency=payout.currency,
            from_wallet=system_wallet(purpose, payout.currency),
            to_wallet=_bank(payout),
            metadata={"payout": remote.id},
            fact=True,
        )
        for purpose, minor in parts
        if minor
    ]


def _charge(payout: Payout, remote: RemotePayout, costs: Sequence[Movement]) -> None:
    """
    Within the posting of the costs: in the row exactly when they are in the ledger, and once, whoever books them.

    :raises _BookedMeanwhile: somebody else has; nothing of this posting happens.
    """
    if not costs:
        return
    fee = remote.fee_minor or 0
    unbooked = Payout.objects.filter(pk=payout.pk, fee_minor=None)
    if not unbooked.update(fee_minor=fee, tax_minor=min(remote.tax_minor or 0, fee)):
        raise _BookedMeanwhile


def _words(remote: RemotePayout) -> dict[str, str]:
    return {name: _clean(name, getattr(remote, name)) for name in _LONGEST}


def _clean(name: str, text: str) -> str:
    return (_NUMBERS.sub("…", text) if name == "reason" else text)[: _LONGEST[name]]


def _explain(payout: Payout, now: datetime) -> None:
    """Whoever was to look at it need not any more."""
    settle_case(
        kind=Case.Kind.UNKNOWN_OUTCOME,
        gateway=payout.gateway,
        subject=payout.key,
        resolution="The gateway has said what became of it.",
        now=now,
    )


def _mind_diversion(payout: Payout, outcome: Outcome, now: datetime) -> None:
    for diverted in outcome.diverted:
        open_case(
            kind=Case.Kind.DIVERTED,
            gateway=payout.gateway,
            subject=payout.key,
            transaction=diverted,
            amount_here_minor=payout.amount_minor,
            currency=payout.currency,
            reason="A withdrawal's money came back, and its wallet cannot take it: it is in suspense.",
            suggestion="Find out where its owner wants it, and move it there from suspense.",
            now=now,
        )
