"""A day held against the gateway's books, which a real sandbox process keeps. Each difference is really made."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.actors import system_actor
from ledger.movements import Group, Movement, Outcome
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from payments.captures import settle_order
from payments.disputes import follow_dispute
from payments.gateways.base import RemotePayment
from payments.gateways.razorpay import Razorpay
from payments.models import Case, GatewayOrder, GatewayRefund, PaymentAttempt, Reconciliation, SettledItem
from payments.payouts import ask_about_payout
from payments.reconciling import comparing, disputes, payments, payouts, refunds
from payments.reconciling import settlements as settled_books
from payments.reconciling.findings import Difference
from payments.reconciling.reconciliation import Verdict, reconcile, reconcile_lately
from payments.refunds import ask_about_refund
from payments.settlements import collect_settlements
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.operating import (
    dispute,
    hear_of_refund,
    move_dispute,
    operate,
    refund_at_dashboard,
    refunds_wait,
    settle,
    top_up,
)
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from tests.payments.withdrawing import ask_until, bank_account, payout_of, withdraw
from wallet_project.celery import app

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (_, sandbox):
        refunds_wait(sandbox)
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, superuser_url: str) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(running.url)):
        yield running
    assert_books_hold(superuser_url)


def today() -> date:
    return timezone.localdate()


def later() -> datetime:
    """When nothing that has just been made is on its way any more, and every sweep should have been."""
    return timezone.now() + timedelta(hours=3)


def run() -> Verdict:
    return reconcile(gateway="razorpay", date=today(), now=later())


def about(verdict: Verdict, subject: str) -> Difference:
    """The one difference about something."""
    (found,) = [each for each in verdict.differences if each.subject.endswith(subject)]
    return found


def mentions(verdict: Verdict, subject: str) -> bool:
    return any(each.subject.endswith(subject) for each in verdict.differences)


def command() -> tuple[int, str]:
    """Exit status, and what was printed."""
    printed = StringIO()
    try:
        call_command("reconcile", "--date", today().isoformat(), stdout=printed)
    except CommandError as error:
        return error.returncode, f"{printed.getvalue()}{error}"
    return 0, printed.getvalue()


def payout_at_dashboard(sandbox: Sandbox, amount: int) -> str:
    contact = sandbox.call("POST", "/contacts", json={"name": "Somebody Else", "type": "vendor"}).json()["id"]
    account = {"name": "Somebody Else", "ifsc": "HDFC0001234", "account_number": "99887760001"}
    body = {"contact_id": contact, "account_type": "bank_account", "bank_account": account}
    fund_account = sandbox.call("POST", "/fund_accounts", json=body).json()["id"]
    answer = sandbox.call(
        "POST",
        "/payouts",
        json={
            "account_number": "2323230000000001",
            "fund_account_id": fund_account,
            "amount": amount,
            "currency": "INR",
            "mode": "IMPS",
            "purpose": "payout",
        },
        headers={"X-Payout-Idempotency": f"dashboard-{amount}"},
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


class Twisted(Razorpay):
    """The wallet's client, and a gateway whose payments are changed, or hidden (None), on their way."""

    twist: Any = staticmethod(lambda payment: payment)

    def payments_of(self, *, order_id: str) -> list[RemotePayment]:
        seen = [self.twist(payment) for payment in super().payments_of(order_id=order_id)]
        return [payment for payment in seen if payment is not None]

    def payments_between(self, *, begin: datetime, end: datetime) -> Iterator[RemotePayment]:
        day = timedelta(days=1)
        for payment in super().payments_between(begin=begin - day, end=end + day):
            twisted = self.twist(payment)
            if twisted is not None and begin <= twisted.created_at < end:
                yield twisted


def twisted(sandbox: Sandbox, payment_id: str, **changes: Any) -> Razorpay:
    """Without changes the payment is hidden."""
    speaker = client(sandbox.url)
    speaker.__class__ = Twisted

    def twist(payment: RemotePayment) -> RemotePayment | None:
        if payment.id != payment_id:
            return payment
        return replace(payment, **changes) if changes else None

    speaker.twist = twist  # type: ignore[attr-defined]
    return speaker


def test_a_clean_day_has_no_difference_and_both_books_have_equal_sums(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, ravi = holder(), holder("Ravi Kumar")
    refunded, lost, won = (top_up(sandbox, asha, amount) for amount in ("500", "300", "200"))
    top_up(sandbox, ravi, "1000")
    hear_of_refund(refund_at_dashboard(sandbox, refunded, 20_000), refunded)
    for payment_id, end in ((lost, "lost"), (won, "won")):
        move_dispute(sandbox, dispute_id := dispute(sandbox, payment_id), end)
        follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    arrived = withdraw(ravi, bank_account(ravi, "0001"), "100")
    failed = withdraw(ravi, bank_account(ravi, "0002"), "110")
    returned = withdraw(ravi, bank_account(ravi, "0001", account_number="66554430001"), "120")
    ask_until(arrived, "PROCESSED")
    ask_until(failed, "FAILED")
    payout = ask_until(returned, "PROCESSED")
    operate(sandbox, f"payouts/{payout.payout_id}/move", to="reversed")
    ask_until(returned, "REVERSED")
    settle(sandbox)
    collect_settlements(gateway="razorpay", date=today(), now=timezone.now())

    status, printed = command()
    assert status == 0, printed
    assert [line.split() for line in printed.splitlines() if line.endswith("equal")] == [
        ["Payments", "captured", "4", "·", "₹2,000.00", "4", "·", "₹2,000.00", "equal"],
        ["Refunds", "1", "·", "₹200.00", "1", "·", "₹200.00", "equal"],
        ["Payouts", "processed", "1", "·", "₹100.00", "1", "·", "₹100.00", "equal"],
        ["Payouts", "reversed", "1", "·", "₹120.00", "1", "·", "₹120.00", "equal"],
        ["Disputes", "lost", "1", "·", "₹300.00", "1", "·", "₹300.00", "equal"],
        # 2,000 less fees of 47.20, and 200 and 300 back.
        ["Settled", "into", "the", "bank", "6", "·", "₹1,452.80", "6", "·", "₹1,452.80", "equal"],
    ]
    assert printed.rstrip().endswith("0 differences.")
    book = sandbox.book()
    assert sum(each["total"] for each in book["payments"].values()) == 200_000
    assert book["payouts"]["processed"] == {"count": 1, "total": 10_000}
    run_row = Reconciliation.objects.get()
    assert run_row.finished_at is not None
    assert (run_row.differences, run_row.date) == (0, today())
    assert run_row.totals["Payments captured"]["INR"]["here_minor"] == 200_000

    # In batches of two it is the same verdict.
    for module in (comparing, disputes, payments, payouts, refunds, settled_books):
        monkeypatch.setattr(module, "BATCH", 2)
    assert run().count == 0
    assert Reconciliation.objects.latest("pk").totals == run_row.totals


def test_a_payment_that_the_ledger_never_heard_of_is_missing_here(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=12_300)
    sandbox.pay(order["id"], "success@razorpay")
    payment_id = sandbox.payments(order["id"])[0]["id"]
    status, printed = command()
    assert status == 1
    assert f"MISSING_HERE: Payment {payment_id}: here nothing, at the gateway ₹123.00 captured." in printed
    assert "DIFFERENT" in printed
    run()
    case = Case.objects.get(subject=payment_id)
    assert (case.kind, case.times, case.amount_here_minor, case.amount_there_minor) == ("MISSING_HERE", 2, None, 12_300)
    assert case.suggestion.startswith("ADD gateway_clearing → suspense")


def test_what_is_on_its_way_is_no_difference_and_a_case_is_closed_once_it_came(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = asha.post("/wallet/add", {"amount": "50"}).json()["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    payment_id = sandbox.payments(order_id)[0]["id"]
    verdict = reconcile(gateway="razorpay", date=today(), now=timezone.now())
    assert not mentions(verdict, payment_id)
    assert verdict.in_flight["Payment"] == 1
    # Hours later nobody can say that it is on its way.
    assert about(run(), payment_id).kind == "MISSING_HERE"
    settle_order(order=GatewayOrder.objects.get(order_id=order_id), now=timezone.now())
    verdict = run()
    assert (mentions(verdict, payment_id), verdict.closed) == (False, 1)
    case = Case.objects.get(subject=payment_id)
    assert (case.state, case.resolved_by) == ("RESOLVED", None)
    assert asha.balance == 50


def test_a_payment_that_the_gateway_has_no_more_or_otherwise_is_told_so(sandbox: Sandbox) -> None:
    payment_id = top_up(sandbox, holder(), "70")
    with wallet_speaks_to(twisted(sandbox, payment_id)):
        found = about(run(), payment_id)
        assert (found.kind, found.here_minor, found.there_minor) == ("MISSING_THERE", 7_000, None)
    with wallet_speaks_to(twisted(sandbox, payment_id, amount_minor=7_100)):
        found = about(run(), payment_id)
        assert (found.kind, found.here_minor, found.there_minor) == ("AMOUNT", 7_000, 7_100)
    with wallet_speaks_to(twisted(sandbox, payment_id, status="failed")):
        found = about(run(), payment_id)
        assert (found.kind, found.there) == ("STATE", "failed")
    assert not mentions(run(), payment_id)
    assert {case.state for case in Case.objects.filter(subject=payment_id)} == {"RESOLVED"}
    assert Case.objects.filter(subject=payment_id).count() == 3


def test_a_payment_made_before_midnight_and_credited_after_it_is_no_difference(sandbox: Sandbox) -> None:
    payment_id = top_up(sandbox, holder(), "80")
    midnight = datetime.combine(today(), datetime.min.time(), timezone.get_default_timezone())
    before = counted(run())
    with wallet_speaks_to(twisted(sandbox, payment_id, created_at=midnight - timedelta(seconds=1))):
        verdict = run()
        assert not mentions(verdict, payment_id)
        # It is the day before that counts it, on both sides.
        assert counted(verdict) == (before[0] - 1, before[1] - 1)
        yesterday = reconcile(gateway="razorpay", date=today() - timedelta(days=1), now=later())
        assert counted(yesterday) == (1, 1)


def counted(verdict: Verdict) -> tuple[int, int]:
    """Payments captured, here and there."""
    total = verdict.lines[0].total
    return total.here_count, total.there_count


def test_a_refund_at_the_dashboard_is_missing_here_until_it_is_posted(sandbox: Sandbox) -> None:
    payment_id = top_up(sandbox, asha := holder(), "500")
    refund_id = refund_at_dashboard(sandbox, payment_id, 20_000)
    found = about(run(), refund_id)
    assert (found.kind, found.there_minor) == ("MISSING_HERE", 20_000)
    assert found.suggestion.startswith("REFUND wallet → gateway_clearing")
    hear_of_refund(refund_id, payment_id)
    assert not mentions(run(), refund_id)
    assert Case.objects.get(subject=refund_id).state == "RESOLVED"
    assert asha.balance == 300


def test_two_payments_of_one_order_are_in_both_books_and_so_is_the_refund_of_one(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = asha.post("/wallet/add", {"amount": "60"}).json()["checkout"]["order_id"]
    sandbox.pay(order_id, "twice@razorpay")
    settle_order(order=GatewayOrder.objects.get(order_id=order_id), now=timezone.now())
    assert asha.balance == 60
    assert len(sandbox.payments(order_id)) == 2
    refund = GatewayRefund.objects.get(attempt__order__order_id=order_id)
    ask_about_refund(refund=refund, now=timezone.now())
    refund.refresh_from_db()
    assert refund.refund_id is not None
    operate(sandbox, f"refunds/{refund.refund_id}/process")
    ask_about_refund(refund=refund, now=timezone.now())
    settle(sandbox)
    collect_settlements(gateway="razorpay", date=today(), now=timezone.now())
    verdict = run()
    for subject in (refund.refund_id, *(payment["id"] for payment in sandbox.payments(order_id))):
        assert not mentions(verdict, subject)
        assert SettledItem.objects.get(entity_id=subject).transaction is not None


def test_payouts_that_are_somebody_elses_or_came_back_unheard_differ(sandbox: Sandbox) -> None:
    ravi = holder("Ravi Kumar", rupees=500)
    foreign = payout_at_dashboard(sandbox, 4_500)
    withdrawal = withdraw(ravi, bank_account(ravi, "0001"), "100")
    payout = ask_until(withdrawal, "PROCESSED")
    assert payout.payout_id is not None
    operate(sandbox, f"payouts/{payout.payout_id}/move", to="reversed")
    verdict = run()
    assert about(verdict, foreign).kind == "MISSING_HERE"
    found = about(verdict, payout.payout_id)
    assert (found.kind, found.here, found.there) == ("STATE", "processed", "reversed")
    assert found.suggestion.startswith("REVERSAL payout_clearing → wallet")
    ask_about_payout(payout=payout_of(withdrawal), now=timezone.now())
    verdict = run()
    assert (mentions(verdict, payout.payout_id), mentions(verdict, foreign)) == (False, True)
    assert ravi.balance == 500


def test_disputes_that_nobody_heard_of_or_whose_end_nobody_heard_of_differ(sandbox: Sandbox) -> None:
    asha = holder()
    dispute_id = dispute(sandbox, top_up(sandbox, asha, "500"))
    assert about(run(), dispute_id).kind == "MISSING_HERE"
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    assert not mentions(run(), dispute_id)
    move_dispute(sandbox, dispute_id, "lost")
    assert not mentions(reconcile(gateway="razorpay", date=today(), now=timezone.now()), dispute_id)
    found = about(run(), dispute_id)
    assert (found.kind, found.here, found.there) == ("STATE", "open", "lost")
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    assert not mentions(run(), dispute_id)
    assert asha.balance == 0


def test_a_settlement_that_was_not_collected_or_not_whole_differs(sandbox: Sandbox) -> None:
    payment_id = top_up(sandbox, holder(), "100")
    settlement_id = settle(sandbox)
    found = about(run(), f"{settlement_id}/{payment_id}")
    assert (found.kind, found.there_minor) == ("MISSING_HERE", 9_764)
    post_too_little(sandbox, settlement_id, payment_id)
    verdict = run()
    (bank, clearing) = [each for each in verdict.differences if each.subject.endswith(f"/{payment_id}")]
    assert (bank.kind, bank.here_minor, bank.there_minor) == ("AMOUNT", 9_000, 9_764)
    assert (clearing.subject, clearing.here_minor) == (f"clearing/{payment_id}", -1_000)


def post_too_little(sandbox: Sandbox, settlement_id: str, payment_id: str) -> None:
    """Somebody posts the settlement of a payment by hand, and forgets what the gateway kept."""
    credited = PaymentAttempt.objects.select_related("credited_by").get(payment_id=payment_id).credited_by
    assert credited is not None
    movement = Movement(
        type="SETTLEMENT",
        amount=credited.amount - 10,
        currency="INR",
        from_wallet=system_wallet(Purpose.BANK, "INR"),
        to_wallet=credited.from_wallet_id,
        metadata={"settles": credited.public_id},
        fact=True,
    )

    def remember(outcomes: Sequence[Outcome]) -> None:
        SettledItem.objects.create(
            gateway="razorpay",
            settlement_id=settlement_id,
            entity_id=payment_id,
            kind="payment",
            debit_minor=0,
            credit_minor=9_000,
            amount_minor=10_000,
            fee_minor=1_000,
            tax_minor=0,
            currency="INR",
            settled_at=timezone.now(),
            transaction_id=outcomes[0].transactions[0],
        )

    post([Group(initiator=system_actor("tests").pk, movements=(movement,))], within=remember)


def test_a_gateway_that_falls_silent_midway_leaves_no_half_verdict(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=45_600)
    sandbox.pay(order["id"], "success@razorpay")
    payment_id = sandbox.payments(order["id"])[0]["id"]
    open_before = set(Case.objects.filter(state="OPEN").values_list("pk", "times"))
    # Payments, refunds and payouts are told; then a proxy answers.
    operate(sandbox, "misbehaviour", fault="bad_gateway", probability=1.0, routes=["disputes"])
    try:
        status, printed = command()
    finally:
        operate(sandbox, "misbehaviour/off")
    assert status == 2
    assert "No verdict: the gateway stopped answering." in printed
    assert "differences" not in printed
    assert not Case.objects.filter(subject=payment_id).exists()
    assert set(Case.objects.filter(state="OPEN").values_list("pk", "times")) == open_before
    assert Reconciliation.objects.latest("pk").finished_at is None
    assert about(run(), payment_id).kind == "MISSING_HERE"


def test_the_night_reconciles_yesterday_once_and_tries_again_after_silence(sandbox: Sandbox) -> None:
    def night(hour: int) -> list[tuple[date, bool]]:
        tomorrow = today() + timedelta(days=1)
        at = datetime.combine(tomorrow, datetime.min.time(), timezone.get_default_timezone())
        before = Reconciliation.objects.latest("pk").pk
        reconcile_lately(now=at + timedelta(hours=hour))
        runs = Reconciliation.objects.filter(pk__gt=before).order_by("pk")
        return [(each.date, each.finished_at is not None) for each in runs]

    days = [today(), today() - timedelta(days=6)]
    operate(sandbox, "misbehaviour", fault="bad_gateway", probability=1.0, routes=["settlements"])
    try:
        assert night(2) == [(day, False) for day in days]
    finally:
        operate(sandbox, "misbehaviour/off")
    assert night(4) == [(day, True) for day in days]
    assert night(6) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--date", "yesterday"], "as YYYY-MM-DD"),
        (["--date", "2999-01-01"], "has not begun"),
        (["--date", "2026-01-01", "--gateway", "nobody"], "There is no gateway 'nobody'."),
    ],
)
def test_what_cannot_be_reconciled_is_said(arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says) as refused:
        call_command("reconcile", *arguments)
    assert refused.value.returncode == 2


def test_beat_sends_each_task_that_keeps_up_with_the_gateways_books() -> None:
    schedule: dict[str, Any] = settings.CELERY_BEAT_SCHEDULE
    for name in ("payments.sweep_disputes", "payments.collect_settlements", "payments.reconcile_lately"):
        task = schedule[name]["task"]
        assert task in app.tasks
        queue = "sweeps" if "sweep" in task else "gateway"
        assert app.amqp.router.route({}, task)["queue"].name == queue
        assert schedule[name]["options"]["expires"] <= 3600
    night = schedule["payments.reconcile_lately"]["schedule"]
    assert (night.hour, night.minute, str(app.conf.timezone)) == ({2, 4, 6}, {30}, "Asia/Kolkata")
    # The broker hands a task to a second worker after that long: it must have ended before.
    limit = app.tasks["payments.reconcile_lately"].time_limit
    assert limit is not None
    assert limit < settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"]
