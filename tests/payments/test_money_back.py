"""Money that went to the wrong person: asked back, set aside, given back or not; and that it moves once, if at all."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from accounts.blocking import block as block_person
from accounts.models import AddressChange, Channel
from ledger.models import Hold, Transaction
from ledger.movements import Group, Key, Movement
from ledger.posting import post
from payments import money_back_answers
from payments.models import MoneyBack, Spending
from payments.spending import left_today
from tests.accounts.people import PASSWORD, superuser
from tests.environment import Database
from tests.ledger.proofs import assert_books_hold
from tests.payments.asking_back import answer, asked, code, held, sent, status_of, told
from tests.payments.cast import Holder, holder, new_key
from wallets.freezing import freeze

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module", autouse=True)
def books(database: Database) -> Any:
    """Whatever these tests do, the books hold after it."""
    yield
    assert_books_hold(database.superuser_url)


@pytest.fixture
def asha() -> Holder:
    return holder("Asha Rao", rupees=1000)


@pytest.fixture
def ravi() -> Holder:
    return holder("Ravi Kumar")


def test_asked_back_it_is_given_back_with_one_tap_by_a_refund_that_names_the_transfer(
    asha: Holder, ravi: Holder
) -> None:
    paid = sent(asha, ravi)
    asking = asha.post(f"/transactions/{paid}/money-back", {"note": "Sorry, a wrong number"})
    assert asking.status_code == 201
    request = asking.json()
    assert request | {"id": "", "asked_at": "", "expires_at": ""} == {
        "id": "",
        "role": "asker",
        "status": "ASKED",
        "transaction": paid,
        "amount": {"amount": "300.00", "currency": "INR"},
        "counterparty": {"display_name": "Ravi K.", "wallet": ravi.wallet.public_id},
        "note": "Sorry, a wrong number",
        "refund": None,
        "asked_at": "",
        "held_at": None,
        "expires_at": "",
        "ended_at": None,
    }
    (seen,) = ravi.get("/money-back").json()["results"]
    assert (seen["role"], seen["counterparty"]["display_name"]) == ("asked", "Asha R.")
    assert len(told(ravi)) == 1
    given = answer(ravi, request["id"], "give")
    assert given.status_code == 201, given.content
    refund = given.json()
    assert (refund["type"], refund["status"], refund["direction"], refund["reverses"]) == (
        *("REFUND", "SUCCESS", "out"),
        paid,
    )
    assert (asha.balance, ravi.balance) == (1000, 0)
    assert asha.get(f"/transactions/{paid}").json()["reversed_by"] == refund["id"]
    assert ravi.get(f"/transactions/{paid}").json()["reversed_by"] == refund["id"]
    theirs = asha.get(f"/transactions/{refund['id']}").json()
    assert (theirs["direction"], theirs["reverses"], theirs["counterparty"]["display_name"]) == ("in", paid, "Ravi K.")
    ended = asha.get(f"/money-back/{request['id']}").json()
    assert (ended["status"], ended["refund"], ended["ended_at"] is not None) == ("GIVEN", refund["id"], True)


def test_given_twice_it_moves_once_under_one_key_and_under_two(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    key = new_key()
    first = answer(ravi, request, "give", key=key)
    again = answer(ravi, request, "give", key=key)
    assert (first.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (201, 201, "true")
    assert again.json() == first.json()
    assert code(answer(ravi, request, "give")) == (409, "money_back_over")
    other = asked(asha, sent(asha, ravi))
    assert code(answer(ravi, other, "give", key=key)) == (422, "idempotency_key_reused")
    assert (asha.balance, ravi.balance) == (700, 300)
    assert Transaction.objects.filter(type="REFUND", from_wallet=ravi.wallet).count() == 1


def test_it_needs_a_key_and_has_no_dry_run(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    assert code(ravi.get(f"/money-back/{request}/give")) == (405, "method_not_allowed")
    assert code(answer(ravi, request, "give?dry_run=true")) == (400, "invalid")
    assert code(answer(ravi, request, "give", key="a b")) == (400, "idempotency_key_invalid")
    assert ravi.balance == 300


def test_whoever_has_spent_it_is_told_so_and_may_give_it_back_later(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    sent(ravi, holder("Dev Singh"), "100")
    key = new_key()
    refused = answer(ravi, request, "give", key=key)
    assert code(refused) == (422, "insufficient_funds")
    kept = ravi.get(f"/transactions/{refused.json()['transaction']}").json()
    assert (kept["type"], kept["status"], kept["failure"]["code"]) == ("REFUND", "FAILED", "insufficient_funds")
    assert status_of(request) == "ASKED"
    assert asha.get("/transactions?type=REFUND").json()["results"] == []
    sent(asha, ravi, "100")
    assert code(answer(ravi, request, "give", key=key)) == (422, "insufficient_funds"), "the same key replays"
    assert answer(ravi, request, "give").status_code == 201
    assert (asha.balance, ravi.balance) == (900, 0)


def test_a_frozen_wallet_gives_nothing_back_and_sets_nothing_aside(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    freeze(wallet=ravi.wallet, by=superuser(), reason="Fraud", now=timezone.now())
    assert code(answer(ravi, request, "give")) == (422, "wallet_frozen")
    assert code(answer(ravi, request, "hold")) == (422, "wallet_frozen")
    assert status_of(request) == "ASKED"


def test_a_frozen_sender_gets_it_back_and_a_closed_or_blocked_one_does_not(asha: Holder, ravi: Holder) -> None:
    first, second = asked(asha, sent(asha, ravi)), asked(asha, sent(asha, ravi, "100"))
    freeze(wallet=asha.wallet, by=superuser(), reason="Fraud", now=timezone.now())
    assert answer(ravi, first, "give").status_code == 201
    block_person(user=asha.user, by=superuser(), reason="Fraud", now=timezone.now())
    assert code(answer(ravi, second, "give")) == (422, "recipient_unavailable")
    assert status_of(second) == "ASKED"
    zoya = holder("Zoya Khan", rupees=10)
    third = asked(zoya, sent(zoya, ravi, "10"))
    assert zoya.post("/me/close", {"password": PASSWORD}).status_code == 204
    assert status_of(third) == "WITHDRAWN"
    assert MoneyBack.objects.get(asker=zoya.user).note == ""
    assert code(answer(ravi, third, "give")) == (409, "money_back_over")


def test_set_aside_it_cannot_be_spent_and_the_refund_takes_it_from_there(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    holding = answer(ravi, request, "hold")
    assert (holding.status_code, holding.json()["status"]) == (200, "HELD")
    assert (held(ravi), ravi.balance) == (300, 300)
    assert code(ravi.post("/wallet/transfer", {"to": asha.email, "amount": "1"})) == (422, "insufficient_funds")
    assert answer(ravi, request, "hold").json() == holding.json(), "twice is as good as once"
    assert held(ravi) == 300
    assert len(told(asha)) == 1
    given = answer(ravi, request, "give")
    assert given.status_code == 201
    assert (held(ravi), ravi.balance, asha.balance) == (0, 0, 1000)
    hold = Hold.objects.get(wallet=ravi.wallet)
    assert (hold.status, hold.captured_by and hold.captured_by.public_id) == ("CAPTURED", given.json()["id"])


def test_it_is_set_aside_only_where_it_is_there_to_be_spent(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    sent(ravi, asha, "1")
    assert code(answer(ravi, request, "hold")) == (422, "insufficient_funds")
    assert (held(ravi), status_of(request)) == (0, "ASKED")


@pytest.mark.parametrize(
    ("who", "word", "status"), [("ravi", "decline", "DECLINED"), ("asha", "withdraw", "WITHDRAWN")]
)
@pytest.mark.parametrize("aside", [True, False])
def test_declined_or_withdrawn_it_is_over_and_what_was_set_aside_is_free(
    asha: Holder, ravi: Holder, who: str, word: str, status: str, aside: bool
) -> None:
    request = asked(asha, sent(asha, ravi))
    if aside:
        assert answer(ravi, request, "hold").status_code == 200
    person = {"asha": asha, "ravi": ravi}[who]
    ended = answer(person, request, word)
    assert (ended.status_code, ended.json()["status"]) == (200, status)
    assert (held(ravi), ravi.balance) == (0, 300)
    assert answer(person, request, word).json() == ended.json(), "twice is as good as once"
    for other, late in ((ravi, "give"), (ravi, "hold"), (ravi, "decline"), (asha, "withdraw")):
        if late != word:
            assert code(answer(other, request, late)) == (409, "money_back_over")
    if aside:
        assert Hold.objects.get(wallet=ravi.wallet).status == "RELEASED"
    assert len(told({"asha": ravi, "ravi": asha}[who])) >= 1


def test_a_refund_never_exceeds_the_transfer_whoever_posts_it(asha: Holder, ravi: Holder) -> None:
    """The kernel's own rule, for a transfer as for a top-up; `tests/races` has it at once."""
    paid = sent(asha, ravi)
    transfer = next(row for row in Transaction.objects.filter(from_wallet=asha.wallet) if row.public_id == paid)

    def refund(amount: str) -> str:
        movement = Movement(
            type="REFUND",
            amount=Decimal(amount),
            currency="INR",
            from_wallet=ravi.wallet.pk,
            to_wallet=asha.wallet.pk,
            reverses=transfer.pk,
        )
        key = Key(key=new_key(), fingerprint=bytes(32))
        return post([Group(initiator=ravi.user.actor.pk, movements=(movement,), key=key)])[0].code

    assert [refund(each) for each in ("300.01", "200", "100.01", "100", "0.01")] == [
        *("refund_exceeds", "", "refund_exceeds", "", "refund_exceeds"),
    ]
    assert (asha.balance, ravi.balance) == (1000, 0)


def test_giving_much_back_asks_who_it_is_and_little_does_not() -> None:
    asha, ravi = holder("Asha Rao", rupees=50_000), holder("Ravi Kumar")
    small = asked(asha, sent(asha, ravi, "4999"))
    assert answer(ravi, small, "give").status_code == 201, "one tap, though she was never paid before"
    # With what was given back that day it is more than passes without.
    more = asked(asha, sent(asha, ravi, "2"))
    assert code(answer(ravi, more, "give")) == (403, "step_up_required")
    assert status_of(more) == "ASKED"
    large = asked(asha, sent(asha, ravi, "6000"))
    given = ravi.confirm(f"/money-back/{large}/give", None)
    assert given.status_code == 201, given.content
    assert (asha.balance, ravi.balance) == (49_998, 2)
    # Whoever was given something back is no known payee for that: what one pays them is judged as before.
    sent(asha, ravi, "3000")
    assert code(ravi.post("/wallet/transfer", {"to": asha.email, "amount": "2500"})) == (403, "step_up_required")


def test_after_a_change_of_address_it_counts_among_what_support_is_asked_for(ravi: Holder) -> None:
    asha, now = holder("Asha Rao", rupees=20_000), timezone.now()
    large, small = asked(asha, sent(asha, ravi, "4000")), asked(asha, sent(asha, ravi, "3000"))
    AddressChange.objects.create(
        user=ravi.user,
        channel=Channel.EMAIL,
        old_value="old@example.com",
        new_value=ravi.email,
        status=AddressChange.Status.DONE,
        requested_at=now,
        done_at=now,
        held_until=now + timedelta(days=1),
    )
    assert answer(ravi, large, "give").status_code == 201
    assert left_today(wallet=ravi.wallet.pk, day=Spending.objects.get(wallet=ravi.wallet).day) == 4000
    assert code(answer(ravi, small, "give")) == (403, "support_required")
    assert code(ravi.post("/wallet/transfer", {"to": asha.email, "amount": "1500"})) == (403, "support_required")


def test_what_came_back_counts_no_more_among_what_its_sender_spent(asha: Holder, ravi: Holder) -> None:
    request = asked(asha, sent(asha, ravi))
    day = Spending.objects.get(wallet=asha.wallet).day
    assert left_today(wallet=asha.wallet.pk, day=day) == 300
    assert answer(ravi, request, "give").status_code == 201
    assert left_today(wallet=asha.wallet.pk, day=day) == 0


def test_set_aside_between_looking_and_giving_it_is_taken_from_there(
    asha: Holder, ravi: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(asha, sent(asha, ravi))
    refund, times = money_back_answers._refund, iter(range(10))

    def held_meanwhile(row: MoneyBack) -> Movement:
        if next(times) == 0:
            money_back_answers.hold(user=ravi.user, money_back=request, now=timezone.now())
        return refund(row)

    monkeypatch.setattr(money_back_answers, "_refund", held_meanwhile)
    assert answer(ravi, request, "give").status_code == 201
    assert (held(ravi), ravi.balance) == (0, 0)


@pytest.mark.parametrize("aside", [True, False])
def test_declined_between_looking_and_giving_nothing_moves(
    asha: Holder, ravi: Holder, monkeypatch: pytest.MonkeyPatch, aside: bool
) -> None:
    request = asked(asha, sent(asha, ravi))
    if aside:
        answer(ravi, request, "hold")
    refund = money_back_answers._refund

    def declined_meanwhile(row: MoneyBack) -> Movement:
        money_back_answers.decline(user=ravi.user, money_back=request, now=timezone.now())
        return refund(row)

    monkeypatch.setattr(money_back_answers, "_refund", declined_meanwhile)
    assert code(answer(ravi, request, "give")) == (409, "money_back_over")
    assert (ravi.balance, held(ravi), status_of(request)) == (300, 0, "DECLINED")
    assert not Transaction.objects.filter(type="REFUND", from_wallet=ravi.wallet).exists()


def test_the_database_holds_what_has_ended(asha: Holder, ravi: Holder, database: Database) -> None:
    request = asked(asha, sent(asha, ravi))
    answer(ravi, request, "decline")
    row = next(row for row in MoneyBack.objects.all() if row.public_id == request)
    with psycopg.connect(database.owner_url, autocommit=True) as owner:
        for change in ("status = 'ASKED', ended_at = NULL", "status = 'EXPIRED'"):
            with pytest.raises(psycopg.errors.RestrictViolation, match="has ended"):
                owner.execute(f"UPDATE payments_moneyback SET {change} WHERE id = %s", [row.pk])
    other = asked(asha, sent(asha, ravi))
    pk = next(row.pk for row in MoneyBack.objects.all() if row.public_id == other)
    with psycopg.connect(database.app_url, autocommit=True) as application:
        given = (
            "UPDATE payments_moneyback SET status = 'GIVEN', ended_at = now(), refund_id = transfer_id WHERE id = %s"
        )
        with pytest.raises(psycopg.errors.CheckViolation, match="given back by a refund"):
            application.execute(given, [pk])
        for forbidden in ("UPDATE payments_moneyback SET asker_id = asked_id", "DELETE FROM payments_moneyback"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                application.execute(forbidden)
