"""Both sides of a request for money back, all at one moment, through four processes: it moves once, or not at all."""

import secrets
from functools import partial

import pytest
from django.utils import timezone

from ledger.models import Hold, Transaction
from payments import money_back, money_back_answers
from payments.models import MoneyBack
from tests.ledger.factories import Member, asha, group, ravi, transfer
from tests.ledger.verifier import holds
from tests.races import givers
from tests.races.callers import Callers, Race
from tests.races.spenders import send
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

ROUNDS = 2


def new_key() -> str:
    return secrets.token_hex(8)


def sent(payer: Member, payee: Member, amount: str) -> str:
    outcome = send(payer=payer.user.pk, to=payee.wallet.public_id, amount=amount, key=new_key())
    assert outcome == "done"
    return Transaction.objects.filter(from_wallet=payer.wallet).latest("pk").public_id


def asked(payer: Member, transaction: str) -> MoneyBack:
    return money_back.ask(asker=payer.user, transaction=transaction, now=timezone.now()).money_back


def held(member: Member) -> int:
    return int(Wallet.objects.get(pk=member.wallet.pk).held)


def refunds(payee: Member) -> int:
    return Transaction.objects.filter(type="REFUND", to_wallet=payee.wallet, status="SUCCESS").count()


def assert_nobody_crashed(race: Race, four: Callers) -> None:
    assert race.errors == []
    assert {report.backend for report in race.reports} == set(four.backends)


@pytest.mark.parametrize("aside", [False, True])
def test_twenty_taps_at_once_give_it_back_once(four: Callers, aside: bool) -> None:
    a, r = asha(balance="100"), ravi(balance="100")
    row = asked(a, sent(a, r, "40"))
    if aside:
        money_back_answers.hold(user=r.user, money_back=row.public_id, now=timezone.now())
    key = new_key()
    taps = [
        partial(givers.give, person=r.user.pk, request=row.public_id, key=key if number % 2 else new_key())
        for number in range(20)
    ]
    race = four.race_deeds(taps)
    assert_nobody_crashed(race, four)
    assert (race.answers["done"], refunds(a), a.balance, r.balance, held(r)) == (1, 1, 100, 100, 0)
    # Whoever came later replays, or is told; and nothing of that is kept.
    assert set(race.answers) <= {"done", "before", "money_back_over"}
    assert not Transaction.objects.filter(from_wallet=r.wallet, status="FAILED").exists()


def test_giving_setting_aside_declining_and_withdrawing_at_once_is_one_of_them(four: Callers) -> None:
    for _ in range(ROUNDS):
        a, r = asha(balance="100"), ravi()
        row = asked(a, sent(a, r, "40"))
        request = row.public_id
        race = four.race_deeds(
            [
                *[partial(givers.give, person=r.user.pk, request=request, key=new_key()) for _ in range(4)],
                *[partial(givers.hold, person=r.user.pk, request=request) for _ in range(4)],
                *[partial(givers.decline, person=r.user.pk, request=request) for _ in range(4)],
                *[partial(givers.withdraw, person=a.user.pk, request=request) for _ in range(4)],
            ]
        )
        assert_nobody_crashed(race, four)
        row.refresh_from_db()
        given = row.status == "GIVEN"
        assert row.status in ("GIVEN", "DECLINED", "WITHDRAWN")
        assert (refunds(a), a.balance, r.balance, held(r)) == ((1, 100, 0, 0) if given else (0, 60, 40, 0))
        assert not Hold.objects.filter(wallet=r.wallet, status="OPEN").exists()


def test_it_is_asked_for_once_however_often_at_once(four: Callers) -> None:
    a, r = asha(balance="100"), ravi()
    paid = sent(a, r, "40")
    race = four.race_deeds([partial(givers.ask, person=a.user.pk, transaction=paid)] * 16)
    assert_nobody_crashed(race, four)
    assert race.answers == {"done": 1, "before": 15}
    assert MoneyBack.objects.filter(transfer__from_wallet=a.wallet).count() == 1


def test_refunds_of_a_transfer_at_once_never_exceed_it(four: Callers) -> None:
    """Past every deed of ours: the kernel, and under it the database."""
    a, r = asha(balance="100"), ravi(balance="500")
    sent(a, r, "40")
    pk = Transaction.objects.filter(from_wallet=a.wallet).latest("pk").pk
    race = four.race_single([group(r, transfer(r, a, "15", type="REFUND", reverses=pk))] * 24)
    assert_nobody_crashed(race, four)
    assert race.codes == {"": 2, "refund_exceeds": 22}
    assert (a.balance, r.balance) == (90, 510)
    holds()


def test_a_block_at_the_moment_of_a_payment_is_before_or_after_it(four: Callers) -> None:
    a, r = asha(balance="100"), ravi()
    payments = [partial(send, payer=a.user.pk, to=r.wallet.public_id, amount="1", key=new_key()) for _ in range(24)]
    race = four.race_deeds(
        [*payments[:12], partial(givers.block, person=r.user.pk, to=a.wallet.public_id), *payments[12:]]
    )
    assert_nobody_crashed(race, four)
    assert set(race.answers) <= {"done", "recipient_unavailable"}
    assert r.balance == race.answers["done"] - 1
    assert send(payer=a.user.pk, to=r.wallet.public_id, amount="1", key=new_key()) == "recipient_unavailable"
