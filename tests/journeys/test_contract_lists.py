"""The API's contract, "Lists", `GET /transactions` and `GET /transactions/{id}`."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.journeys.contract import Api, Person, created, inr, moment, problem, refusal, transaction

pytestmark = pytest.mark.runner


@pytest.fixture
def busy_asha(rich_asha: Person, ravi: Person) -> Person:
    """Asha after an ADD, five transfers, one refusal, a payment, one transfer back and an ADD never paid."""
    for number in range(1, 6):
        created(rich_asha.transfer(ravi.address, f"{number}", note=f"lunch {number}"))
    refusal(rich_asha.transfer(ravi.address, "1500", note="a car"), "insufficient_funds")
    created(rich_asha.pay("meera-books", "20", note="novels"))
    created(ravi.transfer(rich_asha.address, "2", note="change"))
    assert rich_asha.add("70").status_code == 201
    return rich_asha


def pages(person: Person, **filters: Any) -> list[dict[str, Any]]:
    """All rows, page after page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = person.get("/transactions", params={**filters, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        rows, cursor = answer.json()["results"], answer.json()["next"]
        assert len(rows) <= filters.get("limit", 20)
        found += rows
        if cursor is None:
            return found
        assert isinstance(cursor, str)
        assert rows


def test_the_newest_come_first_and_pages_join_without_gap_or_repetition(busy_asha: Person) -> None:
    whole = busy_asha.history(limit=100)
    assert len(whole) == 10
    assert [row["created_at"] for row in whole] == sorted((row["created_at"] for row in whole), reverse=True)
    for limit in (1, 3, 5, 9, 10, 11):
        assert pages(busy_asha, limit=limit) == whole
    assert busy_asha.get("/transactions", params={"limit": 10}).json()["next"] is None


def test_a_cursor_is_not_moved_by_what_is_inserted_meanwhile(busy_asha: Person, ravi: Person) -> None:
    before = busy_asha.history()
    first = busy_asha.get("/transactions", params={"limit": 4}).json()
    for _ in range(3):
        created(busy_asha.transfer(ravi.address, "1"))
    rest = busy_asha.get("/transactions", params={"limit": 100, "cursor": first["next"]}).json()
    assert [row["id"] for row in first["results"] + rest["results"]] == [row["id"] for row in before]
    assert rest["next"] is None
    # The cursor is good again, with filters too.
    transfers = pages(busy_asha, limit=2, type="TRANSFER", status="SUCCESS")
    assert len(transfers) == 9


def test_limits_are_1_to_100_and_20_where_nobody_says(rich_asha: Person, ravi: Person) -> None:
    for _ in range(21):
        created(rich_asha.transfer(ravi.address, "1"))
    assert len(rich_asha.history()) == 20
    assert len(rich_asha.history(limit=100)) == 22
    assert len(rich_asha.history(limit=1)) == 1
    for malformed in ("0", "101", "-1", "x", "1.0", "1e1", "१", "9" * 30, "", "1 "):
        told = problem(rich_asha.get("/transactions", params={"limit": malformed}), 400, "invalid")
        assert told["errors"][0]["field"] == "limit"
    for malformed in ("x", "cur_", "cur_x", rich_asha.wallet, "a" * 5000, "é"):
        answer = rich_asha.get("/transactions", params={"cursor": malformed})
        assert answer.status_code == 400
        problem(answer, 400, answer.json()["code"])


def test_each_filter_keeps_what_it_says_and_they_join(busy_asha: Person) -> None:
    def kinds(**filters: str) -> list[tuple[str, str]]:
        return [(row["type"], row["status"]) for row in busy_asha.history(**filters)]

    assert kinds(type="ADD") == [("ADD", "PENDING"), ("ADD", "SUCCESS")]
    assert kinds(type="PAY") == [("PAY", "SUCCESS")]
    assert kinds(status="FAILED") == [("TRANSFER", "FAILED")]
    assert kinds(type="ADD", status="PENDING") == [("ADD", "PENDING")]
    assert kinds(type="REFUND") == []
    for name, value in (("type", "add"), ("type", "NONSENSE"), ("status", "DONE"), ("status", "success")):
        told = problem(busy_asha.get("/transactions", params={name: value}), 400, "invalid")
        assert told["errors"][0]["field"] == name
    assert [row["note"] for row in busy_asha.history(q="lunch 3")] == ["lunch 3"]
    assert len(busy_asha.history(q="LUNCH", type="TRANSFER")) == 5
    for nothing in ("%", "_", "\\", "lunch%", "'", "nothing like it"):
        assert busy_asha.history(q=nothing) == [], nothing


def test_dates_are_days_in_india_and_both_ends_belong(busy_asha: Person) -> None:
    whole = busy_asha.history()
    today = datetime.now(ZoneInfo("Asia/Kolkata")).date()
    day = timedelta(days=1)
    # Midnight may pass between the rows and this line, hence the day before.
    assert busy_asha.history(**{"from": str(today - day), "to": str(today)}) == whole
    assert busy_asha.history(**{"from": str(today + day)}) == []
    assert busy_asha.history(to=str(today - 2 * day)) == []
    for malformed in ("today", "2026-13-01", "2026-02-30", "01-01-2026", "2026-01-01T00:00:00Z", "20260101", "", "0"):
        for name in ("from", "to"):
            told = problem(busy_asha.get("/transactions", params={name: malformed}), 400, "invalid")
            assert told["errors"][0]["field"] == name


def test_a_transaction_shows_its_entries_as_this_person_sees_them(busy_asha: Person, ravi: Person) -> None:
    paid = busy_asha.history(q="lunch 4")[0]
    mine = busy_asha.get(f"/transactions/{paid['id']}").json()
    his = ravi.get(f"/transactions/{paid['id']}").json()
    assert {name: mine[name] for name in paid} == paid
    ((debit,), (credit,)) = mine["entries"], his["entries"]
    assert set(debit) >= {"wallet", "sequence", "debit", "credit", "balance_after", "created_at"}
    assert (debit["wallet"], debit["debit"], debit["credit"]) == (busy_asha.wallet, inr("4.00"), inr("0.00"))
    assert (credit["wallet"], credit["debit"], credit["credit"]) == (ravi.wallet, inr("0.00"), inr("4.00"))
    assert debit["balance_after"] == mine["balance_after"] == inr("990.00")
    assert credit["balance_after"] == his["balance_after"]
    assert moment(debit["created_at"]) == moment(mine["completed_at"])
    for row in busy_asha.history():
        if row["status"] != "SUCCESS":
            assert busy_asha.get(f"/transactions/{row['id']}").json()["entries"] == []


def test_a_strangers_transaction_and_one_that_never_was_look_alike(busy_asha: Person, api: Api) -> None:
    zoya = api.person("Zoya Khan")
    theirs = busy_asha.history()[-1]["id"]
    never = theirs[:-6] + "000000"
    for unknown in (theirs, never, "x", "txn_", busy_asha.wallet, theirs.upper(), "%00"):
        problem(zoya.get(f"/transactions/{unknown}"), 404, "not_found")
    problem(zoya.get(f"/transactions/{theirs}", params={"wallet": busy_asha.wallet}), 404, "not_found")


def test_a_balance_is_what_its_history_adds_up_to(busy_asha: Person, ravi: Person) -> None:
    for person in (busy_asha, ravi):
        rows = [row for row in person.history(limit=100) if row["status"] == "SUCCESS"]
        paise = 0
        for row in reversed(rows):
            amount = int(row["amount"]["amount"].replace(".", ""))
            paise += amount if transaction(row)["direction"] == "in" else -amount
            assert int(row["balance_after"]["amount"].replace(".", "")) == paise
        assert int(person.balance.replace(".", "")) == paise
        assert all(moment(row["created_at"]) <= datetime.now(UTC) + timedelta(seconds=5) for row in rows)
