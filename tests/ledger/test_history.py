"""GET /transactions and GET /transactions/{id}: who sees what, in which order, page by page."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from ledger.serializers import TransactionAnswer, TransactionWithEntriesAnswer
from tests.payments.cast import fund, holder, merchant
from wallet_project.kernel.ids import new_uuid, public_id

pytestmark = pytest.mark.usefixtures("database")


def test_pages_follow_one_another_newest_first_and_stay_put_while_new_ones_come_in() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar", rupees=100)
    made = []
    for number in range(1, 8):
        payer, payee = (asha, ravi) if number % 2 else (ravi, asha)
        made.append(payer.post("/wallet/transfer", {"to": payee.email, "amount": str(number)}).json()["id"])
    seen: list[str] = []
    path = "/transactions?limit=3"
    while True:
        page = asha.get(path).json()
        seen += [row["id"] for row in page["results"]]
        if page["next"] is None:
            break
        asha.post("/wallet/transfer", {"to": ravi.email, "amount": "0.01"})
        path = f"/transactions?limit=3&cursor={page['next']}"
    assert seen[:7] == made[::-1]
    assert len(seen) == 8
    assert len(asha.get("/transactions").json()["results"]) == 10


def test_a_row_and_a_single_transaction_have_the_contracts_shape() -> None:
    asha = holder(rupees=5)
    (row,) = asha.get("/transactions").json()["results"]
    assert set(row) == set(TransactionAnswer().fields)
    single = asha.get(f"/transactions/{row['id']}").json()
    assert set(single) == set(TransactionWithEntriesAnswer().fields)
    assert {name: single[name] for name in row} == row
    assert [entry["sequence"] for entry in single["entries"]] == [1]


def test_filters_narrow_by_type_status_and_days() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1"})
    asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1000"})

    def found(query: str) -> list[tuple[str, str]]:
        rows = asha.get(f"/transactions?{query}").json()["results"]
        return [(row["type"], row["status"]) for row in rows]

    assert found("type=ADD") == [("ADD", "SUCCESS")]
    assert found("status=FAILED") == [("TRANSFER", "FAILED")]
    assert found("type=TRANSFER&status=SUCCESS") == [("TRANSFER", "SUCCESS")]
    today = datetime.now(ZoneInfo(settings.TIME_ZONE)).date()
    assert len(found(f"from={today}&to={today}")) == 3
    assert found(f"to={today - timedelta(days=1)}") == []
    assert found(f"from={today + timedelta(days=1)}") == []


def test_a_day_is_a_day_of_kolkata() -> None:
    from ledger.queries import _midnight

    day = datetime(2026, 3, 1).date()  # noqa: DTZ001  (a plain date)
    assert _midnight(day).utcoffset() == timedelta(hours=5, minutes=30)


def test_a_search_finds_notes_references_ids_and_names_only_as_they_are_shown() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Venkataraman")
    _, books = merchant(display_name="Meera 100% Books")
    sent = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1", "note": "Rent for_May"}).json()["id"]
    paid = asha.post("/wallet/pay", {"merchant": books.handle, "amount": "2", "order_reference": "INV-77"}).json()["id"]

    def found(word: str) -> list[str]:
        from urllib.parse import quote

        return [row["id"] for row in asha.get(f"/transactions?q={quote(word)}").json()["results"]]

    assert found("rent") == [sent]
    assert found("for_may") == [sent]
    assert found("forxmay") == []
    assert found("inv-77") == [paid]
    assert found("ravi v") == [sent]
    assert found("Venkat") == []
    assert found("100% b") == [paid]
    assert found(sent) == [sent]
    assert found("\\") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=1e1",
        "limit=-1",
        "limit=",
        "limit=१",
        "type=transfer",
        "type=",
        "status=DONE",
        "from=2026-13-01",
        "from=20260101",
        "from=2026-W01-1",
        "to=0001-01-01",
        "to=9999-12-31",
        "q=%00",
        f"q={'x' * 101}",
    ],
)
def test_a_malformed_query_is_refused_by_field(query: str) -> None:
    answer = holder().get(f"/transactions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


def test_what_is_no_cursor_of_this_wallet_is_refused() -> None:
    asha, ravi = holder(rupees=1), holder("Ravi Kumar", rupees=1)
    fund(ravi.wallet, 1)
    foreign = ravi.get("/transactions?limit=1").json()["next"]
    for cursor in ("", "x", "%00", public_id("cur", new_uuid()), foreign, foreign[:-1]):
        answer = asha.get(f"/transactions?cursor={cursor}")
        assert answer.status_code == 400, cursor
        assert answer.json()["code"] in ("cursor_invalid", "invalid")


def test_nobody_sees_what_is_not_theirs() -> None:
    asha, ravi, zoya = holder(rupees=10), holder("Ravi Kumar"), holder("Zoya Khan")
    sent = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1"}).json()["id"]
    for unknown in (sent, public_id("txn", new_uuid()), "txn_", "nonsense", "%00", "é"):
        answer = zoya.get(f"/transactions/{unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert zoya.get("/transactions").json()["results"] == []
    assert zoya.get(f"/transactions?wallet={asha.wallet.public_id}").status_code == 404
    assert ravi.get(f"/transactions/{sent}?wallet={asha.wallet.public_id}").status_code == 404


def test_a_merchant_sees_the_shops_history_and_both_own_sides_of_a_payment_to_oneself() -> None:
    asha = holder(rupees=100)
    meera, books = merchant()
    paid = asha.post("/wallet/pay", {"merchant": books.handle, "amount": "60"}).json()
    assert paid["counterparty"] == {"display_name": "Meera Books", "wallet": books.wallet.public_id}
    shop = books.wallet.public_id
    assert meera.get("/transactions").json()["results"] == []
    (row,) = meera.get(f"/transactions?wallet={shop}").json()["results"]
    assert (row["id"], row["direction"], row["counterparty"]["display_name"]) == (paid["id"], "in", "Asha R.")
    taken = meera.post(f"/wallet/transfer?wallet={shop}", {"to": meera.email, "amount": "10"}).json()["id"]
    personal = meera.get(f"/transactions/{taken}").json()
    assert (personal["direction"], personal["balance_after"]["amount"]) == ("in", "10.00")
    assert len(personal["entries"]) == 2
    of_the_shop = meera.get(f"/transactions/{taken}?wallet={shop}").json()
    assert (of_the_shop["direction"], of_the_shop["balance_after"]["amount"]) == ("out", "50.00")
