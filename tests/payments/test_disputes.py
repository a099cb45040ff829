"""Disputed payments, against a real sandbox process that plays the payers' banks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from ledger.models import Hold, Transaction
from ledger.system_wallets import Purpose
from payments import disputes
from payments.captures import settle_order
from payments.disputes import follow_dispute, sweep_disputes
from payments.models import Case, Dispute, GatewayOrder, PaymentAttempt
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.operating import dispute, move_dispute, top_up
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (_, sandbox):
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, superuser_url: str) -> Iterator[Sandbox]:
    """Whatever a test does, the books hold after it, and the gateway is owed exactly what both books say."""
    with wallet_speaks_to(client(running.url)):
        yield running
    assert_books_hold(superuser_url)
    captured = running.book()["payments"]["captured"]["total"]
    lost = [each["amount_deducted"] for each in disputes_of(running) if each["status"] == "lost"]
    assert sum(Dispute.objects.filter(state="LOST").values_list("amount_minor", flat=True)) == sum(lost)
    assert standing(Purpose.GATEWAY_CLEARING) == -Decimal(captured - sum(lost)) / 100


def disputes_of(sandbox: Sandbox) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = sandbox.call("GET", "/disputes", params={"count": 100}).json()["items"]
    return items


def standing(purpose: str) -> Decimal:
    """All shards of a system wallet together."""
    return sum(Wallet.objects.filter(purpose=purpose).values_list("balance", flat=True), Decimal(0))


def follow(dispute_id: str) -> Dispute:
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    return Dispute.objects.select_related("hold", "lost_by").get(dispute_id=dispute_id)


def seen(person: Holder) -> tuple[str, str]:
    """Balance and what of it may be spent, as the person's phone shows them."""
    shown = person.get("/wallet/balance").json()
    return shown["balance"]["amount"], shown["available"]["amount"]


def history(person: Holder) -> list[tuple[str, str, str]]:
    rows = person.get("/transactions").json()["results"]
    return [(row["type"], row["direction"], row["amount"]["amount"]) for row in rows]


def pay(sender: Holder, recipient: Holder, amount: str) -> int:
    answer = sender.post("/wallet/transfer", {"to": recipient.email, "amount": amount})
    return int(answer.status_code)


def test_a_disputed_payment_is_held_and_free_again_once_it_is_won(sandbox: Sandbox) -> None:
    asha, ravi = holder(), holder("Ravi Kumar")
    found = follow(dispute_id := dispute(sandbox, top_up(sandbox, asha, "500"), amount=30_000))
    assert seen(asha) == ("500.00", "200.00")
    assert (found.state, found.amount_minor, found.shortfall_minor, found.reason) == ("OPEN", 30_000, 0, "chargeback")
    assert found.respond_by is not None
    assert pay(asha, ravi, "200.01") == 422
    for state in ("under_review", "action_required"):
        move_dispute(sandbox, dispute_id, state)
        assert follow(dispute_id).state == state.upper()
    assert seen(asha) == ("500.00", "200.00")
    move_dispute(sandbox, dispute_id, "won")
    found = follow(dispute_id)
    assert (found.state, found.hold and found.hold.status, found.check_at) == ("WON", "RELEASED", None)
    assert seen(asha) == ("500.00", "500.00")
    assert history(asha) == [("TRANSFER", "out", "200.01"), ("ADD", "in", "500.00")]


def test_one_that_is_closed_without_a_loss_frees_the_money_too(sandbox: Sandbox) -> None:
    asha = holder()
    follow(dispute_id := dispute(sandbox, top_up(sandbox, asha)))
    move_dispute(sandbox, dispute_id, "closed")
    assert follow(dispute_id).state == "CLOSED"
    assert seen(asha) == ("500.00", "500.00")


def test_a_lost_dispute_leaves_the_wallet_and_the_gateway_is_owed_nothing_for_it(sandbox: Sandbox) -> None:
    asha = holder()
    owed = standing(Purpose.CHARGEBACKS)
    follow(dispute_id := dispute(sandbox, payment_id := top_up(sandbox, asha, "500"), amount=30_000))
    move_dispute(sandbox, dispute_id, "lost")
    found = follow(dispute_id)
    assert (found.state, found.hold and found.hold.status) == ("LOST", "CAPTURED")
    assert seen(asha) == ("200.00", "200.00")
    assert history(asha) == [("CHARGEBACK", "out", "300.00"), ("ADD", "in", "500.00")]
    shown = asha.get("/transactions").json()["results"][0]
    assert (shown["status"], shown["counterparty"]["display_name"]) == ("SUCCESS", "Disputed payment")
    credited = PaymentAttempt.objects.get(payment_id=payment_id).credited_by
    assert credited is not None
    assert found.lost_by is not None
    assert found.lost_by.to_wallet_id == credited.from_wallet_id
    assert standing(Purpose.CHARGEBACKS) == owed
    assert not Case.objects.filter(subject=dispute_id).exists()


def test_what_an_emptied_wallet_lacks_is_owed_to_us_and_is_a_case(sandbox: Sandbox) -> None:
    asha, ravi = holder(), holder("Ravi Kumar")
    owed = standing(Purpose.CHARGEBACKS)
    payment_id = top_up(sandbox, asha, "500")
    assert pay(asha, ravi, "350") == 201
    found = follow(dispute_id := dispute(sandbox, payment_id))
    assert (found.shortfall_minor, seen(asha)) == (35_000, ("150.00", "0.00"))
    case = Case.objects.get(kind="CHARGEBACK_SHORTFALL", subject=dispute_id)
    assert "₹350.00 of it was not in the wallet any more" in case.reason
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="FROZEN")
    move_dispute(sandbox, dispute_id, "lost")
    found = follow(dispute_id)
    assert seen(asha) == ("0.00", "0.00")
    assert standing(Purpose.CHARGEBACKS) == owed - 350
    assert found.lost_by is not None
    assert found.lost_by.amount == 500
    case.refresh_from_db()
    assert (case.state, case.times, "was lost" in case.reason) == ("OPEN", 2, True)


def test_the_case_of_an_emptied_wallet_is_closed_once_the_dispute_is_won(sandbox: Sandbox) -> None:
    asha, ravi = holder(), holder("Ravi Kumar")
    payment_id = top_up(sandbox, asha, "500")
    assert pay(asha, ravi, "500") == 201
    found = follow(dispute_id := dispute(sandbox, payment_id))
    assert (found.hold, found.shortfall_minor) == (None, 50_000)
    move_dispute(sandbox, dispute_id, "won")
    assert follow(dispute_id).state == "WON"
    assert Case.objects.get(subject=dispute_id).state == "RESOLVED"


def test_a_loss_that_is_heard_of_before_its_dispute_ends_the_same(sandbox: Sandbox) -> None:
    asha = holder()
    dispute_id = dispute(sandbox, top_up(sandbox, asha, "500"))
    move_dispute(sandbox, dispute_id, "lost")
    for _ in range(3):
        found = follow(dispute_id)
    assert (found.state, found.hold and found.hold.status) == ("LOST", "CAPTURED")
    assert history(asha) == [("CHARGEBACK", "out", "500.00"), ("ADD", "in", "500.00")]


def test_a_dispute_that_many_workers_hear_of_at_once_is_held_once_and_lost_once(sandbox: Sandbox) -> None:
    asha, emptied, ravi = holder(), holder("Asha Emptied"), holder("Ravi Kumar")
    disputes = [dispute(sandbox, top_up(sandbox, person, "500")) for person in (asha, emptied)]
    assert pay(emptied, ravi, "500") == 201

    def work(dispute_id: str) -> None:
        try:
            follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
        finally:
            connections.close_all()

    for to in ("open", "lost"):
        if to == "lost":
            for dispute_id in disputes:
                move_dispute(sandbox, dispute_id, to)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, disputes * 5))
        assert [found.state for found in Dispute.objects.filter(dispute_id__in=disputes)] == [to.upper()] * 2
    assert Hold.objects.filter(dispute__dispute_id__in=disputes).count() == 1
    assert (seen(asha), seen(emptied)) == (("0.00", "0.00"), ("0.00", "0.00"))
    assert history(asha) == [("CHARGEBACK", "out", "500.00"), ("ADD", "in", "500.00")]
    assert Case.objects.get(subject=disputes[1]).times == 2


def test_a_second_dispute_of_the_same_payment_is_its_own(sandbox: Sandbox) -> None:
    asha = holder()
    payment_id = top_up(sandbox, asha, "500")
    follow(first := dispute(sandbox, payment_id, amount=20_000))
    move_dispute(sandbox, first, "won")
    follow(first)
    found = follow(second := dispute(sandbox, payment_id, amount=10_000))
    assert seen(asha) == ("500.00", "400.00")
    move_dispute(sandbox, second, "lost")
    found = follow(second)
    assert (found.state, Dispute.objects.get(dispute_id=first).state) == ("LOST", "WON")
    assert seen(asha) == ("400.00", "400.00")


def test_a_payment_that_went_to_suspense_is_lost_from_there(sandbox: Sandbox) -> None:
    asha = holder()
    answer = asha.post("/wallet/add", {"amount": "500"}).json()
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="CLOSED")
    order_id = answer["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    payment_id = sandbox.payments(order_id)[0]["id"]
    waiting, owed = standing(Purpose.SUSPENSE), standing(Purpose.CHARGEBACKS)
    dispute_id = dispute(sandbox, payment_id)
    # Nobody here has heard of the payment yet: a case, and no guess.
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    assert Case.objects.get(kind="MISSING_HERE", subject=dispute_id).state == "OPEN"
    settle_order(order=GatewayOrder.objects.get(order_id=order_id), now=timezone.now())
    assert standing(Purpose.SUSPENSE) == waiting + 500
    found = follow(dispute_id)
    assert (found.hold, found.shortfall_minor) == (None, 0)
    assert Case.objects.get(kind="MISSING_HERE", subject=dispute_id).state == "RESOLVED"
    move_dispute(sandbox, dispute_id, "lost")
    assert follow(dispute_id).state == "LOST"
    assert (standing(Purpose.SUSPENSE), standing(Purpose.CHARGEBACKS)) == (waiting, owed)
    assert Transaction.objects.filter(metadata__dispute=dispute_id).count() == 2


def test_open_disputes_are_asked_about_now_and_then(sandbox: Sandbox) -> None:
    asha = holder()
    found = follow(dispute_id := dispute(sandbox, top_up(sandbox, asha)))
    move_dispute(sandbox, dispute_id, "won")
    Dispute.objects.exclude(pk=found.pk).update(check_at=None)
    assert found.check_at is not None
    assert sweep_disputes(now=found.check_at - timedelta(seconds=1)) == 0
    assert sweep_disputes(now=found.check_at + timedelta(seconds=1)) == 1
    assert Dispute.objects.get(pk=found.pk).state == "WON"
    assert sweep_disputes(now=timezone.now() + timedelta(days=30)) == 0


def test_one_dispute_that_cannot_be_worked_on_does_not_stop_the_sweep(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = (follow(dispute(sandbox, top_up(sandbox, holder()))) for _ in range(2))
    for each in (broken, sound):
        move_dispute(sandbox, each.dispute_id, "won")

    def trip_over_one(*, gateway: str, dispute_id: str, now: datetime) -> None:
        if dispute_id == broken.dispute_id:
            raise ZeroDivisionError
        follow_dispute(gateway=gateway, dispute_id=dispute_id, now=now)

    later = timezone.now() + timedelta(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr(disputes, "follow_dispute", trip_over_one)
        sweep_disputes(now=later)
    assert Dispute.objects.get(pk=sound.pk).state == "WON"
    sweep_disputes(now=later + timedelta(days=1))
    assert Dispute.objects.get(pk=broken.pk).state == "WON"
