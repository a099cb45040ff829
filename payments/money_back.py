"""
Sent to the wrong person: whoever sent money asks for it back, and whoever got it may give it back.

Nobody has a claim that this system could decide: the money is its recipient's, and only they let go of it, all of it or
nothing. What they answer is in `money_back_answers`. Here a request is made, found, and ended without money: withdrawn
by whoever asked, closed by support, or over because nobody answered.

What was set aside meanwhile is a hold, so ending such a request is a posting; and an answer at the same moment is
either before it or finds it ended.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, notifications
from accounts.actors import actor_of, system_actor
from accounts.models import Actor, User
from ledger.models import Transaction
from ledger.movements import Group, Outcome, ReleaseHold
from ledger.posting import post
from payments.models import MoneyBack
from payments.person_blocks import keeps_away
from payments.texts import check_note
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.reasons import read_reason
from wallets.display_names import display_name
from wallets.models import Wallet

log = structlog.get_logger("payments.money_back")

Status = MoneyBack.Status

PERMISSION: Final = "payments.close_moneyback"
KIND: Final = "money_back"
ACTOR: Final = "money_back"
# Later it is nothing that one notices by oneself: our support is to be asked.
ASKED_WITHIN: Final = timedelta(days=30)
LIFETIME: Final = timedelta(days=14)
# Of one payment, however it was answered; and of one person by one other in a day: more would be a nuisance.
MOST_OF_ONE: Final = 3
MOST_A_DAY: Final = 3
# Of everybody by one person: each is a message to somebody whom they need not know.
MOST_A_DAY_OF_ALL: Final = 10
LONGEST_REASON: Final = 300
MOST_AT_ONCE: Final = 200
MOST_TRIES: Final = 5
_A_DAY: Final = timedelta(days=1)
_NOT_THERE: Final = "There is no such request for money back."


class Changed(Exception):
    """Somebody else was here between looking and acting: look again."""


@dataclass(frozen=True, slots=True)
class Said:
    """
    What became of a request.

    :ivar messages: ids of the messages that now wait.
    :ivar is_new: whether it was this call that did it.
    """

    money_back: MoneyBack
    messages: list[int]
    is_new: bool = True


def ask(*, asker: User, transaction: str, note: str = "", now: datetime) -> Said:
    """
    Ask for the money of a TRANSFER back, all of it. As long as a request is open, it is the one.

    :param transaction: its public id.
    :param note: a word to whoever got it, who sees it.
    :raises Refusal: `not_found` (no payment of theirs), `not_refundable` (no transfer to somebody else, given back
        before, too long ago), `recipient_unavailable` (also where they keep the asker away), `too_many_requests`,
        `invalid` (the note), `blocked`.
    """
    note = check_note(note)
    transfer = _transfer_of(asker, transaction)
    asked = _judge(asker, transfer, now)
    said = _make(asker, asked, transfer, note, now)
    if said.is_new:
        log.info("money_back.asked", money_back=said.money_back.public_id, transaction=transfer.public_id)
    return said


def can_ask(*, user: User, transaction: str, now: datetime) -> bool:
    """Whether this person's receipt offers it. Who would refuse it because of a block is not looked at here."""
    try:
        transfer = _transfer_of(user, transaction)
        _judge_transfer(user, transfer, now)
    except Refusal:
        return False
    requests = MoneyBack.objects.filter(transfer=transfer)
    return not requests.filter(ended_at=None).exists() and requests.count() < MOST_OF_ONE


def find(*, money_back: str, **whose: User) -> MoneyBack:
    """
    :param money_back: its public id.
    :param whose: `asker` or `asked`.
    :raises Refusal: `not_found`, for unknown ids and other people's alike.
    """
    uuid = parse_public_id(MoneyBack.PREFIX, money_back)
    found = None if uuid is None else with_parties(MoneyBack.objects.filter(uuid=uuid, **whose)).first()
    if found is None:
        raise Refusal("not_found", _NOT_THERE)
    return found


def with_parties(rows: QuerySet[MoneyBack]) -> QuerySet[MoneyBack]:
    """With all that is read of them, in one query."""
    sides = [f"transfer__{side}_wallet__{beside}" for side in ("from", "to") for beside in ("owner", "merchant")]
    return rows.select_related("asker", "refund", *sides)


def withdraw(*, user: User, money_back: str, now: datetime) -> Said:
    """
    Whoever asked does not ask any more. Twice is as good as once.

    :raises Refusal: `not_found`; `money_back_over`: it was answered before, or its time was over; `busy`.
    """
    row = find(money_back=money_back, asker=user)
    return end(row=row, status=Status.WITHDRAWN, by=actor_of(user), now=now)


def close(*, money_back: MoneyBack, by: User, reason: str, now: datetime) -> Said:
    """
    Support ends it for both. What was set aside is its owner's again.

    :raises Refusal: `permission_denied`, `invalid` (no reason), `money_back_over`, `busy`.
    """
    if not by.has_perm(PERMISSION):
        audit.record("money_back.closed", now=now, actor=by, object=money_back.public_id, refused="permission_denied")
        raise Refusal("permission_denied")
    reason = read_reason(reason, longest=LONGEST_REASON)
    said = end(row=money_back, status=Status.EXPIRED, by=actor_of(by), now=now, closed_by=by, closing_reason=reason)
    audit.record("money_back.closed", now=now, actor=by, object=money_back.public_id, reason=reason)
    return said


def expire_overdue(*, now: datetime) -> list[int]:
    """
    Nobody answered in time. Safe to run twice, and at once; the next call goes on where this one stops.

    :returns: ids of the messages that now wait.
    """
    overdue = MoneyBack.objects.filter(ended_at=None, expires_at__lte=now).order_by("expires_at")
    by, messages = system_actor(ACTOR), list[int]()
    for row in with_parties(overdue)[:MOST_AT_ONCE]:
        try:
            messages += end(row=row, status=Status.EXPIRED, by=by, now=now).messages
        except Refusal as refusal:
            # Answered this very moment, or the database is busy: the next run sees.
            log.info("money_back.put_off", money_back=row.public_id, reason=refusal.code)
        except Exception:
            # One that cannot be ended keeps no other from it.
            log.exception("money_back.failed", money_back=row.public_id)
    return messages


def leave(*, user: User, now: datetime) -> None:
    """
    In the caller's transaction: this person closes their account. What they asked for is withdrawn, what they were
    asked for declined, and their words go. What is set aside stands in the way before (`payments.closing`).
    """
    require_transaction("default")
    for side, status in (("asker", Status.WITHDRAWN), ("asked", Status.DECLINED)):
        for row in with_parties(MoneyBack.objects.filter(**{side: user}, status=Status.ASKED)):
            # Of what is answered this very moment that answer holds.
            if MoneyBack.objects.filter(pk=row.pk, status=Status.ASKED).update(status=status, ended_at=now):
                tell(row, now, step=status.value.lower())
    MoneyBack.objects.filter(asker=user).exclude(note="").update(note="")


def end(*, row: MoneyBack, status: MoneyBack.Status, by: Actor, now: datetime, **more: object) -> Said:
    """
    End it so, and set free what is held for it.

    :raises Refusal: `money_back_over`: it has ended otherwise; `busy`.
    """
    for _ in range(MOST_TRIES):
        if not row.is_open:
            if row.status == status and not more:
                return Said(row, [], is_new=False)
            raise Refusal("money_back_over")
        try:
            messages = _end(row, status, by, now, more)
        except Changed:
            row.refresh_from_db()
            continue
        log.info("money_back.ended", money_back=row.public_id, status=status.value)
        row.refresh_from_db()
        return Said(row, messages)
    raise Refusal("busy", retry_after_seconds=1)


def _end(row: MoneyBack, status: MoneyBack.Status, by: Actor, now: datetime, more: dict[str, object]) -> list[int]:
    told: list[int] = []

    def mark() -> None:
        change(row, status=status, ended_at=now, **more)
        told[:] = tell(row, now, step="closed" if more else status.value.lower())

    if row.hold_id is None:
        with transaction.atomic():
            mark()
    else:
        release = Group(initiator=by.pk, movements=(ReleaseHold(hold=row.hold_id),))
        post([release], within=_once(mark))
    return told


def _once(mark: Callable[[], None]) -> Callable[[Sequence[Outcome]], None]:
    def within(outcomes: Sequence[Outcome]) -> None:
        if outcomes[0].kind != "posted":
            raise Changed
        mark()

    return within


def change(row: MoneyBack, **values: object) -> None:
    """
    In the caller's transaction, and only from what was looked at: of two who answer at once the second looks again.

    :raises Changed:
    """
    seen = MoneyBack.objects.filter(pk=row.pk, status=row.status, hold=row.hold_id)
    if seen.update(**values) != 1:
        raise Changed


def tell(row: MoneyBack, now: datetime, *, step: str) -> list[int]:
    """In the caller's transaction: tell the other side. Of what was given its own event tells."""
    to_asked = step in ("asked", "withdrawn")
    transfer = row.transfer
    name = name_of(transfer.from_wallet if to_asked else transfer.to_wallet)
    details = {"step": step, "name": name, "amount": row.money.spelled, "note": row.note if step == "asked" else ""}
    new = notifications.New(
        user_id=row.asked_id if to_asked else row.asker_id, kind=KIND, details=details, transaction=transfer.uuid
    )
    return notifications.add(new=[new], now=now)


def name_of(wallet: Wallet | None) -> str:
    """As the other side sees its owner."""
    if wallet is None or wallet.owner is None:
        return "…"
    if wallet.status == Wallet.Status.CLOSED and wallet.label:
        return display_name(full_name=wallet.label, merchant_name=None)
    shop = wallet.merchant.display_name if wallet.kind == Wallet.Kind.MERCHANT else None
    return display_name(full_name=wallet.owner.full_name, merchant_name=shop)


def _transfer_of(asker: User, transaction: str) -> Transaction:
    """Something that this person paid, by its public id."""
    uuid = parse_public_id(Transaction.PREFIX, transaction)
    parties = ("from_wallet__owner", "to_wallet__owner", "from_wallet__merchant", "to_wallet__merchant")
    own = Transaction.objects.select_related(*parties).filter(from_wallet__owner=asker)
    found = None if uuid is None else own.filter(uuid=uuid).first()
    if found is None:
        raise Refusal("not_found", "There is no such payment of yours.")
    return found


def _judge(asker: User, transfer: Transaction, now: datetime) -> User:
    """Whom to ask."""
    asked = _judge_transfer(asker, transfer, now)
    # What went to a shop is asked of the shop: whom its owner keeps away from themselves would tell who that is.
    is_shop = transfer.to_wallet is not None and transfer.to_wallet.kind == Wallet.Kind.MERCHANT
    is_unwelcome = not is_shop and keeps_away(blocker=asked.pk, blocked=asker.pk)
    if asked.status != User.Status.ACTIVE or is_unwelcome:
        raise Refusal("recipient_unavailable", "They cannot be asked here. Our support can.")
    return asked


def _judge_transfer(asker: User, transfer: Transaction, now: datetime) -> User:
    asked = None if transfer.to_wallet is None else transfer.to_wallet.owner
    if transfer.type != Transaction.Type.TRANSFER or transfer.status != Transaction.Status.SUCCESS:
        raise Refusal("not_refundable", "Only money that was sent to a person can be asked back here.")
    if asked is None or asked == asker:
        raise Refusal("not_refundable", "This went to a wallet of your own.")
    if transfer.created_at <= now - ASKED_WITHIN:
        raise Refusal("not_refundable", f"This is more than {ASKED_WITHIN.days} days ago. Our support can help.")
    given = Transaction.objects.filter(reverses=transfer).exclude(status=Transaction.Status.FAILED)
    if given.exists():
        raise Refusal("not_refundable", "This was given back before.")
    return asked


def _make(asker: User, asked: User, transfer: Transaction, note: str, now: datetime) -> Said:
    with transaction.atomic():
        # One after another, so that any number at once are no more than may.
        if User.objects.select_for_update(no_key=True).get(pk=asker.pk).status != User.Status.ACTIVE:
            raise Refusal("blocked")
        of_this = MoneyBack.objects.filter(transfer=transfer)
        known = with_parties(of_this.filter(ended_at=None)).first()
        if known is not None:
            return Said(known, [], is_new=False)
        # Once more: the one before may have been given back this very moment.
        _judge_transfer(asker, transfer, now)
        if of_this.count() >= MOST_OF_ONE:
            raise Refusal("not_refundable", "You have asked often enough. Our support can help.")
        lately = MoneyBack.objects.filter(asker=asker, asked_at__gt=now - _A_DAY)
        if lately.filter(asked=asked).count() >= MOST_A_DAY or lately.count() >= MOST_A_DAY_OF_ALL:
            seconds = int(_A_DAY.total_seconds())
            raise Refusal("too_many_requests", "You have asked often today.", retry_after_seconds=seconds)
        row = MoneyBack.objects.create(
            transfer=transfer, asker=asker, asked=asked, note=note, asked_at=now, expires_at=now + LIFETIME
        )
        messages = tell(row, now, step="asked")
    return Said(row, messages)
