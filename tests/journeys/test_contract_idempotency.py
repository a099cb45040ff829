"""The API's contract, "Idempotency": one request moves money once, however often it is sent."""

from typing import Any

import pytest
import requests

from tests.journeys.contract import Api, Person, created, fresh_email, fresh_key, problem, refusal, signed

pytestmark = pytest.mark.runner


def replayed(answer: requests.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["Idempotent-Replayed"] == "true"
    return answer.json()


def test_the_same_request_again_answers_the_same_again_and_moves_nothing(rich_asha: Person, ravi: Person) -> None:
    key = fresh_key()
    first = rich_asha.transfer(ravi.address, "10", key=key, note="once")
    assert "Idempotent-Replayed" not in first.headers
    assert replayed(rich_asha.transfer(ravi.address, "10", key=key, note="once"), 201) == created(first)
    assert rich_asha.balance == "990.00"
    key = fresh_key()
    first = rich_asha.pay("meera-books", "10", key=key, order_reference="7")
    assert replayed(rich_asha.pay("meera-books", "10", key=key, order_reference="7"), 201) == created(first)
    assert rich_asha.balance == "980.00"


def test_amounts_are_compared_as_money_and_defaults_as_if_said(rich_asha: Person, ravi: Person) -> None:
    key = fresh_key()
    first = created(rich_asha.transfer(ravi.address, "10", key=key))
    for more in ({"amount": "10.0"}, {"amount": "010.00"}, {"currency": "INR"}, {"note": ""}, {"unknown": "field"}):
        again = rich_asha.post("/wallet/transfer", {"to": ravi.address, "amount": "10", **more}, key=key)
        assert replayed(again, 201)["id"] == first["id"]
    # Headers are no part of the request.
    headers = {"X-Request-ID": "another", "User-Agent": "another", "Accept-Language": "hi"}
    again = rich_asha.post("/wallet/transfer", {"amount": "10", "to": ravi.address}, key=key, headers=headers)
    assert replayed(again, 201)["id"] == first["id"]
    assert rich_asha.balance == "990.00"


def test_the_same_key_for_another_request_is_told_so(rich_asha: Person, ravi: Person) -> None:
    key = fresh_key()
    created(rich_asha.transfer(ravi.address, "10", key=key, note="once"))
    for answer in (
        rich_asha.transfer(ravi.address, "10.01", key=key, note="once"),
        rich_asha.transfer(ravi.address, "10", key=key, note="Once"),
        rich_asha.transfer(ravi.address, "10", key=key),
        rich_asha.transfer(ravi.wallet, "10", key=key, note="once"),
        rich_asha.transfer(ravi.address, "10", key=key, note="once", currency="JPY"),
        rich_asha.transfer(rich_asha.address, "10", key=key, note="once"),
        rich_asha.transfer(fresh_email(), "10", key=key, note="once"),
        rich_asha.pay("meera-books", "10", key=key, note="once"),
        rich_asha.add("10", key=key),
    ):
        problem(answer, 422, "idempotency_key_reused")
        assert "Idempotent-Replayed" not in answer.headers
        assert "transaction" not in answer.json()
    assert rich_asha.balance == "990.00"
    assert len(rich_asha.history()) == 2
    assert replayed(rich_asha.transfer(ravi.address, "10", key=key, note="once"), 201)


def test_a_key_belongs_to_one_person(rich_asha: Person, ravi: Person) -> None:
    key = fresh_key()
    mine = created(rich_asha.transfer(ravi.address, "10", key=key))
    his = created(ravi.transfer(rich_asha.address, "10", key=key))
    assert mine["id"] != his["id"]
    assert (rich_asha.balance, ravi.balance) == ("1000.00", "0.00")


def test_a_refusal_replays_even_when_it_would_succeed_by_now(asha: Person, ravi: Person) -> None:
    key = fresh_key()
    first = asha.transfer(ravi.address, "10", key=key)
    refused = refusal(first, "insufficient_funds")
    asha.fund("100")
    again = asha.transfer(ravi.address, "10", key=key)
    assert replayed(again, 422)["transaction"] == refused
    problem(again, 422, "insufficient_funds")
    assert asha.balance == "100.00"
    key = fresh_key()
    refused = refusal(asha.transfer(asha.address, "10", key=key), "same_wallet")
    assert replayed(asha.transfer(asha.address, "10", key=key), 422)["transaction"] == refused


def test_a_replayed_add_answers_its_transaction_as_it_stands_and_its_checkout_as_given(asha: Person) -> None:
    key = fresh_key()
    first = asha.add("50", key=key)
    assert first.status_code == 201
    assert replayed(asha.add("50.00", key=key), 201) == first.json()
    asha.confirm(signed(asha.api.checkout(first.json()["checkout"]["order_id"], "success@razorpay")))
    now = replayed(asha.add("50", key=key), 201)
    assert now["checkout"] == first.json()["checkout"]
    assert now["transaction"]["id"] == first.json()["transaction"]["id"]
    assert (now["transaction"]["status"], asha.balance) == ("SUCCESS", "50.00")


def test_a_key_is_1_to_255_visible_ascii_characters(rich_asha: Person, ravi: Person) -> None:
    body = {"to": ravi.address, "amount": "1"}
    for door, other in (("/wallet/transfer", body), ("/wallet/pay", {"merchant": "meera-books", "amount": "1"}),
                        ("/wallet/add", {"amount": "1"})):  # fmt: skip
        problem(rich_asha.post(door, other, key=None), 400, "idempotency_key_required")
    for malformed in ("k" * 256, "k" * 5000, "a b", "a\tb", "k\xe9y"):
        headers = {"Idempotency-Key": malformed.encode("latin-1")}
        answer = rich_asha.post("/wallet/transfer", body, key=None, headers=headers)
        problem(answer, 400, "idempotency_key_invalid")
    blank = rich_asha.post("/wallet/transfer", body, key=None, headers={"Idempotency-Key": ""})
    assert problem(blank, 400, blank.json()["code"])["code"] in {"idempotency_key_invalid", "idempotency_key_required"}
    assert ravi.balance == "0.00"
    for good in ("k", "~" * 255, fresh_key() + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"):
        created(rich_asha.transfer(ravi.address, "1", key=good))
        replayed(rich_asha.transfer(ravi.address, "1", key=good), 201)
    assert ravi.balance == "3.00"


def test_nothing_that_was_not_posted_uses_a_key_up(rich_asha: Person, ravi: Person) -> None:
    key = fresh_key()
    good = {"to": ravi.address, "amount": "1"}
    api, headers = rich_asha.api, rich_asha.headers(key)
    problem(api.post("/wallet/transfer", good, headers={"Idempotency-Key": key}), 401, "not_authenticated")
    wrong_type = api.call("POST", "/wallet/transfer", data="to=x", headers={**headers, "Content-Type": "text/plain"})
    problem(wrong_type, 415, "unsupported_media_type")
    large = api.post("/wallet/transfer", {**good, "note": "x" * 1_000_000}, headers=headers)
    assert large.status_code == 413
    broken = api.call("POST", "/wallet/transfer", data="{", headers={**headers, "Content-Type": "application/json"})
    problem(broken, 400, "parse_error")
    problem(api.post("/wallet/transfer", {"to": ravi.address}, headers=headers), 400, "invalid")
    problem(api.post("/wallet/transfer", {**good, "to": fresh_email()}, headers=headers), 404, "payee_not_found")
    assert api.call("PUT", "/wallet/transfer", json=good, headers=headers).status_code == 405
    created(api.post("/wallet/transfer", good, headers=headers))
    assert ravi.balance == "1.00"


def test_a_replay_is_judged_after_the_person_and_the_form_and_before_the_payee(api: Api, rich_asha: Person) -> None:
    somebody = api.person()
    key = fresh_key()
    first = created(rich_asha.transfer(somebody.address, "1", key=key))
    problem(api.post("/wallet/transfer", {}, headers={"Idempotency-Key": key}), 401, "not_authenticated")
    problem(rich_asha.transfer(somebody.address, "1.001", key=key), 400, "invalid")
    problem(rich_asha.transfer(fresh_email(), "1", key=key), 422, "idempotency_key_reused")
    assert replayed(rich_asha.transfer(somebody.address, "1", key=key), 201)["id"] == first["id"]
