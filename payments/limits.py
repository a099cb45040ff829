"""
How much may move: judged under the wallet's lock, so that requests at once cannot pass together.

Sums only: a limit never counts movements. The operator's limits and a person's own stand in the database
(`models.LimitRule`, `models.HoldingLimit`, `models.OwnLimit`); the lower of the two holds.
"""

from decimal import Decimal

from ledger.movements import GuardView, Movement
from payments.spending import Standing
from wallet_project.kernel.money import from_units


def past_limit(*, movement: Movement, standing: Standing, view: GuardView) -> str:
    """
    The refusal that this movement gets, or an empty string.

    `limit_exceeded` past what may leave or be added at once, in a day or in a month, or past what one's own wallet may
    hold; `recipient_unavailable` past what another's may, of which the payer is not to learn more.
    """
    amount = movement.amount
    limits = (
        (standing.per_transaction, amount),
        (standing.per_day, standing.day_total + amount),
        (standing.per_month, standing.month_total + amount),
    )
    if any(limit is not None and sum_ > limit for limit, sum_ in limits):
        return "limit_exceeded"
    if standing.most_held is None or movement.to_wallet is None:
        return ""
    if _held_in(view, movement.to_wallet) + amount <= standing.most_held:
        return ""
    return "limit_exceeded" if movement.type == "ADD" else "recipient_unavailable"


def _held_in(view: GuardView, wallet: int) -> Decimal:
    """Under that wallet's own lock, and after the groups before."""
    return from_units(view.wallets[wallet].balance_units)
