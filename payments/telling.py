"""
What people are told of the ledger's events: the handler of the consumer group `notifications`.

An event holds ids and amounts; who stands behind them is read here, with one query for a whole batch. What somebody
has just been told on the page or by the API (that there is too little money, say) is told nobody again.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.notifications import New, add
from accounts.tasks import send_messages
from ledger.models import Transaction
from ledger.wording import reason_of
from payments.waking import wake_together
from wallet_project.kernel.events.envelope import TYPES, Event
from wallet_project.kernel.ids import parse_public_id
from wallets.display_names import display_name
from wallets.models import Wallet

Type = Transaction.Type
Status = Transaction.Status
_NOT_PAID_OUT: Final = {
    "payout_failed": "Your bank could not take it.",
    "gateway_refused": "Our payment partner would not send it.",
}
# (type, direction) of what succeeded -> kind, and how it came about (`accounts.notification_texts`).
_DONE: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    (Type.ADD, "in"): ("topup_succeeded", ""),
    (Type.TRANSFER, "in"): ("money_in", "transfer"),
    (Type.TRANSFER, "out"): ("money_out", "transfer"),
    (Type.PAY, "in"): ("money_in", "pay"),
    (Type.PAY, "out"): ("money_out", "pay"),
    (Type.WITHDRAW, "out"): ("withdrawal_succeeded", ""),
    (Type.FEE, "out"): ("money_out", "fee"),
    (Type.CHARGEBACK, "out"): ("money_out", "chargeback"),
    (Type.ADJUSTMENT, "in"): ("money_in", "adjustment"),
    (Type.ADJUSTMENT, "out"): ("money_out", "adjustment"),
}


def tell(events: Sequence[Event]) -> None:
    """
    Notifications for a batch of events, in the caller's transaction; their messages are sent after it.

    :raises LookupError: an event of ours whose transaction or wallet is not in the ledger.
    """
    ours = [event for event in events if event.type in TYPES]
    behind = _transactions(ours)
    new = []
    for event in ours:
        found = behind.get(_uuid(Transaction.PREFIX, event.data.get("transaction")))
        if found is None:
            raise LookupError(f"Event {event.id} tells of a transaction that is not in the ledger.")
        told = _new(event, found)
        if told is not None:
            new.append(told)
    messages = add(new=new, now=timezone.now()) if new else []
    transaction.on_commit(partial(_wake_sender, messages))


def _wake_sender(messages: Sequence[int]) -> None:
    """Whoever consumes events neither sends anything itself nor waits for Redis: what is not woken a sweep finds."""
    for message in messages:
        wake_together(send_messages, "message_ids", message)


def _transactions(events: Sequence[Event]) -> dict[UUID | None, Transaction]:
    named = (_uuid(Transaction.PREFIX, event.data.get("transaction")) for event in events)
    wanted = {uuid for uuid in named if uuid is not None}
    parties = [f"{side}__{of}" for side in ("from_wallet", "to_wallet") for of in ("owner", "merchant")]
    return {
        found.uuid: found for found in Transaction.objects.filter(uuid__in=wanted).select_related(*parties, "reverses")
    }


def _new(event: Event, moved: Transaction) -> New | None:
    """What the owner of the event's wallet is told, if anything."""
    wallet, other, direction = _sides(event, moved)
    if wallet.owner_id is None:
        return None
    about, kind, details = moved, "", {"how": ""}
    match event.data["status"]:
        case Status.PENDING if moved.type == Type.WITHDRAW:
            kind = "withdrawal_sent"
        case Status.FAILED:
            kind, details = _failed(moved, str(event.data.get("failure_code")))
        case Status.SUCCESS if moved.type == Type.REVERSAL:
            about, kind, details = _came_back(moved, direction)
        case Status.SUCCESS if moved.type == Type.REFUND:
            kind, details = "refund", {"how": _how_refunded(direction, other)}
        case Status.SUCCESS:
            kind, how = _DONE.get((moved.type, direction), (f"money_{direction}", ""))
            details = {"how": how}
    if not kind:
        return None
    details |= {"amount": moved.money.spelled, "name": _name(other), "place": _place(wallet)}
    return New(
        user_id=wallet.owner_id,
        kind=kind,
        details=details,
        transaction=about.uuid,
        event_id=event.id,
        happened_at=event.time,
    )


def _sides(event: Event, moved: Transaction) -> tuple[Wallet, Wallet | None, str]:
    """The event's wallet, the other one, and which way the money went."""
    own = _uuid(Wallet.PREFIX, event.subject)
    is_out = event.data["direction"] == "out"
    wallet, other = (moved.from_wallet, moved.to_wallet) if is_out else (moved.to_wallet, moved.from_wallet)
    if wallet is None or wallet.uuid != own:
        raise LookupError(f"Event {event.id} tells of a wallet that its transaction does not touch.")
    return wallet, other, "out" if is_out else "in"


def _failed(moved: Transaction, code: str) -> tuple[str, dict[str, str]]:
    """Only what nobody was there to see, and limits. What comes back of a withdrawal is told with its failure."""
    if code == "limit_exceeded":
        return "limit_hit", {"how": ""}
    if moved.type == Type.ADD:
        return "topup_failed", {"how": "", "reason": reason_of(code)}
    if moved.type == Type.WITHDRAW and moved.posted_at is not None:
        return "withdrawal_failed", {"how": "", "reason": _NOT_PAID_OUT.get(code, "It could not be paid out.")}
    return "", {}


def _came_back(moved: Transaction, direction: str) -> tuple[Transaction, str, dict[str, str]]:
    """Of a withdrawal that failed, its own event tells; of one that had arrived, nothing else does."""
    reversed_ = moved.reverses
    if reversed_ is not None and reversed_.type == Type.WITHDRAW and direction == "in":
        kind = "withdrawal_failed" if reversed_.status == Status.SUCCESS else ""
        return reversed_, kind, {"how": "sent_back"}
    if reversed_ is not None and reversed_.type == Type.REFUND and direction == "in":
        return moved, "refund", {"how": "came_back"}
    return moved, f"money_{direction}", {"how": "back"}


def _how_refunded(direction: str, other: Wallet | None) -> str:
    is_nameless = other is None or other.owner_id is None
    if direction == "in":
        return "in_nameless" if is_nameless else "in"
    return "to_source" if is_nameless else "out"


def _name(other: Wallet | None) -> str:
    """Of the other side, as one's history shows it; of a wallet whose owner is erased, what was seen of their name."""
    if other is None or other.owner is None:
        return ""
    is_erased = other.status == Wallet.Status.CLOSED and other.label
    return display_name(full_name=other.label if is_erased else other.owner.full_name, merchant_name=_shop(other))


def _place(wallet: Wallet) -> str:
    """Whoever has a shop has two wallets."""
    return _shop(wallet) or "your wallet"


def _shop(wallet: Wallet) -> str | None:
    return wallet.merchant.display_name if wallet.kind == Wallet.Kind.MERCHANT and hasattr(wallet, "merchant") else None


def _uuid(prefix: str, text: object) -> UUID | None:
    return parse_public_id(prefix, text)
