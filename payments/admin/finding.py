"""How support finds rows of payments: by whole ids, ours and the gateway's, and by whose they are."""

from typing import Any, Final

from django.db.models import Model, Q, QuerySet

from ledger.models import Transaction
from payments.gateways import GATEWAYS
from payments.models import GatewayOrder, PaymentAttempt
from wallet_project.kernel.ids import parse_public_id
from wallets.queries import wallets_found_by

WHOSE: Final = "or whose: whole e-mail or phone, wal_ or usr_ id"


def known_as(rows: QuerySet[Any], **name: str) -> list[int]:
    """Primary keys by an id at a gateway. Each gateway is named, for the unique indexes begin with it."""
    return list(rows.filter(gateway__in=list(GATEWAYS), **name).values_list("pk", flat=True)[:_MOST])


def wallets_of(term: str) -> list[int]:
    return list(wallets_found_by(term).values_list("pk", flat=True)[:_MOST])


def transaction_named(term: str) -> Q | None:
    """What belongs to a transaction, by its `txn_` id; None for any other term."""
    uuid = parse_public_id(Transaction.PREFIX, term)
    return None if uuid is None else Q(transaction__uuid=uuid)


def orders_found_by(term: str) -> QuerySet[GatewayOrder]:
    """By the ADD, by the order's or a payment's id at the gateway, or by whose wallet it was to fill."""
    orders = GatewayOrder.objects.all()
    named = transaction_named(term)
    if named is not None:
        return orders.filter(named | Q(attempts__credited_by__uuid=parse_public_id(Transaction.PREFIX, term)))
    attempts = PaymentAttempt.objects.all()
    paid_by = attempts.filter(pk__in=known_as(attempts, payment_id=term))
    found = [*known_as(orders, order_id=term), *(attempt.order_id for attempt in paid_by)]
    if found:
        return orders.filter(pk__in=found)
    # With its type the index of what came in can be used: it leaves out others' failed attempts.
    return orders.filter(transaction__type=Transaction.Type.ADD, transaction__to_wallet__in=wallets_of(term))


def attempts_found_by(term: str) -> Q:
    """The same for what belongs to an attempt, as a condition on its `attempt`."""
    attempts = PaymentAttempt.objects.all()
    by_id = known_as(attempts, payment_id=term)
    if by_id:
        return Q(attempt__in=by_id)
    orders = list(orders_found_by(term).values_list("pk", flat=True)[:_MOST])
    return Q(attempt__order__in=orders)


def row_name(row: Model) -> str:
    """`payments_gatewayorder`, as Django's admin names its addresses."""
    return f"{row._meta.app_label}_{row._meta.model_name}"


# One term means a handful of rows; a person's orders are read no further back than this.
_MOST: Final = 1000
