"""What giving a top-up back would do, before it is done."""

from accounts.actors import actor_of
from accounts.models import User
from ledger.models import Transaction
from ledger.movements import Group
from payments.gateways import gateway_named
from payments.payees import Parties
from payments.refund_outcomes import refund_movement
from payments.refunds import refundable_of
from payments.transfers import Quote, quote
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.money import Money

SOURCE = "The bank or card it came from"


def preview_refund(*, user: User, transaction: str, amount: Money) -> Quote:
    """
    What `give_back` would do now. Moves nothing, keeps nothing.

    :param transaction: its public id.
    :raises Refusal: `not_refundable` (nothing of it can be given back by this person), and what the kernel says:
        `refund_exceeds`, `insufficient_funds`, `limit_exceeded`, `wallet_frozen`, `currency_mismatch`.
    """
    left = refundable_of(user=user, transaction=transaction)
    if left is None:
        raise Refusal("not_refundable")
    uuid = parse_public_id(Transaction.PREFIX, transaction)
    assert uuid is not None  # noqa: S101  (something of it is left)
    adds = Transaction.objects.select_related("paid_by").filter(type=Transaction.Type.ADD, to_wallet__owner=user)
    brought = adds.get(uuid=uuid)
    least = gateway_named(brought.paid_by.gateway).least_minor
    movement = refund_movement(brought=brought, amount=amount, refuse="limit_exceeded" if amount.minor < least else "")
    parties = Parties(
        payer=movement.from_wallet, currency=brought.currency, payee=movement.to_wallet, refuse="", payee_name=SOURCE
    )
    return quote(group=Group(initiator=actor_of(user).pk, movements=(movement,)), parties=parties, amount=amount)
