"""
Payouts against a real sandbox process: every bank account of the contract's table, and every way to lose an answer.

After each test the books hold, and the ledger says of payouts exactly what the sandbox's own book says.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from payments.models import Case, Payout
from payments.payouts import ask_about_payout, follow_payout, send_payout, sweep_payouts
from payments.webhooks import process_event, waiting_events
from tests.payments.cast import holder
from tests.payments.gateway import client, deliver, letters_about, wallet_speaks_to
from tests.payments.sandbox_process import Merchant, Sandbox
from tests.payments.withdrawing import (
    ask_until,
    assert_same_books,
    bank_account,
    operate,
    payout_of,
    payouts_there,
    seen,
    until,
    withdraw,
)
from wallet_project.kernel.errors import GatewayError
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox], superuser_url: str) -> Iterator[Sandbox]:
    running = both[1]
    with wallet_speaks_to(client(running.url, read_seconds=2.0)):
        yield running
    operate(running, "misbehaviour/off")
    assert_same_books(superuser_url, running)


def at_once(count: int, deed: Callable[[], object]) -> None:
    def run(_: int) -> None:
        try:
            deed()
        except GatewayError:
            """Nobody answered this one: the next asks."""
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))


def later() -> None:
    """A sweep once everything that is open is due."""
    sweep_payouts(now=timezone.now() + timedelta(minutes=2))


def test_every_bank_account_does_what_its_ending_says_and_the_person_sees_it(sandbox: Sandbox) -> None:
    asha = holder(rupees=1000)
    of = {ending: withdraw(asha, bank_account(asha, ending), "100") for ending in ("0001", "0002", "0003", "0004")}
    of |= {ending: withdraw(asha, bank_account(asha, ending), "50") for ending in ("0005", "0006", "0007")}
    assert asha.balance == 450
    sweep_payouts(now=timezone.now())

    for ending in ("0001", "0004", "0007"):
        payout = ask_until(of[ending], "PROCESSED")
        assert (payout.status, bool(payout.utr), payout.fee_minor, payout.tax_minor) == ("processed", True, 590, 90)
        shown = seen(asha, of[ending])
        assert (shown["status"], shown["reversed_by"], shown["failure"]) == ("SUCCESS", None, None)
        assert shown["completed_at"] is not None
        assert len(payouts_there(sandbox, of[ending])) == 1

    failed = ask_until(of["0002"], "FAILED")
    assert failed.reason
    shown = seen(asha, of["0002"])
    assert (shown["status"], shown["failure"]["code"]) == ("FAILED", "payout_failed")
    back = asha.get(f"/transactions/{shown['reversed_by']}").json()
    assert (back["type"], back["direction"], back["reverses"]) == ("REVERSAL", "in", of["0002"]["id"])
    assert back["counterparty"]["display_name"] == "HDFC Bank ••0002"

    ask_until(of["0003"], "REVERSED")
    shown = seen(asha, of["0003"])
    assert (shown["status"], shown["failure"]) == ("SUCCESS", None)
    assert asha.get(f"/transactions/{shown['reversed_by']}").json()["status"] == "SUCCESS"

    for ending, state in (("0005", "QUEUED"), ("0006", "PROCESSING")):
        assert ask_until(of[ending], state).check_at is not None
        assert seen(asha, of[ending])["status"] == "PENDING"
    assert asha.balance == 650

    queued = payout_of(of["0005"]).payout_id
    operate(sandbox, f"payouts/{queued}/move", to="processing")
    ask_until(of["0005"], "PROCESSED")
    stuck = payout_of(of["0006"]).payout_id
    operate(sandbox, f"payouts/{stuck}/move", to="reversed")
    ask_until(of["0006"], "REVERSED")
    # The bank never had it, so the person did not withdraw; and it cost nothing.
    assert seen(asha, of["0006"])["status"] == "FAILED"
    assert payout_of(of["0006"]).fee_minor is None
    assert asha.balance == 700


def test_a_cancelled_and_a_rejected_payout_bring_the_money_back(sandbox: Sandbox) -> None:
    asha = holder(rupees=300)
    cancelled = withdraw(asha, bank_account(asha, "0005"))
    sweep_payouts(now=timezone.now())
    sandbox.call("POST", f"/payouts/{payout_of(cancelled).payout_id}/cancel")
    assert ask_until(cancelled, "FAILED").status == "cancelled"
    assert seen(asha, cancelled)["failure"]["code"] == "payout_failed"
    assert asha.balance == 300


@pytest.mark.parametrize("fault", ["dropped_reply", "late_reply"])
def test_a_payout_whose_answers_were_lost_is_made_once_and_found_again(sandbox: Sandbox, fault: str) -> None:
    asha = holder(rupees=300)
    withdrawal = withdraw(asha, bank_account(asha))
    seconds = {"seconds": 6} if fault == "late_reply" else {}
    operate(sandbox, "misbehaviour", fault=fault, calls=3, routes=["payouts"], methods=["POST"], **seconds)
    sweep_payouts(now=timezone.now())
    lost = payout_of(withdrawal)
    assert (lost.state, lost.payout_id, lost.sends) == ("UNKNOWN", None, 1)
    assert (seen(asha, withdrawal)["status"], asha.balance) == ("PENDING", 200)
    operate(sandbox, "misbehaviour/off")
    later()
    ask_until(withdrawal, "PROCESSED")
    assert len(payouts_there(sandbox, withdrawal)) == 1


def test_after_three_lost_answers_the_reference_is_looked_for_before_another_send(sandbox: Sandbox) -> None:
    asha = holder(rupees=300)
    withdrawal = withdraw(asha, bank_account(asha))
    operate(sandbox, "misbehaviour", fault="dropped_reply", calls=1000, routes=["payouts"], methods=["POST"])
    for _ in range(3):
        with pytest.raises(GatewayError):
            ask_about_payout(payout=payout_of(withdrawal), now=timezone.now())
    assert payout_of(withdrawal).state == "UNKNOWN"
    ask_about_payout(payout=payout_of(withdrawal), now=timezone.now())
    found = payout_of(withdrawal)
    assert (found.sends, found.payout_id) == (3, payouts_there(sandbox, withdrawal)[0]["id"])
    ask_until(withdrawal, "PROCESSED")


@pytest.mark.parametrize("fault", ["bad_gateway", "too_many_requests"])
def test_a_gateway_that_is_away_decides_nothing_and_is_asked_until_it_is_back(sandbox: Sandbox, fault: str) -> None:
    asha = holder(rupees=300)
    withdrawal = withdraw(asha, bank_account(asha))
    operate(sandbox, "misbehaviour", fault=fault, calls=1000)
    now = timezone.now()
    for _ in range(2):
        sweep_payouts(now=now)
        now += timedelta(minutes=2)
    assert (seen(asha, withdrawal)["status"], asha.balance) == ("PENDING", 200)
    operate(sandbox, "misbehaviour/off")
    assert payouts_there(sandbox, withdrawal) == []
    sweep_payouts(now=now)
    ask_until(withdrawal, "PROCESSED")
    assert len(payouts_there(sandbox, withdrawal)) == 1


def test_a_crash_between_commit_and_send_or_after_it_leaves_what_the_sweep_finishes(sandbox: Sandbox) -> None:
    asha = holder(rupees=300)
    unsent, half_sent = (withdraw(asha, bank_account(asha)) for _ in range(2))
    # As a process leaves it that is killed after it noted the send, whether the request left or not.
    Payout.objects.filter(pk=payout_of(half_sent).pk).update(state="UNKNOWN", sends=1, sent_at=timezone.now())
    later()
    for withdrawal in (unsent, half_sent):
        ask_until(withdrawal, "PROCESSED")
        assert len(payouts_there(sandbox, withdrawal)) == 1
    assert asha.balance == 100


def test_workers_at_once_send_once_and_those_who_send_at_once_pay_once(sandbox: Sandbox) -> None:
    asha = holder(rupees=300)
    claimed = withdraw(asha, bank_account(asha))
    pk, now = payout_of(claimed).transaction_id, timezone.now()
    at_once(4, lambda: (sweep_payouts(now=now), send_payout(transaction_id=pk, now=now)))
    assert payout_of(claimed).sends == 1
    crowded = withdraw(asha, bank_account(asha))
    at_once(6, lambda: ask_about_payout(payout=payout_of(crowded), now=timezone.now()))
    for withdrawal in (claimed, crowded):
        ask_until(withdrawal, "PROCESSED")
        assert len(payouts_there(sandbox, withdrawal)) == 1


def test_a_webhook_a_sweep_and_support_at_once_settle_a_payout_once(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox
) -> None:
    asha = holder(rupees=300)
    withdrawal = withdraw(asha, bank_account(asha, "0006"))
    sweep_payouts(now=timezone.now())
    payout_id = payout_of(withdrawal).payout_id or ""
    operate(sandbox, f"payouts/{payout_id}/move", to="processed")
    for letter in letters_about(both[0], payout_id, 2):
        assert deliver(letter).status_code == 200

    def everybody() -> None:
        now = timezone.now() + timedelta(minutes=2)
        for event in waiting_events(now=now):
            process_event(event_id=event, now=now)
        sweep_payouts(now=now)
        ask_about_payout(payout=payout_of(withdrawal), now=now)
        follow_payout(gateway="razorpay", payout_id=payout_id, reference="", now=now)

    at_once(5, everybody)
    assert payout_of(withdrawal).state == "PROCESSED"
    operate(sandbox, f"payouts/{payout_id}/move", to="reversed")
    at_once(5, everybody)
    assert payout_of(withdrawal).state == "REVERSED"
    assert asha.balance == 300
    returned = asha.get("/transactions?type=REVERSAL").json()["results"]
    assert [row["reverses"] for row in returned] == [withdrawal["id"]]


def test_a_reversal_days_later_whose_webhook_was_lost_is_found_and_a_failure_after_it_changes_nothing(
    sandbox: Sandbox,
) -> None:
    asha = holder(rupees=300)
    withdrawal = withdraw(asha, bank_account(asha))
    sweep_payouts(now=timezone.now())
    arrived = ask_until(withdrawal, "PROCESSED")
    assert arrived.check_at is not None
    for to in ("reversed", "failed", "reversed"):
        operate(sandbox, f"payouts/{arrived.payout_id}/move", to=to)
        if to == "reversed":
            sweep_payouts(now=timezone.now() + timedelta(days=3))
            follow_payout(gateway="razorpay", payout_id=str(arrived.payout_id), reference="", now=timezone.now())
        else:
            ask_until(withdrawal, "FAILED")
    shown = seen(asha, withdrawal)
    assert (shown["status"], bool(shown["reversed_by"]), asha.balance) == ("SUCCESS", True, 300)
    assert payout_of(withdrawal).check_at is None


def test_a_payout_is_listened_to_for_a_week_after_it_arrived_and_no_longer(sandbox: Sandbox) -> None:
    asha = holder(rupees=300)
    withdrawal = withdraw(asha, bank_account(asha))
    sweep_payouts(now=timezone.now())
    ask_until(withdrawal, "PROCESSED")
    now, asked = timezone.now(), 0
    while (due := payout_of(withdrawal).check_at) is not None:
        now, asked = due, asked + 1
        sweep_payouts(now=now)
    assert now < timezone.now() + timedelta(days=7)
    assert now > timezone.now() + timedelta(days=6)
    assert asked < 60


def test_what_is_still_open_after_a_day_and_a_half_stands_in_the_queue_with_its_reason(sandbox: Sandbox) -> None:
    asha = holder(rupees=300)
    stuck, queued = withdraw(asha, bank_account(asha, "0006")), withdraw(asha, bank_account(asha, "0005"))
    sweep_payouts(now=timezone.now())
    later()
    assert not Case.objects.filter(subject__in=(stuck["id"], queued["id"])).exists()
    sweep_payouts(now=timezone.now() + timedelta(days=2))
    sweep_payouts(now=timezone.now() + timedelta(days=3))
    cases = {case.subject: case for case in Case.objects.filter(kind="UNKNOWN_OUTCOME", state="OPEN")}
    assert cases[stuck["id"]].reason.startswith("Still processing at the bank since 20")
    assert cases[queued["id"]].reason.startswith("Still queued at the gateway since 20")
    assert cases[stuck["id"]].transaction_id == payout_of(stuck).transaction_id
    assert (cases[stuck["id"]].amount_here_minor, cases[stuck["id"]].times) == (10000, 2)
    assert payout_of(stuck).check_at is not None
    for withdrawal, to in ((stuck, "failed"), (queued, "processing")):
        operate(sandbox, f"payouts/{payout_of(withdrawal).payout_id}/move", to=to)
    ask_until(stuck, "FAILED")
    ask_until(queued, "PROCESSED")
    assert not Case.objects.filter(subject__in=(stuck["id"], queued["id"]), state="OPEN").exists()


def test_money_that_comes_back_to_a_closed_wallet_is_in_suspense_and_somebody_is_told(sandbox: Sandbox) -> None:
    asha = holder(rupees=100)
    withdrawal = withdraw(asha, bank_account(asha, "0002"))
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="CLOSED")
    sweep_payouts(now=timezone.now())
    ask_until(withdrawal, "FAILED")
    assert asha.balance == 0
    case = Case.objects.get(kind="DIVERTED", subject=withdrawal["id"])
    assert case.transaction is not None
    assert case.transaction.reverses_id == payout_of(withdrawal).transaction_id


def test_news_of_a_payout_that_is_not_ours_is_let_go(sandbox: Sandbox) -> None:
    asha = holder(rupees=300)
    withdrawal = withdraw(asha, bank_account(asha))
    later()
    ask_until(withdrawal, "PROCESSED")
    other = withdraw(asha, bank_account(asha, "0006"))
    follow_payout(gateway="razorpay", payout_id="pout_Unknown0000000", reference="elsewhere", now=timezone.now())
    # Somebody's letter that pairs our reference with another payout: the gateway's own word counts.
    known = str(payout_of(withdrawal).payout_id)
    Payout.objects.filter(pk=payout_of(withdrawal).pk).update(payout_id=None)
    follow_payout(gateway="razorpay", payout_id=known, reference=other["id"], now=timezone.now())
    assert payout_of(other).state == "NEW"
    follow_payout(gateway="razorpay", payout_id=known, reference=withdrawal["id"], now=timezone.now())
    later()
    until(lambda: payout_of(other).state == "PROCESSING")
