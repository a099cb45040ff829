"""
What becomes of a refund, and of its money: a table of what may follow what, and one posting for each step.

A refund's REFUND is posted with its row, before the gateway is asked. Where the gateway says that it failed, one
REVERSAL brings the money back to where it came from, once. A refund that the gateway has and nobody here made is a
fact: it is posted as such, and where the wallet has not got the money any more, `chargebacks` is owed it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import structlog
from django.db.models import Exists, OuterRef, Sum

from accounts.actors import system_actor
from ledger.models import Transaction
from ledger.movements import Group, Key, Movement, Outcome
from ledger.posting import post
from payments.asking import next_ask
from payments.cases import open_case, settle_case
from payments.gateways import gateway_named
from payments.gateways.base import RemoteRefund
from payments.models import Case, GatewayRefund, ParkedPayment, PaymentAttempt
from payments.orders import GATEWAY_ACTOR
from payments.sweeping import SentMeanwhile
from wallet_project.kernel.database import give_back_connection, is_posting
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.refunds")

State = GatewayRefund.State

OPEN: Final = frozenset({State.NEW, State.UNKNOWN, State.PENDING})
_ANYTHING: Final = frozenset({State.PENDING, State.PROCESSED, State.FAILED})
# One that failed stays so: its money is back. That it is done all the same is a contradiction, for people to decide.
FOLLOWS: Final[Mapping[str, frozenset[State]]] = {
    State.NEW: _ANYTHING,
    State.UNKNOWN: _ANYTHING,
    State.PENDING: frozenset({State.PROCESSED, State.FAILED}),
    State.PROCESSED: frozenset({State.FAILED}),
    State.FAILED: frozenset(),
}
_MOST_STEPS: Final = 4
_LONGEST: Final = {"status": 20, "reference": 100, "reason": 200}

Verdict = Literal["known", "stale", "contradiction"]


def left_of(*, brought: Transaction) -> Money:
    """How much of what a payment brought has not been given back, on its way included."""
    came_back = Transaction.objects.filter(reverses=OuterRef("pk"), type=Transaction.Type.REVERSAL)
    given = Transaction.objects.filter(
        ~Exists(came_back), reverses=brought, type=Transaction.Type.REFUND, status=Transaction.Status.SUCCESS
    )
    total = given.aggregate(total=Sum("amount"))["total"] or 0
    return Money(brought.amount - total, brought.currency)


def refund_movement(*, brought: Transaction, amount: Money, **more: Any) -> Movement:
    """From whoever has the money to the very shard of clearing that it came from."""
    assert brought.to_wallet_id is not None  # noqa: S101  (an ADD has a wallet)
    return Movement(
        type=Transaction.Type.REFUND,
        amount=amount.amount,
        currency=amount.currency,
        from_wallet=brought.to_wallet_id,
        to_wallet=brought.from_wallet_id,
        reverses=brought.pk,
        **more,
    )


def open_refund(*, attempt: PaymentAttempt, transaction: int, amount: Money, now: datetime) -> GatewayRefund:
    """
    The refund's row, within the posting of its REFUND, due to be sent. Its key is the REFUND's public id.

    :raises RuntimeError: outside of a posting.
    """
    if not is_posting():
        raise RuntimeError("A refund is written with its REFUND or not at all.")
    given = Transaction.objects.get(pk=transaction)
    return GatewayRefund.objects.create(
        transaction=given,
        attempt=attempt,
        gateway=attempt.gateway,
        key=given.public_id,
        amount_minor=amount.minor,
        currency=amount.currency,
        created_at=now,
        check_at=now,
    )


def settle_refunds(*, attempt: PaymentAttempt, brought: Transaction, now: datetime) -> None:
    """
    Hold every refund that the gateway has of a payment against ours. Safe to run any number of times, at once too.

    :raises GatewayError: it would not say.
    :raises Refusal: `busy`.
    """
    give_back_connection()
    for remote in gateway_named(attempt.gateway).refunds_of(payment_id=attempt.payment_id):
        take_in(attempt=attempt, brought=brought, remote=remote, now=now)


def take_in(*, attempt: PaymentAttempt, brought: Transaction, remote: RemoteRefund, now: datetime) -> None:
    """
    What the gateway says of one refund of a payment: one of ours moves on, another is posted as a fact.

    :param brought: what brought the payment's money.
    :raises Refusal: `busy`.
    """
    refund = find_refund(gateway=attempt.gateway, remote=remote)
    if refund is not None:
        learn(refund=refund, remote=remote, now=now)
    elif remote.state != State.FAILED:
        _post_fact(attempt, brought, remote, now)


def find_refund(*, gateway: str, remote: RemoteRefund) -> GatewayRefund | None:
    """By the gateway's id, or by our key where its answer never came."""
    known = GatewayRefund.objects.filter(gateway=gateway).select_related("transaction", "attempt")
    refund = known.filter(refund_id=remote.id).first()
    if refund is None and remote.key:
        refund = known.filter(refund_id=None, key=remote.key).first()
    return refund


def learn(*, refund: GatewayRefund, remote: RemoteRefund, now: datetime) -> None:
    """
    Bring one of our refunds to where the gateway says that it is; what it cannot be is a case.

    :raises GatewayError: two answers contradict each other, and the gateway would not say which holds.
    :raises Refusal: `busy`.
    """
    if not _is_ours(refund, remote, now):
        return
    if _apply(refund, remote, now) != "contradiction":
        return
    # Two may be asking at once, and this answer be the older one: what it says now counts.
    give_back_connection()
    remote = gateway_named(refund.gateway).refund_of(refund_id=remote.id)
    if _apply(refund, remote, now) == "contradiction":
        _open_case(
            refund,
            Case.Kind.STATE,
            now,
            reason=f"It had failed and its money is back; now the gateway says that it is {remote.status}.",
            suggestion="Ask the gateway. If the payer has it, whoever got it back owes it.",
            there_minor=remote.amount_minor,
        )


def fail_unaccepted(*, refund: GatewayRefund, sends: int, reason: str, now: datetime) -> None:
    """
    It was never accepted, and the gateway has nothing of it: the money comes back. Safe to run twice and at once.

    :param sends: how often it had been sent when the gateway said so. One that was sent again since is left alone.
    """
    unaccepted = GatewayRefund.objects.filter(pk=refund.pk, refund_id=None, sends=sends)
    try:
        _come_back(refund, {"reason": reason[: _LONGEST["reason"]]}, now, among=unaccepted)
    except SentMeanwhile:
        log.info("refund.sent_meanwhile", refund=refund.key)


def _apply(refund: GatewayRefund, remote: RemoteRefund, now: datetime) -> Verdict:
    words = {name: getattr(remote, name)[:longest] for name, longest in _LONGEST.items()}
    for _ in range(_MOST_STEPS):
        refund.refresh_from_db()
        among = GatewayRefund.objects.filter(pk=refund.pk, state=refund.state)
        if refund.state == remote.state:
            among.update(refund_id=remote.id, **words)
            return "known"
        if remote.state not in FOLLOWS[refund.state]:
            return "contradiction" if refund.state == State.FAILED else "stale"
        if remote.state == State.FAILED:
            _come_back(refund, {"refund_id": remote.id, **words}, now)
            continue
        check_at = next_ask(asked=refund.checks, now=now) if remote.state in OPEN else None
        if among.update(state=remote.state, refund_id=remote.id, check_at=check_at, **words):
            log.info("refund.moved", refund=remote.id, state=remote.state, was=refund.state)
            if remote.state == State.PROCESSED:
                _explain(refund, now)
    raise RuntimeError(f"Refund {refund.pk} does not come to rest.")


def _come_back(refund: GatewayRefund, fields: dict[str, Any], now: datetime, *, among: Any = None) -> None:
    """
    One REVERSAL of the REFUND returns the money to where it came from.

    :param among: the refund, if it still is as it must be for that.
    :raises SentMeanwhile: it is not.
    """
    given = refund.transaction
    assert given.to_wallet_id is not None  # noqa: S101  (a refund has both wallets)
    reversal = Movement(
        type=Transaction.Type.REVERSAL,
        amount=given.amount,
        currency=given.currency,
        from_wallet=given.to_wallet_id,
        to_wallet=given.from_wallet_id,
        reverses=given.pk,
        metadata=given.metadata,
        fact=True,
    )

    def remember(outcomes: Sequence[Outcome]) -> None:
        outcome = outcomes[0]
        rows = GatewayRefund.objects.filter(pk=refund.pk) if among is None else among
        if not rows.update(state=State.FAILED, check_at=None, **fields):
            raise SentMeanwhile
        if outcome.kind != "posted":
            return
        _explain(refund, now)
        if outcome.diverted:
            _open_case(
                refund,
                Case.Kind.DIVERTED,
                now,
                reason="A refund's money came back, and its wallet cannot take it: it is in suspense.",
                suggestion="Find out where its owner wants it, and move it there from suspense.",
            )
        if ParkedPayment.objects.filter(attempt=refund.attempt_id).exists():
            _open_case(
                refund,
                Case.Kind.REFUND_FAILED,
                now,
                reason="A payment that credits nobody could not be given back: its money is in suspense.",
                suggestion="Ask the gateway why, and give it back another way.",
            )

    outcome = post([Group(initiator=system_actor(GATEWAY_ACTOR).pk, movements=(reversal,))], within=remember)[0]
    log.warning("refund.failed", refund=refund.refund_id, key=refund.key, was_back=outcome.kind == "unchanged")


def _post_fact(attempt: PaymentAttempt, brought: Transaction, remote: RemoteRefund, now: datetime) -> None:
    """A refund that was made without us, at the gateway's own page: once, by the gateway's id."""
    amount = Money.from_minor(remote.amount_minor, remote.currency)
    left = left_of(brought=brought)
    if amount.currency != left.currency or amount.amount > left.amount:
        # One of our own that is about to fail may be in its way; it is looked at again with the next news.
        _tell_of_no_room(attempt, brought, remote, left, now)
        return

    def remember(outcomes: Sequence[Outcome]) -> None:
        outcome = outcomes[0]
        if outcome.kind != "posted":
            return
        GatewayRefund.objects.create(
            transaction_id=outcome.transactions[0],
            attempt=attempt,
            gateway=attempt.gateway,
            refund_id=remote.id,
            amount_minor=remote.amount_minor,
            currency=remote.currency,
            state=remote.state,
            created_at=now,
            check_at=next_ask(asked=0, now=now) if remote.state in OPEN else None,
            **{name: getattr(remote, name)[:longest] for name, longest in _LONGEST.items()},
        )
        settle_case(
            kind=Case.Kind.AMOUNT,
            gateway=attempt.gateway,
            subject=remote.id,
            resolution="There was room for it after all.",
            now=now,
        )
        if outcome.diverted:
            _tell_of_shortfall(attempt, remote, outcome.transactions[0], now)

    movement = refund_movement(
        brought=brought, amount=amount, metadata={"payment": attempt.payment_id, "refund": remote.id}, fact=True
    )
    key = Key(
        key=f"refund:{attempt.gateway}:{remote.id}",
        fingerprint=fingerprint("refund at the gateway", payment=attempt.payment_id, refund=remote.id),
    )
    gateway = system_actor(GATEWAY_ACTOR).pk
    outcome = post([Group(initiator=gateway, movements=(movement,), key=key)], within=remember)[0]
    log.warning("refund.found", payment=attempt.payment_id, refund=remote.id, fresh=outcome.kind == "posted")


def _tell_of_no_room(
    attempt: PaymentAttempt, brought: Transaction, remote: RemoteRefund, left: Money, now: datetime
) -> None:
    open_case(
        kind=Case.Kind.AMOUNT,
        gateway=attempt.gateway,
        subject=remote.id,
        transaction=brought.pk,
        amount_here_minor=left.minor,
        amount_there_minor=remote.amount_minor,
        currency=remote.currency,
        reason=f"The gateway gave back more of payment {attempt.payment_id} than is left of it here.",
        suggestion="See which refunds of ours it refused; ask the gateway again once they are settled.",
        now=now,
    )


def _tell_of_shortfall(attempt: PaymentAttempt, remote: RemoteRefund, transaction: int, now: datetime) -> None:
    open_case(
        kind=Case.Kind.CHARGEBACK_SHORTFALL,
        gateway=attempt.gateway,
        subject=remote.id,
        transaction=transaction,
        amount_here_minor=0,
        amount_there_minor=remote.amount_minor,
        currency=remote.currency,
        reason=f"Payment {attempt.payment_id} was refunded at the gateway; its wallet has not got the money.",
        suggestion="Ask its owner to pay it back: `chargebacks` is owed it.",
        now=now,
    )


def _is_ours(refund: GatewayRefund, remote: RemoteRefund, now: datetime) -> bool:
    """Whether this is the refund that we asked for, in all that we said of it. Anything else is for people."""
    same_money = (remote.amount_minor, remote.currency) == (refund.amount_minor, refund.currency)
    if same_money and remote.payment_id == refund.attempt.payment_id and refund.refund_id in (None, remote.id):
        return True
    _open_case(
        refund,
        Case.Kind.STATE if same_money else Case.Kind.AMOUNT,
        now,
        reason=f"The gateway has {remote.id} of {remote.payment_id}, and not the refund that was asked for.",
        suggestion="Ask the gateway what it gave back, and to whom, before anything is posted.",
        there_minor=remote.amount_minor,
    )
    return False


def _explain(refund: GatewayRefund, now: datetime) -> None:
    """Whoever was to look at it need not any more."""
    settle_case(
        kind=Case.Kind.UNKNOWN_OUTCOME,
        gateway=refund.gateway,
        subject=subject_of(refund),
        resolution="The gateway has said what became of it.",
        now=now,
    )


def _open_case(
    refund: GatewayRefund,
    kind: Case.Kind,
    now: datetime,
    *,
    reason: str,
    suggestion: str,
    there_minor: int | None = None,
) -> None:
    open_case(
        kind=kind,
        gateway=refund.gateway,
        subject=subject_of(refund),
        transaction=refund.transaction_id,
        amount_here_minor=refund.amount_minor,
        amount_there_minor=there_minor,
        currency=refund.currency,
        reason=reason,
        suggestion=suggestion,
        now=now,
    )


def subject_of(refund: GatewayRefund) -> str:
    """What a case about it is called: our own name for it, or the gateway's where we have none."""
    return refund.key or refund.refund_id or ""
