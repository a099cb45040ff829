"""
What a merchant is told of an event: ids, amounts, the order's reference, and of whoever paid the masked name that
stands on the merchant's receipt as well. JSON Schemas of it are in docs/webhooks.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ledger.models import Transaction
from payments.merchant_webhooks import event_types
from payments.models import WebhookEndpoint
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money
from wallets.display_names import display_name
from wallets.models import Wallet

Payload = dict[str, Any]

_PENDING, _SUCCEEDED, _FAILED = "pending", "succeeded", "failed"
# (type of transaction, direction, what was reached) -> what merchants are told, if anything.
_TOLD: Final[Mapping[tuple[str, str, str], str]] = {
    ("PAY", "in", _SUCCEEDED): event_types.PAYMENT_SUCCEEDED,
    ("REFUND", "out", _SUCCEEDED): event_types.REFUND_SUCCEEDED,
    ("WITHDRAW", "out", _PENDING): event_types.PAYOUT_PENDING,
    ("WITHDRAW", "out", _SUCCEEDED): event_types.PAYOUT_SUCCEEDED,
    ("WITHDRAW", "out", _FAILED): event_types.PAYOUT_FAILED,
    ("REVERSAL", "in", _SUCCEEDED): event_types.PAYOUT_REVERSED,
}
_LEDGER_EVENTS: Final = {
    f"wallet.transaction.{reached}.v1": reached for reached in (_PENDING, _SUCCEEDED, _FAILED)
}  # fmt: skip


def type_of(event: Event) -> str | None:
    """What a merchant would be told of it, by its own words; `payload_of` may still find nothing to tell."""
    reached = _LEDGER_EVENTS.get(event.type)
    if reached is None:
        return None
    return _TOLD.get((event.data["type"], event.data["direction"], reached))


def transactions_of(events: Iterable[Event]) -> dict[str, Transaction]:
    """By public id, with all that `payload_of` reads, in one query."""
    wanted = {
        event.data["transaction"]: parse_public_id(Transaction.PREFIX, event.data["transaction"]) for event in events
    }
    rows = Transaction.objects.filter(uuid__in=[each for each in wanted.values() if each is not None]).select_related(
        "from_wallet__owner", "from_wallet__merchant", "payout__bank_account", "reverses__payout__bank_account"
    )  # fmt: skip
    return {row.public_id: row for row in rows}


def payload_of(event: Event, *, transaction: Transaction, wallet: Wallet) -> Payload | None:
    """
    :param wallet: the merchant's, with its `merchant`.
    :returns: None where there is nothing to tell: a withdrawal that was refused before it began, or one that failed
        and whose money came back, which was told as that.
    """
    told = type_of(event)
    if told is None:
        return None
    data = {
        "transaction": transaction.public_id,
        "merchant": wallet.merchant.public_id,
        "wallet": wallet.public_id,
        "amount": _money(transaction.money),
        "created_at": _time(transaction.created_at),
        "completed_at": None if told == event_types.PAYOUT_PENDING else _time(transaction.completed_at),
    }
    if told == event_types.PAYMENT_SUCCEEDED:
        data["order_reference"] = transaction.metadata.get("order_reference")
        data["payer"] = {"display_name": _name_of(transaction.from_wallet)}
    elif told == event_types.REFUND_SUCCEEDED and (given_back := transaction.reverses) is not None:
        data["reverses"] = given_back.public_id
        data["order_reference"] = given_back.metadata.get("order_reference")
    elif (about := _about_payout(told, transaction)) is None:
        return None
    else:
        data |= about
    return {"type": told, "timestamp": _time(event.time), "data": data}


def ping_of(endpoint: WebhookEndpoint, *, now: datetime) -> Payload:
    """A test event: that it arrives is all that it tells."""
    data = {"endpoint": endpoint.public_id, "merchant": endpoint.wallet.merchant.public_id}
    return {"type": event_types.PING, "timestamp": _time(now), "data": data}


def as_text(payload: Payload) -> str:
    """What is signed and sent, in UTF-8."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)


def _about_payout(told: str, transaction: Transaction) -> Payload | None:
    withdrawal = transaction.reverses if told == event_types.PAYOUT_REVERSED else transaction
    payout = getattr(withdrawal, "payout", None)
    if withdrawal is None or payout is None:
        return None
    about: Payload = {"bank_account": payout.bank_account.public_id}
    if told == event_types.PAYOUT_SUCCEEDED:
        about["utr"] = payout.utr or None
    elif told == event_types.PAYOUT_FAILED:
        about["failure_code"] = transaction.failure_code
    elif told == event_types.PAYOUT_REVERSED:
        if withdrawal.status != Transaction.Status.SUCCESS:
            return None
        # Told by the withdrawal's id, as whatever else was told of it; the money came back under one of its own.
        about |= {"transaction": withdrawal.public_id, "reversed_by": transaction.public_id}
    return about


def _name_of(wallet: Wallet) -> str:
    """As others see them; of a wallet that is closed, what they saw."""
    merchant = getattr(wallet, "merchant", None)
    if merchant is not None:
        return display_name(full_name=None, merchant_name=merchant.display_name)
    if wallet.status == Wallet.Status.CLOSED and wallet.label:
        return display_name(full_name=wallet.label, merchant_name=None)
    return display_name(full_name=wallet.owner.full_name if wallet.owner else None, merchant_name=None)


def _money(money: Money) -> dict[str, str]:
    return {"amount": money.text, "currency": money.currency}


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
