"""The API's contract, "Money": what moves, what refuses to, and how either is told."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.journeys.contract import (
    NAMES,
    Api,
    Person,
    created,
    fresh_email,
    fresh_key,
    fresh_phone,
    inr,
    moment,
    problem,
    refusal,
    transaction,
)

pytestmark = pytest.mark.runner

MALFORMED_AMOUNTS = (
    "0", "0.00", "-1", "+1", "1e3", "NaN", "Infinity", "1.001", "1.", ".5", "", " ", "  ", "5.00 ", " 5.00", "5.00\n",
    "1_0", "1,000", "१०", "１", "٣", "0x10", "₹5", "1" * 40, "1" * 16, "1.00.00", "5 00", "5\t", "null", 5, 5.0, 0, -1,
    1e3, True, None, [], ["5"], {}, {"amount": "5"},
)  # fmt: skip


def test_a_new_person_has_an_empty_wallet_of_their_own(asha: Person) -> None:
    before = datetime.now(UTC)
    body = asha.get("/wallet/balance").json()
    assert set(body) == {"wallet", "balance", "available", "status", "as_of"}
    assert re.fullmatch(r"wal_[0-9a-z]+", body["wallet"])
    assert (body["balance"], body["available"], body["status"]) == (inr("0.00"), inr("0.00"), "ACTIVE")
    assert abs(moment(body["as_of"]) - before) < timedelta(seconds=30)


def test_both_parties_see_one_transfer_under_one_id(rich_asha: Person, ravi: Person) -> None:
    sent = created(rich_asha.transfer(ravi.address, "200.5", note="for the books"))
    received = transaction(ravi.get(f"/transactions/{sent['id']}").json())
    assert (sent["type"], sent["status"], sent["direction"]) == ("TRANSFER", "SUCCESS", "out")
    assert sent["counterparty"] == {"display_name": masked(ravi), "wallet": ravi.wallet}
    assert (sent["amount"], sent["balance_after"]) == (inr("200.50"), inr("799.50"))
    assert (received["id"], received["direction"]) == (sent["id"], "in")
    assert received["counterparty"] == {"display_name": masked(rich_asha), "wallet": rich_asha.wallet}
    assert (received["amount"], received["balance_after"]) == (inr("200.50"), inr("200.50"))
    assert sent["note"] == received["note"] == "for the books"
    assert sent["reverses"] is sent["reversed_by"] is received["reversed_by"] is None
    assert (rich_asha.balance, ravi.balance) == ("799.50", "200.50")


def masked(person: Person) -> str:
    first, *_, last = person.name.split()
    return f"{first} {last[0]}."


def test_money_finds_its_way_by_e_mail_phone_and_wallet_id(api: Api, rich_asha: Person) -> None:
    by_phone = api.person(NAMES[1], phone=True)
    for to in (by_phone.address, by_phone.wallet):
        assert created(rich_asha.transfer(to, "1"))["counterparty"]["wallet"] == by_phone.wallet
    assert by_phone.balance == "2.00"


def test_a_merchant_is_paid_by_handle_and_by_id(api: Api, rich_asha: Person) -> None:
    paid = created(rich_asha.pay("meera-books", "25.00", order_reference="order 7", note="novels"))
    assert (paid["type"], paid["direction"], paid["note"]) == ("PAY", "out", "novels")
    assert rich_asha.balance == "975.00"
    meera = api.demo("meera")
    shop = paid["counterparty"]["wallet"]
    assert shop != meera.wallet
    seen = meera.get(f"/transactions/{paid['id']}", params={"wallet": shop})
    assert transaction(seen.json())["direction"] == "in"
    balance = meera.get("/wallet/balance", params={"wallet": shop}).json()
    assert balance["wallet"] == shop
    assert balance["balance"] == seen.json()["balance_after"]
    assert meera.history(wallet=shop, limit=1)[0]["id"] == paid["id"]


def test_the_name_shown_before_confirming_is_masked_and_only_for_payees_that_exist(asha: Person, ravi: Person) -> None:
    for to in (ravi.address, ravi.wallet):
        answer = asha.get("/wallet/payee", params={"to": to})
        assert (answer.status_code, answer.json()) == (200, {"display_name": masked(ravi)})
    problem(asha.get("/wallet/payee", params={"to": fresh_email()}), 404, "payee_not_found")
    problem(asha.get("/wallet/payee", params={"to": "nobody"}), 400, "invalid")
    problem(asha.get("/wallet/payee"), 400, "invalid")


@pytest.mark.parametrize("door", ["/wallet/transfer", "/wallet/pay", "/wallet/add"])
def test_an_amount_is_a_string_of_ascii_digits_above_zero_or_nothing_happens(door: str, asha: Person) -> None:
    body = {"/wallet/transfer": {"to": fresh_email()}, "/wallet/pay": {"merchant": "meera-books"}, "/wallet/add": {}}
    key = fresh_key()
    for amount in MALFORMED_AMOUNTS:
        told = problem(asha.post(door, {**body[door], "amount": amount}, key=key), 400, "invalid")
        assert [error["field"] for error in told["errors"]] == ["amount"], amount
    problem(asha.post(door, body[door], key=key), 400, "invalid")
    for currency in ("", "inr", "INR ", "XXX", "USD1", 5, [], {}):
        answer = asha.post(door, {**body[door], "amount": "5", "currency": currency}, key=key)
        assert answer.status_code == 400, (currency, answer.text)
        problem(answer, 400, answer.json()["code"])
    assert asha.history() == []


def test_fifteen_digits_are_well_formed_and_past_the_limit(rich_asha: Person, ravi: Person) -> None:
    for answer in (rich_asha.transfer(ravi.wallet, "9" * 15), rich_asha.pay("meera-books", "9" * 15 + ".99")):
        failed = transaction(rich_asha.get(f"/transactions/{refusal(answer, 'limit_exceeded')}").json())
        assert (failed["status"], failed["failure"]["code"]) == ("FAILED", "limit_exceeded")
        assert failed["amount"]["amount"].startswith("999999999999999.")
    refusal(rich_asha.add("9" * 15), "limit_exceeded")
    assert rich_asha.balance == "1000.00"


def test_every_spelling_of_five_rupees_is_five_rupees(asha: Person, ravi: Person) -> None:
    for spelling in ("5", "5.0", "5.00", "005.00", "000000000000005"):
        failed = refusal(asha.transfer(ravi.wallet, spelling, currency="INR"), "insufficient_funds")
        assert asha.get(f"/transactions/{failed}").json()["amount"] == inr("5.00")


def test_a_refusal_is_in_the_history_of_whoever_asked_and_in_nobody_elses(rich_asha: Person, ravi: Person) -> None:
    answer = rich_asha.transfer(ravi.address, "1000.01", note="too much")
    refused = refusal(answer, "insufficient_funds")
    mine = rich_asha.history()[0]
    assert (mine["id"], mine["status"], mine["note"]) == (refused, "FAILED", "too much")
    assert mine["failure"]["code"] == "insufficient_funds"
    assert (mine["balance_after"], mine["direction"]) == (None, "out")
    assert mine["counterparty"]["wallet"] == ravi.wallet
    assert ravi.history() == []
    problem(ravi.get(f"/transactions/{refused}"), 404, "not_found")
    assert rich_asha.balance == "1000.00"


def test_nobody_pays_themselves(rich_asha: Person) -> None:
    for to in (rich_asha.address, rich_asha.wallet):
        refusal(rich_asha.transfer(to, "1"), "same_wallet")
    assert rich_asha.balance == "1000.00"


def test_a_malformed_payee_is_not_one_that_cannot_be_found(rich_asha: Person) -> None:
    before = len(rich_asha.history())
    key = fresh_key()
    for malformed in (
        "", " ", "nobody", "@", "a@", "@example.com", "a b@example.com", "9876543210", "+", "+12", "+91987654321a",
        "wal_", "wal_!", "usr_01m87w8zv2ef2vgykgmc0974dd", "wal_" + "a" * 400, "a" * 5000 + "@example.com", None, 5,
        [], {}, [rich_asha.address], {"id": rich_asha.wallet},
    ):  # fmt: skip
        answer = rich_asha.transfer(malformed, "5", key=key)  # type: ignore[arg-type]
        told = problem(answer, 400, "invalid")
        assert [error["field"] for error in told["errors"]] == ["to"], malformed
    unknown_wallet = rich_asha.wallet[:-4] + ("0000" if rich_asha.wallet[-4:] != "0000" else "1111")
    for unknown in (fresh_email(), fresh_phone(), unknown_wallet):
        problem(rich_asha.transfer(unknown, "5", key=key), 404, "payee_not_found")
    for unknown in ("nobody-books", rich_asha.wallet.replace("wal_", "mer_")):
        problem(rich_asha.pay(unknown, "5", key=key), 404, "payee_not_found")
    for malformed in ("", None, 5, [], "A B", "a" * 5000):
        problem(rich_asha.pay(malformed, "5", key=key), 400, "invalid")  # type: ignore[arg-type]
    assert len(rich_asha.history()) == before
    # None of them used the key up.
    assert rich_asha.transfer(rich_asha.address, "5", key=key).status_code == 422


def test_somebody_who_never_verified_is_nobody(api: Api, rich_asha: Person) -> None:
    waiting = fresh_email()
    api.register(email=waiting)
    problem(rich_asha.transfer(waiting, "5"), 404, "payee_not_found")
    problem(rich_asha.get("/wallet/payee", params={"to": waiting}), 404, "payee_not_found")


def test_another_currency_is_refused_and_recorded(rich_asha: Person, ravi: Person) -> None:
    failed = refusal(rich_asha.transfer(ravi.wallet, "5", currency="JPY"), "currency_mismatch")
    assert rich_asha.get(f"/transactions/{failed}").json()["amount"] == {"amount": "5", "currency": "JPY"}
    told = problem(rich_asha.transfer(ravi.wallet, "5.5", currency="JPY"), 400, "invalid")
    assert told["errors"][0]["field"] == "amount"


def test_a_dry_run_says_what_would_happen_moves_nothing_and_needs_no_key(rich_asha: Person, ravi: Person) -> None:
    before = len(rich_asha.history())
    for dry in (
        rich_asha.post("/wallet/transfer?dry_run=true", {"to": ravi.address, "amount": "10"}, key=None),
        rich_asha.post("/wallet/pay?dry_run=true", {"merchant": "meera-books", "amount": "10"}, key=None),
    ):
        assert dry.status_code == 200, dry.text
        assert dry.json() == {
            "amount": inr("10.00"), "fee": inr("0.00"), "balance_after": inr("990.00"), "step_up_required": False,
        }  # fmt: skip
    for to, amount, code in (
        (ravi.wallet, "1000.01", "insufficient_funds"),
        (ravi.wallet, "9" * 15, "limit_exceeded"),
        (rich_asha.wallet, "1", "same_wallet"),
    ):
        refused = rich_asha.post("/wallet/transfer?dry_run=true", {"to": to, "amount": amount}, key=None)
        problem(refused, 422, code)
    unknown = rich_asha.post("/wallet/transfer?dry_run=true", {"to": fresh_email(), "amount": "1"}, key=None)
    problem(unknown, 404, "payee_not_found")
    key = fresh_key()
    rich_asha.post("/wallet/transfer?dry_run=true", {"to": ravi.address, "amount": "10"}, key=key)
    created(rich_asha.transfer(ravi.address, "11", key=key))
    assert len(rich_asha.history()) == before + 1
    assert rich_asha.balance == "989.00"


def test_dry_run_is_nothing_but_true_or_false(rich_asha: Person, ravi: Person) -> None:
    body = {"to": ravi.address, "amount": "10"}
    for word in ("", "yes", "maybe", "2", "TRUE "):
        answer = rich_asha.post("/wallet/transfer", body, params={"dry_run": word}, key=None)
        assert answer.status_code == 400, (word, answer.text)
    created(rich_asha.post("/wallet/transfer?dry_run=false", body))
    assert rich_asha.balance == "990.00"


def test_a_system_wallets_id_is_nobodys(rich_asha: Person, system_wallets: list[str]) -> None:
    assert system_wallets
    for wallet in system_wallets[:2]:
        problem(rich_asha.transfer(wallet, "5"), 404, "payee_not_found")
        problem(rich_asha.get("/wallet/payee", params={"to": wallet}), 404, "payee_not_found")
        problem(rich_asha.get("/wallet/balance", params={"wallet": wallet}), 404, "not_found")
        problem(rich_asha.get("/transactions", params={"wallet": wallet}), 404, "not_found")


def test_a_person_moves_only_what_is_theirs(api: Api, rich_asha: Person, ravi: Person) -> None:
    body = {"to": rich_asha.wallet, "amount": "5"}
    problem(ravi.post(f"/wallet/transfer?wallet={rich_asha.wallet}", body), 404, "not_found")
    problem(ravi.get("/wallet/balance", params={"wallet": rich_asha.wallet}), 404, "not_found")
    problem(ravi.get("/wallet/balance", params={"wallet": "wal_"}), 404, "not_found")
    problem(ravi.get("/transactions", params={"wallet": rich_asha.wallet}), 404, "not_found")
    assert ravi.get("/wallet/balance", params={"wallet": ravi.wallet}).json()["wallet"] == ravi.wallet
    assert rich_asha.balance == "1000.00"


def test_a_merchants_wallet_receives_from_anybody_and_sends_for_its_owner(api: Api, rich_asha: Person) -> None:
    shop = created(rich_asha.pay("meera-books", "30"))["counterparty"]["wallet"]
    meera = api.demo("meera")
    sent = created(meera.post(f"/wallet/transfer?wallet={shop}", {"to": rich_asha.wallet, "amount": "30"}))
    assert sent["direction"] == "out"
    assert rich_asha.balance == "1000.00"
    # Its wallet id is a payee like another's.
    answer = rich_asha.transfer(shop, "5")
    assert answer.status_code in {201, 404, 422}, answer.text
