"""
Large payments after a change of address: they ask support.

The code of a step-up goes to an address, so whoever has just put their own in place of a victim's can show it. As long
as the old address can undo the change (`accounts.address_changes`), what leaves a wallet in a day stays small.
"""

from django.conf import settings

from ledger.movements import Movement
from payments.spending import Standing, left_today
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.money import Money


def check_support_is_not_asked(*, movement: Movement, standing: Standing) -> None:
    """
    Before anything is kept. Counted with whatever else left this person's wallets that day, so that many small ones are
    no dodge, however and from wherever they go.

    :raises Refusal: `support_required`.
    """
    if movement.type == "ADD" or not standing.asks_support:
        return
    if left_today(wallet=movement.from_wallet, day=standing.day) + movement.amount < settings.ASK_SUPPORT_FROM:
        return
    from_amount = Money(settings.ASK_SUPPORT_FROM, movement.currency).spelled
    raise Refusal(
        "support_required",
        f"An address of your account was changed lately. For some days payments of {from_amount} a day and more need "
        "support's word. Write to support.",
    )
