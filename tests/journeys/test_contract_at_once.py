"""The same promises when everybody asks at the same time."""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
import requests

from tests.journeys.contract import Person, created, fresh_key, signed, transaction
from tests.running import Run

pytestmark = pytest.mark.runner

KEYS: Final = 50
CALLERS: Final = 64
WEBHOOKS: Final = 20


def at_once(calls: list[Callable[[], requests.Response]]) -> list[requests.Response]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_one_key_sent_fifty_times_at_once_moves_money_once(rich_asha: Person, ravi: Person) -> None:
    key = fresh_key()
    answers = at_once([lambda: rich_asha.transfer(ravi.address, "10", key=key)] * KEYS)
    # Whoever was told to wait asks again, as the contract says.
    while waiting := [answer for answer in answers if answer.status_code in {409, 503}]:
        assert all("Retry-After" in answer.headers for answer in waiting)
        answers = [answer for answer in answers if answer not in waiting]
        answers += [rich_asha.transfer(ravi.address, "10", key=key) for _ in waiting]
    assert {created(answer)["id"] for answer in answers} == {answers[0].json()["id"]}
    assert Counter(answer.headers.get("Idempotent-Replayed") for answer in answers) == {None: 1, "true": KEYS - 1}
    assert (rich_asha.balance, ravi.balance) == ("990.00", "10.00")


def test_one_key_for_fifty_different_requests_moves_one_of_them(rich_asha: Person, ravi: Person) -> None:
    key = fresh_key()
    calls = [lambda paise=paise: rich_asha.transfer(ravi.address, f"1.{paise:02d}", key=key) for paise in range(20)]
    answers = at_once(calls)
    codes = Counter(answer.json().get("code", "created") for answer in answers)
    assert codes["created"] == 1
    assert set(codes) <= {"created", "idempotency_key_reused", "idempotency_key_in_progress"}
    moved = next(answer.json()["amount"]["amount"] for answer in answers if answer.status_code == 201)
    assert ravi.balance == moved


def test_opposite_transfers_of_sixty_four_callers_all_arrive(rich_asha: Person, ravi: Person) -> None:
    created(rich_asha.transfer(ravi.address, "500"))
    calls = [
        (lambda: rich_asha.transfer(ravi.wallet, "1")) if number % 2 else (lambda: ravi.transfer(rich_asha.wallet, "1"))
        for number in range(CALLERS)
    ]
    answers = at_once(calls)
    assert Counter(answer.status_code for answer in answers) == {201: CALLERS}
    assert len({answer.json()["id"] for answer in answers}) == CALLERS
    assert (rich_asha.balance, ravi.balance) == ("500.00", "500.00")


def test_draining_a_wallet_from_everywhere_never_overdraws_it(asha: Person, ravi: Person) -> None:
    asha.fund("10")
    answers = at_once([lambda: asha.transfer(ravi.wallet, "1")] * 25)
    assert Counter(answer.status_code for answer in answers) == {201: 10, 422: 15}
    refused = [answer.json() for answer in answers if answer.status_code == 422]
    assert {body["code"] for body in refused} == {"insufficient_funds"}
    assert len({body["transaction"] for body in refused}) == 15
    assert (asha.balance, ravi.balance) == ("0.00", "10.00")


def test_twenty_webhooks_a_confirmation_and_a_callback_at_once_credit_once(asha: Person, running_wallet: Run) -> None:
    checkout = asha.add("50").json()["checkout"]
    redirect = asha.api.checkout(checkout["order_id"], "success@razorpay")
    fields = signed(redirect)
    entity = {"id": fields["razorpay_payment_id"], "order_id": checkout["order_id"], "amount": 5000,
              "currency": "INR", "status": "captured"}  # fmt: skip
    body = json.dumps({"event": "payment.captured", "payload": {"payment": {"entity": entity}}}).encode()
    secret = running_wallet.env["RAZORPAY_WEBHOOK_SECRETS"].split(",")[0].encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()

    def webhook(event: str) -> requests.Response:
        headers = {"X-Razorpay-Signature": signature, "x-razorpay-event-id": event}
        return asha.api.call("POST", "/webhooks/razorpay", data=body, headers=headers)

    def callback() -> requests.Response:
        return asha.api.http.get(redirect.headers["Location"], allow_redirects=False, timeout=30)

    same, other = fresh_key(), [fresh_key() for _ in range(WEBHOOKS // 2)]
    calls: list[Callable[[], requests.Response]] = [lambda: webhook(same)] * (WEBHOOKS // 2)
    calls += [lambda event=event: webhook(event) for event in other]  # type: ignore[misc]
    answers = at_once([*calls, lambda: asha.confirm(fields), callback, lambda: asha.confirm(fields), callback])
    assert all(answer.status_code == 200 for answer in answers[:WEBHOOKS])
    confirmed, landed = answers[WEBHOOKS::2], answers[WEBHOOKS + 1 :: 2]
    assert all(transaction(answer.json())["status"] == "SUCCESS" for answer in confirmed)
    assert all(answer.status_code == 303 for answer in landed)
    assert asha.balance == "50.00"
    assert [(row["type"], row["status"]) for row in asha.history()] == [("ADD", "SUCCESS")]
