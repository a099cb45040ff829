"""Where a top-up stands while it is not in the wallet yet, and asking the gateway about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db.models import Exists, OuterRef

from accounts.models import User
from ledger.models import Transaction
from payments.captures import settle_order
from payments.gateways import gateway_named
from payments.models import GatewayOrder, PaymentAttempt
from payments.orders import remote_of
from wallet_project.kernel.errors import GatewayError, Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money
from wallets.models import Wallet

log = structlog.get_logger("payments.standing")

MOST_SHOWN: Final = 3
_FAILED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    A top-up that waits to be paid.

    :ivar transaction: its public id.
    :ivar checkout_url: where it can be paid until `expires_at`.
    :ivar has_failed: somebody tried to pay, and the gateway said no. Nothing was taken; they may try again.
    """

    transaction: str
    amount: Money
    checkout_url: str
    expires_at: datetime
    has_failed: bool


def standing_of(*, user: User, transaction: str, now: datetime) -> Standing | None:
    """Of one of this person's top-ups, by its public id; None for what cannot be paid (any more)."""
    order = _order_of(user, transaction)
    if order is None or order.order_id is None or order.state != GatewayOrder.State.OPEN or order.expires_at <= now:
        return None
    return _standing(order, has_failed=order.attempts.filter(status=_FAILED).exists())


def waiting_topups(*, wallet: Wallet, now: datetime) -> list[Standing]:
    """A wallet's top-ups that can still be paid, the newest first, and no more than a few."""
    failed = PaymentAttempt.objects.filter(order=OuterRef("pk"), status=_FAILED)
    orders = GatewayOrder.objects.filter(
        transaction__to_wallet=wallet,
        transaction__type=Transaction.Type.ADD,
        transaction__status=Transaction.Status.PENDING,
        state=GatewayOrder.State.OPEN,
        order_id__isnull=False,
        expires_at__gt=now,
    )
    newest = orders.select_related("transaction").annotate(has_failed=Exists(failed)).order_by("-pk")[:MOST_SHOWN]
    return [_standing(order, has_failed=vars(order)["has_failed"]) for order in newest]


def ask_again(*, user: User, transaction: str, now: datetime) -> bool:
    """
    Ask the gateway about a top-up of this person's that is not paid, or was given up: whatever was paid meanwhile is
    credited. Safe at any time.

    Where the gateway cannot say, nothing changes: the webhook or the sweep will bring it.

    :returns: False where it could not be asked.
    """
    order = _order_of(user, transaction)
    return order is None or _ask(order, now)


def return_unpaid(*, user: User, gateway: str, order_id: str, now: datetime) -> str | None:
    """
    A browser comes back from the checkout and says that nothing was paid. It is not believed: the gateway is asked.

    :returns: the public id of the ADD, if the order is this person's.
    """
    order = GatewayOrder.objects.select_related("transaction").filter(
        gateway=gateway, order_id=order_id, transaction__to_wallet__owner=user
    )
    found = order.first()
    if found is None:
        return None
    _ask(found, now)
    return found.transaction.public_id


def _standing(order: GatewayOrder, *, has_failed: bool) -> Standing:
    return Standing(
        transaction=order.transaction.public_id,
        amount=Money.from_minor(order.amount_minor, order.currency),
        checkout_url=gateway_named(order.gateway).checkout_of(remote_of(order))["url"],
        expires_at=order.expires_at,
        has_failed=has_failed,
    )


def _ask(order: GatewayOrder, now: datetime) -> bool:
    if order.transaction.status == Transaction.Status.SUCCESS:
        return True
    try:
        settle_order(order=order, now=now)
    except (GatewayError, Refusal) as error:
        log.warning("topup.not_asked", transaction=order.receipt, reason=type(error).__name__)
        return False
    return True


def _order_of(user: User, transaction: str) -> GatewayOrder | None:
    uuid = parse_public_id(Transaction.PREFIX, transaction)
    if uuid is None:
        return None
    orders = GatewayOrder.objects.select_related("transaction")
    return orders.filter(transaction__uuid=uuid, transaction__to_wallet__owner=user).first()
