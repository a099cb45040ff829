"""The sandbox's disputes and settlements: who took back what, and what came into the bank account."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from payments.sandbox.events import Letterhead
from payments.sandbox.order_requests import order_request
from payments.sandbox.orders import create_order
from payments.sandbox.payments import attempt_payment
from payments.sandbox.settlements import settle as settle_at
from payments.sandbox.settlements import settled_items
from payments.sandbox.state import State
from payments.sandbox.vpas import VPAS
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, until

INDIA = timezone(timedelta(hours=5, minutes=30))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox]) -> Sandbox:
    return both[1]


def read(sandbox: Sandbox, path: str, **query: Any) -> dict[str, Any]:
    answer = sandbox.call("GET", path, params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def disputed(sandbox: Sandbox, payment_id: str, **fields: Any) -> dict[str, Any]:
    answer = sandbox.operate(f"payments/{payment_id}/dispute", **fields)
    assert answer.status_code == 200, answer.text
    dispute: dict[str, Any] = answer.json()
    return dispute


def settle(sandbox: Sandbox) -> dict[str, Any] | None:
    settlement: dict[str, Any] | None = sandbox.operate("settle").json()["settlement"]
    return settlement


def items_of(sandbox: Sandbox, settlement: dict[str, Any]) -> list[dict[str, Any]]:
    """The report's lines of one settlement, asked for by its day in India."""
    day = datetime.fromtimestamp(settlement["created_at"], INDIA)
    report = read(sandbox, "/settlements/recon/combined", year=day.year, month=f"{day:%m}", day=f"{day:%d}", count=1000)
    assert report["entity"] == "collection"
    return [item for item in report["items"] if item["settlement_id"] == settlement["id"]]


def told(merchant: Merchant, name: str, entity_id: str) -> dict[str, Any]:
    """The payload of that event."""
    [letter] = until(
        lambda: [one for one in list(merchant.letters) if one.event == name and entity_id.encode() in one.body],
        bool,
    )
    assert letter.is_genuine
    payload: dict[str, Any] = letter.document["payload"]
    return payload


def test_a_dispute_has_every_field_and_is_told(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    payment = sandbox.captured(amount=20_000)
    dispute = disputed(sandbox, payment["id"], amount=15_000, reason="goods_not_received")

    assert re.fullmatch(r"disp_[A-Za-z0-9]{14}", dispute["id"])
    assert abs(dispute["created_at"] - time.time()) < 10
    assert dispute["respond_by"] > time.time()
    expected = {
        "entity": "dispute",
        "payment_id": payment["id"],
        "amount": 15_000,
        "currency": "INR",
        "amount_deducted": 0,
        "reason_code": "goods_not_received",
        "status": "open",
        "phase": "chargeback",
    }
    assert {name: dispute[name] for name in expected} == expected
    assert read(sandbox, f"/disputes/{dispute['id']}") == dispute
    assert read(sandbox, "/disputes", count=1)["items"] == [dispute]
    payload = told(merchant, "payment.dispute.created", dispute["id"])
    assert payload["dispute"]["entity"] == dispute
    assert payload["payment"]["entity"]["id"] == payment["id"]


@pytest.mark.parametrize(
    "path",
    [
        ("under_review", "action_required", "under_review", "lost"),
        ("action_required", "won"),
        ("lost",),
        ("closed",),
    ],
)
def test_a_dispute_goes_its_way_and_ends(both: tuple[Merchant, Sandbox], path: tuple[str, ...]) -> None:
    merchant, sandbox = both
    dispute = disputed(sandbox, sandbox.captured(amount=20_000)["id"])
    assert dispute["amount"] == 20_000
    for status in path:
        moved = sandbox.operate(f"disputes/{dispute['id']}/move", to=status).json()
        assert moved["status"] == status
    assert moved["amount_deducted"] == (20_000 if path[-1] == "lost" else 0)
    assert read(sandbox, f"/disputes/{dispute['id']}") == moved
    assert told(merchant, f"payment.dispute.{path[-1]}", dispute["id"])["dispute"]["entity"] == moved
    for status in ("open", "under_review", "action_required", "won", "lost", "closed"):
        assert sandbox.operate(f"disputes/{dispute['id']}/move", to=status).status_code == 400


@pytest.mark.parametrize("fields", [{"amount": 20_001}, {"amount": 99}, {"amount": "all"}, {"reason": "x" * 101}])
def test_a_wrong_dispute_is_refused(sandbox: Sandbox, fields: dict[str, Any]) -> None:
    payment = sandbox.captured(amount=20_000)
    assert sandbox.operate(f"payments/{payment['id']}/dispute", **fields).status_code == 400


def test_only_a_captured_payment_is_disputed_and_once_at_a_time(sandbox: Sandbox) -> None:
    failed = sandbox.captured(vpa="failure@razorpay")
    assert sandbox.operate(f"payments/{failed['id']}/dispute").status_code == 400
    assert sandbox.operate("payments/pay_AAAAAAAAAAAAAA/dispute").status_code == 400

    payment = sandbox.captured()
    first = disputed(sandbox, payment["id"])
    assert sandbox.operate(f"payments/{payment['id']}/dispute").status_code == 400
    sandbox.operate(f"disputes/{first['id']}/move", to="won")
    disputed(sandbox, payment["id"])


def test_a_settlement_collects_what_none_has_yet(both: tuple[Merchant, Sandbox]) -> None:
    merchant, sandbox = both
    settle(sandbox)
    kept, given_back = sandbox.captured(amount=100_000), sandbox.captured(amount=20_000)
    sandbox.captured(amount=70_000, vpa="failure@razorpay")
    refund = sandbox.call("POST", f"/payments/{given_back['id']}/refund").json()
    waiting = sandbox.call(
        "POST", f"/payments/{kept['id']}/refund", json={"amount": 1_000, "notes": {"sandbox": "stay"}}
    ).json()
    lost, won = disputed(sandbox, kept["id"], amount=30_000), disputed(sandbox, given_back["id"])
    sandbox.operate(f"disputes/{lost['id']}/move", to="lost")
    sandbox.operate(f"disputes/{won['id']}/move", to="won")
    until(lambda: read(sandbox, f"/refunds/{refund['id']}"), lambda found: found["status"] == "processed")

    settlement = settle(sandbox)
    assert settlement is not None
    items = {item["entity_id"]: item for item in items_of(sandbox, settlement)}
    [adjustment] = [item for item in items.values() if item["type"] == "adjustment"]
    assert set(items) == {kept["id"], given_back["id"], refund["id"], adjustment["entity_id"]}
    figures = ("type", "debit", "credit", "amount", "fee", "tax", "payment_id")
    assert [items[kept["id"]][name] for name in figures] == ["payment", 0, 97_640, 100_000, 2_360, 360, None]
    assert [items[given_back["id"]][name] for name in figures] == ["payment", 0, 19_528, 20_000, 472, 72, None]
    assert [items[refund["id"]][name] for name in figures] == ["refund", 20_000, 0, 20_000, 0, 0, given_back["id"]]
    assert [adjustment[name] for name in figures] == ["adjustment", 30_000, 0, 30_000, 0, 0, kept["id"]]
    assert adjustment["dispute_id"] == lost["id"]
    for item in items.values():
        assert (item["settlement_utr"], item["settled"], item["currency"]) == (settlement["utr"], True, "INR")
        assert (item["settled_at"], item["method"]) == (settlement["created_at"], "upi")
    assert items[kept["id"]]["order_id"] == kept["order_id"]

    assert re.fullmatch(r"setl_[A-Za-z0-9]{14}", settlement["id"])
    assert (settlement["amount"], settlement["fees"], settlement["tax"]) == (67_168, 2_832, 432)
    assert settlement["amount"] == sum(item["credit"] - item["debit"] for item in items.values())
    assert read(sandbox, f"/settlements/{settlement['id']}") == settlement
    assert read(sandbox, "/settlements", count=1)["items"] == [settlement]
    assert told(merchant, "settlement.processed", settlement["id"])["settlement"]["entity"] == settlement

    assert settle(sandbox) is None
    sandbox.operate(f"refunds/{waiting['id']}/process")
    debit = settle(sandbox)
    assert debit is not None
    assert (debit["amount"], [item["entity_id"] for item in items_of(sandbox, debit)]) == (-1_000, [waiting["id"]])


def test_the_report_is_cut_by_month_day_count_and_skip(sandbox: Sandbox) -> None:
    settle(sandbox)
    ids = [sandbox.captured()["id"] for _ in range(3)]
    settlement = settle(sandbox)
    assert settlement is not None
    day = datetime.fromtimestamp(settlement["created_at"], INDIA)
    path = "/settlements/recon/combined"
    month = {"year": day.year, "month": day.month}
    whole = read(sandbox, path, **month, count=1000)["items"]
    assert [item["entity_id"] for item in whole[-3:]] == ids
    assert read(sandbox, path, **month, day=day.day, count=2, skip=len(whole) - 3)["items"] == whole[-3:-1]
    other = day + timedelta(days=1)
    assert read(sandbox, path, year=other.year, month=other.month, day=other.day)["count"] == 0
    assert read(sandbox, path, year=day.year - 1, month=day.month)["count"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"month": 1}, "year"),
        ({"year": 2026}, "month"),
        ({"year": 2026, "month": 13}, "month"),
        ({"year": 2026, "month": 2, "day": 30}, "day"),
        ({"year": 2026, "month": 2, "day": 0}, "day"),
        ({"year": 2026, "month": 2, "count": 1001}, "count"),
    ],
)
def test_a_wrong_report_is_refused_by_name(sandbox: Sandbox, query: dict[str, int], field: str) -> None:
    answer = sandbox.call("GET", "/settlements/recon/combined", params=query)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)


@pytest.mark.parametrize(
    "path", ["/disputes/disp_AAAAAAAAAAAAAA", "/disputes/nonsense", "/settlements/setl_AAAAAAAAAAAAAA"]
)
def test_an_unknown_id_is_a_bad_request(sandbox: Sandbox, path: str) -> None:
    answer = sandbox.call("GET", path)
    assert answer.status_code == 400
    assert answer.json()["error"]["description"] == "The id provided does not exist"


def test_days_of_the_report_begin_at_midnight_in_india(tmp_path: Path) -> None:
    """Settled at 18:29:59 and at 18:30:00 UTC: on two days. The deed is given the time; nobody waits for midnight."""
    state = State(tmp_path / "state.sqlite3")
    letterhead = Letterhead(account_id=state.account_id, secret="webhook_secret")
    midnight = int(datetime(2026, 2, 28, 18, 30, tzinfo=UTC).timestamp())
    with state.unit() as db:
        for now in (midnight - 1, midnight):
            order = create_order(db, asked=order_request({"amount": 500, "currency": "INR"}), now=now)
            attempt_payment(db, order_id=order["id"], vpa=VPAS["success@razorpay"], letterhead=letterhead, now=now)
            settle_at(db, letterhead=letterhead, now=now)
        days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2)]
        for first, after, settled_at in zip(days, days[1:], (midnight - 1, midnight), strict=False):
            [item] = settled_items(db, first=first, after=after, count=10, skip=0)
            assert item["settled_at"] == settled_at
    state.close()
