"""
How much may move: judged under the wallet's lock, so that requests at once cannot pass together.

Sums only: a limit never counts movements. The operator's limits and a person's own stand in the database
(`models.LimitRule`, `models.HoldingLimit`, `models.OwnLimit`); the lower of the two holds.
"""

from decimal import Decimal

from ledger.movements import GuardView, Movement
from payments.spending import Standing
from wallet_project.kernel.money import from_units


def past_limit(*, movement: Movement, standing: Standing, view: GuardView, is_preview: bool = False) -> str:
    """
    The refusal that this movement gets, or an empty string.

    `limit_exceeded` past what may leave or be added at once, in a day or in a month, or past what one's own wallet may
    hold; `recipient_unavailable` past what another's may, of which the payer is not to learn more.

    :param is_preview: nothing will be kept of it: a look that is free says nothing of another's room.
    """
    amount = movement.amount
    limits = (
        (standing.per_transaction, amount),
        (standing.per_day, standing.day_total + amount),
        (standing.per_month, standing.month_total + amount),
    )
    if any(limit is not None and sum_ > limit for limit, sum_ in limits):
        return "limit_exceeded"
    if movement.type == "ADD":
        return "limit_exceeded" if not has_room(movement=movement, standing=standing, view=view) else ""
    if _is_hidden(movement, view, is_preview=is_preview) or has_room(movement=movement, standing=standing, view=view):
        return ""
    return "recipient_unavailable"


def past_limit_late(*, movement: Movement, standing: Standing, view: GuardView) -> bool:
    """
    Whether money that was paid for a top-up given up before it would pass a sum that it counts in no more. How much at
    once had been judged when the top-up began.
    """
    sums = ((standing.per_day, standing.day_total), (standing.per_month, standing.month_total))
    if any(limit is not None and total + movement.amount > limit for limit, total in sums):
        return True
    return not has_room(movement=movement, standing=standing, view=view)


def has_room(*, movement: Movement, standing: Standing, view: GuardView) -> bool:
    """Whether the payee may hold this too, with the top-ups of theirs that may still be paid."""
    if standing.most_held is None or movement.to_wallet is None:
        return True
    return _held_in(view, movement.to_wallet) + standing.being_added + movement.amount <= standing.most_held


def _is_hidden(movement: Movement, view: GuardView, *, is_preview: bool) -> bool:
    """
    Whether the payee's room is not judged: it would tell their balance. To ask for it costs a payer the money, there to
    be taken; without it `insufficient_funds` is all that they hear.
    """
    payer = view.wallets[movement.from_wallet]
    if movement.to_wallet is not None and view.wallets[movement.to_wallet].owner_id == payer.owner_id:
        return False
    return is_preview or payer.balance_units - payer.held_units - payer.minimum_units < movement.units


def _held_in(view: GuardView, wallet: int) -> Decimal:
    """Under that wallet's own lock, and after the groups before."""
    return from_units(view.wallets[wallet].balance_units)
