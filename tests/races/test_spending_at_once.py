"""
Limits, withdrawals and step-up against people who ask for everything at once, through four processes.

Each caller makes one deed call, so that gate, guard and what is written with the money run as they do behind a door.
"""

import secrets
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone

from accounts.models import User
from payments import authorising
from payments.bank_accounts import add_bank_account
from payments.models import HoldingLimit, LimitRule, Payout, StepUp
from payments.step_ups import StepUpRequired
from payments.transfers import send_money
from tests.accounts.factors import code_of, enrolled
from tests.accounts.people import code_sent_to
from tests.ledger.factories import Member, WalletFactory, asha, fund, ravi
from tests.races.callers import Callers, Race
from tests.races.conftest import anybody_waits_for
from tests.races.spenders import send, withdraw
from wallet_project.kernel.money import Money
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

FULL = User.KycLevel.FULL
AT_ONCE = 20


def new_key() -> str:
    return secrets.token_hex(8)


def at_full_level(member: Member, **rule: int) -> Member:
    """With a rule, or a holding limit, that holds from now on for everybody of that level."""
    User.objects.filter(pk=member.user.pk).update(kyc_level=FULL)
    now = timezone.now()
    if "most" in rule:
        HoldingLimit.objects.create(kyc_level=FULL, since=now, reason="tests", **rule)
    else:
        LimitRule.objects.create(kyc_level=FULL, type="TRANSFER", since=now, reason="tests", **rule)
    return member


def shop_of(member: Member) -> Wallet:
    """Another wallet of theirs."""
    shop: Wallet = WalletFactory.create(owner=member.user, kind=Wallet.Kind.MERCHANT)
    return shop


def assert_answers(race: Race, four: Callers, **expected: int) -> None:
    assert race.errors == []
    assert [report.backend for report in race.reports] == four.backends
    assert dict(race.answers) == expected


def asked_for(payer: Member, payee: Member, key: str) -> str:
    """The challenge of a payment of five thousand."""
    with pytest.raises(StepUpRequired) as refused:
        send_money(
            sender=payer.user,
            to=str(payee.user.email),
            amount=Money(settings.STEP_UP_FROM, "INR"),
            key=key,
            now=timezone.now(),
        )
    return str(refused.value.extra["challenge"])


def test_twenty_small_payments_at_once_pass_no_more_than_five_thousand_without_a_code(four: Callers) -> None:
    a, r = asha(balance="20000"), ravi()
    names = (str(r.user.email), r.wallet.public_id)
    race = four.race_deeds(
        [partial(send, payer=a.user.pk, to=names[n % 2], amount="499", key=new_key()) for n in range(AT_ONCE)]
    )
    assert_answers(race, four, done=10, step_up_required=10)
    assert r.balance == 4990


def test_nor_do_they_from_two_wallets_to_two_wallets(four: Callers) -> None:
    a, r = asha(balance="20000"), ravi()
    till, stall = shop_of(a), shop_of(r)
    fund(till, "20000")
    ways = ((a.wallet.public_id, r.wallet.public_id), (till.public_id, stall.public_id))
    deeds = []
    for number in range(AT_ONCE):
        wallet, to = ways[number // 4 % 2]
        deeds.append(partial(send, payer=a.user.pk, to=to, amount="499", key=new_key(), wallet=wallet))
    race = four.race_deeds(deeds)
    assert_answers(race, four, done=10, step_up_required=10)
    assert r.balance + Wallet.objects.get(pk=stall.pk).balance == 4990


def test_a_payment_from_another_wallet_comes_after_the_one_under_way_and_counts_it(
    four: Callers, watcher: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, r = asha(balance="5000"), ravi()
    till, stall = shop_of(a), shop_of(r)
    fund(till, "5000")
    pay = partial(send, payer=a.user.pk)
    assert pay(to=r.wallet.public_id, amount="1", key=new_key()) == "done"
    other = partial(pay, to=stall.public_id, amount="2999", key=new_key(), wallet=till.public_id)
    real, begun = authorising.note_spending, []

    def note_and_let_the_other_come(**spent: Any) -> None:
        real(**spent)
        with connections["posting"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (backend,) = cursor.fetchone()
        begun.append(four.begin(other))
        while not begun[0].poll(0.02) and not anybody_waits_for(watcher, backend):
            """Until it has answered, which it must not yet, or waits."""

    monkeypatch.setattr(authorising, "note_spending", note_and_let_the_other_come)
    assert pay(to=r.wallet.public_id, amount="2999", key=new_key()) == "done"
    assert four.answer_of(begun[0]).answers == ["step_up_required"]
    assert r.balance + Wallet.objects.get(pk=stall.pk).balance == 3000


def test_a_days_limit_is_never_passed_together(four: Callers) -> None:
    a = at_full_level(asha(balance="5000"), per_transaction=1000, per_day=1500, per_month=2000)
    payees = [ravi() for _ in range(4)]
    race = four.race_deeds(
        [
            partial(send, payer=a.user.pk, to=str(payees[n // 4 % 4].user.email), amount="100", key=new_key())
            for n in range(AT_ONCE)
        ]
    )
    assert_answers(race, four, done=15, limit_exceeded=5)
    assert sum(payee.balance for payee in payees) == 1500


def test_a_wallet_is_never_filled_past_what_it_may_hold_by_several_at_once(four: Callers) -> None:
    payers, r = [asha(balance="1000") for _ in range(4)], at_full_level(ravi(balance="4500"), most=5000)
    race = four.race_deeds(
        [
            partial(send, payer=payers[n % 4].user.pk, to=r.wallet.public_id, amount="100", key=new_key())
            for n in range(AT_ONCE)
        ]
    )
    assert_answers(race, four, done=5, recipient_unavailable=15)
    assert r.balance == 5000


def test_withdrawals_at_once_from_two_wallets_take_no_more_than_there_is_without_a_code(
    four: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = asha(balance="20000")
    till = shop_of(a)
    fund(till, "20000")
    account = add_bank_account(
        owner=a.user, holder_name="Asha Rao", ifsc="HDFC0001234", account_number="501000120001", now=timezone.now()
    )
    to: dict[str, Any] = {"payer": a.user.pk, "bank_account": account.public_id}
    # The first to this account, which these processes would be asked a code for.
    monkeypatch.setattr(settings, "STEP_UP_FIRST_WITHDRAWAL", False)
    assert withdraw(**to, amount="10", key=new_key()) == "done"
    wallets = (a.wallet.public_id, till.public_id)
    race = four.race_deeds(
        [partial(withdraw, **to, amount="499", key=new_key(), wallet=wallets[n // 4 % 2]) for n in range(AT_ONCE)]
    )
    assert_answers(race, four, done=10, step_up_required=10)
    assert Payout.objects.filter(bank_account=account).count() == 11
    left = sum(Wallet.objects.filter(owner=a.user).values_list("balance", flat=True))
    assert left == Decimal(40_000 - 10 - 4990)


def test_a_code_brought_twenty_times_at_once_pays_once_and_for_another_request_never(four: Callers) -> None:
    a, r, key = asha(balance="20000"), ravi(), new_key()
    proof = f"{asked_for(a, r, key)}:{code_sent_to(str(a.user.email))}"
    pay = partial(send, payer=a.user.pk, to=str(r.user.email), amount="5000", step_up=proof)
    mixed = [partial(pay, key=key)] * 15 + [partial(pay, key=new_key())] * 5
    race = four.race_deeds(mixed)
    assert_answers(race, four, done=1, replayed=14, step_up_invalid=5)
    assert (r.balance, StepUp.objects.filter(user=a.user, spent_at__isnull=False).count()) == (5000, 1)


def test_one_code_of_an_app_brought_for_eight_payments_at_once_confirms_one(four: Callers) -> None:
    a, r = asha(balance="50000"), ravi()
    secret, _ = enrolled(a.user)
    keys = [new_key() for _ in range(8)]
    challenges = [asked_for(a, r, key) for key in keys]
    code = code_of(secret)
    race = four.race_deeds(
        [
            partial(send, payer=a.user.pk, to=str(r.user.email), amount="5000", key=key, step_up=f"{challenge}:{code}")
            for key, challenge in zip(keys, challenges, strict=True)
        ]
    )
    assert_answers(race, four, done=1, step_up_invalid=7)
    assert r.balance == 5000
