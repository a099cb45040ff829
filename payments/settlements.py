"""
Settlements: what the gateway paid into our bank account, posted item by item as its report has it.

Each item returns the clearing of its payment, refund or lost dispute to zero, in that one's own shard. What cannot be
explained is not posted by guess: it is kept, and somebody looks at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import structlog
from django.db import DataError
from django.db.models import BigIntegerField
from django.utils.timezone import get_default_timezone, localdate

from accounts.actors import system_actor
from ledger.movements import Group, Key, Outcome
from ledger.posting import post
from payments.batching import in_batches
from payments.cases import open_case, settle_found
from payments.gateways import gateway_named, set_up_here
from payments.gateways.base import NotOffered, RemoteSettledItem
from payments.models import Case, SettledItem
from payments.orders import GATEWAY_ACTOR
from payments.settled_items import Explained, Unexplained, beyond_us, explain
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.errors import GatewayError, Refusal
from wallet_project.kernel.fingerprints import fingerprint

log = structlog.get_logger("payments.settlements")

# One posting's list: it passes the turnstile alone, so it must stay short.
MOST_ITEMS_AT_ONCE: Final = 200
_AMOUNTS: Final = ("debit_minor", "credit_minor", "amount_minor", "fee_minor", "tax_minor")
_FIGURES: Final = (*_AMOUNTS, "currency")
_LONGEST: Final = {
    "settlement_id": 64,
    "entity_id": 64,
    "kind": 20,
    "currency": 3,
    "payment_id": 64,
    "utr": 100,
    "dispute_id": 64,
}


@dataclass(frozen=True, slots=True)
class Collected:
    """How many items of a day were posted now, had been posted before, or cannot be explained."""

    posted: int = 0
    known: int = 0
    unexplained: int = 0


def collect_settlements(*, gateway: str, date: date, now: datetime) -> Collected:
    """
    Post what the gateway settled on a day of its own (India's), each item once.

    Safe to run any number of times, at once too. An item that could not be explained or posted is a case, is tried
    again, and keeps no other from it.

    :raises GatewayError: the gateway stopped answering; what it had told until then is posted.
    :raises Refusal: `busy`.
    """
    give_back_connection()
    collected = Collected()
    for items in in_batches(gateway_named(gateway).settled_on(day=date), MOST_ITEMS_AT_ONCE):
        collected = _collect(collected, gateway, items, now)
        give_back_connection()
    log.info(
        "settlement.collected",
        gateway=gateway,
        date=date.isoformat(),
        posted=collected.posted,
        known=collected.known,
        unexplained=collected.unexplained,
    )
    return collected


def collect_recent(*, now: datetime) -> None:
    """
    Today's settlements of every gateway, and yesterday's that came late. One that does not answer is asked again the
    next time, and does not stop the others.
    """
    today = localdate(now, get_default_timezone())
    for gateway in set_up_here():
        for day in (today - timedelta(days=1), today):
            try:
                collect_settlements(gateway=gateway, date=day, now=now)
            except NotOffered:
                break
            except (GatewayError, Refusal) as error:
                reason = type(error).__name__
                log.warning("settlement.not_collected", gateway=gateway, date=day.isoformat(), reason=reason)


def subject_of(item: RemoteSettledItem | SettledItem) -> str:
    """What a case about an item is about."""
    return f"{item.settlement_id}/{item.entity_id}"[:100]


def _collect(collected: Collected, gateway: str, items: Sequence[RemoteSettledItem], now: datetime) -> Collected:
    total = len(items)
    items = [item for item in items if _can_be_kept(gateway, item, now)]
    unkept = total - len(items)
    rows = _rows_of(gateway, items)
    waiting: list[RemoteSettledItem] = []
    explained: list[Explained] = []
    unexplained: list[Unexplained] = []
    for item in items:
        row = rows.get(_place(item))
        if row is not None and _figures(row) != _figures(item):
            unexplained.append(_changed(item))
        elif row is None or row.transaction_id is None:
            waiting.append(item)
    for found in explain(gateway=gateway, items=waiting, now=now):
        if isinstance(found, Explained):
            explained.append(found)
        else:
            unexplained.append(found)
    posted, twice = _post(gateway, explained, now)
    unexplained += twice
    for each in unexplained:
        _put_aside(gateway, each, now)
    return Collected(
        posted=collected.posted + posted,
        known=collected.known + len(items) - posted - len(unexplained),
        unexplained=collected.unexplained + len(unexplained) + unkept,
    )


def _can_be_kept(gateway: str, item: RemoteSettledItem, now: datetime) -> bool:
    """Whether the item fits into a row. One that does not is a case alone: no row, and no question, can name it."""
    texts = [(getattr(item, name), longest) for name, longest in _LONGEST.items()]
    names_fit = all(len(text) <= longest and "\0" not in text for text, longest in texts)
    if names_fit and all(abs(getattr(item, name)) <= BigIntegerField.MAX_BIGINT for name in _AMOUNTS):
        return True
    subject = subject_of(item).replace("\0", "")
    log.error("settlement.item_not_kept", gateway=gateway, item=subject)
    open_case(
        kind=Case.Kind.AMOUNT,
        gateway=gateway,
        subject=subject,
        reason="The gateway reports an item with a name or an amount beyond all bounds; nothing was posted for it.",
        suggestion="Ask the gateway for a corrected report.",
        now=now,
    )
    return False


def _post(gateway: str, explained: Sequence[Explained], now: datetime) -> tuple[int, list[Unexplained]]:
    """
    All in one posting, or, where one of them spoils that, each in its own.

    :returns: how many were posted now, and those whose payment, refund or dispute had been settled otherwise before,
        or that cannot be posted at all.
    """
    if not explained:
        return 0, []
    try:
        return _post_together(gateway, explained, now)
    except (ValueError, DataError):
        if len(explained) == 1:
            log.exception("settlement.item_not_posted", gateway=gateway, entity=explained[0].item.entity_id)
            return 0, [beyond_us(explained[0].item, explained[0].settles)]
    posted, unposted = 0, []
    for each in explained:
        count, aside = _post(gateway, [each], now)
        posted += count
        unposted += aside
    return posted, unposted


def _post_together(gateway: str, explained: Sequence[Explained], now: datetime) -> tuple[int, list[Unexplained]]:
    """Each of them in a group of its own, with its row in the same posting."""
    actor = system_actor(GATEWAY_ACTOR).pk
    groups = [Group(initiator=actor, movements=each.movements, key=_key(gateway, each)) for each in explained]

    def remember(outcomes: Sequence[Outcome]) -> None:
        rows = [
            _row(gateway, each.item, outcome.transactions[0])
            for each, outcome in zip(explained, outcomes, strict=True)
            if outcome.kind == "posted"
        ]
        SettledItem.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["gateway", "settlement_id", "entity_id"],
            update_fields=["transaction"],
        )
        explains_itself = Case.objects.filter(gateway=gateway, subject__in=[subject_of(row) for row in rows])
        settle_found(found=explains_itself, resolution="The item was posted.", now=now)

    outcomes = post(groups, within=remember)
    twice = [_twice(each) for each, outcome in zip(explained, outcomes, strict=True) if outcome.kind == "key_reused"]
    return sum(outcome.kind == "posted" for outcome in outcomes), twice


def _key(gateway: str, each: Explained) -> Key:
    """For what is settled: nothing is settled twice, whatever settlement or name the second time comes under."""
    item = each.item
    figures = dict(zip(_FIGURES, map(str, _figures(item)), strict=True))
    return Key(
        key=f"settled:{gateway}:{each.settles.public_id}",
        fingerprint=fingerprint("settled", settlement=item.settlement_id, entity=item.entity_id, **figures),
    )


def _row(gateway: str, item: RemoteSettledItem, transaction: int | None) -> SettledItem:
    return SettledItem(
        gateway=gateway,
        settlement_id=item.settlement_id,
        entity_id=item.entity_id,
        kind=item.kind,
        payment_id=item.payment_id,
        utr=item.utr,
        settled_at=item.settled_at,
        transaction_id=transaction,
        **dict(zip(_FIGURES, _figures(item), strict=True)),
    )


def _put_aside(gateway: str, each: Unexplained, now: datetime) -> None:
    """Kept as it was reported, and put before somebody."""
    item = each.item
    SettledItem.objects.bulk_create([_row(gateway, item, None)], ignore_conflicts=True)
    open_case(
        kind=each.kind,
        gateway=gateway,
        subject=subject_of(item),
        reason=each.reason,
        suggestion=each.suggestion,
        amount_here_minor=each.here_minor,
        amount_there_minor=item.amount_minor,
        currency=item.currency,
        transaction=None if each.settles is None else each.settles.pk,
        now=now,
    )


def _changed(item: RemoteSettledItem) -> Unexplained:
    return Unexplained(
        item=item,
        kind=Case.Kind.AMOUNT,
        reason="The gateway reports this item with other figures than it did before.",
        suggestion="Ask the gateway which report holds, and post the difference as an ADJUSTMENT.",
    )


def _twice(each: Explained) -> Unexplained:
    return Unexplained(
        item=each.item,
        kind=Case.Kind.AMOUNT,
        reason=f"The gateway has settled {each.settles.public_id} before, in another settlement or otherwise.",
        suggestion="Ask the gateway why it paid or charged twice.",
        here_minor=each.settles.money.minor,
        settles=each.settles,
    )


def _rows_of(gateway: str, items: Sequence[RemoteSettledItem]) -> dict[tuple[str, str], SettledItem]:
    known = SettledItem.objects.filter(gateway=gateway, entity_id__in=[item.entity_id for item in items])
    return {_place(row): row for row in known}


def _place(item: RemoteSettledItem | SettledItem) -> tuple[str, str]:
    return item.settlement_id, item.entity_id


def _figures(item: RemoteSettledItem | SettledItem) -> tuple[int | str, ...]:
    return tuple(getattr(item, name) for name in _FIGURES)
