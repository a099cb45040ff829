"""
Posting what a person asked for: within the limits, and stepped up where needed.

Both are judged inside the posting, under the wallet's lock. The step-up comes first, as a gate: where it is missing,
nothing is kept and the key stays unused. What was spent, and the challenge that was spent with it, are written in the
posting's own `within`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.conf import settings

from accounts.models import User
from ledger.movements import Group, GuardView, Movement, Outcome
from ledger.posting import Within, post
from payments import step_ups
from payments.address_holds import check_support_is_not_asked
from payments.idempotency import Answer, answer_of, earlier_answer
from payments.limits import past_limit
from payments.person_blocks import is_unwelcome
from payments.spending import Payee, Standing, hold_other_wallets, note_spending, read_standing


def post_asked_for(
    *,
    user: User,
    group: Group,
    payee: Payee,
    payee_name: str,
    step_up: str | None,
    now: datetime,
    within: Within | None = None,
) -> Answer:
    """
    Post a person's own group, whose first movement is what they asked for. Its own gates and guards come first.

    :param payee_name: as the step-up's message names it.
    :param step_up: `<challenge>:<code>`, as the person sent it along.
    :raises Refusal: `support_required`, `step_up_required` (with `challenge`, `channel`, `expires_at`),
        `step_up_invalid`, `too_many_tries`, `idempotency_key_reused`, `busy`: nothing is kept.
    """
    request = group.key
    assert request is not None  # noqa: S101  (what people ask for has a key)
    proof = None
    if step_up is not None:
        # A replay is judged before the code that came along with it.
        earlier = earlier_answer(initiator=group.initiator, key=request)
        if earlier is not None:
            return earlier
        proof = step_ups.prove(user=user, answer=step_up, key=request, now=now)
    watch = _Watch(group=group, payee=payee, proof=proof, user=user, within=within)
    try:
        outcomes = post([watch.watched], within=watch.remember)
    except step_ups.Needed as needed:
        raise step_ups.challenge(
            user=user, key=request, payee_name=payee_name, amount=watch.movement, now=now
        ) from needed
    return answer_of(outcomes[0])


@dataclass(slots=True)
class _Watch:
    """One posting's gate, guard and companion. A posting may run more than once: each run reads anew."""

    group: Group
    payee: Payee
    proof: int | None
    user: User
    within: Within | None
    standing: Standing | None = None
    now: datetime | None = None
    movement: Movement = field(init=False)
    wallet: int = field(init=False)

    def __post_init__(self) -> None:
        movement = self.group.movements[0]
        assert isinstance(movement, Movement)  # noqa: S101  (the kernel wants one where there is a key)
        self.movement = movement
        owned = movement.to_wallet if movement.type == "ADD" else movement.from_wallet
        assert owned is not None  # noqa: S101  (one's own wallet is known)
        self.wallet = owned

    @property
    def watched(self) -> Group:
        return replace(self.group, gates=(*self.group.gates, self.gate), guards=(*self.group.guards, self.guard))

    def gate(self, view: GuardView) -> None:
        self.now = view.now
        # Read in any case: the guard judges by it.
        self.standing = _standing_of(self.movement, self.wallet, self.payee, view.now)
        if self.movement.type != "ADD":
            hold_other_wallets(wallet=self.wallet, standing=self.standing)
        if _cannot_be(self.movement, view):
            return
        # Before any code is asked for, and whatever code was shown: whoever changed an address gets the codes by now.
        check_support_is_not_asked(movement=self.movement, standing=self.standing)
        if self.proof is not None:
            return
        if step_ups.is_needed(movement=self.movement, payee=self.payee, standing=self.standing):
            raise step_ups.Needed

    def guard(self, view: GuardView) -> str:
        assert self.standing is not None  # noqa: S101  (the gate came before)
        if is_unwelcome(movement=self.movement, standing=self.standing):
            return "recipient_unavailable"
        return past_limit(movement=self.movement, standing=self.standing, view=view)

    def remember(self, outcomes: Sequence[Outcome]) -> None:
        outcome = outcomes[0]
        if outcome.kind in ("posted", "refused") and self.proof is not None:
            step_ups.spend(challenge=self.proof, transaction=outcome.transactions[0], now=self.now)
        if outcome.kind == "posted":
            assert self.standing is not None and self.now is not None  # noqa: S101, PT018  (the gate came before)
            note_spending(
                wallet=self.wallet,
                movement=self.movement,
                transaction=outcome.transactions[0],
                payee=self.payee,
                standing=self.standing,
                stepped_up=self.proof is not None,
                now=self.now,
            )
        if self.within is not None:
            self.within(outcomes)


@dataclass(slots=True)
class Foreseen:
    """
    What `preview` is handed, so that a review and the posting judge alike, but for the room in another's wallet; then
    `asks` tells of the step-up.
    """

    payee: Payee
    asks: bool = False

    def guarded(self, group: Group) -> Group:
        return replace(group, guards=(self._guard,))

    def _guard(self, view: GuardView) -> str:
        movement = view.group.movements[0]
        assert isinstance(movement, Movement)  # noqa: S101  (quotes are of movements)
        standing = _standing_of(movement, movement.from_wallet, self.payee, view.now)
        check_support_is_not_asked(movement=movement, standing=standing)
        self.asks = step_ups.is_needed(movement=movement, payee=self.payee, standing=standing)
        if is_unwelcome(movement=movement, standing=standing):
            return "recipient_unavailable"
        return past_limit(movement=movement, standing=standing, view=view, is_preview=True)


def _cannot_be(movement: Movement, view: GuardView) -> bool:
    """Refused whatever the wallets hold. Nobody is asked to confirm that."""
    return (
        movement.refuse != ""
        or movement.from_wallet == movement.to_wallet
        or movement.amount > settings.LARGEST_MOVEMENT
        or movement.currency != view.wallets[movement.from_wallet].currency
    )


def _standing_of(movement: Movement, wallet: int, payee: Payee, now: datetime) -> Standing:
    return read_standing(wallet=wallet, movement_type=movement.type, payee=payee, credited=movement.to_wallet, now=now)
