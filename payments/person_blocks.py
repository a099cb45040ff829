"""
Keeping a person away: no transfers, no requests and no look-ups of one's name from them.

They are not told. Whatever they try is answered as of somebody whom support has blocked (`recipient_unavailable`), a
look-up too: two answers that do not fit together would tell. It is about people: what is paid to a shop, or by one, is
none of this. A transfer is judged at the door (`payees`) and again under the posting (`is_unwelcome`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import transaction

from accounts.models import PersonBlock, User
from ledger.models import Transaction
from ledger.movements import Movement
from ledger.queries import MOST_ROWS, find_transaction
from payments.payees import read_payee
from payments.spending import Standing
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.newest_first import newest_first
from wallets.display_names import masked
from wallets.models import Wallet
from wallets.queries import holdings

log = structlog.get_logger("payments.person_blocks")

MOST_BLOCKED: Final = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """
    :ivar name: of whoever is kept away, as its blocker may see it.
    """

    block: PersonBlock
    name: str
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class KeptPage:
    blocks: list[Kept]
    next: str | None


def block_payee(*, user: User, to: str, now: datetime) -> Kept:
    """
    Keep away whoever this address belongs to. Twice is as good as once.

    :param to: an e-mail address, a phone number or a person's wallet id, as typed.
    :raises Refusal: `invalid` (also oneself, and shops), `payee_not_found`, `recipient_unavailable` (a look-up would
        not tell their name, nor does this; `block_counterparty` names nobody anew), `limit_exceeded`, `blocked`.
    """
    address = read_payee(to)
    _, others = holdings(user=user, how=address.how, value=address.value)
    named = [each for each in others if each.uuid == address.value] if address.how == "wallet" else others
    if named and address.how == "wallet" and named[0].kind == Wallet.Kind.MERCHANT:
        raise Refusal.of_field("to", "This is a shop. Only people can be blocked.")
    if not named:
        raise Refusal("payee_not_found")
    if named[0].keeps_away or named[0].owner_status == User.Status.BLOCKED:
        raise Refusal("recipient_unavailable", "They cannot be blocked here. From a receipt with them they can.")
    return _block(user, named[0].owner, "to", now)


def block_counterparty(*, user: User, transaction: str, now: datetime) -> Kept:
    """
    Keep away the person on the other side of a transaction. Twice is as good as once.

    :param transaction: the public id of one of this person's.
    :raises Refusal: `not_found`; `invalid` (no person stands there), `limit_exceeded`, `blocked`.
    """
    other = counterparty_of(user=user, transaction=transaction)
    if other is None or other.owner_id is None:
        raise Refusal.of_field("transaction", "There is no person on its other side.")
    return _block(user, other.owner_id, "transaction", now)


def counterparty_of(*, user: User, transaction: str) -> Wallet | None:
    """
    The wallet of the person on the other side of a transaction, None where none stands there: a bank, a shop, oneself.

    :raises Refusal: `not_found`.
    """
    seen = find_transaction(user=user, transaction=transaction)
    uuid = parse_public_id(Wallet.PREFIX, seen.counterparty_wallet or "")
    people = Wallet.objects.filter(kind=Wallet.Kind.USER).exclude(owner=user).exclude(owner__status=User.Status.CLOSED)
    return None if uuid is None else people.filter(uuid=uuid).first()


def unblock(*, user: User, block: str) -> None:
    """
    :param block: its public id.
    :raises Refusal: `not_found`, for unknown ids and other people's alike.
    """
    uuid = parse_public_id(PersonBlock.PREFIX, block)
    deleted = 0 if uuid is None else PersonBlock.objects.filter(blocker=user, uuid=uuid).delete()[0]
    if not deleted:
        raise Refusal("not_found", "You have blocked nobody by that id.")
    log.info("person.let_in", user=user.public_id, block=block)


def blocked_by(*, user: User, limit: int = MOST_ROWS, cursor: str | None = None) -> KeptPage:
    """
    Whom this person keeps away, newest first.

    :raises Refusal: `cursor_invalid`.
    """
    blocks = PersonBlock.objects.filter(blocker=user).select_related("blocked")
    rows, following = newest_first(blocks, limit=limit, cursor=cursor)
    return KeptPage([Kept(row, masked(row.blocked.full_name)) for row in rows], following)


def block_between(*, user: User, other: int) -> PersonBlock | None:
    """This person's block of that one, if there is one."""
    return PersonBlock.objects.filter(blocker=user, blocked=other).first()


def keeps_away(*, blocker: int, blocked: int) -> bool:
    return PersonBlock.objects.filter(blocker=blocker, blocked=blocked).exists()


def is_unwelcome(*, movement: Movement, standing: Standing) -> bool:
    """Within the posting: whether the person who would be paid keeps its payer away, by now."""
    return movement.type == Transaction.Type.TRANSFER and standing.is_kept_away


def _block(user: User, other: int, field: str, now: datetime) -> Kept:
    if other == user.pk:
        raise Refusal.of_field(field, "That is you.")
    with transaction.atomic():
        # One after another, so that any number at once are no more than may.
        locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if locked.status != User.Status.ACTIVE:
            raise Refusal("blocked")
        known = PersonBlock.objects.filter(blocker=user, blocked=other).select_related("blocked").first()
        if known is not None:
            return Kept(known, masked(known.blocked.full_name))
        if PersonBlock.objects.filter(blocker=user).count() >= MOST_BLOCKED:
            raise Refusal("limit_exceeded", f"You can block {MOST_BLOCKED} people. Unblock one first.")
        made = PersonBlock.objects.create(blocker=user, blocked_id=other, created_at=now)
    log.info("person.kept_away", user=user.public_id, block=made.public_id)
    return Kept(made, masked(made.blocked.full_name), is_new=True)
