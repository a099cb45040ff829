"""
A top-up that was given up before its payment came.

Giving it up gave its spending back, so whoever pays late would add and hold more than anybody may. Its money counts
anew, in the posting that brings it; what no longer fits brings nobody anything, and goes back to its payer.
"""

from dataclasses import dataclass, field
from datetime import datetime

from ledger.models import Transaction
from ledger.movements import Group, GuardView, Key, Movement, Outcome
from payments.limits import past_limit_late
from payments.models import GatewayOrder
from payments.spending import Payee, Standing, note_spending, read_standing
from wallet_project.kernel.fingerprints import fingerprint
from wallet_project.kernel.money import Money

_NOBODY = Payee()


class PastLimit(Exception):
    """It would pass what may be added or held now: nothing of the posting is kept."""


@dataclass(slots=True)
class LateCapture:
    """
    A new ADD, once for each order, that names the one it stands for. A posting may run more than once: each run judges
    anew.

    :ivar initiator: in whose name it is posted (an actor's primary key).
    """

    order: GatewayOrder
    initiator: int
    movement: Movement = field(init=False)
    instead_of: str = field(init=False)
    standing: Standing | None = None
    now: datetime | None = None

    def __post_init__(self) -> None:
        add = Transaction.objects.get(pk=self.order.transaction_id)
        self.instead_of = add.public_id
        self.movement = Movement(
            type=Transaction.Type.ADD,
            amount=Money.from_minor(self.order.amount_minor, self.order.currency).amount,
            currency=self.order.currency,
            from_wallet=add.from_wallet_id,
            to_wallet=add.to_wallet_id,
            metadata={"order": self.order.order_id or "", "instead_of": add.public_id},
            fact=True,
        )

    @property
    def group(self) -> Group:
        """Its posting raises `PastLimit`."""
        key = Key(key=f"late:{self.instead_of}", fingerprint=fingerprint("late capture", order=self.order.order_id))
        return Group(initiator=self.initiator, movements=(self.movement,), key=key, gates=(self._judge,))

    def note(self, outcome: Outcome) -> None:
        """Within its posting. What went to suspense was added to nobody."""
        if outcome.kind != "posted" or outcome.diverted:
            return
        assert self.standing is not None and self.now is not None  # noqa: S101, PT018  (the gate came before)
        note_spending(
            wallet=self._wallet,
            movement=self.movement,
            transaction=outcome.transactions[0],
            payee=_NOBODY,
            standing=self.standing,
            stepped_up=False,
            now=self.now,
        )

    @property
    def _wallet(self) -> int:
        assert self.movement.to_wallet is not None  # noqa: S101  (an ADD has a wallet)
        return self.movement.to_wallet

    def _judge(self, view: GuardView) -> None:
        self.now = view.now
        self.standing = read_standing(
            wallet=self._wallet, movement_type=self.movement.type, payee=_NOBODY, credited=self._wallet, now=view.now
        )
        if past_limit_late(movement=self.movement, standing=self.standing, view=view):
            raise PastLimit
