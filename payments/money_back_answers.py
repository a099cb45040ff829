"""
What whoever was sent money by mistake may answer: give it back with one tap, set it aside meanwhile, or say no.

Giving back is a REFUND that names the transfer, from the wallet that got it to the very wallet that sent it, of all of
it: the kernel lets no more go back than came, whoever asks at once. So it is no new payment. No limit on sending counts
it, and the transfer counts no more among what its sender spent. Yet it is money that leaves, and whoever sits before a
stranger's open wallet could have sent them something once:

- from the sum that asks for a step-up (alone, or with what was given back that day) it asks for one, too;
- for some days after a change of address it counts among what support is asked for (`address_holds`);
- a frozen wallet gives nothing back, and one that has not got it any more is told so. Then the request stays open.

A refusal is kept under its key, as of any payment; what has been answered before is refused and not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from accounts.actors import actor_of
from accounts.models import User
from ledger.models import Transaction
from ledger.movements import Group, GuardView, Key, Movement, Outcome, PlaceHold
from ledger.posting import post
from payments.authorising import post_asked_for
from payments.idempotency import Answer, earlier_answer
from payments.models import MoneyBack
from payments.money_back import MOST_TRIES, Changed, Said, change, end, find, name_of, tell
from payments.spending import Payee, give_spending_back
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.fingerprints import fingerprint

log = structlog.get_logger("payments.money_back")

Status = MoneyBack.Status

HOLD_REASON: Final = "money_back"


def give(*, user: User, money_back: str, key: str, step_up: str | None = None, now: datetime) -> Answer:
    """
    Give the money back, once for each request and once for each key.

    :param money_back: the request's public id.
    :param step_up: `<challenge>:<code>`, where an earlier answer asked for it.
    :returns: the REFUND; or refused with a code that is kept, while the request stays open: `insufficient_funds`,
        `wallet_frozen`, `recipient_unavailable`, `refund_exceeds`.
    :raises Refusal: `not_found`, `money_back_over`, `idempotency_key_reused`, `support_required`, `step_up_required`,
        `step_up_invalid`, `too_many_tries`, `busy`: nothing is kept.
    """
    actor = actor_of(user)
    request = Key(key=key, fingerprint=fingerprint("money-back/give", money_back=money_back))
    earlier = earlier_answer(initiator=actor, key=request)
    if earlier is not None:
        return earlier
    for _ in range(MOST_TRIES):
        row = find(money_back=money_back, asked=user)
        if not row.is_open:
            raise Refusal("money_back_over")
        giving = _Giving(row, now)
        try:
            answer = post_asked_for(
                user=user,
                group=Group(initiator=actor.pk, movements=(_refund(row),), key=request, gates=(giving.gate,)),
                # Nobody new is paid, and nothing of it makes them known.
                payee=Payee(),
                payee_name=name_of(row.transfer.from_wallet),
                step_up=step_up,
                now=now,
                within=giving.remember,
            )
        except Changed:
            continue
        log.info("money_back.answered", money_back=row.public_id, code=answer.code)
        return answer
    raise Refusal("busy", retry_after_seconds=1)


def hold(*, user: User, money_back: str, now: datetime) -> Said:
    """
    Set the money aside until it is decided: nobody spends it, and it is still its owner's. Twice is as good as once.

    :raises Refusal: `not_found`, `money_back_over`, `insufficient_funds` (less is there to be spent), `wallet_frozen`,
        `busy`.
    """
    for _ in range(MOST_TRIES):
        row = find(money_back=money_back, asked=user)
        if row.status == Status.HELD:
            return Said(row, [], is_new=False)
        if not row.is_open:
            raise Refusal("money_back_over")
        try:
            messages = _hold(row, user, now)
        except Changed:
            continue
        row.refresh_from_db()
        return Said(row, messages)
    raise Refusal("busy", retry_after_seconds=1)


def decline(*, user: User, money_back: str, now: datetime) -> Said:
    """
    Say no: what was set aside can be spent again. Twice is as good as once.

    :raises Refusal: `not_found`, `money_back_over`, `busy`.
    """
    row = find(money_back=money_back, asked=user)
    return end(row=row, status=Status.DECLINED, by=actor_of(user), now=now)


@dataclass(frozen=True, slots=True)
class _Giving:
    """One posting's gate and companion. What was looked at before may have changed, and is looked at again here."""

    row: MoneyBack
    now: datetime

    def gate(self, _view: GuardView) -> None:
        """
        Under the locks of both wallets.

        :raises Refusal: `money_back_over`.
        :raises Changed: the money was set aside meanwhile, or is no longer.
        """
        status, held = MoneyBack.objects.values_list("status", "hold").get(pk=self.row.pk)
        if status not in (Status.ASKED, Status.HELD):
            raise Refusal("money_back_over")
        if held != self.row.hold_id:
            raise Changed

    def remember(self, outcomes: Sequence[Outcome]) -> None:
        outcome = outcomes[0]
        if outcome.kind == "unchanged":
            # The hold that it was to come out of has ended.
            raise Changed
        if outcome.kind == "posted":
            change(self.row, status=Status.GIVEN, refund=outcome.transactions[0], ended_at=self.now)
            give_spending_back(transaction=self.row.transfer_id, now=self.now)


def _refund(row: MoneyBack) -> Movement:
    """Back the way it came. A sender who was blocked since cannot be paid; the kernel judges everything else."""
    transfer = row.transfer
    assert transfer.to_wallet_id is not None  # noqa: S101  (it succeeded)
    return Movement(
        type=Transaction.Type.REFUND,
        amount=transfer.amount,
        currency=transfer.currency,
        from_wallet=transfer.to_wallet_id,
        to_wallet=transfer.from_wallet_id,
        reverses=transfer.pk,
        captures=row.hold_id,
        refuse="" if row.asker.status != User.Status.BLOCKED else "recipient_unavailable",
    )


def _hold(row: MoneyBack, user: User, now: datetime) -> list[int]:
    told: list[int] = []

    def remember(outcomes: Sequence[Outcome]) -> None:
        outcome = outcomes[0]
        if outcome.kind == "refused":
            raise Refusal(outcome.code)
        if outcome.kind != "posted":
            raise Changed
        change(row, status=Status.HELD, hold=outcome.holds[0], held_at=now)
        told[:] = tell(row, now, step="held")

    transfer = row.transfer
    assert transfer.to_wallet_id is not None  # noqa: S101  (it succeeded)
    place = PlaceHold(
        wallet=transfer.to_wallet_id,
        amount=transfer.amount,
        currency=transfer.currency,
        reason=HOLD_REASON,
        reference=f"money-back:{row.public_id}",
    )
    post([Group(initiator=actor_of(user).pk, movements=(place,))], within=remember)
    log.info("money_back.held", money_back=row.public_id)
    return told
