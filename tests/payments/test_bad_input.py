"""Whatever comes in at a door that moves money is answered by a documented problem, never by a crash."""

import json
from typing import Any

import pytest
from django.test import Client

from ledger.models import IdempotencyKey, Transaction
from tests.payments.cast import Holder, holder, merchant, new_key
from wallet_project.kernel.errors import CODES
from wallet_project.kernel.ids import new_uuid, public_id

pytestmark = pytest.mark.usefixtures("database")

DOORS = ("/wallet/transfer", "/wallet/pay", "/wallet/add")
AMOUNTS: dict[str, Any] = {
    "zero": "0",
    "zero with decimals": "0.00",
    "negative": "-1",
    "plus": "+1",
    "exponent": "1e3",
    "not a number": "NaN",
    "infinity": "Infinity",
    "three decimals": "1.001",
    "blanks": "  ",
    "empty": "",
    "blank after": "5.00 ",
    "blank before": " 5.00",
    "line end": "5.00\n",
    "underscore": "1_0",
    "devanagari": "१०",
    "full width": "５",
    "forty digits": "1" * 40,
    "sixteen digits": "1" * 16,
    "comma": "1,000",
    "no digits before the point": ".5",
    "no digits after the point": "5.",
    "hexadecimal": "0x10",
    "a number": 5,
    "a float": 5.0,
    "a list": ["5"],
    "an object": {"amount": "5"},
    "true": True,
    "null": None,
    "huge text": "9" * 5000,
}


@pytest.fixture(scope="module")
def asha(database: object) -> Holder:
    return holder("Asha Rao", rupees=100)


@pytest.fixture(scope="module")
def bodies(database: object) -> dict[str, dict[str, Any]]:
    """A good body for each door."""
    ravi, (_, books) = holder("Ravi Kumar"), merchant()
    return {
        "/wallet/transfer": {"to": ravi.email, "amount": "5"},
        "/wallet/pay": {"merchant": books.handle, "amount": "5"},
        "/wallet/add": {"amount": "5"},
    }


def assert_problem(answer: Any, status: int, *codes: str, field: str = "") -> None:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert {"type", "title", "status", "detail", "code", "request_id", "errors"} <= set(told)
    assert told["code"] in CODES
    assert CODES[told["code"]][0] == told["status"] == status
    assert not codes or told["code"] in codes
    assert not field or field in [error["field"] for error in told["errors"]]


def raw(asha: Holder, path: str, body: bytes, content_type: str = "application/json", **headers: str) -> Any:
    return Client(raise_request_exception=False).post(
        f"/api/v1{path}",
        data=body,
        content_type=content_type,
        headers={"Authorization": f"Bearer {asha.access}", "Idempotency-Key": new_key(), **headers},
    )


@pytest.fixture(autouse=True)
def _nothing_happened(asha: Holder) -> Any:
    """Malformed requests leave neither a transaction nor a key behind."""
    before = (Transaction.objects.count(), IdempotencyKey.objects.count(), asha.balance)
    yield
    assert (Transaction.objects.count(), IdempotencyKey.objects.count(), asha.balance) == before


@pytest.mark.parametrize("door", DOORS)
def test_a_malformed_amount_is_refused(asha: Holder, bodies: Any, door: str) -> None:
    for name, amount in AMOUNTS.items():
        answer = asha.post(door, bodies[door] | {"amount": amount})
        assert_problem(answer, 400, "invalid", field="amount"), name
    without = {field: value for field, value in bodies[door].items() if field != "amount"}
    assert_problem(asha.post(door, without), 400, "invalid", field="amount")


@pytest.mark.parametrize("door", DOORS)
def test_a_currency_unknown_or_misspelt_is_refused_and_decides_the_decimals(
    asha: Holder, bodies: Any, door: str
) -> None:
    for currency in ("USD", "inr", "", " INR", 1, ["INR"], "X" * 5000):
        assert_problem(asha.post(door, bodies[door] | {"currency": currency}), 400, "invalid", field="currency")
    yen = bodies[door] | {"currency": "JPY", "amount": "5.00"}
    assert_problem(asha.post(door, yen), 400, "invalid", field="amount")


def test_a_malformed_payee_is_refused(asha: Holder, bodies: Any) -> None:
    wrong: list[Any] = [
        "",
        " ",
        "ravi",
        "ravi@",
        "@example.com",
        "ravi@example",
        "ravi @example.com",
        "a@b@example.com",
        "98765",
        "+91",
        "+911234",
        "+91 98765 43210",
        "+919876543210 ",
        "wal_",
        "wal_" + "a" * 25,
        "wal_" + "u" * 26,
        public_id("usr", new_uuid()),
        public_id("wal", new_uuid()).upper(),
        "x" * 300 + "@example.com",
        "x" * 5000,
        5,
        None,
        [],
        {"id": 1},
    ]
    for to in wrong:
        assert_problem(asha.post("/wallet/transfer", bodies["/wallet/transfer"] | {"to": to}), 400, field="to")
    for shop in ("", "Meera Books", "-meera", "meera--books", "m" * 41, "mer_x", "meera_books", "मीरा", 5, None):
        assert_problem(asha.post("/wallet/pay", bodies["/wallet/pay"] | {"merchant": shop}), 400, field="merchant")


def test_an_unknown_payee_is_not_found(asha: Holder, bodies: Any) -> None:
    for to in ("nobody@example.com", "+919812345678", public_id("wal", new_uuid())):
        answer = asha.post("/wallet/transfer", bodies["/wallet/transfer"] | {"to": to})
        assert_problem(answer, 404, "payee_not_found")
    for shop in ("no-such-shop", public_id("mer", new_uuid())):
        assert_problem(asha.post("/wallet/pay", bodies["/wallet/pay"] | {"merchant": shop}), 404, "payee_not_found")


@pytest.mark.parametrize("door", ["/wallet/transfer", "/wallet/pay"])
def test_a_note_is_short_text_without_control_characters(asha: Holder, bodies: Any, door: str) -> None:
    for note in ("x" * 281, "a\tb", "a\rb", "\x1b[1m", "a\x7fb", "a\u0085b", 5, [], {}, True):
        assert_problem(asha.post(door, bodies[door] | {"note": note}), 400, "invalid", field="note")


def test_an_order_reference_is_short_text_without_control_characters(asha: Holder, bodies: Any) -> None:
    for reference in ("x" * 65, "a\nb", 5, []):
        answer = asha.post("/wallet/pay", bodies["/wallet/pay"] | {"order_reference": reference})
        assert_problem(answer, 400, "invalid", field="order_reference")


@pytest.mark.parametrize("door", DOORS)
def test_the_key_is_required_and_is_visible_ascii(asha: Holder, bodies: Any, door: str) -> None:
    body = json.dumps(bodies[door]).encode()
    client = Client(raise_request_exception=False)
    without = client.post(
        f"/api/v1{door}", data=body, content_type="application/json", headers={"Authorization": f"Bearer {asha.access}"}
    )
    assert_problem(without, 400, "idempotency_key_required")
    for key in ("", " ", "a b", "a\tb", "x" * 256, "ключ", "é", "a\x7f", "\x00"):
        assert_problem(raw(asha, door, body, **{"Idempotency-Key": key}), 400, "idempotency_key_invalid")


@pytest.mark.parametrize("door", DOORS)
def test_a_body_that_cannot_be_read_is_refused(asha: Holder, bodies: Any, door: str) -> None:
    good = json.dumps(bodies[door]).encode()
    for body in (
        b"{",
        b"[]",
        b'"text"',
        b"5",
        b"null",
        b"{'a': 1}",
        good[:-1],
        good + b"}",
        b'{"amount": NaN}',
        b'{"amount": "5", "amount": "6"}',
        b'{"amount": "5\\u0000"}',
        b'{"amount": "\\ud800"}',
        b"\xff\xfe{}",
        b'{"amount": "\xff"}',
        b'{"a":' * 100_000,
        b'{"a":' * 50 + b"1" + b"}" * 50,
        b"[" * 100_000,
    ):
        answer = raw(asha, door, body)
        if len(body) > 256 * 1024:
            assert_problem(answer, 413, "body_too_large")
        else:
            assert_problem(answer, 400, "parse_error")
    assert_problem(raw(asha, door, b""), 400, "invalid")
    assert_problem(raw(asha, door, b'{"x": "' + b"y" * 1_000_000 + b'"}'), 413, "body_too_large")


@pytest.mark.parametrize("door", DOORS)
def test_another_content_type_is_refused(asha: Holder, bodies: Any, door: str) -> None:
    body = json.dumps(bodies[door]).encode()
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""):
        assert_problem(raw(asha, door, body, content_type), 415, "unsupported_media_type")


@pytest.mark.parametrize("door", DOORS)
def test_another_method_is_refused(asha: Holder, door: str) -> None:
    client = Client(raise_request_exception=False)
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = client.generic(method, f"/api/v1{door}", headers={"Authorization": f"Bearer {asha.access}"})
        assert_problem(answer, 405, "method_not_allowed")
        assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("door", DOORS)
def test_nobody_without_a_token_gets_further_than_the_door(bodies: Any, door: str) -> None:
    client = Client(raise_request_exception=False)
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer"}, {"Authorization": "Basic eDp5"}):
        answer = client.post(
            f"/api/v1{door}", data=json.dumps(bodies[door]), content_type="application/json", headers=headers
        )
        assert_problem(answer, 401, "not_authenticated", "token_invalid")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("door", DOORS)
def test_a_wallet_that_is_not_ones_own_is_not_found(asha: Holder, bodies: Any, door: str) -> None:
    zoya = holder("Zoya Khan")
    for wallet in (zoya.wallet.public_id, public_id("wal", new_uuid()), "nonsense", "", "%00", "%C3%A9"):
        assert_problem(asha.post(f"{door}?wallet={wallet}", bodies[door]), 404, "not_found")


def test_confirmations_take_three_texts_and_nothing_else(asha: Holder) -> None:
    good = {"razorpay_order_id": "order_x", "razorpay_payment_id": "pay_x", "razorpay_signature": "0" * 64}
    for field in good:
        for value in (None, 5, [], "", "x" * 1001):
            assert_problem(asha.post("/wallet/add/confirm", good | {field: value}), 400, "invalid", field=field)
    assert_problem(asha.post("/wallet/add/confirm", good), 404, "not_found")
    assert_problem(raw(asha, "/wallet/add/confirm", b"{"), 400, "parse_error")


def test_webhooks_bear_anything_that_is_not_signed(asha: Holder) -> None:
    for body in (b"", b"{", b"\xff", b"x" * 1000):
        assert_problem(raw(asha, "/webhooks/razorpay", body), 400, "signature_invalid")
    assert_problem(raw(asha, "/webhooks/razorpay", b"x" * 300_000), 413, "body_too_large")


def test_payees_are_asked_for_by_one_well_formed_address(asha: Holder) -> None:
    for query in ("", "?to=", "?to=%00", "?to=ravi", "?to=+919876543210"):
        assert_problem(asha.get(f"/wallet/payee{query}"), 400, "invalid", field="to")
    assert_problem(asha.get("/wallet/payee?to=nobody@example.com"), 404, "payee_not_found")


def test_unknown_paths_and_methods_under_the_api_are_problems_too(asha: Holder) -> None:
    assert_problem(asha.get("/no/such/call"), 404, "not_found")
    assert_problem(asha.post("/transactions", {}), 405, "method_not_allowed")
    assert_problem(asha.get("/wallet/add/confirm"), 405, "method_not_allowed")


@pytest.mark.parametrize("word", ["true", "yes"])
def test_a_dry_run_of_what_has_none_moves_no_money(asha: Holder, word: str) -> None:
    for path in (f"/wallet/add?dry_run={word}", f"/transactions/{public_id('txn', new_uuid())}/refund?dry_run={word}"):
        answer = asha.post(path, {"amount": "5.00"}, key=new_key())
        assert_problem(answer, 400, "invalid", field="dry_run")
