"""Adding money, against a real sandbox process."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from ledger.models import Transaction
from ledger.posting import post
from payments import captures
from payments.captures import settle_order
from payments.expiry import sweep_orders
from payments.models import GatewayOrder, PaymentAttempt, WebhookEvent
from payments.serializers import AddAnswer
from payments.webhooks import process_event
from tests.payments.cast import Holder, holder, new_key
from tests.payments.gateway import client, deliver, letters_about, open_door, order_document, wallet_speaks_to
from tests.payments.sandbox_process import Letter, Merchant, Sandbox, merchant_and_sandbox, returned
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (merchant, sandbox):
        yield merchant, sandbox


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Iterator[Sandbox]:
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]


def add(person: Holder, amount: str = "250", key: str | None = None) -> dict[str, Any]:
    answer = person.post("/wallet/add", {"amount": amount}, key=key)
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def confirm(person: Holder, fields: dict[str, str]) -> Any:
    return person.post("/wallet/add/confirm", fields)


def test_adding_money_is_pending_with_a_checkout_and_moves_nothing_yet(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    assert set(begun) == set(AddAnswer().fields)
    transaction, checkout = begun["transaction"], begun["checkout"]
    assert (transaction["type"], transaction["status"], transaction["direction"]) == ("ADD", "PENDING", "in")
    assert transaction["counterparty"] == {"display_name": "Bank or card top-up", "wallet": None}
    assert (transaction["balance_after"], transaction["completed_at"]) == (None, None)
    assert checkout == {
        "provider": "razorpay",
        "order_id": checkout["order_id"],
        "key_id": "rzp_test_sandbox",
        "amount_minor": 25000,
        "currency": "INR",
        "url": f"{sandbox.url}/checkout/{checkout['order_id']}",
    }
    assert sandbox.call("GET", f"/orders/{checkout['order_id']}").json()["receipt"] == transaction["id"]
    assert asha.balance == 0
    assert [row["id"] for row in asha.get("/transactions").json()["results"]] == [transaction["id"]]


def test_a_replay_of_add_answers_the_first_checkout_and_makes_no_second_order(sandbox: Sandbox) -> None:
    asha, key = holder(), new_key()
    first = add(asha, key=key)
    again = asha.post("/wallet/add", {"amount": "250.00"}, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first
    fields = returned(sandbox.pay(first["checkout"]["order_id"], "success@razorpay"))
    assert confirm(asha, fields).json()["status"] == "SUCCESS"
    again = asha.post("/wallet/add", {"amount": "250.00"}, key=key).json()
    assert (again["transaction"]["status"], again["checkout"]) == ("SUCCESS", first["checkout"])
    other = asha.post("/wallet/add", {"amount": "251"}, key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_a_confirmed_payment_is_credited_once_however_often_it_is_confirmed(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    for _ in range(3):
        answer = confirm(asha, fields)
        assert (answer.status_code, answer.json()["status"]) == (200, "SUCCESS")
        assert answer.json()["id"] == begun["transaction"]["id"]
        assert answer.json()["balance_after"] == {"amount": "250.00", "currency": "INR"}
    assert asha.balance == 250


def test_nothing_is_credited_for_a_wrong_signature_or_somebody_elses_order(sandbox: Sandbox) -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    for wrong in ("0" * 64, "", "é", fields["razorpay_signature"].upper()):
        answer = confirm(asha, fields | {"razorpay_signature": wrong})
        assert answer.status_code == 400
        assert answer.json()["code"] == ("signature_invalid" if wrong else "invalid")
    assert confirm(zoya, fields).status_code == 404
    assert confirm(asha, fields | {"razorpay_order_id": "order_Unknown0000000"}).status_code == 404
    assert confirm(asha, fields | {"razorpay_payment_id": "pay_Another00000000"}).json()["code"] == "signature_invalid"
    assert (asha.balance, zoya.balance) == (0, 0)


def test_a_failed_attempt_leaves_the_add_pending_and_the_next_one_pays_it(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id = begun["checkout"]["order_id"]
    sandbox.pay(order_id, "failure@razorpay")
    order = GatewayOrder.objects.get(order_id=order_id)
    settle_order(order=order, now=timezone.now())
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["status"] == "PENDING"
    fields = returned(sandbox.pay(order_id, "success@razorpay"))
    assert confirm(asha, fields).json()["status"] == "SUCCESS"
    statuses = PaymentAttempt.objects.filter(order=order).order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["failed", "captured"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_browsers_return_credits_without_a_session_and_goes_on_to_the_receipt(
    sandbox: Sandbox, method: str
) -> None:
    asha = holder()
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    browser = Client(enforce_csrf_checks=True)
    path = "/payments/razorpay/callback"
    for _ in range(2):
        answer = browser.get(path, fields) if method == "GET" else browser.post(path, fields)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/receipts/{begun['transaction']['id']}")
    assert asha.balance == 250


def test_a_forged_return_credits_nothing_and_shows_no_receipt(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    for forged in ({}, fields | {"razorpay_signature": "0" * 64}, {"error[metadata]": "[" * 1000}):
        answer = Client().get("/payments/razorpay/callback", forged)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/add")
    assert asha.balance == 0


def test_a_failed_return_shows_its_own_payer_where_the_topup_stands(sandbox: Sandbox) -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "failure@razorpay"))
    assert fields["error[code]"]
    for person, to in ((asha, f"/receipts/{begun['transaction']['id']}"), (zoya, "/add"), (None, "/add")):
        browser = Client()
        if person is not None:
            browser.force_login(person.user)
        assert browser.get("/payments/razorpay/callback", fields).headers["Location"] == to


def test_five_copies_a_confirmation_a_return_and_the_sweep_at_once_credit_once(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    fields = returned(sandbox.pay(order_id, "duplicate@razorpay"))
    letters = letters_about(both[0], order_id, 10)
    order = GatewayOrder.objects.get(order_id=order_id)
    start = threading.Barrier(len(letters) + 3)

    def at_once(deed: Any) -> Any:
        start.wait()
        try:
            return deed()
        finally:
            connections.close_all()

    def hear(letter: Letter) -> None:
        assert deliver(letter).status_code == 200
        event = WebhookEvent.objects.get(event_id=letter.event_id)
        process_event(event_id=event.pk, now=timezone.now())

    deeds = [lambda letter=letter: hear(letter) for letter in letters]
    deeds += [
        lambda: confirm(asha, fields),
        lambda: Client().get("/payments/razorpay/callback", fields),
        lambda: settle_order(order=order, now=timezone.now()),
    ]
    with ThreadPoolExecutor(len(deeds)) as pool:
        for done in [pool.submit(at_once, deed) for deed in deeds]:
            done.result()
    assert asha.balance == 250
    assert len({letter.event_id for letter in letters}) == 2
    assert WebhookEvent.objects.filter(event_id__in={letter.event_id for letter in letters}).count() == 2
    assert PaymentAttempt.objects.filter(order=order, credited_by__isnull=False).count() == 1


def test_the_sweep_finds_a_payment_that_nobody_told_us_about(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    sweep_orders(now=timezone.now())
    assert asha.balance == 0
    sweep_orders(now=timezone.now() + timedelta(seconds=61))
    assert asha.balance == 250
    assert GatewayOrder.objects.get(order_id=order_id).check_at is None


def test_an_order_not_paid_in_time_fails_and_a_payment_after_that_is_a_new_add(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id, old = begun["checkout"]["order_id"], begun["transaction"]["id"]
    sweep_orders(now=timezone.now() + timedelta(seconds=1801))
    shown = asha.get(f"/transactions/{old}").json()
    assert (shown["status"], shown["failure"]["code"]) == ("FAILED", "order_expired")
    assert shown["completed_at"] is not None
    fields = returned(sandbox.pay(order_id, "success@razorpay"))
    for _ in range(2):
        answer = confirm(asha, fields).json()
        assert (answer["status"], answer["type"]) == ("SUCCESS", "ADD")
        assert answer["id"] != old
    assert asha.balance == 250
    late = Transaction.objects.get(pk=PaymentAttempt.objects.get(order__order_id=order_id).credited_by_id)
    assert late.metadata == {"order": order_id, "instead_of": old}
    assert asha.get(f"/transactions/{old}").json()["status"] == "FAILED"


def test_an_order_is_asked_about_until_it_is_decided_and_then_four_days_long(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order = GatewayOrder.objects.get(order_id=begun["checkout"]["order_id"])
    long_after = order.created_at + timedelta(days=5)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        sweep_orders(now=long_after)
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["status"] == "PENDING"
    sweep_orders(now=long_after + timedelta(hours=6, seconds=1))
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["failure"]["code"] == "order_expired"
    sweep_orders(now=long_after + timedelta(hours=13))
    order.refresh_from_db()
    assert (order.state, order.check_at) == ("EXPIRED", None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"amount": "0.99"}, "limit_exceeded"),
        ({"amount": "10000000000.01"}, "limit_exceeded"),
        ({"amount": "500", "currency": "JPY"}, "currency_mismatch"),
    ],
)
def test_what_cannot_be_added_is_refused_kept_and_never_reaches_the_gateway(
    sandbox: Sandbox, body: dict[str, str], code: str
) -> None:
    asha, key = holder(), new_key()
    for replayed in (None, "true"):
        answer = asha.post("/wallet/add", body, key=key)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.headers.get("Idempotent-Replayed") == replayed
    seen = asha.get(f"/transactions/{answer.json()['transaction']}").json()
    assert (seen["status"], seen["failure"]["code"]) == ("FAILED", code)
    assert not GatewayOrder.objects.filter(transaction__to_wallet=asha.wallet).exists()


def test_without_the_gateway_the_add_waits_and_the_same_key_goes_on_by_its_receipt(sandbox: Sandbox) -> None:
    asha, key = holder(), new_key()
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        answer = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (503, "gateway_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    (waiting,) = asha.get("/transactions").json()["results"]
    assert waiting["status"] == "PENDING"
    resumed = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert resumed.status_code == 201
    assert "Idempotent-Replayed" not in resumed.headers
    assert resumed.json()["transaction"]["id"] == waiting["id"]
    again = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", resumed.json())


def test_an_order_whose_answer_was_lost_is_found_by_its_receipt_and_not_made_again() -> None:
    asha, key = holder(), new_key()
    made: list[str] = []

    def lose_the_answer(method: str, path: str, body: Any) -> tuple[int, str]:
        if method == "POST":
            made.append(body["receipt"])
            return 502, "<html>Bad gateway</html>"
        items = [json.loads(order_document(id="order_Lost0000000000", amount=25000, receipt=made[0]))]
        return 200, json.dumps({"entity": "collection", "count": 1, "items": items})

    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = lose_the_answer
        assert asha.post("/wallet/add", {"amount": "250"}, key=key).status_code == 503
        resumed = add(asha, key=key)
    assert resumed["checkout"]["order_id"] == "order_Lost0000000000"
    assert [method for method, _, _ in door.asked] == ["POST", "GET"]


def test_a_slow_gateway_is_asked_by_one_of_two_equal_requests_and_the_other_is_told_to_come_again() -> None:
    asha, key = holder(), new_key()
    arrived, go_on = threading.Event(), threading.Event()

    def slowly(method: str, path: str, body: Any) -> tuple[int, str]:
        arrived.set()
        assert go_on.wait(30)
        return 200, order_document(id="order_Slow0000000000", amount=25000, receipt=body["receipt"])

    def first() -> Any:
        try:
            return asha.post("/wallet/add", {"amount": "250"}, key=key)
        finally:
            connections.close_all()

    with open_door() as door, wallet_speaks_to(client(door.url, read_seconds=30)), ThreadPoolExecutor(1) as pool:
        door.answer = slowly
        running = pool.submit(first)
        assert arrived.wait(10)
        second = asha.post("/wallet/add", {"amount": "250"}, key=key)
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_in_progress")
        assert int(second.headers["Retry-After"]) > 0
        go_on.set()
        assert running.result().status_code == 201
        third = asha.post("/wallet/add", {"amount": "250"}, key=key)
    assert (third.status_code, third.headers["Idempotent-Replayed"]) == (201, "true")
    assert third.json() == running.result().json()
    assert len(door.asked) == 1


def test_an_order_that_the_gateway_will_not_take_fails_and_replays_so() -> None:
    asha, key = holder(), new_key()
    error = {"code": "BAD_REQUEST_ERROR", "description": "Amount exceeds maximum amount allowed.", "reason": "NA"}

    def refuse(method: str, path: str, body: Any) -> tuple[int, str]:
        return (400, json.dumps({"error": error})) if method == "POST" else (200, '{"items": []}')

    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = refuse
        first = add(asha, key=key)
        again = add(asha, key=key)
    assert (first["checkout"], first["transaction"]["status"]) == (None, "FAILED")
    assert first["transaction"]["failure"]["code"] == "gateway_refused"
    assert again == first


def test_a_closed_wallets_payment_goes_to_suspense_once(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    order_id = begun["checkout"]["order_id"]
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="CLOSED")
    fields = returned(sandbox.pay(order_id, "success@razorpay"))
    order = GatewayOrder.objects.get(order_id=order_id)
    for _ in range(2):
        settle_order(order=order, now=timezone.now())
    assert asha.balance == 0
    # Whoever comes back from paying is shown their own ADD, not one between system wallets.
    shown = confirm(asha, fields)
    assert (shown.status_code, shown.json()["id"]) == (200, begun["transaction"]["id"])
    landed = Client().get("/payments/razorpay/callback", fields).headers["Location"]
    assert landed == f"/receipts/{begun['transaction']['id']}"
    credited = PaymentAttempt.objects.get(order=order).credited_by
    assert credited is not None
    assert credited.to_wallet is not None
    assert (credited.to_wallet.purpose, credited.status) == ("suspense", "SUCCESS")
    assert asha.get(f"/transactions/{begun['transaction']['id']}").json()["failure"]["code"] == "recipient_unavailable"


def test_of_two_who_credit_a_closed_wallet_at_once_the_second_finds_it_done(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="CLOSED")
    sandbox.pay(order_id, "success@razorpay")
    order = GatewayOrder.objects.get(order_id=order_id)

    def after_another(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(captures, "post", post)
        settle_order(order=order, now=timezone.now())
        return post(*arguments, **named)

    monkeypatch.setattr(captures, "post", after_another)
    settle_order(order=order, now=timezone.now())
    instead = Transaction.objects.filter(metadata__intended_wallet=str(asha.wallet.pk))
    assert [found.pk for found in instead] == [PaymentAttempt.objects.get(order=order).credited_by_id]
