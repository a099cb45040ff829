"""
What each item of a settlement settles: the payment, refund or lost dispute that it returns to zero, and by which
postings. An item that does not fit what stands in the ledger is not explained; nothing is guessed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from ledger.models import Transaction
from ledger.movements import Movement
from ledger.system_wallets import Purpose, system_wallet
from payments.captures import settle_order
from payments.disputes import brought_by, follow_dispute
from payments.gateways.base import GatewayRefused, GatewayUnavailable, RemoteSettledItem
from payments.models import Case, Dispute, GatewayRefund, PaymentAttempt
from payments.refunds import follow_refund
from wallet_project.kernel.errors import GatewayError, Refusal
from wallet_project.kernel.money import Money

log = structlog.get_logger("payments.settled_items")

Type = Transaction.Type
PAYMENT: Final = "payment"
REFUND: Final = "refund"
ADJUSTMENT: Final = "adjustment"
# A gateway that is away would be waited for once for each item.
_MOST_SILENCES: Final = 3
# In the metadata of each posting: the public id of what is settled.
SETTLES: Final = "settles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """
    :ivar settles: what returns to zero by it.
    """

    item: RemoteSettledItem
    settles: Transaction
    movements: tuple[Movement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unexplained:
    """
    :ivar kind: of the case that it becomes.
    :ivar here_minor: what the ledger has instead, if anything.
    """

    item: RemoteSettledItem
    kind: str
    reason: str
    suggestion: str = ""
    here_minor: int | None = None
    settles: Transaction | None = None


def explain(*, gateway: str, items: Sequence[RemoteSettledItem], now: datetime) -> Iterator[Explained | Unexplained]:
    """
    Each by itself: one that the gateway would not speak of, or that is beyond us, does not keep the others from it.

    :raises Refusal: `busy`.
    """
    attempts = _attempts_of(gateway, _ids(items, PAYMENT))
    refunds = _refunds_of(gateway, _ids(items, REFUND))
    disputes = _disputes_of(gateway, [item for item in items if item.kind == ADJUSTMENT])
    silences = 0
    for item in items:
        may_ask = silences < _MOST_SILENCES
        found: Explained | Unexplained
        try:
            if item.kind == PAYMENT:
                found = _explain_payment(item, attempts.get(item.entity_id), now, may_ask=may_ask)
            elif item.kind == REFUND:
                known = refunds.get(item.entity_id)
                found = _explain_refund(item, known or _hear_of_refund(gateway, item, now, may_ask=may_ask))
            else:
                found = _explain_adjustment(gateway, item, disputes, now, may_ask=may_ask)
        except GatewayError as error:
            silences += 1
            log.warning("settlement.item_untold", entity=item.entity_id, reason=type(error).__name__)
            found = _untold(item)
        except Refusal:
            raise
        except Exception:
            log.exception("settlement.item_failed", entity=item.entity_id)
            found = beyond_us(item)
        yield found


def beyond_us(item: RemoteSettledItem, settles: Transaction | None = None) -> Unexplained:
    """An item that cannot be posted, whatever it says."""
    return Unexplained(
        item=item,
        kind=Case.Kind.AMOUNT,
        reason=f"The gateway settled {item.kind} {item.entity_id}, and what it says of it cannot be posted.",
        suggestion="Ask the gateway for a corrected report; if it stands, developers must see to it.",
        settles=settles,
    )


def brought_as_read(attempt: PaymentAttempt) -> Transaction | None:
    """`brought_by`, without another question where `credited_by` and `parked__transaction` were read with it."""
    parked = getattr(attempt, "parked", None)
    return attempt.credited_by or (None if parked is None else parked.transaction)


def _ids(items: Iterable[RemoteSettledItem], kind: str) -> list[str]:
    return [item.entity_id for item in items if item.kind == kind]


def _attempts_of(gateway: str, payment_ids: Sequence[str]) -> dict[str, PaymentAttempt]:
    found = PaymentAttempt.objects.filter(gateway=gateway, payment_id__in=payment_ids)
    found = found.select_related("order", "credited_by", "parked__transaction")
    return {attempt.payment_id: attempt for attempt in found}


def _refunds_of(gateway: str, refund_ids: Sequence[str]) -> dict[str, GatewayRefund]:
    found = GatewayRefund.objects.filter(gateway=gateway, refund_id__in=refund_ids).select_related("transaction")
    return {refund.refund_id: refund for refund in found if refund.refund_id is not None}


def _disputes_of(gateway: str, items: Sequence[RemoteSettledItem]) -> dict[str, Dispute]:
    """By their own ids."""
    found = Dispute.objects.filter(gateway=gateway, dispute_id__in=[item.dispute_id for item in items])
    return {dispute.dispute_id: dispute for dispute in found.select_related("lost_by")}


def _explain_payment(
    item: RemoteSettledItem, attempt: PaymentAttempt | None, now: datetime, *, may_ask: bool
) -> Explained | Unexplained:
    add = None if attempt is None else brought_as_read(attempt)
    if attempt is not None and add is None:
        # Its capture was not heard of yet.
        _require_patience(may_ask)
        settle_order(order=attempt.order, now=now)
        add = brought_by(PaymentAttempt.objects.get(pk=attempt.pk))
    if add is None:
        return _unknown(item, "Find the payment in the gateway's books, and whose money it is.")
    if not 0 <= item.tax_minor <= item.fee_minor <= item.amount_minor or item.debit_minor:
        return _wrong(item, add, "its fee, tax and debit make no sense together")
    if item.credit_minor != item.amount_minor - item.fee_minor:
        return _wrong(item, add, "the credit is not the amount less the fee")
    if (item.amount_minor, item.currency) != (add.money.minor, add.currency):
        return _wrong(item, add, "the payment was credited here with another amount")
    clearing, currency = add.from_wallet_id, add.currency
    return _explained(
        item,
        add,
        _movement(item, add, Type.SETTLEMENT, system_wallet(Purpose.BANK, currency), clearing, item.credit_minor),
        _movement(item, add, Type.FEE, _fees(currency), clearing, item.fee_minor - item.tax_minor),
        _movement(item, add, Type.FEE, system_wallet(Purpose.GST, currency), clearing, item.tax_minor),
    )


def _hear_of_refund(gateway: str, item: RemoteSettledItem, now: datetime, *, may_ask: bool) -> GatewayRefund | None:
    """Somebody made it at the gateway, and the news was lost."""
    _require_patience(may_ask)
    try:
        follow_refund(gateway=gateway, refund_id=item.entity_id, payment_id=item.payment_id, now=now)
    except GatewayRefused:
        return None
    return _refunds_of(gateway, [item.entity_id]).get(item.entity_id)


def _explain_refund(item: RemoteSettledItem, refund: GatewayRefund | None) -> Explained | Unexplained:
    if refund is None:
        return _unknown(item, "Ask the gateway about the refund, so that it is posted; then collect again.")
    gone = refund.transaction
    if refund.state == GatewayRefund.State.FAILED:
        return Unexplained(
            item=item,
            kind=Case.Kind.STATE,
            reason="The gateway settled a refund that had failed, as it said before.",
            suggestion="Ask the gateway which of the two holds.",
            here_minor=0,
            settles=gone,
        )
    if not 0 <= item.tax_minor <= item.fee_minor or item.credit_minor:
        return _wrong(item, gone, "its fee, tax and credit make no sense together")
    if item.debit_minor != item.amount_minor + item.fee_minor:
        return _wrong(item, gone, "the debit is not the amount and the fee")
    if (item.amount_minor, item.currency) != (gone.money.minor, gone.currency):
        return _wrong(item, gone, "the refund was posted here with another amount")
    assert gone.to_wallet_id is not None  # noqa: S101  (a refund has a wallet)
    bank, currency = system_wallet(Purpose.BANK, gone.currency), gone.currency
    return _explained(
        item,
        gone,
        _movement(item, gone, Type.SETTLEMENT, gone.to_wallet_id, bank, item.amount_minor),
        _movement(item, gone, Type.FEE, _fees(currency), bank, item.fee_minor - item.tax_minor),
        _movement(item, gone, Type.FEE, system_wallet(Purpose.GST, currency), bank, item.tax_minor),
    )


def _explain_adjustment(
    gateway: str, item: RemoteSettledItem, disputes: dict[str, Dispute], now: datetime, *, may_ask: bool
) -> Explained | Unexplained:
    """The gateway takes back what a lost dispute cost; no other adjustment explains itself."""
    lost = _lost(gateway, item, disputes, now, may_ask=may_ask)
    if lost is None:
        return _unknown(item, "Ask the gateway what the adjustment is for, and post it as an ADJUSTMENT.")
    if item.credit_minor or item.fee_minor or item.tax_minor or item.debit_minor != item.amount_minor:
        return _wrong(item, lost, "its debit, credit, fee and tax make no sense together")
    if (item.amount_minor, item.currency) != (lost.money.minor, lost.currency):
        return _wrong(item, lost, "the dispute was lost here with another amount")
    assert lost.to_wallet_id is not None  # noqa: S101  (a chargeback has a wallet)
    bank = system_wallet(Purpose.BANK, lost.currency)
    return _explained(item, lost, _movement(item, lost, Type.SETTLEMENT, lost.to_wallet_id, bank, item.amount_minor))


def _lost(
    gateway: str, item: RemoteSettledItem, disputes: dict[str, Dispute], now: datetime, *, may_ask: bool
) -> Transaction | None:
    """What gave the gateway the money of a lost dispute."""
    if not item.dispute_id:
        # It does not say which: explained only where there is no choice.
        lost = Dispute.objects.filter(gateway=gateway, attempt__payment_id=item.payment_id, state=Dispute.State.LOST)
        choice = list(lost.select_related("lost_by")[:2])
        return choice[0].lost_by if len(choice) == 1 else None
    dispute = disputes.get(item.dispute_id)
    if dispute is None or dispute.lost_by is None:
        # Its end was not heard of yet.
        _require_patience(may_ask)
        try:
            follow_dispute(gateway=gateway, dispute_id=item.dispute_id, now=now)
        except GatewayRefused:
            return None
        dispute = _disputes_of(gateway, [item]).get(item.dispute_id)
    return None if dispute is None else dispute.lost_by


def _require_patience(may_ask: bool) -> None:
    if not may_ask:
        raise GatewayUnavailable("It was silent about others, and is not asked about more of them now.")


def _fees(currency: str) -> int:
    return system_wallet(Purpose.GATEWAY_FEES, currency)


def _movement(
    item: RemoteSettledItem, settles: Transaction, kind: str, from_wallet: int, to_wallet: int, minor: int
) -> Movement | None:
    if not minor:
        return None
    about = {"settlement": item.settlement_id, item.kind: item.entity_id, SETTLES: settles.public_id}
    if item.payment_id and item.kind != PAYMENT:
        about[PAYMENT] = item.payment_id
    return Movement(
        type=kind,
        amount=Money.from_minor(minor, item.currency).amount,
        currency=item.currency,
        from_wallet=from_wallet,
        to_wallet=to_wallet,
        metadata=about,
        fact=True,
    )


def _explained(item: RemoteSettledItem, settles: Transaction, *movements: Movement | None) -> Explained:
    return Explained(item=item, settles=settles, movements=tuple(each for each in movements if each is not None))


def _unknown(item: RemoteSettledItem, suggestion: str) -> Unexplained:
    return Unexplained(
        item=item,
        kind=Case.Kind.MISSING_HERE,
        reason=f"The gateway settled {item.kind} {item.entity_id}, of which nothing stands in the ledger.",
        suggestion=suggestion,
    )


def _untold(item: RemoteSettledItem) -> Unexplained:
    return Unexplained(
        item=item,
        kind=Case.Kind.UNKNOWN_OUTCOME,
        reason=f"The gateway settled {item.kind} {item.entity_id}, and would not say what that is.",
        suggestion="It is asked about again when its day is collected again; or ask the gateway.",
    )


def _wrong(item: RemoteSettledItem, settles: Transaction, why: str) -> Unexplained:
    return Unexplained(
        item=item,
        kind=Case.Kind.AMOUNT,
        reason=f"The gateway settled {item.kind} {item.entity_id}, but {why}.",
        suggestion="Ask the gateway for a corrected report; post the difference as an ADJUSTMENT if it stands.",
        here_minor=settles.money.minor,
        settles=settles,
    )
