"""
Withdrawals at the gateway: sent under one key, asked about until their end is known, never paid twice.

The key is the transaction's public id, the same in every try, so the gateway pays it once whoever sends it and however
often. That it is sent is noted before it is: a process killed in between leaves a payout whose outcome is unknown,
not one that looks unsent. After a time-out or an error that says nothing, the same request goes out again by schedule,
and then the gateway is asked for our reference. Only a definite no, to something that the gateway has nothing of,
brings the money back (https://razorpay.com/docs/api/x/payout-idempotency).
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from payments.asking import is_overdue
from payments.bank_checks import make_known
from payments.cases import open_case
from payments.gateways import gateway_named
from payments.gateways.base import NotOffered, RemotePayout, is_definite
from payments.models import Case, Payout
from payments.payout_outcomes import OPEN, apply_outcome, fail_unaccepted, next_check
from payments.sweeping import LONGEST_IN_FLIGHT, Errand, attend, claim_unsent, sweep_due
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.errors import GatewayError

log = structlog.get_logger("payments.payouts")

# After that many sends without an answer our reference is looked for before each further one.
SENDS_BEFORE_LOOKING: Final = 3
# So too after this long, for some gateways forget a key after a day.
KEY_IS_CERTAIN: Final = timedelta(hours=23)
# The gateway keeps a key for seven days. Past it, the same key would pay anew: only asking is left then.
KEY_LIFETIME: Final = timedelta(days=6)
NARRATION: Final = "Wallet withdrawal"
_OUR_CREDENTIALS: Final = (401, 403)
_UNSENT: Final = (Payout.State.NEW, Payout.State.UNKNOWN)


def send_payout(*, transaction_id: int, now: datetime) -> None:
    """
    What a wake-up does after a withdrawal: send it, unless somebody has it in hand.
    """
    payout = Payout.objects.filter(transaction=transaction_id, check_at__lte=now).first()
    if payout is not None:
        attend(row=payout, errand=_ERRAND, now=now)


def sweep_payouts(*, now: datetime, longest_seconds: float = 60.0) -> int:
    """
    Send or ask about the payouts that are due, as `sweep_due` goes on with rows.

    :returns: how many were attended to.
    """
    return sweep_due(rows=Payout.objects.all(), errand=_ERRAND, now=now, longest_seconds=longest_seconds)


def ask_about_payout(*, payout: Payout, now: datetime) -> None:
    """
    Send it, or ask the gateway what became of it, now. Nothing is decided that the gateway does not say.

    :raises GatewayError: it would not say.
    :raises Refusal: `busy`.
    """
    try:
        _go_on(payout, now)
    except GatewayError as error:
        if error.http_status in _OUR_CREDENTIALS:
            reason = f"The gateway does not take our credentials ({error.http_status})"
            _stand_in_queue(payout, f"{reason}, so nobody can say what became of it.", now)
        raise
    finally:
        _mind_overdue(payout, now)


def ask_at_once(*, payout: Payout, now: datetime) -> None:
    """
    As `ask_about_payout`, for somebody who cannot wait until it is due. Two sends are never on their way together.

    :raises GatewayError: it would not say.
    :raises Refusal: `busy`, also where somebody else may be sending it.
    """
    payout.refresh_from_db()
    if payout.state in _UNSENT and payout.payout_id is None:
        claim_unsent(row=payout, errand=_ERRAND, now=now)
    ask_about_payout(payout=payout, now=now)


def follow_payout(*, gateway: str, payout_id: str, reference: str, now: datetime) -> None:
    """
    News of a payout: ask the gateway for the truth about it. News of what is none of ours is let go; the nightly
    comparison finds it.

    :raises GatewayError: the gateway would not say; ask again.
    :raises Refusal: `busy`.
    """
    known = Payout.objects.filter(gateway=gateway)
    payout = known.filter(payout_id=payout_id).first() or known.filter(key=reference).first()
    if payout is None:
        log.warning("payout.unknown", gateway=gateway, payout=payout_id)
        return
    give_back_connection()
    remote = gateway_named(gateway).payout_of(payout_id=payout_id)
    if payout.payout_id is None and remote.reference != payout.key:
        log.warning("payout.not_ours_after_all", gateway=gateway, payout=payout_id)
        return
    _learn(payout, remote, now)


def _go_on(payout: Payout, now: datetime) -> None:
    """
    :raises GatewayError:
    """
    payout.refresh_from_db()
    gateway = gateway_named(payout.gateway)
    if payout.payout_id is not None:
        give_back_connection()
        _learn(payout, gateway.payout_of(payout_id=payout.payout_id), now)
        return
    if payout.state not in _UNSENT:
        # It was given up as never accepted. If the gateway has it after all, somebody must know.
        give_back_connection()
        found = gateway.find_payout(reference=payout.key)
        if found is not None:
            _learn(payout, found, now)
        return
    age = timedelta() if payout.sent_at is None else now - payout.sent_at
    if payout.sends >= SENDS_BEFORE_LOOKING or age >= KEY_IS_CERTAIN:
        give_back_connection()
        found = gateway.find_payout(reference=payout.key)
        if found is not None:
            _learn(payout, found, now)
            return
    if age < KEY_LIFETIME:
        _send(payout, now)


def _send(payout: Payout, now: datetime) -> None:
    """
    :raises GatewayError:
    """
    try:
        known_as = make_known(account=payout.bank_account)
    except GatewayError as error:
        # Nothing can have been sent to an account that the gateway did not know.
        if not is_definite(error) or payout.sends:
            raise
        fail_unaccepted(payout=payout, sends=payout.sends, reason=_reason_of(error), now=now)
        return
    sends = payout.sends + 1
    # By the count that was read: of those who come at once one sends, and a no is never to what another has on its way.
    begun = Payout.objects.filter(pk=payout.pk, state__in=_UNSENT, payout_id=None, sends=payout.sends).update(
        state=Payout.State.UNKNOWN, sends=sends, sent_at=Coalesce(F("sent_at"), Value(now))
    )
    if not begun:
        return
    gateway = gateway_named(payout.gateway)
    give_back_connection()
    try:
        remote: RemotePayout | None = gateway.pay_out(
            fund_account_id=known_as,
            amount_minor=payout.amount_minor,
            currency=payout.currency,
            key=payout.key,
            reference=payout.key,
            narration=NARRATION,
        )
    except GatewayError as error:
        if not is_definite(error):
            raise
        remote = None
        if payout.sends or not isinstance(error, NotOffered):
            # This time it said no. An earlier try, this client's own included, may have been taken all the same.
            remote = gateway.find_payout(reference=payout.key)
        if remote is None and payout.sent_at is not None and now < payout.sent_at + LONGEST_IN_FLIGHT:
            # Another worker's request may still be on its way: the next no counts.
            raise
        if remote is None:
            log.warning("payout.refused", payout=payout.key, http_status=error.http_status, code=error.code)
            fail_unaccepted(payout=payout, sends=sends, reason=_reason_of(error), now=now)
            return
    assert remote is not None  # noqa: S101  (returned before)
    _learn(payout, remote, now)


def _learn(payout: Payout, remote: RemotePayout, now: datetime) -> None:
    """
    :raises GatewayError:
    """
    if not _is_ours(payout, remote, now):
        return
    if apply_outcome(payout=payout, remote=remote, now=now) != "contradiction":
        return
    # Two may be asking at once, and this answer be the older one: what it says now counts.
    give_back_connection()
    remote = gateway_named(payout.gateway).payout_of(payout_id=remote.id)
    if apply_outcome(payout=payout, remote=remote, now=now) == "contradiction":
        log.error("payout.contradiction", payout=payout.key, state=payout.state, gateway_says=remote.status)
        open_case(
            kind=Case.Kind.STATE,
            gateway=payout.gateway,
            subject=payout.key,
            transaction=payout.transaction_id,
            amount_here_minor=payout.amount_minor,
            amount_there_minor=remote.amount_minor,
            currency=payout.currency,
            reason=f"It was {payout.state} and its money is back; now the gateway has {remote.id}, {remote.status}.",
            suggestion="Have it cancelled if it can be. If it arrives, the person owes what was returned.",
            now=now,
        )


def _is_ours(payout: Payout, remote: RemotePayout, now: datetime) -> bool:
    """Whether this is the payout that we asked for, in all that we said of it. Anything else is for people."""
    same_money = (remote.amount_minor, remote.currency) == (payout.amount_minor, payout.currency)
    same_payout = payout.payout_id in (None, remote.id) and remote.reference in ("", payout.key)
    if same_money and same_payout:
        return True
    log.error("payout.not_as_asked", payout=payout.key, remote=remote.id)
    reason = f"The gateway has {remote.amount_minor} {remote.currency} of it in minor units, which is not ours."
    if not same_payout:
        expected = payout.payout_id or "a payout of our own reference"
        reason = f"The gateway has {remote.id} where {expected} was expected."
    open_case(
        kind=Case.Kind.STATE if same_money else Case.Kind.AMOUNT,
        gateway=payout.gateway,
        subject=payout.key,
        transaction=payout.transaction_id,
        amount_here_minor=payout.amount_minor,
        amount_there_minor=remote.amount_minor,
        currency=payout.currency,
        reason=reason,
        suggestion="Ask the gateway what it paid, and to whom, before anything is posted.",
        now=now,
    )
    return False


def _mind_overdue(payout: Payout, now: datetime) -> None:
    payout.refresh_from_db(fields=["state", "sent_at"])
    if payout.state not in OPEN or not is_overdue(since=payout.created_at, now=now):
        return
    since = (payout.sent_at or payout.created_at).astimezone(UTC)
    says = {
        Payout.State.NEW: "It could not be sent",
        Payout.State.UNKNOWN: "It was sent and never answered, so it may have been paid,",
        Payout.State.QUEUED: "Still queued at the gateway",
        Payout.State.PROCESSING: "Still processing at the bank",
    }[Payout.State(payout.state)]
    _stand_in_queue(payout, f"{says} since {since:%Y-%m-%d %H:%M} UTC.", now)


def _stand_in_queue(payout: Payout, reason: str, now: datetime) -> None:
    open_case(
        kind=Case.Kind.UNKNOWN_OUTCOME,
        gateway=payout.gateway,
        subject=payout.key,
        transaction=payout.transaction_id,
        amount_here_minor=payout.amount_minor,
        currency=payout.currency,
        reason=reason,
        suggestion="Ask the gateway. Return nothing before it says that the payout failed.",
        now=now,
    )


def _reason_of(error: GatewayError) -> str:
    return error.reason or error.code or "The gateway refused it."


_ERRAND: Final[Errand[Payout]] = Errand(
    work=lambda payout, now: ask_about_payout(payout=payout, now=now),
    next_check=lambda payout, now: next_check(payout=payout, state=payout.state, now=now),
    names=lambda payout: {"payout": payout.key},
    log=log,
    put_off="payout.put_off",
    failed="payout.failed_to_attend",
)
