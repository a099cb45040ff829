"""
Giving a top-up back to its source, in part or whole: never more than was added, nor than is there.

The REFUND is posted with its row, under the caller's key; then it is sent to the gateway under a key of its own, the
REFUND's public id, the same in every try. An outcome that nobody knows is never guessed at: the same request goes out
again by schedule, and the payment's refunds are looked through for our key. What the gateway says is done in
`refund_outcomes`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from accounts.actors import actor_of
from accounts.models import Actor, User
from ledger.models import Transaction
from ledger.movements import Group, Key, Outcome
from ledger.posting import post
from payments.asking import is_overdue, next_ask
from payments.captures import settle_order
from payments.cases import open_case
from payments.disputes import UNDECIDED, brought_by
from payments.gateways import gateway_named
from payments.gateways.base import RemoteRefund, is_definite
from payments.idempotency import Answer, answer_of, earlier_answer
from payments.models import Case, Dispute, GatewayRefund, PaymentAttempt, Proposal
from payments.refund_outcomes import (
    OPEN,
    fail_unaccepted,
    find_refund,
    learn,
    left_of,
    open_refund,
    refund_movement,
    settle_refunds,
    subject_of,
    take_in,
)
from payments.sweeping import LONGEST_IN_FLIGHT, Errand, attend, claim_unsent, sweep_due
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.errors import GatewayError, Refusal
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.refunds")

State = GatewayRefund.State

PERMISSION: Final = "payments.refund_topup"
# After that many sends without an answer, or that long, the payment's refunds are looked through before each further
# one: how long the gateway keeps a key it does not say.
SENDS_BEFORE_LOOKING: Final = 3
KEY_LIFETIME: Final = timedelta(days=1)
_UNSENT: Final = (State.NEW, State.UNKNOWN)


def refundable_of(*, user: User, transaction: str) -> Money | None:
    """
    How much of one of this person's top-ups they can have back to its source.

    :param transaction: its public id.
    :returns: None where it is no top-up of theirs, or cannot be given back, or they must ask support.
    """
    if not settings.REFUNDS_BY_PERSON:
        return None
    brought = _find(transaction, owner=user)
    if brought is None or brought.to_wallet is None or _refusal_of(brought, None):
        return None
    spare = brought.to_wallet.balance - brought.to_wallet.held - brought.to_wallet.minimum_balance
    amount = Money(max(min(left_of(brought=brought).amount, spare), 0 * spare), brought.currency)
    return amount if amount.minor >= gateway_named(brought.paid_by.gateway).least_minor else None


def give_back(
    *, user: User, transaction: str, amount: Money | None = None, key: str, wallet: str | None = None, now: datetime
) -> Answer:
    """
    A person takes one of their top-ups back to where it came from, once for each key.

    :param transaction: its public id.
    :param amount: None for all that is left of it.
    :param wallet: only if it is this wallet's (a `wal_` id).
    :returns: the REFUND; or refused with a code that is kept: `refund_exceeds`, `not_refundable` (not paid, or
        disputed), `insufficient_funds`, `limit_exceeded` (also below the gateway's smallest amount), `wallet_frozen`,
        `currency_mismatch`.
    :raises Refusal: `not_found` (no top-up of theirs), `permission_denied` (only support may, by the settings),
        `idempotency_key_reused`, `busy`.
    """
    if not settings.REFUNDS_BY_PERSON:
        raise Refusal("permission_denied", "Ask support for it.")
    return _give_back(actor_of(user), transaction, amount, key, now, owner=user, wallet=wallet)


def give_back_as_agreed(*, proposal: Proposal, amount: Money, now: datetime) -> Answer:
    """
    Anybody's top-up goes back, also one that went to suspense, as one of staff proposed and another agreed. Once for
    each proposal: its id is the key, and whoever proposed it the initiator.

    :returns: as `give_back`.
    :raises Refusal: as `give_back`; `permission_denied`: no second person has agreed.
    """
    if proposal.decided_by_id in (None, proposal.proposed_by_id):
        raise Refusal("permission_denied")
    return _give_back(actor_of(proposal.proposed_by), proposal.subject, amount, proposal.public_id, now, owner=None)


def brought_by_top_up(transaction: str) -> Transaction:
    """
    Anybody's top-up by its public id.

    :raises Refusal: `not_found`.
    """
    brought = _find(transaction, owner=None)
    if brought is None:
        raise Refusal("not_found", "There is no such top-up.")
    return brought


def send_refund(*, transaction_id: int, now: datetime) -> None:
    """What a wake-up does after a refund was asked for: send it, unless somebody has it in hand."""
    refund = GatewayRefund.objects.filter(transaction=transaction_id, check_at__lte=now).first()
    if refund is not None:
        attend(row=refund, errand=_ERRAND, now=now)


def sweep_refunds(*, now: datetime, longest_seconds: float = 60.0) -> int:
    """
    Send or ask about the refunds that are due, as `sweep_due` goes on with rows.

    :returns: how many were attended to.
    """
    return sweep_due(rows=GatewayRefund.objects.all(), errand=_ERRAND, now=now, longest_seconds=longest_seconds)


def ask_about_refund(*, refund: GatewayRefund, now: datetime) -> None:
    """
    Send it, or ask the gateway what became of it, now. Nothing is decided that the gateway does not say.

    :raises GatewayError: it would not say.
    :raises Refusal: `busy`.
    """
    try:
        _go_on(refund, now)
    finally:
        _mind_overdue(refund, now)


def ask_at_once(*, refund: GatewayRefund, now: datetime) -> None:
    """
    As `ask_about_refund`, for somebody who cannot wait until it is due. Two sends are never on their way together.

    :raises GatewayError: it would not say.
    :raises Refusal: `busy`, also where somebody else may be sending it.
    """
    refund.refresh_from_db()
    if refund.state in _UNSENT and refund.refund_id is None:
        claim_unsent(row=refund, errand=_ERRAND, now=now)
    ask_about_refund(refund=refund, now=now)


def follow_refund(*, gateway: str, refund_id: str, payment_id: str, now: datetime) -> None:
    """
    News of a refund: ask the gateway for the truth about it. Safe to run any number of times, at once too.

    One that nobody here made is posted as a fact. Of a payment that nobody here has heard of nothing is posted: its
    refunds are asked for when it is.

    :raises GatewayError: the gateway would not say; ask again.
    :raises Refusal: `busy`.
    """
    give_back_connection()
    remote = gateway_named(gateway).refund_of(refund_id=refund_id)
    known = find_refund(gateway=gateway, remote=remote)
    if known is not None:
        learn(refund=known, remote=remote, now=now)
        return
    attempts = PaymentAttempt.objects.select_related("order__transaction")
    attempt = attempts.filter(gateway=gateway, payment_id=remote.payment_id or payment_id).first()
    if attempt is None:
        log.warning("refund.of_unknown_payment", gateway=gateway, refund=refund_id, payment=payment_id)
        return
    if brought_by(attempt) is None:
        # Its capture was not heard of yet.
        settle_order(order=attempt.order, now=now)
    brought = brought_by(PaymentAttempt.objects.get(pk=attempt.pk))
    if brought is None:
        log.warning("refund.of_uncredited_payment", gateway=gateway, refund=refund_id, payment=payment_id)
        return
    take_in(attempt=attempt, brought=brought, remote=remote, now=now)


def _give_back(
    actor: Actor,
    transaction: str,
    amount: Money | None,
    key: str,
    now: datetime,
    *,
    owner: User | None,
    wallet: str | None = None,
) -> Answer:
    asked = {"amount": amount.text, "currency": amount.currency} if amount else {}
    request = Key(
        key=key, fingerprint=fingerprint("transactions/refund", transaction=transaction, wallet=wallet, **asked)
    )
    earlier = earlier_answer(initiator=actor, key=request)
    if earlier is not None:
        return earlier
    brought = _find(transaction, owner=owner)
    if brought is None or (wallet is not None and (brought.to_wallet is None or brought.to_wallet.public_id != wallet)):
        raise Refusal("not_found", "There is no such top-up.")
    if amount is None:
        # With nothing left, all of it is asked for: the kernel replays what was faster, or refuses.
        left = left_of(brought=brought)
        amount = left if left.amount > 0 else Money(brought.amount, brought.currency)
    given = amount

    def remember(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind == "posted":
            open_refund(attempt=brought.paid_by, transaction=outcomes[0].transactions[0], amount=given, now=now)

    movement = refund_movement(brought=brought, amount=given, refuse=_refusal_of(brought, given))
    return answer_of(post([Group(initiator=actor.pk, movements=(movement,), key=request)], within=remember)[0])


def _find(transaction: str, *, owner: User | None) -> Transaction | None:
    """A top-up by its public id."""
    uuid = parse_public_id(Transaction.PREFIX, transaction)
    if uuid is None:
        return None
    adds = Transaction.objects.select_related("to_wallet", "paid_by").filter(uuid=uuid, type=Transaction.Type.ADD)
    return adds.filter(to_wallet__owner=owner).first() if owner is not None else adds.first()


def _refusal_of(brought: Transaction, amount: Money | None) -> str:
    """What the kernel cannot know: whether a payment stands behind it, and what its gateway takes."""
    attempt = PaymentAttempt.objects.filter(credited_by=brought).first()
    if attempt is None or brought.status != Transaction.Status.SUCCESS:
        return "not_refundable"
    contested = Dispute.objects.filter(attempt=attempt, state__in=(*UNDECIDED, Dispute.State.LOST))
    if contested.exists():
        # Its payer's bank may take the same money back.
        return "not_refundable"
    if amount is not None and amount.currency != brought.currency:
        return "currency_mismatch"
    if amount is not None and amount.minor < gateway_named(attempt.gateway).least_minor:
        return "limit_exceeded"
    return ""


def _go_on(refund: GatewayRefund, now: datetime) -> None:
    """
    :raises GatewayError:
    """
    refund.refresh_from_db()
    if refund.refund_id is not None:
        give_back_connection()
        learn(refund=refund, remote=gateway_named(refund.gateway).refund_of(refund_id=refund.refund_id), now=now)
        return
    if refund.state not in _UNSENT:
        return
    key_is_old = refund.sent_at is not None and now >= refund.sent_at + KEY_LIFETIME
    if refund.sends >= SENDS_BEFORE_LOOKING or key_is_old:
        found = _look_for(refund)
        if found is not None:
            learn(refund=refund, remote=found, now=now)
            return
    _send(refund, now)


def _send(refund: GatewayRefund, now: datetime) -> None:
    """
    That it is sent is noted before it is: whoever is killed in between leaves one whose outcome is unknown.

    :raises GatewayError:
    """
    sends = refund.sends + 1
    # By the count that was read: of those who come at once one sends, and a no is never to what another has on its way.
    unsent = GatewayRefund.objects.filter(pk=refund.pk, state__in=_UNSENT, refund_id=None, sends=refund.sends)
    if not unsent.update(state=State.UNKNOWN, sends=sends, sent_at=Coalesce(F("sent_at"), Value(now))):
        return
    gateway = gateway_named(refund.gateway)
    give_back_connection()
    try:
        remote = gateway.refund(
            payment_id=refund.attempt.payment_id,
            amount_minor=refund.amount_minor,
            currency=refund.currency,
            key=refund.key,
            reference=refund.key,
        )
    except GatewayError as error:
        if not is_definite(error):
            raise
        _mind_no(refund, sends, error, now)
        return
    learn(refund=refund, remote=remote, now=now)


def _mind_no(refund: GatewayRefund, sends: int, error: GatewayError, now: datetime) -> None:
    """This time it said no. An earlier try, this client's own included, may have been taken all the same."""
    found = _look_for(refund)
    if found is not None:
        learn(refund=refund, remote=found, now=now)
        return
    if refund.sent_at is not None and now < refund.sent_at + LONGEST_IN_FLIGHT:
        # Another worker's request may still be on its way: the next no counts.
        raise error
    log.warning("refund.refused", refund=refund.key, http_status=error.http_status, code=error.code)
    reason = error.reason or error.code or "The gateway refused it."
    fail_unaccepted(refund=refund, sends=sends, reason=reason, now=now)
    # Somebody may have refunded it at the gateway's own page, and that be why.
    brought = refund.transaction.reverses
    assert brought is not None  # noqa: S101  (a refund names what it gives back)
    settle_refunds(attempt=refund.attempt, brought=brought, now=now)


def _look_for(refund: GatewayRefund) -> RemoteRefund | None:
    """
    :raises GatewayError:
    """
    give_back_connection()
    there = gateway_named(refund.gateway).refunds_of(payment_id=refund.attempt.payment_id)
    return next((remote for remote in there if remote.key == refund.key), None)


def _mind_overdue(refund: GatewayRefund, now: datetime) -> None:
    refund.refresh_from_db(fields=["state", "sent_at"])
    if refund.state not in OPEN or not is_overdue(since=refund.created_at, now=now):
        return
    since = (refund.sent_at or refund.created_at).astimezone(UTC)
    says = {
        State.NEW: "It could not be sent",
        State.UNKNOWN: "It was sent and never answered, so it may have been made,",
        State.PENDING: "Still on its way to the payer",
    }[State(refund.state)]
    open_case(
        kind=Case.Kind.UNKNOWN_OUTCOME,
        gateway=refund.gateway,
        subject=subject_of(refund),
        transaction=refund.transaction_id,
        amount_here_minor=refund.amount_minor,
        currency=refund.currency,
        reason=f"{says} since {since:%Y-%m-%d %H:%M} UTC.",
        suggestion="Ask the gateway. Return nothing before it says that the refund failed.",
        now=now,
    )


_ERRAND: Final[Errand[GatewayRefund]] = Errand(
    work=lambda refund, now: ask_about_refund(refund=refund, now=now),
    next_check=lambda refund, now: next_ask(asked=refund.checks, now=now),
    names=lambda refund: {"refund": subject_of(refund)},
    log=log,
    put_off="refund.put_off",
    failed="refund.failed_to_attend",
)
