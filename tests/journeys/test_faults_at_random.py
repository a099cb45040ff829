"""
Top-ups and withdrawals on a day when everything goes wrong at the gateway, and workers die of `kill -9` in the middle
of their work: at its end both books are equal, nothing was credited twice and nothing was paid out twice.

`make faults` runs a thousand of each; FAULTS_COUNT and FAULTS_SEED choose another number and another day.
"""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import requests

from tests.journeys.bad_day.books import (
    Gateway,
    Totals,
    credits_of_orders,
    differences,
    ledger_totals,
    open_cases,
    parked_payments,
    sent_again,
    still_open,
    system_balances,
    withdrawals,
)
from tests.journeys.bad_day.clients import Client, Notes, newcomers
from tests.journeys.bad_day.kills import Workers
from tests.journeys.bad_day.plan import ENDINGS, PEOPLE, ROUNDS, STORIES, Round, TopUp, plan
from tests.journeys.bad_day.weather import FAULTS, Weather
from tests.journeys.contract import Api
from tests.running import CHECKOUT, Run, free_pair

COUNT: Final = int(os.environ.get("FAULTS_COUNT", "40"))
SEED: Final = int(os.environ.get("FAULTS_SEED", "20261125"))

pytestmark = [pytest.mark.runner, pytest.mark.xdist_group("faults"), pytest.mark.timeout(600 + 3 * COUNT)]

AT_ONCE: Final = 12
# So that nobody runs dry while their top-ups are still on their way.
STARTS_WITH_PAISE: Final = 20_000 + 1_000 * COUNT
QUIET_SECONDS: Final = 240.0 + COUNT
_POLL_SECONDS: Final = 0.5
INDIA: Final = ZoneInfo("Asia/Kolkata")
# What a time-out costs, and how soon the wallet asks again.
VARIABLES: Final = {
    "WALLET_GATEWAY_CONNECT_TIMEOUT_SECONDS": "1",
    "WALLET_GATEWAY_READ_TIMEOUT_SECONDS": "1.5",
    "WALLET_ASK_AFTER_SECONDS": "2",
    "WALLET_ORDER_LIFETIME_SECONDS": "30",
    # Nobody confirms: the day is the gateway's, and its workers that would send the codes are killed.
    "WALLET_STEP_UP_FIRST_WITHDRAWAL": "false",
    "WALLET_STEP_UP_FROM": "200000",
    "WALLET_STEP_UP_FROM_NEW_PAYEE": "200000",
    "WALLET_STEP_UP_PAST_A_DAY": "200000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """
    What is left of the day.

    :ivar began_with: paise in the wallets that close the books, before the day.
    :ivar here: the ledger's totals of the day.
    """

    run: Run
    clients: list[Client]
    notes: Notes
    weather: Weather
    workers: Workers
    dates: set[str]
    began_with: dict[str, int]
    here: Totals
    gateway: Gateway


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    run = Run(home=tmp_path_factory.mktemp("faults") / "home", port=free_pair(), variables=VARIABLES)
    run.start()
    yield _live_through(run)
    run.stop()


def _live_through(run: Run) -> Day:
    say(f"seed {SEED}: {COUNT} top-ups, {COUNT} withdrawals, {ROUNDS} kills")
    before, began_with, dates, notes = ledger_totals(run), system_balances(run), {_today()}, Notes()
    weather, workers = Weather(sandbox=run.sandbox_url, seed=SEED), Workers(run, seed=SEED)
    clients = newcomers(Api(run.base_url, run.sandbox_url), notes, people=PEOPLE)
    for number, client in enumerate(clients):
        for ending in ENDINGS:
            client.add_account(ending)
        client.do(
            TopUp(
                person=number,
                paise=STARTS_WITH_PAISE,
                impatient=False,
                forgetful=False,
                vpas=("success",),
                returns="confirms",
            )
        )
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, each in enumerate(plan(seed=SEED, count=COUNT)):
            weather.turn(number)
            _live_through_round(each, pool, clients, workers)
    weather.clear()
    worked = time.monotonic() - began
    here, gateway = _wait_for_quiet(run, before)
    settled = time.monotonic() - began - worked
    say(f"{worked:.0f} s of work, {settled:.0f} s until all was known")
    say(f"struck: {dict(weather.struck)}; asked again: {dict(notes.again)}; replayed: {notes.replayed}")
    say(f"the gateway: {gateway.totals()}; parked: {len(parked_payments(run))}; sent again: {sent_again(run)}")
    return Day(
        run=run,
        clients=clients,
        notes=notes,
        weather=weather,
        workers=workers,
        dates=dates | {_today()},
        began_with=began_with,
        here=here,
        gateway=gateway,
    )


def _live_through_round(each: Round, pool: ThreadPoolExecutor, clients: list[Client], workers: Workers) -> None:
    under_way = [pool.submit(clients[job.person].do, job) for job in each.jobs]
    for done, future in enumerate(as_completed(under_way), start=1):
        future.result()
        if done == each.kill.after:
            workers.kill(each.kill.whom)


def _wait_for_quiet(run: Run, before: Totals) -> tuple[Totals, Gateway]:
    """Until nobody has anything more to say and the wallet has heard it all: both books then as they are."""
    deadline = time.monotonic() + QUIET_SECONDS
    while True:
        if not still_open(run):
            gateway = Gateway.read(run)
            here = _since(before, ledger_totals(run))
            if gateway.is_at_rest() and not differences(here, gateway.totals()):
                return here, gateway
        if time.monotonic() > deadline:
            gateway, here = Gateway.read(run), _since(before, ledger_totals(run))
            raise AssertionError(f"still open: {still_open(run)}; {differences(here, gateway.totals())}")
        time.sleep(_POLL_SECONDS)


def _since(before: Totals, after: Totals) -> Totals:
    """The demo people's money was there before the day began."""
    told = {}
    for what, (count, paise) in after.items():
        earlier = before.get(what, (0, 0))
        if count != earlier[0]:
            told[what] = (count - earlier[0], paise - earlier[1])
    return told


def _today() -> str:
    return datetime.now(INDIA).date().isoformat()


def say(text: str) -> None:
    sys.stdout.write(f"\nfaults at random: {text}")
    sys.stdout.flush()


def manage(run: Run, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=CHECKOUT,
        env=run.command_environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_day_was_as_bad_as_it_was_meant_to_be(day: Day) -> None:
    assert len(day.notes.topups) == COUNT + PEOPLE
    assert len(day.notes.withdrawals) == COUNT
    assert {fault: day.weather.struck[fault] for fault in FAULTS if not day.weather.struck[fault]} == {}
    assert Counter(whom for whom, _ in day.workers.killed) == dict.fromkeys(("parent", "child"), ROUNDS // 2)
    assert len({(process.pid, process.started) for _, process in day.workers.killed}) == ROUNDS
    assert not any(process.is_alive for _, process in day.workers.killed)
    day.workers.wait_until_whole()
    assert sent_again(day.run), "no outcome was unknown for long"
    payers = {payment["vpa"].partition("@")[0] for payment in day.gateway.payments}
    assert payers == {vpa for vpas in STORIES for vpa in vpas}


def test_nothing_is_open_and_both_books_are_equal(day: Day) -> None:
    assert still_open(day.run) == {}
    assert "open" not in day.here
    assert differences(day.here, day.gateway.totals()) == {}
    wanted = {"payments captured", "refunds processed", "payouts processed", "payouts failed", "payouts reversed"}
    assert set(day.here) == wanted


def test_each_order_that_was_paid_is_credited_once_and_what_else_was_paid_went_back(day: Day) -> None:
    paid, credited, parked = day.gateway.payments_of(), credits_of_orders(day.run), parked_payments(day.run)
    asked = {each.transaction: each for each in day.notes.topups}
    orders = {order["receipt"]: order for order in day.gateway.orders}
    assert orders.keys() == asked.keys()
    back = Counter(refund["payment_id"] for refund in day.gateway.refunds)
    returned = set()
    for receipt, order in orders.items():
        amount, payments = asked[receipt].paise, paid.get(order["id"], [])
        assert order["amount"] == amount
        right = [payment for payment in payments if payment["amount"] == amount]
        kept = [payment for payment in payments if payment["status"] == "captured"]
        # One of the right amount stays, all others went back whole, each by one refund.
        assert [payment["amount"] for payment in kept] == [amount] * bool(right), receipt
        assert credited.get((order["id"], True), []) == [amount] * bool(right), receipt
        others = [payment for payment in payments if payment not in kept]
        assert all(payment["amount_refunded"] == payment["amount"] for payment in others)
        assert sorted(credited.get((order["id"], False), [])) == sorted(it["amount"] for it in others), receipt
        for payment in others:
            assert parked[payment["id"]] == (payment["amount"], 1)
            assert back[payment["id"]] == 1
            returned.add(payment["id"])
    assert returned == parked.keys() == back.keys()
    assert returned, "nobody paid twice"


def test_each_withdrawal_was_paid_out_once_or_came_back_once(day: Day) -> None:
    there = Counter(payout["reference_id"] for payout in day.gateway.payouts)
    assert there == Counter(each.transaction for each in day.notes.withdrawals)
    here = withdrawals(day.run)
    assert here.keys() == there.keys()
    ends = {"processed": ("SUCCESS", 0), "reversed": ("SUCCESS", 1), "failed": ("FAILED", 1)}
    for payout in day.gateway.payouts:
        status, reversals = ends[payout["status"]]
        assert here[payout["reference_id"]] == (payout["id"], status, payout["amount"], reversals)


def test_everybody_has_what_the_gateway_says_that_they_brought_less_what_it_says_that_arrived(day: Day) -> None:
    who: dict[str, int] = {it.transaction: it.person for it in (*day.notes.topups, *day.notes.withdrawals)}
    paid, sums = day.gateway.payments_of(), Counter[int]()
    for order in day.gateway.orders:
        if any(payment["amount"] == order["amount"] for payment in paid.get(order["id"], [])):
            sums[who[order["receipt"]]] += order["amount"]
    for payout in day.gateway.payouts:
        if payout["status"] == "processed":
            sums[who[payout["reference_id"]]] -= payout["amount"]
    assert {number: client.paise for number, client in enumerate(day.clients)} == dict(sums)


def test_the_proofs_hold_and_the_reconciliation_finds_no_difference(day: Day) -> None:
    verified = manage(day.run, "verify_ledger")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for date in sorted(day.dates):
        say(reconciled(day.run, date))


def test_nobody_has_anything_to_look_at_but_the_forger(day: Day) -> None:
    cases: list[tuple[Any, ...]] = open_cases(day.run)
    assert {kind for kind, *_ in cases} == {"FORGERY"}, cases


def test_once_the_gateway_has_settled_all_of_it_nothing_is_left_in_between(day: Day) -> None:
    settled = requests.post(f"{day.run.sandbox_url}/operator/api/settle", json={}, timeout=60)
    assert settled.status_code == 200, settled.text
    deadline = time.monotonic() + QUIET_SECONDS
    between = ("gateway_clearing", "payout_clearing", "suspense")
    while left := {purpose: paise for purpose, paise in _moved(day).items() if paise and purpose in between}:
        assert time.monotonic() < deadline, left
        time.sleep(_POLL_SECONDS)
    # A payment's fee and the tax on it; of a payout too, once it left.
    assert _moved(day)["gateway_fees"] < 0
    for date in sorted({*day.dates, _today()}):
        said = reconciled(day.run, date)
    assert re.search(r"Settled into the bank +[1-9]", said), said


def reconciled(run: Run, date: str) -> str:
    """What the wallet's own comparison of the day says; it must find nothing."""
    ran = manage(run, "reconcile", "--date", date)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 differences." in ran.stdout
    assert "DIFFERENT" not in ran.stdout
    assert "on the way" not in ran.stdout, ran.stdout
    return ran.stdout


def _moved(day: Day) -> dict[str, int]:
    return {purpose: paise - day.began_with.get(purpose, 0) for purpose, paise in system_balances(day.run).items()}
