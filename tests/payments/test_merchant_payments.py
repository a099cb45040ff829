"""POST /wallet/pay and GET /wallet/payee."""

from urllib.parse import quote

import pytest

from accounts.models import User
from tests.accounts.people import new_phone
from tests.payments.cast import holder, merchant, new_key
from wallets.display_names import masked
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("by", ["id", "handle", "upper"])
def test_asha_pays_meeras_shop_by_its_id_or_handle(by: str) -> None:
    asha = holder("Asha Rao", rupees=100)
    meera, books = merchant()
    named = {"id": books.public_id, "handle": books.handle, "upper": books.handle.upper()}[by]
    answer = asha.post(
        "/wallet/pay", {"merchant": named, "amount": "40", "order_reference": "INV-7", "note": "Two novels"}
    )
    assert answer.status_code == 201
    paid = answer.json()
    assert (paid["type"], paid["order_reference"], paid["note"]) == ("PAY", "INV-7", "Two novels")
    assert paid["counterparty"] == {"display_name": "Meera Books", "wallet": books.wallet.public_id}
    assert (asha.balance, Wallet.objects.get(pk=books.wallet_id).balance, meera.balance) == (60, 40, 0)
    seen = meera.get(f"/transactions/{paid['id']}").json()
    assert (seen["direction"], seen["order_reference"]) == ("in", "INV-7")


def test_a_payment_is_made_once_for_each_key_and_the_reference_is_part_of_the_request() -> None:
    asha = holder("Asha Rao", rupees=100)
    _, books = merchant()
    key, body = new_key(), {"merchant": books.handle, "amount": "5", "order_reference": "A"}
    first = asha.post("/wallet/pay", body, key=key)
    again = asha.post("/wallet/pay", body, key=key)
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (201, "true", first.json())
    assert asha.post("/wallet/pay", body | {"order_reference": "B"}, key=key).json()["code"] == "idempotency_key_reused"
    assert asha.balance == 95


def test_a_dry_run_of_a_payment_moves_nothing() -> None:
    asha = holder("Asha Rao", rupees=100)
    _, books = merchant()
    answer = asha.post("/wallet/pay?dry_run=true", {"merchant": books.handle, "amount": "5"})
    assert (answer.status_code, answer.json()["balance_after"]["amount"]) == (200, "95.00")
    dear = asha.post("/wallet/pay?dry_run=true", {"merchant": books.handle, "amount": "500"})
    assert (dear.status_code, dear.json()["code"]) == (422, "insufficient_funds")
    assert asha.balance == 100


@pytest.mark.parametrize("trouble", ["blocked", "closed"])
def test_a_shop_that_cannot_receive_is_refused_and_kept(trouble: str) -> None:
    asha = holder("Asha Rao", rupees=100)
    meera, books = merchant()
    if trouble == "blocked":
        User.objects.filter(pk=meera.user.pk).update(status="BLOCKED")
    else:
        Wallet.objects.filter(pk=books.wallet_id).update(status="CLOSED")
    answer = asha.post("/wallet/pay", {"merchant": books.handle, "amount": "5"})
    assert (answer.status_code, answer.json()["code"]) == (422, "recipient_unavailable")
    assert asha.get("/transactions").json()["results"][0]["id"] == answer.json()["transaction"]


def test_a_payee_is_shown_by_a_masked_name_and_a_shop_by_its_own() -> None:
    asha, ravi = holder("Asha Rao"), holder("Ravi  Chandra Kumar", phone=new_phone())
    _, books = merchant()
    for to, name in (
        (ravi.email, "Ravi K."),
        (ravi.email.upper(), "Ravi K."),
        (str(ravi.user.phone), "Ravi K."),
        (ravi.wallet.public_id, "Ravi K."),
        (books.wallet.public_id, "Meera Books"),
        (asha.email, "Asha R."),
    ):
        answer = asha.get(f"/wallet/payee?to={quote(to)}")
        assert (answer.status_code, answer.json()) == (200, {"display_name": name})


def test_a_payee_who_cannot_receive_is_known_but_unavailable_and_a_system_wallet_is_nobody() -> None:
    asha, ravi = holder("Asha Rao", rupees=1), holder("Ravi Kumar")
    User.objects.filter(pk=ravi.user.pk).update(status="BLOCKED")
    assert asha.get(f"/wallet/payee?to={ravi.email}").json()["code"] == "recipient_unavailable"
    system = Wallet.objects.filter(kind="SYSTEM")[0].public_id
    assert asha.get(f"/wallet/payee?to={system}").json()["code"] == "payee_not_found"


@pytest.mark.parametrize(
    ("full_name", "shown"),
    [
        ("Asha Rao", "Asha R."),
        ("Asha", "Asha"),
        ("asha rao", "asha R."),
        ("Asha Devi Rao", "Asha R."),
        ("Asha (Rao)", "Asha R."),
        ("Asha -", "Asha"),
        ("आशा राव", "आशा र."),
        ("asha@example.com", "asha"),
        ("A" * 50, "A" * 20 + "…"),
        ("", "…"),
    ],
)
def test_a_masked_name_is_a_first_word_and_an_initial(full_name: str, shown: str) -> None:
    assert masked(full_name or "…") == shown
