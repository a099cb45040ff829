"""Everybody at once, through four processes as the application's role: the sums, the refusals, the time it takes."""

import random
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import psycopg
import pytest
from django.db import connections

from ledger.models import IdempotencyKey, LedgerEntry, Transaction
from ledger.movements import Completion, Group, Movement, Outcome
from ledger.posting import post
from tests.ledger.factories import asha, clearing, gateway_actor, group, key, meera, member, ravi, transfer
from tests.races.callers import PROCESSES, Callers, Race
from tests.races.conftest import anybody_waits_for
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

# Far more than any of these takes on a busy machine; each wait of a posting is bounded by itself.
SECONDS_AT_MOST: Final = 30.0


def assert_smooth(race: Race, four: Callers) -> None:
    """No database error reached a caller, nobody met a deadlock, and it was four sessions indeed."""
    assert race.errors == []
    assert {report.backend for report in race.reports} == set(four.backends)
    assert len(race.reports) == len(set(four.backends)) == PROCESSES
    assert race.interruptions["40P01"] == 0
    assert set(race.interruptions) <= {"40001", "23505"}
    assert race.seconds < SECONDS_AT_MOST


def test_sixty_four_callers_of_opposite_transfers_never_trip_over_one_another(four: Callers) -> None:
    one, other = asha(balance="1000"), ravi(balance="1000")
    there = group(one, transfer(one, other, "3"))
    back = group(other, transfer(other, one, "2"))
    # Sixteen callers in each process, half of them each way, two transfers a caller.
    race = four.race([[[[there if caller % 2 else back]] * 2 for caller in range(16)] for _ in range(PROCESSES)])
    assert_smooth(race, four)
    assert race.kinds == {"posted": 128}
    assert (one.balance, other.balance) == (1000 - 64 * 3 + 64 * 2, 1000 + 64 * 3 - 64 * 2)
    assert Wallet.objects.get(pk=one.wallet.pk).entry_count == 129


def test_transfers_round_a_ring_of_people_add_up(four: Callers) -> None:
    people = [member(f"Asha {number}", balance="100") for number in range(8)]
    chance = random.Random(8)
    groups = []
    for _ in range(160):
        sender, recipient = chance.sample(people, 2)
        groups.append(group(sender, transfer(sender, recipient, "7")))
    race = four.race_single(groups)
    assert_smooth(race, four)
    assert sum(person.balance for person in people) == 800
    assert min(person.balance for person in people) >= 0
    assert set(race.kinds) <= {"posted", "refused"}
    assert set(race.codes) <= {"", "insufficient_funds"}


def test_one_key_sent_fifty_times_at_once_has_one_effect_and_forty_nine_replays(four: Callers) -> None:
    sender, recipient = asha(balance="1000"), ravi()
    race = four.race_single([group(sender, transfer(sender, recipient, "10"), key=key("once"))] * 50)
    assert_smooth(race, four)
    assert race.kinds == {"posted": 1, "replayed": 49}
    assert {outcome.http_status for outcome in race.outcomes} == {201}
    assert len({outcome.transactions for outcome in race.outcomes}) == 1
    assert (sender.balance, recipient.balance) == (990, 10)
    assert IdempotencyKey.objects.filter(initiator=sender.actor).count() == 1
    assert Transaction.objects.filter(from_wallet=sender.wallet).count() == 1


def test_one_key_for_fifty_different_requests_at_once_serves_exactly_one(four: Callers) -> None:
    """Between wallets that have nothing in common, so that no row lock helps: only the key's own uniqueness."""
    initiator = asha()
    pairs = [(asha(balance="10"), ravi()) for _ in range(24)]
    race = four.race_single(
        [
            Group(
                initiator=initiator.actor.pk,
                movements=(transfer(sender, recipient, "10"),),
                key=key("once", request=f"request {number}"),
            )
            for number, (sender, recipient) in enumerate(pairs)
        ]
    )
    assert_smooth(race, four)
    assert race.kinds == {"posted": 1, "key_reused": 23}
    assert sum(recipient.balance for _, recipient in pairs) == 10


def test_one_key_in_two_postings_that_share_no_wallet_waits_for_the_first_and_is_then_known(
    four: Callers, watcher: psycopg.Connection[Any]
) -> None:
    """The look-up cannot see what has not been committed: here the key's uniqueness stands alone."""
    initiator = asha()
    pairs = [(asha(balance="10"), ravi()) for _ in range(2)]
    mine, theirs = (
        Group(
            initiator=initiator.actor.pk,
            movements=(transfer(sender, recipient, "10"),),
            key=key("once", request=f"request {number}"),
        )
        for number, (sender, recipient) in enumerate(pairs)
    )
    lines = []

    def within(outcomes: Sequence[Outcome]) -> None:
        with connections["posting"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (mine_is,) = cursor.fetchone()
        line = four.begin([theirs])
        lines.append(line)
        ends_at = time.monotonic() + 10
        while time.monotonic() < ends_at and not line.poll(0.005):
            if anybody_waits_for(watcher, mine_is):
                return

    (outcome,) = post([mine], within=within)
    report = four.answer_of(lines[0])
    assert outcome.kind == "posted"
    assert (report.errors, [answer.kind for thread in report.outcomes for answer in thread]) == ([], ["key_reused"])
    assert "23505" in report.interruptions
    assert [recipient.balance for _, recipient in pairs] == [10, 0]


def test_fifty_drain_one_wallet_and_it_never_goes_below_nothing(four: Callers) -> None:
    sender, recipients = asha(balance="100"), [ravi() for _ in range(5)]
    race = four.race_single([group(sender, transfer(sender, recipients[n % 5], "7")) for n in range(50)])
    assert_smooth(race, four)
    assert race.codes == {"": 14, "insufficient_funds": 36}
    assert sender.balance == 2
    assert min(LedgerEntry.objects.filter(wallet=sender.wallet).values_list("balance_after", flat=True)) == 2
    assert Transaction.objects.filter(from_wallet=sender.wallet, status="FAILED").count() == 36


def test_everybody_pays_one_merchant_at_once(four: Callers) -> None:
    shop, people = meera(), [asha(balance="10") for _ in range(40)]
    race = four.race_single([group(payer, transfer(payer, shop, "2.50", type="PAY"), key=key()) for payer in people])
    assert_smooth(race, four)
    assert race.kinds == {"posted": 40}
    assert (shop.balance, {payer.balance for payer in people}) == (100, {Decimal("7.5")})
    sequences = LedgerEntry.objects.filter(wallet=shop.wallet).order_by("sequence").values_list("sequence", flat=True)
    assert list(sequences) == list(range(1, 41))
    # A merchant is hot: everybody passes the turnstile alone, and nobody runs in vain.
    assert race.reruns_per_commit < 0.05


@pytest.mark.parametrize("news", ["captured", "captured and expired"])
def test_sixteen_bring_the_news_of_one_top_up_and_it_ends_once(four: Callers, news: str) -> None:
    person = asha()
    promise = Movement(
        type="ADD",
        amount=Decimal(50),
        currency="INR",
        from_wallet=clearing(),
        to_wallet=person.wallet.pk,
        status="PENDING",
    )
    (pending,) = post([group(person, promise)])[0].transactions
    captured = Completion(transaction=pending, status="SUCCESS")
    expired = Completion(transaction=pending, status="FAILED", failure_code="expired")
    completions = [expired if news != "captured" and number % 2 else captured for number in range(16)]
    race = four.race_single(
        [Group(initiator=gateway_actor().pk, movements=(completion,)) for completion in completions]
    )
    assert_smooth(race, four)
    assert race.kinds == {"posted": 1, "unchanged": 15}
    ended = Transaction.objects.get(pk=pending).status
    assert ended == "SUCCESS" or news != "captured"
    assert person.balance == (50 if ended == "SUCCESS" else 0)


def test_lists_of_two_hundred_hot_wallets_from_two_processes_do_not_run_in_vain(four: Callers) -> None:
    """The turnstile: without it each list wakes to 40001 behind the other, and runs again."""
    people = [member("Asha Rao", balance="1000") for _ in range(20)]
    chance = random.Random(200)

    def one_list() -> list[Group]:
        pairs = [chance.sample(people, 2) for _ in range(200)]
        return [group(sender, transfer(sender, recipient, "1")) for sender, recipient in pairs]

    race = four.race([[[one_list() for _ in range(12)]] for _ in range(2)])
    assert race.errors == []
    assert sum(person.balance for person in people) == 20_000
    assert race.kinds.total() == 2 * 12 * 200
    assert race.reruns_per_commit < 0.05


def test_a_wallet_frozen_in_the_middle_of_the_race_pays_nobody_from_then_on(four: Callers) -> None:
    """Each payment judges the wallet as it stands under its lock."""
    sender, recipient = asha(balance="1000"), ravi()
    attempts = Transaction.objects.filter(from_wallet=sender.wallet)

    def freeze_after_the_first() -> None:
        while not attempts.exists():
            time.sleep(0.002)
        Wallet.objects.filter(pk=sender.wallet.pk).update(status="FROZEN")
        connections.close_all()

    freezing = threading.Thread(target=freeze_after_the_first)
    freezing.start()
    race = four.race([[[[group(sender, transfer(sender, recipient, "1"))]] * 10 for _ in range(4)]] * PROCESSES)
    freezing.join()
    assert_smooth(race, four)
    assert set(race.codes) == {"", "wallet_frozen"}
    assert (race.kinds.total(), recipient.balance) == (160, race.codes[""])
    paid = attempts.filter(status="SUCCESS").latest("created_at").created_at
    assert paid < attempts.filter(status="FAILED").earliest("created_at").created_at
