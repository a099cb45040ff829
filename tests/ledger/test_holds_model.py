"""
Every story of a few acts around one hold, told to the kernel and to a plain wallet: they must agree after each act.

Exhaustive: nothing is drawn.
"""

import itertools
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.utils import timezone

from ledger.models import Hold
from ledger.movements import Movement, ReleaseHold
from ledger.posting import post
from tests.environment import Database
from tests.ledger.factories import Member, asha, clearing, group, meera, transfer
from tests.ledger.plain_hold import PlainWallet
from tests.ledger.proofs import assert_books_hold
from tests.ledger.test_holds import place, placed
from wallet_project.kernel.ids import new_uuid
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

BALANCE, HELD = 3, 2
Told = tuple[str, str]
Asks = Callable[[Member, Member, int, str], tuple[Any, ...]]


def credit(a: Member, amount: str) -> Movement:
    return Movement(type="ADD", amount=Decimal(amount), currency="INR", from_wallet=clearing(),
                    to_wallet=a.wallet.pk, fact=True)  # fmt: skip


# An act: what the kernel is asked, given who holds, whom they pay, the hold and its reference; and what the plain
# wallet does.
ACTS: Final[dict[str, tuple[Asks, Callable[[PlainWallet], Told]]]] = {
    "capture all": (lambda a, m, hold, _: (transfer(a, m, "2", captures=hold),), lambda plain: plain.capture(2)),
    "capture a part": (lambda a, m, hold, _: (transfer(a, m, "1", captures=hold),), lambda plain: plain.capture(1)),
    "release": (lambda _a, _m, hold, _: (ReleaseHold(hold=hold),), PlainWallet.release),
    "expire": (lambda _a, _m, hold, _: (ReleaseHold(hold=hold, expired=True),), PlainWallet.expire),
    "place again": (lambda a, _m, _hold, again: (place(a, "2", again),), PlainWallet.place_again),
    "spend what is free": (lambda a, m, _hold, _: (transfer(a, m, "1"),), lambda plain: plain.spend(1)),
    "spend it all": (lambda a, m, _hold, _: (transfer(a, m, "3"),), lambda plain: plain.spend(3)),
    "receive": (lambda a, _m, _hold, _: (credit(a, "1"),), lambda plain: plain.receive(1)),
    "release and spend": (lambda a, m, hold, _: (ReleaseHold(hold=hold), transfer(a, m, "3")), PlainWallet.swap),
}


def begin(a: Member, shop: Member, left: PlainWallet, hold: int | None, *, over: bool) -> int:
    """Whatever the last story left behind: the same wallet holds 2 of 3 again, under a new promise."""
    back = [ReleaseHold(hold=hold)] if hold is not None and left.status == "OPEN" else []
    if left.balance < BALANCE:
        back.append(credit(a, str(BALANCE - left.balance)))
    elif left.balance > BALANCE:
        back.append(transfer(a, shop, str(left.balance - BALANCE)))
    if back:
        assert post([group(a, *back)])[0].kind == "posted"
    expires_at = timezone.now() + (timedelta(seconds=-1) if over else timedelta(hours=1))
    return placed(a, str(HELD), reference=f"model:{new_uuid()}", expires_at=expires_at)


def stands(a: Member) -> tuple[int, int]:
    found = Wallet.objects.get(pk=a.wallet.pk)
    return int(found.balance), int(found.held)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("over", "length"), [(False, 3), (True, 2)], ids=["in time", "over"])
def test_every_story_of_so_many_acts_goes_as_the_plain_wallet_says(database: Database, over: bool, length: int) -> None:
    shop, a, hold = meera(), asha(balance=str(BALANCE)), None
    plain = PlainWallet(balance=BALANCE, hold=0, over=over, status="RELEASED")
    stories = 0
    for story in itertools.product(ACTS, repeat=length):
        hold = begin(a, shop, plain, hold, over=over)
        plain = PlainWallet(balance=BALANCE, hold=HELD, over=over)
        acts = [ACTS[name] for name in story]
        again = Hold.objects.values_list("reference", flat=True).get(pk=hold)
        groups = [group(a, *asked(a, shop, hold, again)) for asked, _ in acts]
        # Some as one list, some one by one: both roads, each story once.
        as_a_list = list(ACTS).index(story[0]) % 2
        outcomes = post(groups) if as_a_list else [post([one])[0] for one in groups]
        expected = [does(plain) for _, does in acts]
        assert [(outcome.kind, outcome.code) for outcome in outcomes] == expected, story
        assert stands(a) == (plain.balance, plain.held), story
        stories += 1
    assert stories == len(ACTS) ** length
    assert_books_hold(database.superuser_url)
