"""
Every story of three acts around one hold, told to the kernel and to a plain wallet: they must agree after each act.

Exhaustive: nothing is drawn.
"""

import itertools
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.utils import timezone

from ledger.movements import Group, Movement, ReleaseHold
from ledger.posting import post
from tests.environment import Database
from tests.ledger.factories import Member, asha, clearing, gateway_actor, group, meera, transfer
from tests.ledger.plain_hold import PlainWallet
from tests.ledger.proofs import assert_books_hold
from tests.ledger.test_holds import place, placed
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

BALANCE, HELD = 3, 2
Told = tuple[str, str]


def credit(a: Member, amount: str) -> Movement:
    return Movement(type="ADD", amount=Decimal(amount), currency="INR", from_wallet=clearing(),
                    to_wallet=a.wallet.pk, fact=True)  # fmt: skip


# An act: what the kernel is asked, given who holds, whom they pay and the hold; and what the plain wallet does.
ACTS: Final[dict[str, tuple[Callable[[Member, Member, int], tuple[Any, ...]], Callable[[PlainWallet], Told]]]] = {
    "capture all": (lambda a, m, hold: (transfer(a, m, "2", captures=hold),), lambda plain: plain.capture(2)),
    "capture a part": (lambda a, m, hold: (transfer(a, m, "1", captures=hold),), lambda plain: plain.capture(1)),
    "release": (lambda _a, _m, hold: (ReleaseHold(hold=hold),), PlainWallet.release),
    "expire": (lambda _a, _m, hold: (ReleaseHold(hold=hold, expired=True),), PlainWallet.expire),
    "place again": (lambda a, _m, _hold: (place(a, "2"),), PlainWallet.place_again),
    "spend what is free": (lambda a, m, _hold: (transfer(a, m, "1"),), lambda plain: plain.spend(1)),
    "spend it all": (lambda a, m, _hold: (transfer(a, m, "3"),), lambda plain: plain.spend(3)),
    "receive": (lambda a, _m, _hold: (credit(a, "1"),), lambda plain: plain.receive(1)),
    "release and spend": (lambda a, m, hold: (ReleaseHold(hold=hold), transfer(a, m, "3")), PlainWallet.swap),
}


def begin(over: bool) -> tuple[Member, int, PlainWallet]:
    a = asha(balance=str(BALANCE))
    expires_at = timezone.now() + (timedelta(seconds=-1) if over else timedelta(hours=1))
    return a, placed(a, str(HELD), expires_at=expires_at), PlainWallet(balance=BALANCE, hold=HELD, over=over)


def stands(a: Member) -> tuple[int, int]:
    found = Wallet.objects.get(pk=a.wallet.pk)
    return int(found.balance), int(found.held)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("over", [False, True], ids=["in time", "over"])
def test_every_story_of_three_acts_goes_as_the_plain_wallet_says(database: Database, over: bool) -> None:
    shop = meera()
    stories = 0
    for story in itertools.product(ACTS, repeat=3):
        a, hold, plain = begin(over)
        acts = [ACTS[name] for name in story]
        groups = [Group(initiator=gateway_actor().pk, movements=asked(a, shop, hold)) for asked, _ in acts]
        # Some as one list, some one by one: both roads, each story once.
        as_a_list = list(ACTS).index(story[0]) % 2
        outcomes = post(groups) if as_a_list else [post([one])[0] for one in groups]
        expected = [does(plain) for _, does in acts]
        assert [(outcome.kind, outcome.code) for outcome in outcomes] == expected, story
        assert stands(a) == (plain.balance, plain.held), story
        stories += 1
    assert stories == len(ACTS) ** 3
    assert_books_hold(database.superuser_url)


def test_the_story_with_a_group_of_the_holder_reads_the_same() -> None:
    """The initiator makes no difference to a hold."""
    a, hold, _ = begin(over=False)
    (outcome,) = post([group(a, ReleaseHold(hold=hold))])
    assert (outcome.kind, outcome.transactions) == ("posted", ())
