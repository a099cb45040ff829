"""A hold that everybody wants to end at once, and money that is spent beside it, through four processes."""

import time
from datetime import timedelta
from decimal import Decimal
from itertools import cycle, islice

import pytest
from django.utils import timezone

from ledger.models import Hold, Transaction
from ledger.movements import Group, ReleaseHold
from tests.ledger.factories import Member, asha, group, ravi, transfer
from tests.ledger.test_holds import place, placed
from tests.races.callers import Callers, Race
from tests.races.test_postings_at_once import assert_smooth
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


def stands(a: Member) -> tuple[Decimal, Decimal]:
    found = Wallet.objects.get(pk=a.wallet.pk)
    return found.balance, found.held


def mixed(*groups: Group, times: int = 24) -> list[Group]:
    return list(islice(cycle(groups), times))


def ended(race: Race) -> int:
    return race.kinds["posted"]


def test_captures_and_releases_at_once_end_it_once(four: Callers) -> None:
    for _ in range(6):
        a, r = asha(balance="10"), ravi()
        hold = placed(a, "10")
        capture, release = group(a, transfer(a, r, "10", captures=hold)), group(a, ReleaseHold(hold=hold))
        race = four.race_single(mixed(capture, release, times=16))
        assert_smooth(race, four)
        assert race.kinds == {"posted": 1, "unchanged": 15}
        status = Hold.objects.get(pk=hold).status
        assert set(race.codes) == {"", status}
        assert (stands(a), r.balance) == (((0, 0), 10) if status == "CAPTURED" else ((10, 0), 0))


def test_forty_captures_at_once_take_it_once(four: Callers) -> None:
    a, r = asha(balance="100"), ravi()
    hold = placed(a, "40")
    race = four.race_single([group(a, transfer(a, r, "25", captures=hold))] * 40)
    assert_smooth(race, four)
    assert race.kinds == {"posted": 1, "unchanged": 39}
    assert (stands(a), r.balance) == ((75, 0), 25)


def test_promises_and_payments_at_once_never_spend_a_rupee_twice(four: Callers) -> None:
    a, r = asha(balance="20"), ravi()
    asked = [
        group(a, place(a, "2", f"race:{number}")) if number % 2 else group(a, transfer(a, r, "3"))
        for number in range(40)
    ]
    race = four.race_single(asked)
    assert_smooth(race, four)
    assert set(race.codes) == {"", "insufficient_funds"}
    balance, held = stands(a)
    assert balance == 20 - r.balance
    assert 0 <= balance - held < 2  # whoever came last found less than the smaller wish
    assert Hold.objects.filter(wallet=a.wallet, status="OPEN").count() * 2 == held


def test_the_same_promise_forty_times_at_once_is_made_once(four: Callers) -> None:
    a = asha(balance="20")
    race = four.race_single([group(a, place(a, "2", "dispute:at-once"))] * 40)
    assert_smooth(race, four)
    assert race.kinds == {"posted": 1, "unchanged": 39}
    assert stands(a) == (20, 2)


@pytest.mark.parametrize("round_", range(4))
def test_expiry_at_the_moment_of_capture_is_one_or_the_other(four: Callers, round_: int) -> None:
    a, r = asha(balance="10"), ravi()
    # All begin 0.15 s from now; the hold's time is over in the midst of them.
    over = timezone.now() + timedelta(seconds=0.16 + 0.012 * round_)
    hold = placed(a, "10", expires_at=over)
    capture = group(a, transfer(a, r, "10", captures=hold))
    expire = group(a, ReleaseHold(hold=hold, expired=True))
    race = four.race([[[mixed(capture, expire, times=2)] * 30 for _ in range(2)] for _ in range(4)])
    assert_smooth(race, four)
    row = Hold.objects.get(pk=hold)
    time.sleep(max(0.0, (over - timezone.now()).total_seconds()))
    assert ended(race) == 1
    if row.status == "CAPTURED":
        assert (stands(a), r.balance) == ((0, 0), 10)
        assert Transaction.objects.get(pk=row.captured_by_id).created_at < over
    else:
        assert (row.status, stands(a), r.balance) == ("EXPIRED", (10, 0), 0)
        assert row.ended_at is not None
        assert row.ended_at >= over
