"""The sandbox's refunds: never more than is left, once for each key, and told by signed events."""

import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, until


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Sandbox:
    return both[1]


def refund(sandbox: Sandbox, payment_id: str, *, key: str | bytes | None = None, **body: Any) -> requests.Response:
    headers = {} if key is None else {"X-Refund-Idempotency": key}
    return sandbox.call("POST", f"/payments/{payment_id}/refund", json=body, headers=headers)


def read(sandbox: Sandbox, path: str) -> dict[str, Any]:
    answer = sandbox.call("GET", path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def settled(sandbox: Sandbox, refund_id: str) -> dict[str, Any]:
    """The refund once it is no longer pending."""
    return until(lambda: read(sandbox, f"/refunds/{refund_id}"), lambda found: found["status"] != "pending")


def test_a_refund_is_pending_and_processed_a_second_later(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    payment = sandbox.captured(amount=20_000)
    made = refund(sandbox, payment["id"], amount=5_000, speed="optimum", receipt="txn_asha", notes={"who": "Asha"})

    assert made.status_code == 200
    pending = made.json()
    assert re.fullmatch(r"rfnd_[A-Za-z0-9]{14}", pending["id"])
    expected = {
        "entity": "refund",
        "amount": 5_000,
        "currency": "INR",
        "payment_id": payment["id"],
        "status": "pending",
        "receipt": "txn_asha",
        "notes": {"who": "Asha"},
        "speed_requested": "optimum",
        "acquirer_data": {"arn": None, "rrn": None},
    }
    assert {name: pending[name] for name in expected} == expected
    partly = read(sandbox, f"/payments/{payment['id']}")
    assert (partly["status"], partly["amount_refunded"], partly["refund_status"]) == ("captured", 5_000, "partial")

    processed = settled(sandbox, pending["id"])
    assert processed["status"] == "processed"
    assert re.fullmatch(r"[0-9]{12}", processed["acquirer_data"]["rrn"])
    letters = until(
        lambda: [letter for letter in list(merchant.letters) if pending["id"].encode() in letter.body],
        lambda found: len(found) == 2,
    )
    assert all(letter.is_genuine for letter in letters)
    told = {letter.event: letter.document["payload"] for letter in letters}
    assert set(told) == {"refund.created", "refund.processed"}
    assert told["refund.processed"]["refund"]["entity"] == processed
    assert told["refund.created"]["payment"]["entity"]["amount_refunded"] == 5_000


def test_no_amount_gives_back_all_that_is_left_and_then_nothing_more(sandbox: Sandbox) -> None:
    payment = sandbox.captured(amount=20_000)
    refund(sandbox, payment["id"], amount=5_000)
    assert sandbox.call("POST", f"/payments/{payment['id']}/refund").json()["amount"] == 15_000

    whole = read(sandbox, f"/payments/{payment['id']}")
    assert (whole["status"], whole["amount_refunded"], whole["refund_status"]) == ("refunded", 20_000, "full")
    assert whole["captured"] is True
    assert read(sandbox, f"/orders/{payment['order_id']}")["status"] == "paid"
    refused = refund(sandbox, payment["id"], amount=100)
    assert refused.status_code == 400
    assert refused.json()["error"]["description"] == "The payment has been fully refunded already"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": 20_001}, "amount"),
        ({"amount": 99}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": "500"}, "amount"),
        ({"speed": "fast"}, "speed"),
        ({"receipt": "r" * 41}, "receipt"),
        ({"notes": "text"}, "notes"),
        ({"amout": 500}, None),
    ],
)
def test_a_wrong_refund_is_refused_by_name_and_changes_nothing(
    sandbox: Sandbox, body: dict[str, Any], field: str | None
) -> None:
    payment = sandbox.captured(amount=20_000)
    answer = refund(sandbox, payment["id"], **body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
    assert read(sandbox, f"/payments/{payment['id']}") == payment
    assert read(sandbox, f"/payments/{payment['id']}/refunds")["count"] == 0


@pytest.mark.parametrize("vpa", ["failure@razorpay", "forged@razorpay"])
def test_what_was_never_captured_is_not_refunded(sandbox: Sandbox, vpa: str) -> None:
    payment = sandbox.captured(vpa=vpa)
    assert refund(sandbox, payment["id"]).status_code == 400


@pytest.mark.parametrize("key", ["short-key", "with space here", "x" * 101, "unerlaubt-ä"])
def test_a_key_of_another_form_is_refused(sandbox: Sandbox, key: str) -> None:
    payment = sandbox.captured()
    answer = refund(sandbox, payment["id"], key=key.encode("latin-1"))
    assert answer.status_code == 400
    assert read(sandbox, f"/payments/{payment['id']}/refunds")["count"] == 0


def test_the_same_key_answers_the_same_refund_as_it_now_stands(sandbox: Sandbox) -> None:
    payment = sandbox.captured(amount=20_000)
    first = refund(sandbox, payment["id"], key="asha-refund-1", amount=5_000, notes={"a": "1", "b": "2"}).json()
    processed = settled(sandbox, first["id"])
    # The order of fields is not another request.
    again = refund(sandbox, payment["id"], key="asha-refund-1", notes={"b": "2", "a": "1"}, amount=5_000)
    assert (again.status_code, again.json()) == (200, processed)

    assert refund(sandbox, payment["id"], key="asha-refund-1", amount=5_001).status_code == 409
    other = sandbox.captured(amount=20_000)
    assert refund(sandbox, other["id"], key="asha-refund-1", amount=5_000).status_code == 409
    assert [one["id"] for one in read(sandbox, f"/payments/{payment['id']}/refunds")["items"]] == [first["id"]]


def test_the_same_key_at_once_makes_one_refund(sandbox: Sandbox) -> None:
    payment = sandbox.captured(amount=20_000)
    begin = threading.Barrier(12)

    def ask(_: int) -> requests.Response:
        begin.wait()
        return refund(sandbox, payment["id"], key="asha-at-once", amount=5_000)

    with ThreadPoolExecutor(12) as crowd:
        answers = list(crowd.map(ask, range(12)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert read(sandbox, f"/payments/{payment['id']}")["amount_refunded"] == 5_000


def test_keys_at_once_never_give_back_more_than_was_captured(sandbox: Sandbox) -> None:
    payment = sandbox.captured(amount=20_000)
    with ThreadPoolExecutor(8) as crowd:
        answers = list(
            crowd.map(lambda n: refund(sandbox, payment["id"], key=f"ravi-key-{n:04}", amount=6_000), range(8))
        )
    assert Counter(answer.status_code for answer in answers) == {200: 3, 400: 5}
    assert read(sandbox, f"/payments/{payment['id']}")["amount_refunded"] == 18_000


def test_a_refund_that_fails_gives_its_amount_back_to_the_payment(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    payment = sandbox.captured(amount=20_000)
    made = refund(sandbox, payment["id"], notes={"sandbox": "fail"}).json()
    assert read(sandbox, f"/payments/{payment['id']}")["status"] == "refunded"

    failed = settled(sandbox, made["id"])
    assert (failed["status"], failed["acquirer_data"]["rrn"]) == ("failed", None)
    back = read(sandbox, f"/payments/{payment['id']}")
    assert (back["status"], back["amount_refunded"], back["refund_status"]) == ("captured", 0, None)
    until(
        lambda: [one.event for one in list(merchant.letters) if made["id"].encode() in one.body],
        lambda events: set(events) == {"refund.created", "refund.failed"},
    )
    assert refund(sandbox, payment["id"]).status_code == 200


def test_the_operator_decides_what_becomes_of_refunds(sandbox: Sandbox) -> None:
    assert sandbox.operate("refund-course", course="stay").status_code == 200
    made = [refund(sandbox, sandbox.captured()["id"]).json()["id"] for _ in range(2)]
    assert sandbox.operate("refund-course", course="process").status_code == 200
    assert settled(sandbox, refund(sandbox, sandbox.captured()["id"]).json()["id"])["status"] == "processed"
    assert [read(sandbox, f"/refunds/{one}")["status"] for one in made] == ["pending"] * 2

    assert sandbox.operate(f"refunds/{made[0]}/process").json()["status"] == "processed"
    assert sandbox.operate(f"refunds/{made[1]}/fail").json()["status"] == "failed"
    assert sandbox.operate(f"refunds/{made[1]}/process").status_code == 400
    assert sandbox.operate("refund-course", course="vanish").status_code == 400


def test_a_kill_keeps_refunds_and_their_appointments(sandbox: Sandbox) -> None:
    payment = sandbox.captured(amount=20_000)
    made = refund(sandbox, payment["id"], key="survives-a-kill", amount=5_000).json()
    sandbox.end(signal.SIGKILL)
    sandbox.start()
    assert settled(sandbox, made["id"])["status"] == "processed"
    assert refund(sandbox, payment["id"], key="survives-a-kill", amount=5_000).json()["id"] == made["id"]
    assert read(sandbox, f"/payments/{payment['id']}")["amount_refunded"] == 5_000


def test_refunds_are_listed_and_counted_in_the_book(sandbox: Sandbox) -> None:
    before = sandbox.book()["refunds"].get("processed", {"count": 0, "total": 0})
    payment = sandbox.captured(amount=20_000)
    made = [refund(sandbox, payment["id"], amount=amount).json()["id"] for amount in (1_000, 2_000, 3_000)]
    assert [one["id"] for one in read(sandbox, "/refunds?count=2")["items"]] == made[:0:-1]
    assert [one["id"] for one in read(sandbox, f"/payments/{payment['id']}/refunds?skip=1")["items"]] == made[1::-1]
    assert read(sandbox, "/refunds?to=1000000000")["count"] == 0
    for refund_id in made:
        settled(sandbox, refund_id)
    after = sandbox.book()["refunds"]["processed"]
    assert (after["count"] - before["count"], after["total"] - before["total"]) == (3, 6_000)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/refunds/rfnd_AAAAAAAAAAAAAA"),
        ("GET", "/refunds/nonsense"),
        ("GET", "/payments/pay_AAAAAAAAAAAAAA/refunds"),
        ("POST", "/payments/pay_AAAAAAAAAAAAAA/refund"),
    ],
)
def test_an_unknown_id_is_a_bad_request(sandbox: Sandbox, method: str, path: str) -> None:
    answer = sandbox.call(method, path)
    assert answer.status_code == 400
    assert answer.json()["error"]["description"] == "The id provided does not exist"
    assert sandbox.call(method, path, auth=None).status_code == 401
