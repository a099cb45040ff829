"""How much may move: at once, in a day and in a month, and how much a wallet may hold. Sums, never counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.actors import system_actor
from accounts.models import User
from ledger import posting
from ledger.models import Transaction
from ledger.movements import Completion, Group, PlaceHold
from payments.models import BankAccount, HoldingLimit, LimitRule, OwnLimit, Payout, Spending
from payments.models.limits import Limited
from payments.orders import fail_order
from payments.own_limits import set_own_limits
from payments.payout_outcomes import fail_unaccepted
from tests.journeys.browsing import Browser
from tests.payments.cast import Holder, fund, holder, merchant, new_key
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.withdrawing import bank_account, payout_of, withdraw
from wallet_project.kernel.money import Money

pytestmark = pytest.mark.usefixtures("database")

FULL, MINIMUM = User.KycLevel.FULL, User.KycLevel.MINIMUM
# Rupees: at once, in a day, in a month. Below what asks for a code.
LIMITS = {FULL: (1000, 1500, 2000), MINIMUM: (100, 150, 200)}
MOST_HELD = {FULL: 50_000, MINIMUM: 5_000}


@pytest.fixture(scope="module", autouse=True)
def _limits(database: Any) -> None:
    now = timezone.now()
    for level, (once, day, month) in LIMITS.items():
        HoldingLimit.objects.create(kyc_level=level, most=MOST_HELD[level], since=now, reason="tests")
        for type_ in Limited:
            LimitRule.objects.create(
                kyc_level=level, type=type_, per_transaction=once, per_day=day, per_month=month, since=now, reason="t"
            )


def at_level(person: Holder, level: str) -> Holder:
    User.objects.filter(pk=person.user.pk).update(kyc_level=level)
    person.user.refresh_from_db()
    return person


@pytest.fixture
def asha() -> Holder:
    return at_level(holder("Asha Rao", rupees=10_000), FULL)


@pytest.fixture
def ravi() -> Holder:
    return at_level(holder("Ravi Kumar"), FULL)


@contextmanager
def database_clock(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> Iterator[None]:
    """What the kernel reads under its locks."""
    real = posting.store.read_clock_and_keys
    with monkeypatch.context() as patched:
        patched.setattr(posting.store, "read_clock_and_keys", lambda *of: (moment, real(*of)[1]))
        yield


def send(payer: Holder, payee: Holder, amount: str, key: str | None = None) -> str:
    answer = payer.post("/wallet/transfer", {"to": payee.email, "amount": amount}, key=key)
    return "done" if answer.status_code == 201 else str(answer.json()["code"])


def add(person: Holder, amount: str) -> str:
    """Without a gateway: a top-up that passes is PENDING, and its order is made later."""
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        answer = person.post("/wallet/add", {"amount": amount})
    return {201: "done", 503: "done"}.get(answer.status_code) or str(answer.json()["code"])


def _hold(person: Holder, rupees: int) -> PlaceHold:
    return PlaceHold(
        wallet=person.wallet.pk, amount=Decimal(rupees), currency="INR", reason="dispute", reference=new_key()
    )


def last_failed(person: Holder) -> Transaction:
    return Transaction.objects.filter(from_wallet=person.wallet, status="FAILED").latest("pk")


def totals(person: Holder, type_: str) -> tuple[Decimal, Decimal]:
    last = Spending.objects.filter(wallet=person.wallet, type=type_).latest("pk")
    return last.day_total, last.month_total


def test_a_payment_past_the_limit_of_one_is_refused_and_kept(asha: Holder, ravi: Holder) -> None:
    key = new_key()
    assert [send(asha, ravi, "1000.01", key) for _ in range(2)] == ["limit_exceeded"] * 2
    kept = last_failed(asha)
    assert (kept.failure_code, kept.amount, kept.to_wallet) == ("limit_exceeded", Decimal("1000.01"), ravi.wallet)
    assert not Spending.objects.filter(wallet=asha.wallet).exists()
    assert send(asha, ravi, "1000") == "done"
    assert ravi.balance == 1000


def test_a_dry_run_foresees_the_limit(asha: Holder, ravi: Holder) -> None:
    answer = asha.post("/wallet/transfer?dry_run=true", {"to": ravi.email, "amount": "1000.01"})
    assert (answer.status_code, answer.json()["code"]) == (422, "limit_exceeded")
    assert not Transaction.objects.filter(from_wallet=asha.wallet).exists()


def test_of_a_day_the_sum_is_limited_and_never_how_often(asha: Holder, ravi: Holder) -> None:
    assert [send(asha, ravi, "1") for _ in range(12)] == ["done"] * 12
    assert [send(asha, ravi, amount) for amount in ("1000", "488.01", "488", "0.01")] == [
        "done",
        "limit_exceeded",
        "done",
        "limit_exceeded",
    ]
    assert (ravi.balance, totals(asha, "TRANSFER")) == (1500, (1500, 1500))


def test_each_type_has_a_limit_of_its_own_and_so_has_each_level(asha: Holder, ravi: Holder) -> None:
    _, shop = merchant()
    account = bank_account(asha)
    assert [send(asha, ravi, "1000"), send(asha, ravi, "500"), send(asha, ravi, "1")][-1] == "limit_exceeded"
    assert asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "1000"}).status_code == 201
    assert asha.confirm("/wallet/withdraw", {"bank_account": account, "amount": "1000"}).status_code == 202
    late = asha.post("/wallet/withdraw", {"bank_account": account, "amount": "500.01"})
    assert late.json()["code"] == "limit_exceeded"
    assert (add(asha, "1000"), add(asha, "500.01"), add(asha, "500")) == ("done", "limit_exceeded", "done")
    at_level(asha, MINIMUM)
    assert asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "1"}).json()["code"] == "limit_exceeded"
    meera = at_level(holder("Meera Nair", rupees=500), MINIMUM)
    assert [send(meera, ravi, amount) for amount in ("100.01", "100", "50.01", "50")] == [
        "limit_exceeded",
        "done",
        "limit_exceeded",
        "done",
    ]


def test_a_day_ends_at_midnight_in_kolkata_and_a_month_with_its_last(
    asha: Holder, ravi: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    year = timezone.now().year + 1
    # 18:30 UTC is midnight in Kolkata.
    evening = datetime(year, 1, 30, 18, 29, 59, tzinfo=UTC)
    for moment, amount, outcome in [
        (evening, "1000", "done"),
        (evening, "500.01", "limit_exceeded"),
        (evening + timedelta(seconds=1), "1000", "done"),  # another day, and all of the month
        (evening + timedelta(seconds=1), "0.01", "limit_exceeded"),
        (evening + timedelta(days=1), "0.01", "limit_exceeded"),
        (evening + timedelta(days=1, seconds=1), "1000", "done"),  # 1 February
        (evening + timedelta(days=1, seconds=1), "500.01", "limit_exceeded"),
    ]:
        with database_clock(monkeypatch, moment):
            assert send(asha, ravi, amount) == outcome, (moment, amount)
    assert totals(asha, "TRANSFER") == (1000, 1000)
    # A clock that goes behind opens no day anew.
    with database_clock(monkeypatch, evening):
        assert [send(asha, ravi, amount) for amount in ("500.01", "500")] == ["limit_exceeded", "done"]


def test_the_newest_rule_holds_from_its_time_on(asha: Holder, ravi: Holder) -> None:
    now = timezone.now()
    level = {"kyc_level": FULL, "type": Limited.PAY, "per_day": 1500, "per_month": 2000, "reason": "tests"}
    _, shop = merchant()
    pay = {"merchant": shop.handle, "amount": "600"}
    LimitRule.objects.create(per_transaction=500, since=now + timedelta(hours=1), **level)
    assert asha.post("/wallet/pay", pay).status_code == 201
    LimitRule.objects.create(per_transaction=599, since=now, **level)
    assert asha.post("/wallet/pay", pay).json()["code"] == "limit_exceeded"
    LimitRule.objects.create(per_transaction=1000, since=timezone.now(), **level)
    assert asha.post("/wallet/pay", pay).status_code == 201


def test_ones_own_lower_limit_holds_at_once_and_never_lifts_the_operators(asha: Holder, ravi: Holder) -> None:
    def own(once: int | None, day: int | None) -> None:
        amounts = [None if each is None else Money(Decimal(each), "INR") for each in (once, day)]
        set_own_limits(
            user=asha.user,
            type=Limited.TRANSFER,
            per_transaction=amounts[0],
            per_day=amounts[1],
            per_month=None,
            now=timezone.now(),
        )

    own(100, 150)
    assert [send(asha, ravi, amount) for amount in ("100.01", "100", "50.01", "50")] == [
        "limit_exceeded",
        "done",
        "limit_exceeded",
        "done",
    ]
    # Higher tomorrow, not now; and then no higher than the operator's.
    own(5000, 9000)
    assert send(asha, ravi, "0.01") == "limit_exceeded"
    OwnLimit.objects.create(
        user=asha.user,
        type=Limited.PAY,
        per_transaction=5000,
        asked_at=timezone.now(),
        since=timezone.now(),
    )
    _, shop = merchant()
    assert asha.post("/wallet/pay", {"merchant": shop.handle, "amount": "1000.01"}).json()["code"] == "limit_exceeded"


def test_nobody_is_sent_more_than_they_may_hold_and_their_payer_learns_no_more(asha: Holder) -> None:
    ravi = at_level(holder("Ravi Kumar", rupees=4900), MINIMUM)
    assert send(asha, ravi, "100.01") == "recipient_unavailable"
    assert send(asha, ravi, "100") == "done"
    assert send(asha, ravi, "0.01") == "recipient_unavailable"
    assert ravi.balance == 5000
    # Spent again, there is room again; and a shop may hold any sum.
    meera, shop = merchant()
    at_level(meera, MINIMUM)
    fund(shop.wallet, 5000)
    assert ravi.post("/wallet/pay", {"merchant": shop.handle, "amount": "10"}).status_code == 201
    assert send(asha, ravi, "10") == "done"


@pytest.mark.parametrize("money", ["0", "678.90"])
def test_nobody_learns_from_refusals_what_another_wallet_holds(money: str) -> None:
    """A dry run tells nothing of it, however rich its payer; a payment nothing to whom it costs nothing."""
    asha = at_level(holder("Asha Rao", rupees="4321.09"), MINIMUM)
    zoya, rich = at_level(holder("Zoya Khan", rupees=money), FULL), at_level(holder("Zoya Khan", rupees=5000), FULL)
    # Her room is 678.91: the answers to what is past it and to what is not are the same.
    about = [{"to": asha.email, "amount": amount} for amount in ("678.91", "678.92")]
    assert [zoya.post("/wallet/transfer?dry_run=true", each).json()["code"] for each in about] == [
        "insufficient_funds"
    ] * 2
    assert [zoya.post("/wallet/transfer", each).json()["code"] for each in about] == ["insufficient_funds"] * 2
    assert [rich.post("/wallet/transfer?dry_run=true", each).status_code for each in about] == [200, 200]
    review = Browser(rich.user).review("/send", **about[1])
    assert (review.status, "678.92" in review.text) == (200, True)
    # Whoever has the money finds out by sending it, and that is on record.
    assert send(rich, asha, "678.92") == "recipient_unavailable"
    assert last_failed(rich).failure_code == "recipient_unavailable"
    assert asha.balance == Decimal("4321.09")


def test_what_is_held_of_a_payers_money_shows_them_nobodys_room() -> None:
    asha, zoya = at_level(holder(rupees=4950), MINIMUM), at_level(holder("Zoya Khan", rupees=100), FULL)
    posting.post([Group(initiator=system_actor("tests").pk, movements=(_hold(zoya, 60),))])
    assert [send(zoya, asha, amount) for amount in ("50", "50.01")] == ["insufficient_funds"] * 2


def test_ones_own_room_is_told_before_one_pays() -> None:
    meera, shop = merchant()
    at_level(meera, MINIMUM)
    fund(shop.wallet, 100)
    fund(meera.wallet, 4950)
    body = {"to": meera.email, "amount": "50.01"}
    answer = meera.post(f"/wallet/transfer?wallet={shop.wallet.public_id}&dry_run=true", body)
    assert answer.json()["code"] == "recipient_unavailable"


def test_nobody_adds_more_than_they_may_hold_but_what_was_paid_is_never_refused() -> None:
    asha = at_level(holder("Asha Rao", rupees=4900), MINIMUM)
    # What may still be paid counts, and no more once it is given up.
    assert (add(asha, "100.01"), add(asha, "60"), add(asha, "40.01")) == ("limit_exceeded", "done", "limit_exceeded")
    pending = Transaction.objects.filter(to_wallet=asha.wallet, status="PENDING")
    fail_order(order=pending.get().order, code="order_expired", state="EXPIRED", now=timezone.now())
    assert (add(asha, "60"), add(asha, "40")) == ("done", "done")
    fund(asha.wallet, 1000)
    for each in pending.order_by("pk"):
        completion = Completion(transaction=each.pk, status="SUCCESS")
        posting.post([Group(initiator=system_actor("tests").pk, movements=(completion,))])
    assert asha.balance == 6000


def test_what_is_undone_is_given_back_once_on_its_day_and_in_its_month(asha: Holder) -> None:
    account = bank_account(asha)
    payout = payout_of(withdraw(asha, account, "1000"))
    withdraw(asha, account, "400")
    assert totals(asha, "WITHDRAW") == (1400, 1400)
    for _ in range(2):
        fail_unaccepted(payout=payout, sends=payout.sends, reason="tests", now=timezone.now())
    assert totals(asha, "WITHDRAW") == (400, 400)
    assert asha.post("/wallet/withdraw", {"bank_account": account, "amount": "1000"}).status_code == 202
    assert asha.post("/wallet/withdraw", {"bank_account": account, "amount": "600"}).json()["code"] == "limit_exceeded"
    assert Payout.objects.filter(transaction__from_wallet=asha.wallet).count() == 3
    assert BankAccount.objects.filter(owner=asha.user).count() == 1


def test_a_top_up_that_nobody_paid_counts_no_more(asha: Holder) -> None:
    assert (add(asha, "1000"), add(asha, "501")) == ("done", "limit_exceeded")
    pending = Transaction.objects.get(to_wallet=asha.wallet, status="PENDING")
    order = pending.order
    for _ in range(2):
        fail_order(order=order, code="order_expired", state="EXPIRED", now=timezone.now())
    assert totals(asha, "ADD") == (0, 0)
    assert add(asha, "501") == "done"
