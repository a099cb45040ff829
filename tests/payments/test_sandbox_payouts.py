"""The sandbox's payouts: every ending of an account number, every limit, and one payout for each key."""

import itertools
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, until

ACCOUNT = "2323230000000001"
ENDINGS = ("0001", "0002", "0003", "0005", "0006", "9999")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Sandbox:
    return both[1]


def key() -> str:
    return f"pay out-{next(_numbers)}"


def pay_out(sandbox: Sandbox, fund_account: str, *, key: str | None, **fields: Any) -> requests.Response:
    body = {
        "account_number": ACCOUNT,
        "fund_account_id": fund_account,
        "amount": 20_000,
        "currency": "INR",
        "mode": "IMPS",
        "purpose": "payout",
        "queue_if_low_balance": True,
        **fields,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return sandbox.call("POST", "/payouts", json=body, headers={} if key is None else {"X-Payout-Idempotency": key})


def made(sandbox: Sandbox, ending: str, **fields: Any) -> dict[str, Any]:
    answer = pay_out(sandbox, sandbox.fund_account(f"50100{ending}"), key=key(), **fields)
    assert answer.status_code == 200, answer.text
    payout: dict[str, Any] = answer.json()
    return payout


def read(sandbox: Sandbox, payout_id: str) -> dict[str, Any]:
    payout: dict[str, Any] = sandbox.call("GET", f"/payouts/{payout_id}").json()
    return payout


def once(sandbox: Sandbox, payout_id: str, status: str) -> dict[str, Any]:
    """The payout as soon as it has that status."""
    return until(lambda: read(sandbox, payout_id), lambda found: found["status"] == status)


def told(merchant: Merchant, payout_id: str) -> set[str]:
    return {letter.event for letter in list(merchant.letters) if payout_id.encode() in letter.body}


def by_reference(sandbox: Sandbox, reference: str) -> list[dict[str, Any]]:
    query = {"account_number": ACCOUNT, "reference_id": reference}
    items: list[dict[str, Any]] = sandbox.call("GET", "/payouts", params=query).json()["items"]
    return items


def counted(sandbox: Sandbox) -> tuple[int, int]:
    """How many payouts the book has, and their paise, whatever their status is just now."""
    rows = sandbox.book()["payouts"].values()
    return sum(row["count"] for row in rows), sum(row["total"] for row in rows)


@pytest.fixture(scope="module")
def payouts(both: tuple[Merchant, Sandbox]) -> dict[str, dict[str, Any]]:
    """One of each ending, as they were answered. The sandbox is killed while they are under way."""
    _, sandbox = both
    first = {ending: made(sandbox, ending, reference_id=f"wdr-{ending}") for ending in ENDINGS}
    sandbox.end(signal.SIGKILL)
    sandbox.start()
    return first


def test_a_payout_begins_with_every_field_of_the_documentation(payouts: dict[str, dict[str, Any]]) -> None:
    payout = payouts["0001"]
    assert re.fullmatch(r"pout_[A-Za-z0-9]{14}", payout["id"])
    assert abs(payout["created_at"] - time.time()) < 60
    expected = {
        "entity": "payout",
        "amount": 20_000,
        "currency": "INR",
        "fees": 590,
        "tax": 90,
        "status": "processing",
        "utr": None,
        "mode": "IMPS",
        "purpose": "payout",
        "reference_id": "wdr-0001",
        "narration": None,
        "notes": [],
        "failure_reason": None,
    }
    assert {name: payout[name] for name in expected} == expected
    assert set(payout["status_details"]) == {"description", "source", "reason"}
    assert payout["fund_account_id"].startswith("fa_")


@pytest.mark.parametrize("ending", ["0001", "9999"])
def test_an_ordinary_account_is_paid_after_a_second(
    both: tuple[Merchant, Sandbox], payouts: dict[str, dict[str, Any]], ending: str
) -> None:
    merchant, sandbox = both
    payout = once(sandbox, payouts[ending]["id"], "processed")
    assert re.fullmatch(r"[0-9]{12}", payout["utr"])
    assert (payout["fees"], payout["tax"]) == (590, 90)
    until(lambda: told(merchant, payout["id"]), lambda events: events == {"payout.initiated", "payout.processed"})


def test_0002_fails_and_costs_nothing(both: tuple[Merchant, Sandbox], payouts: dict[str, dict[str, Any]]) -> None:
    merchant, sandbox = both
    payout = once(sandbox, payouts["0002"]["id"], "failed")
    assert (payout["fees"], payout["tax"], payout["utr"]) == (0, 0, None)
    assert payout["failure_reason"] == payout["status_details"]["description"]
    until(lambda: told(merchant, payout["id"]), lambda events: events == {"payout.initiated", "payout.failed"})


def test_0003_is_processed_and_reversed_five_seconds_later(
    both: tuple[Merchant, Sandbox], payouts: dict[str, dict[str, Any]]
) -> None:
    merchant, sandbox = both
    processed = once(sandbox, payouts["0003"]["id"], "processed")
    seen_at = time.monotonic()
    payout = once(sandbox, payouts["0003"]["id"], "reversed")
    # Seen a moment after it was processed, at most as long after as one look takes.
    assert time.monotonic() - seen_at > 3
    assert payout["utr"] == processed["utr"]
    until(
        lambda: told(merchant, payout["id"]),
        lambda events: events == {"payout.initiated", "payout.processed", "payout.reversed"},
    )


def test_0004_is_accepted_and_the_reply_dropped(sandbox: Sandbox) -> None:
    account, name = sandbox.fund_account("501000004"), key()
    with pytest.raises(requests.ConnectionError):
        pay_out(sandbox, account, key=name, reference_id="wdr-dropped")
    [payout] = by_reference(sandbox, "wdr-dropped")
    again = pay_out(sandbox, account, key=name, reference_id="wdr-dropped")
    assert (again.status_code, again.json()["id"]) == (200, payout["id"])
    assert once(sandbox, payout["id"], "processed")["utr"]
    assert len(by_reference(sandbox, "wdr-dropped")) == 1


def test_0005_waits_until_it_is_released(both: tuple[Merchant, Sandbox], payouts: dict[str, dict[str, Any]]) -> None:
    merchant, sandbox = both
    once(sandbox, payouts["0001"]["id"], "processed")
    queued = read(sandbox, payouts["0005"]["id"])
    assert (queued["status"], queued["fees"], queued["status_details"]["reason"]) == ("queued", 0, "low_balance")
    assert sandbox.operate(f"payouts/{queued['id']}/move", to="processing").json()["fees"] == 590
    once(sandbox, queued["id"], "processed")
    until(
        lambda: told(merchant, queued["id"]),
        lambda events: events == {"payout.queued", "payout.initiated", "payout.processed"},
    )


def test_a_queued_payout_is_cancelled_and_no_other(sandbox: Sandbox, payouts: dict[str, dict[str, Any]]) -> None:
    queued = made(sandbox, "0005")
    cancelled = sandbox.call("POST", f"/payouts/{queued['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert sandbox.call("POST", f"/payouts/{queued['id']}/cancel").status_code == 400
    assert sandbox.call("POST", f"/payouts/{payouts['0006']['id']}/cancel").status_code == 400
    assert sandbox.operate(f"payouts/{queued['id']}/move", to="processing").status_code == 400


def test_low_balance_is_refused_where_it_may_not_be_queued(sandbox: Sandbox) -> None:
    account = sandbox.fund_account("501000005")
    answer = pay_out(sandbox, account, key=key(), queue_if_low_balance=False, reference_id="wdr-poor")
    assert answer.status_code == 400
    assert "balance" in answer.json()["error"]["description"]
    assert by_reference(sandbox, "wdr-poor") == []


def test_0006_never_leaves_processing_unless_it_is_moved(sandbox: Sandbox, payouts: dict[str, dict[str, Any]]) -> None:
    # Made together with one that is reversed by now, it has had its time.
    once(sandbox, payouts["0003"]["id"], "reversed")
    assert read(sandbox, payouts["0006"]["id"])["status"] == "processing"
    for status in ("processed", "reversed", "failed"):
        assert sandbox.operate(f"payouts/{payouts['0006']['id']}/move", to=status).json()["status"] == status


def test_0007_stumbles_twice_and_then_works_for_each_key(sandbox: Sandbox) -> None:
    account, name = sandbox.fund_account("501000007"), key()
    first = pay_out(sandbox, account, key=name, reference_id="wdr-stumbles")
    assert (first.status_code, first.headers["Content-Type"].partition(";")[0]) == (502, "text/html")
    assert "<html>" in first.text
    second = pay_out(sandbox, account, key=name, reference_id="wdr-stumbles")
    assert second.status_code == 429
    assert second.json()["error"]["code"] == "BAD_REQUEST_ERROR"
    assert "Retry-After" not in second.headers
    assert by_reference(sandbox, "wdr-stumbles") == []

    third = pay_out(sandbox, account, key=name, reference_id="wdr-stumbles")
    assert third.status_code == 200
    assert pay_out(sandbox, account, key=name, reference_id="wdr-stumbles").json()["id"] == third.json()["id"]
    assert pay_out(sandbox, account, key=key()).status_code == 502


@pytest.mark.parametrize(
    ("path", "events"),
    [
        (("rejected",), {"payout.rejected"}),
        (("scheduled", "cancelled"), {"payout.updated"}),
        (("queued", "processing", "reversed", "failed", "reversed"), {"payout.queued", "payout.reversed"}),
        (("processing", "failed", "reversed"), {"payout.initiated", "payout.failed", "payout.reversed"}),
    ],
)
def test_a_payout_goes_the_ways_that_are_documented_and_no_others(
    both: tuple[Merchant, Sandbox], path: tuple[str, ...], events: set[str]
) -> None:
    merchant, sandbox = both
    payout = made(sandbox, "0006", notes={"sandbox": "pending"})
    follows = {
        "pending": {"queued", "scheduled", "processing", "rejected"},
        "queued": {"processing", "cancelled"},
        "scheduled": {"processing", "cancelled"},
        "processing": {"processed", "reversed", "failed"},
        "processed": {"reversed"},
        "failed": {"reversed"},
        "reversed": {"failed"},
        "rejected": set(),
        "cancelled": set(),
    }
    for step in (None, *path):
        status = "pending"
        if step is not None:
            status = sandbox.operate(f"payouts/{payout['id']}/move", to=step).json()["status"]
            assert status == step
        for wrong in {*follows, "lost"} - follows[status]:
            assert sandbox.operate(f"payouts/{payout['id']}/move", to=wrong).status_code == 400
        assert read(sandbox, payout["id"])["status"] == status
    until(lambda: told(merchant, payout["id"]), lambda heard: heard >= {"payout.pending", *events})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"account_number": "2323230000000002"}, "account_number"),
        ({"account_number": None}, "account_number"),
        ({"amount": 99}, "amount"),
        ({"amount": 20_000.5}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"mode": None}, "mode"),
        ({"mode": "imps"}, "mode"),
        ({"mode": "UPI"}, "mode"),
        ({"mode": "IMPS", "amount": 5_00_000_01}, "amount"),
        ({"mode": "RTGS", "amount": 2_00_000_00}, "amount"),
        ({"purpose": None}, "purpose"),
        ({"purpose": "gambling"}, "purpose"),
        ({"queue_if_low_balance": "yes"}, "queue_if_low_balance"),
        ({"reference_id": "r" * 41}, "reference_id"),
        ({"narration": "n" * 31}, "narration"),
        ({"narration": "Wallet_payout"}, "narration"),
        ({"notes": {"n": 1}}, "notes"),
        ({"fund_account_id": None}, "fund_account_id"),
        ({"fund_account_id": "fa_AAAAAAAAAAAAAA"}, "id"),
        ({"acount": "1"}, None),
    ],
)
def test_a_wrong_payout_is_refused_by_name(sandbox: Sandbox, fields: dict[str, Any], field: str | None) -> None:
    before = counted(sandbox)
    answer = pay_out(sandbox, sandbox.fund_account("501000006"), key=key(), **fields)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
    assert counted(sandbox) == before


@pytest.mark.parametrize(
    ("mode", "amount"), [("IMPS", 5_00_000_00), ("NEFT", 5_00_000_01), ("NEFT", 100), ("RTGS", 2_00_000_01)]
)
def test_each_mode_pays_up_to_its_limit(sandbox: Sandbox, mode: str, amount: int) -> None:
    payout = made(sandbox, "0006", mode=mode, amount=amount, narration="Wallet withdrawal 12")
    assert (payout["mode"], payout["amount"], payout["narration"]) == (mode, amount, "Wallet withdrawal 12")


def test_a_upi_address_is_paid_by_upi_only_and_up_to_its_limit(sandbox: Sandbox) -> None:
    contact = sandbox.call("POST", "/contacts", json={"name": "Ravi Kumar"}).json()["id"]
    body = {"contact_id": contact, "account_type": "vpa", "vpa": {"address": "success@razorpay"}}
    account = sandbox.call("POST", "/fund_accounts", json=body).json()
    assert account["vpa"] == {"username": "success", "handle": "razorpay", "address": "success@razorpay"}

    assert pay_out(sandbox, account["id"], key=key(), mode="IMPS").json()["error"]["field"] == "mode"
    beyond = pay_out(sandbox, account["id"], key=key(), mode="UPI", amount=1_00_000_01)
    assert beyond.json()["error"]["field"] == "amount"
    payout = pay_out(sandbox, account["id"], key=key(), mode="UPI", amount=1_00_000_00).json()
    once(sandbox, payout["id"], "processed")


@pytest.mark.parametrize("wrong", [None, "abc", "k" * 37, "under/score", ""])
def test_a_missing_or_malformed_key_is_refused(sandbox: Sandbox, wrong: str | None) -> None:
    answer = pay_out(sandbox, sandbox.fund_account("501000001"), key=wrong, reference_id="wdr-keyless")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "X-Payout-Idempotency")
    assert by_reference(sandbox, "wdr-keyless") == []


def test_the_same_key_at_once_pays_once_and_answers_the_payout_as_it_now_stands(sandbox: Sandbox) -> None:
    account, name = sandbox.fund_account("501000001"), key()
    begin = threading.Barrier(12)

    def ask(_: int) -> requests.Response:
        begin.wait()
        return pay_out(sandbox, account, key=name, reference_id="wdr-at-once")

    with ThreadPoolExecutor(12) as crowd:
        answers = list(crowd.map(ask, range(12)))
    assert {answer.status_code for answer in answers} == {200}
    [payout_id] = {answer.json()["id"] for answer in answers}
    processed = once(sandbox, payout_id, "processed")
    assert pay_out(sandbox, account, key=name, reference_id="wdr-at-once").json() == processed
    assert [one["id"] for one in by_reference(sandbox, "wdr-at-once")] == [payout_id]

    other = pay_out(sandbox, account, key=name, reference_id="wdr-at-once", amount=20_001)
    assert other.status_code == 400
    assert "Idempotency" in other.json()["error"]["description"]


def test_payouts_are_listed_for_our_account_and_counted_in_the_book(sandbox: Sandbox) -> None:
    count, total = counted(sandbox)
    ids = [made(sandbox, "0006", amount=1_000)["id"] for _ in range(3)]
    listed = sandbox.call("GET", "/payouts", params={"account_number": ACCOUNT, "count": 2, "skip": 1}).json()
    assert [one["id"] for one in listed["items"]] == ids[1::-1]
    assert counted(sandbox) == (count + 3, total + 3_000)
    assert sandbox.call("GET", "/payouts").status_code == 400
    assert sandbox.call("GET", "/payouts", params={"account_number": "1" * 16}).status_code == 400


def test_alike_contacts_and_accounts_are_the_same_one(sandbox: Sandbox) -> None:
    asha = {"name": "Asha Rao", "email": "asha@example.com", "contact": "9876543210", "reference_id": "usr_asha"}
    first = sandbox.call("POST", "/contacts", json=asha).json()
    assert re.fullmatch(r"cont_[A-Za-z0-9]{14}", first["id"])
    assert sandbox.call("POST", "/contacts", json=asha).json() == first
    assert sandbox.call("GET", f"/contacts/{first['id']}").json() == first
    assert sandbox.call("POST", "/contacts", json={**asha, "reference_id": "usr_other"}).json()["id"] != first["id"]

    with ThreadPoolExecutor(6) as crowd:
        [account] = set(crowd.map(lambda _: sandbox.fund_account("501001234", name="Meera Das"), range(6)))
    shown = sandbox.call("GET", f"/fund_accounts/{account}").json()
    assert shown["bank_account"]["account_number"] == "501001234"
    assert sandbox.fund_account("501001235", name="Meera Das") != account
    assert sandbox.call("PATCH", f"/fund_accounts/{account}", json={}).status_code == 405


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Al"}, "name"),
        ({"name": "A" * 51}, "name"),
        ({"name": "   "}, "name"),
        ({"name": None}, "name"),
        ({"email": "nobody"}, "email"),
        ({"contact": "12ab"}, "contact"),
        ({"reference_id": "r" * 41}, "reference_id"),
        ({"nmae": "Asha"}, None),
    ],
)
def test_a_wrong_contact_is_refused_by_name(sandbox: Sandbox, fields: dict[str, Any], field: str | None) -> None:
    answer = sandbox.call("POST", "/contacts", json={"name": "Asha Rao", **fields})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("bank", "field"),
    [
        ({"ifsc": "HDFC1000001"}, "bank_account.ifsc"),
        ({"ifsc": "hdfc0000001"}, "bank_account.ifsc"),
        ({"ifsc": "HDFC000001"}, "bank_account.ifsc"),
        ({"account_number": "1234"}, "bank_account.account_number"),
        ({"account_number": "1" * 36}, "bank_account.account_number"),
        ({"account_number": "12-34-56"}, "bank_account.account_number"),
        ({"account_number": "१२३४५६"}, "bank_account.account_number"),
        ({"name": None}, "bank_account.name"),
    ],
)
def test_a_wrong_bank_account_is_refused_by_name(sandbox: Sandbox, bank: dict[str, Any], field: str) -> None:
    contact = sandbox.call("POST", "/contacts", json={"name": "Asha Rao"}).json()["id"]
    right = {"name": "Asha Rao", "ifsc": "HDFC0000001", "account_number": "501001234"}
    body = {"contact_id": contact, "account_type": "bank_account", "bank_account": {**right, **bank}}
    answer = sandbox.call("POST", "/fund_accounts", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("number", "status", "name"), [("501001234", "active", "Asha Rao"), ("404041234", "invalid", None)]
)
def test_a_bank_says_after_a_second_whether_it_knows_an_account(
    sandbox: Sandbox, number: str, status: str, name: str | None
) -> None:
    account = sandbox.fund_account(number)
    body = {"account_number": ACCOUNT, "fund_account": {"id": account}, "amount": 100, "currency": "INR"}
    begun = sandbox.call("POST", "/fund_accounts/validations", json=body).json()
    assert re.fullmatch(r"fav_[A-Za-z0-9]{14}", begun["id"])
    assert (begun["status"], begun["results"]) == ("created", {"account_status": None, "registered_name": None})
    assert begun["fund_account"]["id"] == account

    path = f"/fund_accounts/validations/{begun['id']}"
    answered = until(lambda: sandbox.call("GET", path).json(), lambda found: found["status"] == "completed")
    assert answered["results"] == {"account_status": status, "registered_name": name}
    other = {**body, "account_number": "1" * 16}
    assert sandbox.call("POST", "/fund_accounts/validations", json=other).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/contacts/cont_AAAAAAAAAAAAAA"),
        ("GET", "/fund_accounts/fa_AAAAAAAAAAAAAA"),
        ("GET", "/fund_accounts/validations/fav_AAAAAAAAAAAAAA"),
        ("GET", "/payouts/pout_AAAAAAAAAAAAAA"),
        ("GET", "/payouts/pay_AAAAAAAAAAAAAA"),
        ("POST", "/payouts/pout_AAAAAAAAAAAAAA/cancel"),
    ],
)
def test_an_unknown_id_is_a_bad_request(sandbox: Sandbox, method: str, path: str) -> None:
    answer = sandbox.call(method, path)
    assert answer.status_code == 400
    assert answer.json()["error"]["description"] == "The id provided does not exist"
    assert sandbox.call(method, path, auth=None).status_code == 401
