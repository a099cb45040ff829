"""
Disputed payments: their money is held until somebody has decided, and leaves the wallet if it was lost.

An event only says where to look; the gateway is asked. Whatever order events come in, once or often, the end is the
same. What was not in the wallet any more is owed to us, and stands in `chargebacks`, with a case. Never more is held or
taken than what the payment brought and has not gone back since: an excess is for people to look at.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db.models import Sum

from accounts.actors import system_actor
from ledger.models import Hold, Transaction
from ledger.movements import Group, Key, Movement, Outcome, PlaceHold, ReleaseHold
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from payments.captures import settle_order
from payments.cases import open_case, settle_case
from payments.dispute_cases import tell_of_amount, tell_of_excess, tell_of_shortfall
from payments.gateways import gateway_named
from payments.gateways.base import RemoteDispute
from payments.models import Case, Dispute, PaymentAttempt
from payments.orders import GATEWAY_ACTOR
from payments.refund_outcomes import left_of
from payments.sweeping import Errand, sweep_due
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.disputes")

State = Dispute.State
UNDECIDED: Final = (State.OPEN, State.UNDER_REVIEW, State.ACTION_REQUIRED)
HOLD_REASON: Final = "dispute"
# Banks take weeks; the gateway's events tell at once what matters.
_FIRST_PAUSE: Final = timedelta(minutes=5)
_LONGEST_PAUSE: Final = timedelta(hours=6)
_DOUBLINGS: Final = 8
_LONGEST_REASON: Final = 100


class _Decided(Exception):
    """Somebody else was here first: what this posting was about to do is not done."""


def follow_dispute(*, gateway: str, dispute_id: str, now: datetime) -> None:
    """
    Ask the gateway how a dispute stands, and see to it that the money stands so too.

    Safe to run any number of times, at once too. A dispute of a payment that nobody here knows becomes a case.

    :raises GatewayError: the gateway would not say; nothing is lost, ask again.
    :raises Refusal: `busy`.
    """
    give_back_connection()
    remote = gateway_named(gateway).dispute_of(dispute_id=dispute_id)
    dispute = _find(gateway, remote)
    if dispute is None:
        credit = _credit_of(gateway, remote, now)
        if credit is None:
            return
        dispute = _meet(gateway, remote, *credit, now=now)
    if remote.state in UNDECIDED:
        _keep(dispute, remote, now)
    elif remote.state == State.LOST:
        _lose(dispute, remote, now)
    else:
        _end(dispute, remote, now)


def sweep_disputes(*, now: datetime, longest_seconds: float = 60.0) -> int:
    """
    Ask about the disputes that are due, as `sweep_due` goes on with rows.

    :returns: how many were asked about.
    """
    return sweep_due(rows=Dispute.objects.all(), errand=_ERRAND, now=now, longest_seconds=longest_seconds)


def _find(gateway: str, remote: RemoteDispute) -> Dispute | None:
    return Dispute.objects.filter(gateway=gateway, dispute_id=remote.id).first()


def _credit_of(gateway: str, remote: RemoteDispute, now: datetime) -> tuple[PaymentAttempt, Transaction] | None:
    """The disputed payment, and what brought its money; None, and a case, where that cannot be said."""
    attempts = PaymentAttempt.objects.filter(gateway=gateway, payment_id=remote.payment_id).select_related("order")
    attempt = attempts.first()
    transaction = None if attempt is None else brought_by(attempt)
    if attempt is not None and transaction is None:
        # Heard of, but its capture was not yet.
        settle_order(order=attempt.order, now=now)
        attempt = attempts.get()
        transaction = brought_by(attempt)
    if attempt is None or transaction is None:
        open_case(
            kind=Case.Kind.MISSING_HERE,
            gateway=gateway,
            subject=remote.id,
            reason=f"Payment {remote.payment_id} is disputed, and nothing here was credited by it.",
            amount_there_minor=remote.amount_minor,
            currency=remote.currency,
            suggestion="Find the payment in the gateway's books; once it is credited, ask about the dispute again.",
            now=now,
        )
        return None
    if remote.currency != transaction.currency or remote.amount_minor <= 0:
        open_case(
            kind=Case.Kind.AMOUNT,
            gateway=gateway,
            subject=remote.id,
            reason=f"{remote.amount_minor} {remote.currency} of a payment in {transaction.currency} are disputed.",
            amount_here_minor=transaction.money.minor,
            amount_there_minor=remote.amount_minor,
            currency=remote.currency,
            transaction=transaction.pk,
            now=now,
        )
        return None
    settle_case(
        kind=Case.Kind.MISSING_HERE, gateway=gateway, subject=remote.id, resolution="Its payment was found.", now=now
    )
    return attempt, transaction


def brought_by(attempt: PaymentAttempt) -> Transaction | None:
    """What brought this payment's money, be it to a person or, of a parked one, to suspense."""
    transactions = Transaction.objects.select_related("to_wallet", "from_wallet")
    if attempt.credited_by_id is not None:
        return transactions.get(pk=attempt.credited_by_id)
    return transactions.filter(parked__attempt=attempt).first()


def _row(
    attempt: PaymentAttempt, remote: RemoteDispute, hold: Hold | None, shortfall_minor: int, now: datetime
) -> Dispute:
    return Dispute(
        attempt=attempt,
        gateway=attempt.gateway,
        dispute_id=remote.id,
        amount_minor=remote.amount_minor,
        currency=remote.currency,
        reason=remote.reason[:_LONGEST_REASON],
        hold=hold,
        shortfall_minor=shortfall_minor,
        respond_by=remote.respond_by,
        opened_at=remote.created_at or now,
        check_at=_next_check(0, now),
    )


def _meet(
    gateway: str, remote: RemoteDispute, attempt: PaymentAttempt, transaction: Transaction, *, now: datetime
) -> Dispute:
    """First sight: the dispute's row, and its hold in the very posting that writes it."""
    room = _room(attempt, transaction, with_holds=True)
    amount = Money.from_minor(min(remote.amount_minor, room), remote.currency)
    is_over = remote.state in (State.WON, State.CLOSED)

    def write(hold: Hold | None, shortfall_minor: int) -> None:
        """One row, whoever else writes it at this moment: under a posting's snapshot the second runs again."""
        if _find(gateway, remote) is not None:
            raise _Decided
        dispute = _row(attempt, remote, hold, shortfall_minor, now)
        Dispute.objects.bulk_create([dispute], ignore_conflicts=True)
        if remote.amount_minor > room and not is_over:
            tell_of_excess(dispute=dispute, room_minor=room, there_minor=remote.amount_minor, now=now)
        if shortfall_minor:
            tell_of_shortfall(
                dispute=dispute,
                whole_minor=amount.minor,
                shortfall_minor=shortfall_minor,
                what="is disputed",
                transaction=transaction.pk,
                now=now,
            )

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "unchanged":
            raise _Decided
        hold = Hold.objects.get(pk=outcomes[0].holds[0]) if outcomes[0].holds else None
        write(hold, amount.minor - (hold.money.minor if hold else 0))

    wallet = transaction.to_wallet
    assert wallet is not None  # noqa: S101  (an ADD has a wallet)
    try:
        if wallet.owner_id is None or is_over or not amount.minor:
            # What waits in suspense is nobody's to spend; what has been decided for us need not be held any more.
            write(None, 0)
        else:
            place = PlaceHold(
                wallet=wallet.pk,
                amount=amount.amount,
                currency=amount.currency,
                reason=HOLD_REASON,
                reference=f"dispute:{gateway}:{remote.id}",
                fact=True,
            )
            post([Group(initiator=system_actor(GATEWAY_ACTOR).pk, movements=(place,))], within=remember)
            log.warning("dispute.opened", dispute=remote.id, payment=remote.payment_id)
    except _Decided:
        log.info("dispute.known", dispute=remote.id)
    return Dispute.objects.get(gateway=gateway, dispute_id=remote.id)


def _keep(dispute: Dispute, remote: RemoteDispute, now: datetime) -> None:
    """Not decided yet. An answer that came late changes nothing that has been decided since."""
    if remote.amount_minor != dispute.amount_minor:
        tell_of_amount(dispute=dispute, there_minor=remote.amount_minor, now=now)
    Dispute.objects.filter(pk=dispute.pk, state__in=UNDECIDED).update(
        state=remote.state, reason=remote.reason[:_LONGEST_REASON], respond_by=remote.respond_by
    )


def _end(dispute: Dispute, remote: RemoteDispute, now: datetime) -> None:
    """Won, or closed without a loss: the money is the person's again."""

    def mark() -> None:
        ended = Dispute.objects.filter(pk=dispute.pk, state__in=UNDECIDED).update(
            state=remote.state, ended_at=now, check_at=None
        )
        if not ended:
            raise _Decided
        settle_case(
            kind=Case.Kind.CHARGEBACK_SHORTFALL,
            gateway=dispute.gateway,
            subject=dispute.dispute_id,
            resolution=f"The dispute is {remote.state.lower()}: nothing is owed.",
            now=now,
        )

    try:
        if dispute.hold_id is None:
            mark()
        else:
            release = ReleaseHold(hold=dispute.hold_id)
            post([Group(initiator=system_actor(GATEWAY_ACTOR).pk, movements=(release,))], within=lambda _: mark())
        log.info("dispute.ended", dispute=dispute.dispute_id, state=remote.state)
    except _Decided:
        _compare_end(dispute, remote, now)


def _lose(dispute: Dispute, remote: RemoteDispute, now: datetime) -> None:
    """
    Lost: what is held leaves the wallet, and the gateway has the whole amount back.

    What is taken is a fact: however the wallet stands, or wherever the payment's money went.

    :raises Refusal: `busy`: something of the payment went back at this very moment.
    """
    credit = brought_by(dispute.attempt)
    assert credit is not None  # noqa: S101  (a dispute is met with what was credited)
    asked = remote.deducted_minor or dispute.amount_minor
    room = _room(dispute.attempt, credit, besides=dispute)
    lost = Money.from_minor(min(asked, room), dispute.currency)
    group, taken = _loss(dispute, remote, credit, lost)

    def mark(lost_by: int | None) -> None:
        decided = Dispute.objects.filter(pk=dispute.pk, state__in=UNDECIDED).update(
            state=State.LOST, lost_by=lost_by, ended_at=now, check_at=None
        )
        if not decided:
            raise _Decided
        if asked > room:
            tell_of_excess(dispute=dispute, room_minor=room, there_minor=asked, now=now)
        elif asked != dispute.amount_minor:
            tell_of_amount(dispute=dispute, there_minor=asked, now=now)
        if lost.minor > taken:
            tell_of_shortfall(
                dispute=dispute,
                whole_minor=lost.minor,
                shortfall_minor=lost.minor - taken,
                what="was lost",
                transaction=lost_by or credit.pk,
                now=now,
            )

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind != "posted":
            raise _Decided
        # Whatever takes from the payment moves the same shard of clearing, so of two at once the later one sees it.
        if lost.minor > _room(dispute.attempt, credit, besides=dispute):
            raise Refusal("busy", retry_after_seconds=1)
        mark(outcomes[0].transactions[-1] if lost.minor else None)

    try:
        if group is None:
            mark(None)
        else:
            post([group], within=remember)
        log.warning("dispute.lost", dispute=dispute.dispute_id, shortfall_minor=lost.minor - taken)
    except _Decided:
        _compare_end(dispute, remote, now)


def _room(
    attempt: PaymentAttempt, credit: Transaction, *, besides: Dispute | None = None, with_holds: bool = False
) -> int:
    """
    How much of a payment a dispute can be about: what has neither gone back nor been lost by another, in minor units.

    :param with_holds: nor is held for another.
    """
    others = Dispute.objects.filter(attempt=attempt)
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    gone = others.aggregate(total=Sum("lost_by__amount"))["total"] or 0
    if with_holds:
        gone += others.filter(hold__status=Hold.Status.OPEN).aggregate(total=Sum("hold__amount"))["total"] or 0
    return max(0, Money(left_of(brought=credit).amount - gone, credit.currency).minor)


def _loss(dispute: Dispute, remote: RemoteDispute, credit: Transaction, lost: Money) -> tuple[Group | None, int]:
    """
    The postings of a loss, once for each dispute, and how much of it (in minor units) was still there. Where nothing
    of the payment is left to lose only the hold ends.
    """
    metadata = {"dispute": remote.id, "payment": remote.payment_id}
    chargebacks = system_wallet(Purpose.CHARGEBACKS, lost.currency)
    gateway = system_actor(GATEWAY_ACTOR).pk
    hold = None if dispute.hold_id is None else Hold.objects.get(pk=dispute.hold_id)
    if not lost.minor:
        return (None if hold is None else Group(initiator=gateway, movements=(ReleaseHold(hold=hold.pk),))), 0
    assert credit.to_wallet is not None  # noqa: S101  (an ADD has a wallet)
    movements = []
    if hold is not None:
        taken = min(hold.money.minor, lost.minor)
        origin = hold.wallet_id
    else:
        # In suspense is all of it that has not gone back.
        taken = lost.minor if credit.to_wallet.owner_id is None else 0
        origin = credit.to_wallet.pk
    if taken:
        movements.append(
            Movement(
                type=Transaction.Type.CHARGEBACK,
                amount=Money.from_minor(taken, lost.currency).amount,
                currency=lost.currency,
                from_wallet=origin,
                to_wallet=chargebacks,
                metadata=metadata,
                fact=True,
                captures=None if hold is None else hold.pk,
            )
        )
    movements.append(
        Movement(
            type=Transaction.Type.CHARGEBACK,
            amount=lost.amount,
            currency=lost.currency,
            from_wallet=chargebacks,
            # The payment's own shard: there it returns to zero once the gateway has settled it.
            to_wallet=credit.from_wallet_id,
            metadata=metadata,
            fact=True,
        )
    )
    key = Key(
        key=f"dispute:{dispute.gateway}:{remote.id}",
        fingerprint=fingerprint("dispute lost", gateway=dispute.gateway, dispute=remote.id),
    )
    return Group(initiator=gateway, movements=tuple(movements), key=key), taken


def _compare_end(dispute: Dispute, remote: RemoteDispute, now: datetime) -> None:
    """It had been decided before: the same way, or somebody must look at it."""
    dispute.refresh_from_db()
    if dispute.state == remote.state:
        log.info("dispute.known", dispute=dispute.dispute_id)
        return
    open_case(
        kind=Case.Kind.STATE,
        gateway=dispute.gateway,
        subject=dispute.dispute_id,
        reason=f"Here the dispute is {dispute.state.lower()}, and the gateway now says {remote.state.lower()}.",
        amount_here_minor=dispute.amount_minor,
        amount_there_minor=remote.amount_minor,
        currency=dispute.currency,
        transaction=dispute.lost_by_id,
        suggestion="Ask the gateway which of the two holds, and post the difference as an ADJUSTMENT.",
        now=now,
    )


def _next_check(checks: int, now: datetime) -> datetime:
    pause: timedelta = min(_FIRST_PAUSE * 2 ** min(checks, _DOUBLINGS), _LONGEST_PAUSE)
    return now + pause


_ERRAND: Final[Errand[Dispute]] = Errand(
    work=lambda dispute, now: follow_dispute(gateway=dispute.gateway, dispute_id=dispute.dispute_id, now=now),
    next_check=lambda dispute, now: _next_check(dispute.checks, now),
    names=lambda dispute: {"dispute": dispute.dispute_id},
    log=log,
    put_off="dispute.not_checked",
    failed="dispute.failed_to_check",
)
