"""POST /wallet/transfer, over HTTP as far as Django's test client goes."""

from decimal import Decimal
from typing import Any

import psycopg
import pytest

from accounts.models import User
from ledger.models import IdempotencyKey, Transaction
from ledger.serializers import TransactionAnswer
from tests.accounts.people import new_email, new_phone
from tests.payments.cast import holder, merchant, new_key
from wallet_project.kernel.ids import new_uuid, public_id
from wallets.models import Wallet
from wallets.opening import open_wallet

pytestmark = pytest.mark.usefixtures("database")


def test_asha_sends_ravi_money_and_both_see_one_transaction() -> None:
    asha, ravi = holder("Asha Rao", rupees=100), holder("Ravi Kumar")
    answer = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "40.5", "note": "Lunch\nand tea"})
    assert answer.status_code == 201
    shown = answer.json()
    assert shown | {"id": "", "created_at": "", "completed_at": ""} == {
        "id": "",
        "type": "TRANSFER",
        "status": "SUCCESS",
        "direction": "out",
        "amount": {"amount": "40.50", "currency": "INR"},
        "counterparty": {"display_name": "Ravi K.", "wallet": ravi.wallet.public_id},
        "note": "Lunch\nand tea",
        "order_reference": None,
        "balance_after": {"amount": "59.50", "currency": "INR"},
        "reverses": None,
        "reversed_by": None,
        "failure": None,
        "created_at": "",
        "completed_at": "",
    }
    assert set(shown) == set(TransactionAnswer().fields)
    assert shown["created_at"].endswith("Z")
    assert (asha.balance, ravi.balance) == (Decimal("59.50"), Decimal("40.50"))
    seen = ravi.get(f"/transactions/{shown['id']}").json()
    assert (seen["direction"], seen["counterparty"]["display_name"]) == ("in", "Asha R.")
    assert seen["balance_after"]["amount"] == "40.50"
    assert [(entry["wallet"], entry["credit"]["amount"]) for entry in seen["entries"]] == [
        (ravi.wallet.public_id, "40.50")
    ]


@pytest.mark.parametrize("spelling", ["email", "upper", "phone", "wallet"])
def test_a_payee_is_found_by_email_in_any_case_by_phone_and_by_wallet_id(spelling: str) -> None:
    asha, ravi = holder(rupees=10), holder("Ravi Kumar", phone=new_phone())
    to = {
        "email": ravi.email,
        "upper": ravi.email.upper(),
        "phone": str(ravi.user.phone),
        "wallet": ravi.wallet.public_id,
    }[spelling]
    assert asha.post("/wallet/transfer", {"to": to, "amount": "10"}).status_code == 201
    assert ravi.balance == 10


def test_the_same_key_and_request_replay_and_move_nothing_more() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    key = new_key()
    first = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "5"}, key=key)
    again = asha.post("/wallet/transfer", {"note": "", "amount": "5.00", "to": ravi.email, "currency": "INR"}, key=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json() == again.json()
    assert ravi.balance == 5


@pytest.mark.parametrize("change", [{"amount": "6"}, {"note": "x"}, {"to": "upper"}, {"currency": "JPY"}])
def test_the_same_key_for_another_request_is_refused(change: dict[str, str]) -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    key, body = new_key(), {"to": ravi.email, "amount": "5"}
    assert asha.post("/wallet/transfer", body, key=key).status_code == 201
    other = body | change
    if other["to"] == "upper":
        other["to"] = ravi.email.upper()
    answer = asha.post("/wallet/transfer", other, key=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert "transaction" not in answer.json()
    assert ravi.balance == 5


def test_the_same_key_at_another_endpoint_or_from_another_wallet_is_another_request() -> None:
    asha = holder(rupees=100)
    meera, books = merchant()
    key = new_key()
    assert asha.post("/wallet/pay", {"merchant": books.handle, "amount": "5"}, key=key).status_code == 201
    answer = asha.post("/wallet/transfer", {"to": meera.email, "amount": "5"}, key=key)
    assert answer.json()["code"] == "idempotency_key_reused"
    wallet = asha.wallet.public_id
    answer = asha.post(f"/wallet/pay?wallet={wallet}", {"merchant": books.handle, "amount": "5"}, key=key)
    assert answer.json()["code"] == "idempotency_key_reused"


def test_keys_are_scoped_to_the_person() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar", rupees=100)
    key = new_key()
    assert asha.post("/wallet/transfer", {"to": ravi.email, "amount": "5"}, key=key).status_code == 201
    answer = ravi.post("/wallet/transfer", {"to": asha.email, "amount": "7"}, key=key)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers


def test_a_replay_answers_even_after_the_payee_has_vanished() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    key, body = new_key(), {"to": ravi.email, "amount": "5"}
    first = asha.post("/wallet/transfer", body, key=key)
    User.objects.filter(pk=ravi.user.pk).update(email=new_email("moved"))
    again = asha.post("/wallet/transfer", body, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json()["id"] == first.json()["id"]
    reused = asha.post("/wallet/transfer", body | {"amount": "6"}, key=key)
    assert reused.json()["code"] == "idempotency_key_reused"
    assert asha.post("/wallet/transfer", body).json()["code"] == "payee_not_found"


def test_too_little_money_is_refused_kept_and_replayed_even_once_there_is_enough() -> None:
    asha, ravi = holder(rupees=1), holder("Ravi Kumar", rupees=100)
    key, body = new_key(), {"to": ravi.email, "amount": "5"}
    first = asha.post("/wallet/transfer", body, key=key)
    assert (first.status_code, first.json()["code"]) == (422, "insufficient_funds")
    assert first.headers["Content-Type"] == "application/problem+json"
    ravi.post("/wallet/transfer", {"to": asha.email, "amount": "50"})
    again = asha.post("/wallet/transfer", body, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (422, "true")
    assert again.json() | {"request_id": ""} == first.json() | {"request_id": ""}
    seen = asha.get(f"/transactions/{first.json()['transaction']}").json()
    assert (seen["status"], seen["balance_after"], seen["entries"]) == ("FAILED", None, [])
    assert seen["failure"] == {"code": "insufficient_funds", "detail": "Not enough money."}
    assert ravi.get(f"/transactions/{first.json()['transaction']}").status_code == 404
    assert first.json()["transaction"] not in [row["id"] for row in ravi.get("/transactions").json()["results"]]


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("too_much", "limit_exceeded"),
        ("fifteen_digits", "limit_exceeded"),
        ("yen", "currency_mismatch"),
        ("self", "same_wallet"),
        ("frozen", "wallet_frozen"),
        ("closed_payee", "recipient_unavailable"),
        ("closed_payee_by_id", "recipient_unavailable"),
        ("blocked_payee", "recipient_unavailable"),
        ("payee_without_wallet", "recipient_unavailable"),
    ],
)
def test_what_is_well_formed_but_cannot_be_is_kept_in_the_askers_history(case: str, code: str) -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    body = {"to": ravi.email, "amount": "5"}
    match case:
        case "too_much":
            body["amount"] = "10000000000.01"
        case "fifteen_digits":
            body["amount"] = "999999999999999.99"
        case "yen":
            body |= {"amount": "500", "currency": "JPY"}
        case "self":
            body["to"] = asha.email
        case "frozen":
            Wallet.objects.filter(pk=asha.wallet.pk).update(status="FROZEN")
        case "closed_payee" | "closed_payee_by_id":
            Wallet.objects.filter(pk=ravi.wallet.pk).update(status="CLOSED")
            if case == "closed_payee_by_id":
                body["to"] = ravi.wallet.public_id
        case "blocked_payee":
            User.objects.filter(pk=ravi.user.pk).update(status="BLOCKED")
        case "payee_without_wallet":
            from tests.accounts.people import person

            body["to"] = person("Dev Singh").email or ""
    dry = asha.post("/wallet/transfer?dry_run=true", body)
    assert (dry.status_code, dry.json()["code"]) == (422, code)
    assert "transaction" not in dry.json()
    answer = asha.post("/wallet/transfer", body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    newest = asha.get("/transactions").json()["results"][0]
    assert (newest["id"], newest["status"], newest["failure"]["code"], newest["direction"]) == (
        answer.json()["transaction"],
        "FAILED",
        code,
        "out",
    )
    if case == "payee_without_wallet":
        assert newest["counterparty"] == {"display_name": "Dev S.", "wallet": None}
    assert asha.balance == 100


def test_a_frozen_payee_still_receives_and_a_reopened_one_too() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    Wallet.objects.filter(pk=ravi.wallet.pk).update(status="FROZEN")
    assert asha.post("/wallet/transfer", {"to": ravi.email, "amount": "5"}).status_code == 201
    Wallet.objects.filter(pk=ravi.wallet.pk).update(status="CLOSED")
    fresh = open_wallet(user=ravi.user)
    answer = asha.post("/wallet/transfer", {"to": ravi.email, "amount": "5"})
    assert answer.json()["counterparty"]["wallet"] == fresh.public_id


@pytest.mark.parametrize("kind", ["unknown", "unverified", "system", "unknown_wallet"])
def test_nobodys_address_is_not_found_and_not_kept(kind: str) -> None:
    asha = holder(rupees=100)
    if kind == "unverified":
        to = new_email("zoya")
        User.objects.create(full_name="Zoya", email=to)
    elif kind == "system":
        to = Wallet.objects.filter(kind="SYSTEM")[0].public_id
    else:
        to = new_email("nobody") if kind == "unknown" else public_id("wal", new_uuid())
    before, key = Transaction.objects.count(), new_key()
    answer = asha.post("/wallet/transfer", {"to": to, "amount": "5"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (404, "payee_not_found")
    assert Transaction.objects.count() == before
    assert not IdempotencyKey.objects.filter(key=key).exists()


def test_a_dry_run_tells_the_outcome_moves_nothing_and_uses_no_key() -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    key, body = new_key(), {"to": ravi.email, "amount": "30"}
    before = Transaction.objects.count()
    answer = asha.post("/wallet/transfer?dry_run=true", body, key=key)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "amount": {"amount": "30.00", "currency": "INR"},
            "fee": {"amount": "0.00", "currency": "INR"},
            "balance_after": {"amount": "70.00", "currency": "INR"},
            "step_up_required": False,
        },
    )
    assert (asha.balance, Transaction.objects.count()) == (100, before)
    assert asha.post("/wallet/transfer", body, key=key).status_code == 201
    assert asha.post("/wallet/transfer?dry_run=yes", body).json()["errors"][0]["field"] == "dry_run"
    assert asha.balance == 70


def test_a_transfer_is_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    asha, ravi = holder(rupees=100), holder("Ravi Kumar")
    asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1"})
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(self: psycopg.Cursor[Any], query: Any, *args: Any, **options: Any) -> Any:
        statements.append(str(query))
        return execute(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    assert asha.post("/wallet/transfer", {"to": ravi.email, "amount": "1"}).status_code == 201
    # Who is asking, who is paid, the posting's four, what the payer has spent before and now, and how it
    # looks afterwards. The pool greets each connection. Ten times a second at most the relay is woken, after COMMIT.
    needed = [statement for statement in statements if statement and "NOTIFY" not in statement]
    assert len(needed) <= 9, statements
    assert len([statement for statement in statements if "NOTIFY" in statement]) <= 1, statements


def test_a_blocked_person_is_refused_at_the_next_call_and_nothing_is_kept() -> None:
    zoya, ravi = holder("Zoya Khan", rupees=100), holder("Ravi Kumar")
    User.objects.filter(pk=zoya.user.pk).update(status="BLOCKED")
    key = new_key()
    answer = zoya.post("/wallet/transfer", {"to": ravi.email, "amount": "5"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (403, "blocked")
    assert not IdempotencyKey.objects.filter(key=key).exists()


def test_a_merchant_spends_from_the_shops_wallet_only_when_asked_to() -> None:
    asha = holder("Asha Rao", rupees=100)
    meera, books = merchant()
    assert asha.post("/wallet/pay", {"merchant": books.public_id, "amount": "60"}).status_code == 201
    assert meera.post("/wallet/transfer", {"to": asha.email, "amount": "5"}).json()["code"] == "insufficient_funds"
    shop = books.wallet.public_id
    answer = meera.post(f"/wallet/transfer?wallet={shop}", {"to": meera.email, "amount": "25"})
    assert (answer.status_code, answer.json()["direction"]) == (201, "out")
    assert answer.json()["balance_after"]["amount"] == "35.00"
    assert meera.balance == 25
    assert asha.post(f"/wallet/transfer?wallet={shop}", {"to": meera.email, "amount": "5"}).status_code == 404
    assert asha.post("/wallet/transfer?wallet=nonsense", {"to": meera.email, "amount": "5"}).status_code == 404
