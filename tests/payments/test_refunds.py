"""Top-ups on their way back to their source: never more than there is, never twice, and back again where they fail."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from accounts.roles import SUPPORT, SUPPORT_LEAD, appoint
from payments.asking_again import ask_again
from payments.disputes import follow_dispute
from payments.gateways.base import GatewayRefused, RemoteRefund
from payments.models import Case, GatewayRefund, WebhookEvent
from payments.proposals import decide, propose
from payments.refunds import (
    ask_about_refund,
    follow_refund,
    refundable_of,
    send_refund,
    sweep_refunds,
)
from payments.webhooks import process_event
from tests.accounts.people import superuser
from tests.payments.adding import add, assert_two_books_agree, refunds_settle, seen, settle, topped_up
from tests.payments.cast import Holder, holder, new_key
from tests.payments.gateway import client, deliver, letters_about, wallet_speaks_to
from tests.payments.operating import dispute, move_dispute, operate
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox], superuser_url: str, settings: Any) -> Iterator[Sandbox]:
    """People may take their top-ups back; after each test both books agree."""
    settings.REFUNDS_BY_PERSON = True
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]
        operate(both[1], "misbehaviour/off")
        operate(both[1], "refund-course", course="process")
        refunds_settle(both[1])
        assert_two_books_agree(both[1], superuser_url)


def take_back(person: Holder, add_id: str, amount: str | None = None, key: str | None = None) -> Any:
    return person.post(f"/transactions/{add_id}/refund", {} if amount is None else {"amount": amount}, key=key)


def row_of(answer: Any) -> GatewayRefund:
    uuid = answer.json()["id"]
    return next(refund for refund in GatewayRefund.objects.all() if refund.transaction.public_id == uuid)


def open_cases(kind: Case.Kind, subject: str) -> list[Case]:
    return list(Case.objects.filter(kind=kind, subject=subject, state=Case.State.OPEN))


def test_a_person_takes_back_a_part_and_then_the_rest_and_no_paisa_more(sandbox: Sandbox) -> None:
    asha, key = holder(), new_key()
    add_id, _ = topped_up(sandbox, asha)
    first = take_back(asha, add_id, "100", key=key)
    assert first.status_code == 201, first.content
    shown = first.json()
    assert (shown["type"], shown["direction"], shown["reverses"]) == ("REFUND", "out", add_id)
    assert asha.balance == 150
    again = take_back(asha, add_id, "100.00", key=key)
    assert (again.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (201, shown, "true")
    assert take_back(asha, add_id, "101", key=key).json()["code"] == "idempotency_key_reused"
    assert refundable_of(user=asha.user, transaction=add_id) is not None
    rest = take_back(asha, add_id)
    assert (rest.status_code, rest.json()["amount"]["amount"]) == (201, "150.00")
    assert asha.balance == 0
    assert refundable_of(user=asha.user, transaction=add_id) is None
    for amount in ("1", None):
        more = take_back(asha, add_id, amount)
        assert (more.status_code, more.json()["code"]) == (422, "refund_exceeds")
    refunds_settle(sandbox)
    assert {row_of(first).state, row_of(rest).state} == {"PROCESSED"}
    assert row_of(first).reference
    assert seen(asha)[:3] == [
        ("ADD", "SUCCESS", "250.00"),
        ("REFUND", "SUCCESS", "100.00"),
        ("REFUND", "SUCCESS", "150.00"),
    ]


def test_what_is_not_there_not_theirs_or_not_paid_does_not_go_back(sandbox: Sandbox) -> None:
    asha, ravi, zoya = holder(), holder("Ravi Iyer"), holder("Zoya Khan")
    add_id, payment_id = topped_up(sandbox, asha)
    sent = asha.post("/wallet/transfer", {"to": ravi.wallet.public_id, "amount": "200"}).json()
    for person, other in ((zoya, add_id), (asha, sent["id"]), (ravi, sent["id"]), (asha, "txn_" + "0" * 26)):
        assert take_back(person, other).status_code == 404
    pending = add(asha)["transaction"]["id"]
    expected = {
        (add_id, None): "insufficient_funds",
        (add_id, "50.01"): "insufficient_funds",
        (add_id, "0.99"): "limit_exceeded",
        (pending, "10"): "not_refundable",
    }
    for (top_up, amount), code in expected.items():
        answer = take_back(asha, top_up, amount)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert take_back(asha, add_id, "1e2").status_code == 400
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="FROZEN")
    assert take_back(asha, add_id, "10").json()["code"] == "wallet_frozen"
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="ACTIVE")
    dispute_id = dispute(sandbox, payment_id, amount=1000)
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    # Its payer's bank may take the same money back.
    assert take_back(asha, add_id, "10").json()["code"] == "not_refundable"
    move_dispute(sandbox, dispute_id, "won")
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    assert take_back(asha, add_id, "10").status_code == 201
    assert asha.balance == 40


def test_of_many_who_take_all_of_it_back_at_once_one_does(sandbox: Sandbox) -> None:
    asha = holder()
    add_id, _ = topped_up(sandbox, asha)
    assert take_back(asha, add_id, "50").status_code == 201
    start = threading.Barrier(6)

    def at_once(_: int) -> int:
        start.wait()
        try:
            return int(take_back(asha, add_id).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert Counter(pool.map(at_once, range(6))) == {201: 1, 422: 5}
    assert asha.balance == 0


def test_where_people_may_not_it_takes_two_of_staff_to_give_a_top_up_back(sandbox: Sandbox, settings: Any) -> None:
    settings.REFUNDS_BY_PERSON = False
    asha, dev, lead = holder(), holder("Dev Patel"), holder("Lata Sen")
    add_id, _ = topped_up(sandbox, asha)
    assert take_back(asha, add_id).json()["code"] == "permission_denied"
    assert refundable_of(user=asha.user, transaction=add_id) is None
    with transaction.atomic():
        appoint(user=dev.user, group=SUPPORT)
        appoint(user=lead.user, group=SUPPORT_LEAD)
    wanted: Any = {"kind": "REFUND", "subject": add_id, "terms": {"amount": "250.00", "currency": "INR"}}
    with pytest.raises(Refusal, match="permission_denied"):
        propose(**wanted, by=dev.user, reason="Paid twice", now=timezone.now())
    proposal = propose(**wanted, by=lead.user, reason="Paid twice", now=timezone.now())
    assert asha.balance == 250
    done = decide(proposal=proposal, by=superuser(), approve=True, reason="Seen", now=timezone.now())
    refund = GatewayRefund.objects.get(attempt__credited_by__uuid=parse_public_id("txn", add_id))
    assert (done.outcome, refund.transaction.initiator.user) == (refund.transaction.public_id, lead.user)
    assert asha.balance == 0
    assert seen(asha) == [("ADD", "SUCCESS", "250.00"), ("REFUND", "SUCCESS", "250.00")]


def test_a_refund_that_fails_brings_the_money_back_once_and_the_person_sees_it(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox
) -> None:
    asha = holder()
    add_id, payment_id = topped_up(sandbox, asha)
    operate(sandbox, "refund-course", course="stay")
    answer = take_back(asha, add_id)
    send_refund(transaction_id=row_of(answer).transaction_id, now=timezone.now())
    refund = row_of(answer)
    assert refund.state == "PENDING"
    assert asha.balance == 0
    operate(sandbox, f"refunds/{refund.refund_id}/fail")
    letters = [letter for letter in letters_about(both[0], payment_id, 4) if letter.event.startswith("refund.")]
    assert [letter.event for letter in letters] == ["refund.created", "refund.failed"]
    for letter in (*letters, *letters):
        assert deliver(letter).status_code == 200
    for event in WebhookEvent.objects.filter(event_id__in=[letter.event_id for letter in letters]):
        process_event(event_id=event.pk, now=timezone.now())
    sweep_refunds(now=timezone.now() + timedelta(hours=1))
    assert row_of(answer).state == "FAILED"
    assert asha.balance == 250
    shown = asha.get(f"/transactions/{answer.json()['id']}").json()
    reversal = asha.get(f"/transactions/{shown['reversed_by']}").json()
    assert (reversal["type"], reversal["direction"], reversal["reverses"]) == ("REVERSAL", "in", answer.json()["id"])
    # It may be tried again, as a refund of its own.
    operate(sandbox, "refund-course", course="process")
    assert take_back(asha, add_id).status_code == 201
    assert asha.balance == 0


@pytest.mark.parametrize("fault", ["dropped_reply", "bad_gateway"])
def test_an_unknown_outcome_is_never_guessed_and_the_same_key_finds_it(sandbox: Sandbox, fault: str) -> None:
    asha = holder()
    add_id, payment_id = topped_up(sandbox, asha)
    refund = row_of(take_back(asha, add_id))
    now = timezone.now()
    operate(sandbox, "misbehaviour", fault=fault, methods=["POST"], calls=100)
    sweep_refunds(now=now)
    refund.refresh_from_db()
    assert (refund.state, refund.sends, refund.refund_id) == ("UNKNOWN", 1, None)
    assert asha.balance == 0
    # Not again before it is time, whoever asks.
    assert sweep_refunds(now=now + timedelta(seconds=1)) == 0
    operate(sandbox, "misbehaviour/off")
    with pytest.raises(Refusal):
        ask_again(about=refund, by=superuser(), now=now + timedelta(seconds=1))
    refund.refresh_from_db()
    assert refund.sends == 1
    sweep_refunds(now=now + timedelta(seconds=90))
    refund.refresh_from_db()
    assert refund.state in ("PENDING", "PROCESSED")
    there = sandbox.call("GET", f"/payments/{payment_id}/refunds").json()["items"]
    assert [item["id"] for item in there] == [refund.refund_id]


def test_an_outcome_unknown_for_too_long_is_a_case_until_the_gateway_says(sandbox: Sandbox) -> None:
    asha = holder()
    add_id, _ = topped_up(sandbox, asha)
    refund = row_of(take_back(asha, add_id))
    late = timezone.now() + timedelta(days=3)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        sweep_refunds(now=timezone.now())
        sweep_refunds(now=late)
    (case,) = open_cases(Case.Kind.UNKNOWN_OUTCOME, refund.key)
    assert (case.amount_here_minor, case.transaction_id) == (25000, refund.transaction_id)
    assert asha.balance == 0
    sweep_refunds(now=late + timedelta(hours=7))
    refunds_settle(sandbox)
    follow = GatewayRefund.objects.get(pk=refund.pk)
    assert follow.refund_id is not None
    follow_refund(gateway="razorpay", refund_id=follow.refund_id, payment_id="", now=timezone.now())
    assert GatewayRefund.objects.get(pk=refund.pk).state == "PROCESSED"
    assert not open_cases(Case.Kind.UNKNOWN_OUTCOME, refund.key)


@pytest.mark.parametrize("is_spent", [False, True])
def test_a_refund_made_at_the_gateways_own_page_is_a_fact(sandbox: Sandbox, is_spent: bool) -> None:
    asha, ravi = holder(), holder("Ravi Iyer")
    _, payment_id = topped_up(sandbox, asha)
    if is_spent:
        asha.post("/wallet/transfer", {"to": ravi.wallet.public_id, "amount": "250"})
    made = sandbox.call("POST", f"/payments/{payment_id}/refund", json={"amount": 10_000}).json()
    for _ in range(2):
        follow_refund(gateway="razorpay", refund_id=made["id"], payment_id=payment_id, now=timezone.now())
    refund = GatewayRefund.objects.get(refund_id=made["id"])
    assert refund.key == ""
    assert refund.transaction.amount == 100
    cases = open_cases(Case.Kind.CHARGEBACK_SHORTFALL, made["id"])
    if is_spent:
        assert refund.transaction.from_wallet.purpose == Wallet.Purpose.CHARGEBACKS
        assert [case.amount_there_minor for case in cases] == [10_000]
        assert asha.balance == 0
    else:
        assert not cases
        assert asha.balance == 150
        assert seen(asha) == [("ADD", "SUCCESS", "250.00"), ("REFUND", "SUCCESS", "100.00")]


def test_ours_that_the_gateway_refuses_because_of_another_comes_back_and_the_other_stands(sandbox: Sandbox) -> None:
    asha = holder()
    add_id, payment_id = topped_up(sandbox, asha)
    answer = take_back(asha, add_id)
    made = sandbox.call("POST", f"/payments/{payment_id}/refund", json={"amount": 10_000}).json()
    # Not room for both: told first, it is put aside and nothing is posted.
    follow_refund(gateway="razorpay", refund_id=made["id"], payment_id=payment_id, now=timezone.now())
    assert len(open_cases(Case.Kind.AMOUNT, made["id"])) == 1
    sweep_refunds(now=timezone.now())
    assert row_of(answer).state == "FAILED"
    assert asha.balance == 150
    assert not open_cases(Case.Kind.AMOUNT, made["id"])
    assert Counter(kind for kind, _, _ in seen(asha)) == {"ADD": 1, "REFUND": 2, "REVERSAL": 1}


def test_an_order_asked_about_hears_of_refunds_whose_news_was_lost(sandbox: Sandbox) -> None:
    asha = holder()
    _, payment_id = topped_up(sandbox, asha)
    sandbox.call("POST", f"/payments/{payment_id}/refund", json={"amount": 25_000})
    settle(sandbox.call("GET", f"/payments/{payment_id}").json()["order_id"])
    assert asha.balance == 0
    assert seen(asha) == [("ADD", "SUCCESS", "250.00"), ("REFUND", "SUCCESS", "250.00")]


def test_a_no_to_support_returns_nothing_while_the_sweep_has_the_same_refund_on_its_way(sandbox: Sandbox) -> None:
    asha = holder()
    add_id, _ = topped_up(sandbox, asha)
    refund, later = row_of(take_back(asha, add_id, "100")), timezone.now() + timedelta(hours=1)
    # Tried long ago and never answered, so it is looked for before it is sent again.
    tried = GatewayRefund.objects.filter(pk=refund.pk)
    tried.update(state="UNKNOWN", sends=3, sent_at=timezone.now())
    is_sent, may_answer = threading.Event(), threading.Event()

    def sweep() -> None:
        try:
            ask_about_refund(refund=tried.get(), now=later)
        finally:
            connections.close_all()

    sweeping = threading.Thread(target=sweep)
    real = client(sandbox.url)

    def look(*, payment_id: str) -> list[RemoteRefund]:
        """While support looks, the sweep sends it; it has not arrived when the gateway says no to support."""
        found = real.refunds_of(payment_id=payment_id)
        if sweeping.ident is None:
            sweeping.start()
            assert is_sent.wait(10)
        return found

    def send(**asked: Any) -> RemoteRefund:
        if is_sent.is_set():
            raise GatewayRefused("No.", http_status=400)
        is_sent.set()
        assert may_answer.wait(10)
        return real.refund(**asked)

    busy = client(sandbox.url)
    busy.refunds_of, busy.refund = look, send  # type: ignore[method-assign]
    with wallet_speaks_to(busy):
        ask_about_refund(refund=tried.get(), now=later)
        may_answer.set()
        sweeping.join(10)
    assert asha.balance == 150
    assert (tried.get().sends, tried.get().refund_id is not None) == (4, True)
