"""The gateway's client against a door that misbehaves, and the documented signature's vector."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from payments.gateways import gateway_named, http, razorpay
from payments.gateways.base import GatewayRefused, GatewayUnavailable, NotOffered
from tests.payments.gateway import HANG_UP, Door, client, open_door, order_document


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as opened:
        yield opened


def answers(door: Door, *script: tuple[int, str]) -> None:
    """One after another; the last goes on for ever."""
    left = list(script)
    door.answer = lambda _method, _path, _body: left.pop(0) if len(left) > 1 else left[0]


def create(door: Door) -> Any:
    return client(door.url).create_order(amount_minor=500, currency="INR", receipt="txn_1")


def test_the_documented_vector_of_a_checkouts_signature_fits() -> None:
    speaker = gateway_named("razorpay")
    good = "b2335e3b0801106b84a7faff035df56ecffde06918c9ddd1f0fafbb37a51cc89"
    assert speaker.is_genuine_return(order_id="fake_order_id", payment_id="fake_payment_id", signature=good)
    for order_id, payment_id, signature in (
        ("fake_order_id", "fake_payment_id", good.upper()),
        ("fake_order_id", "fake_payment_id", ""),
        ("fake_order_id", "fake_payment_id", "é" * 64),
        ("other_order_id", "fake_payment_id", good),
        ("fake_order_id", "other", good),
    ):
        assert not speaker.is_genuine_return(order_id=order_id, payment_id=payment_id, signature=signature)


def test_an_order_is_created_with_its_receipt_and_read_back(door: Door) -> None:
    answers(door, (200, order_document(id="order_1", amount=500, receipt="txn_1")))
    order = create(door)
    assert (order.id, order.amount_minor, order.currency, order.receipt) == ("order_1", 500, "INR", "txn_1")
    ((method, path, body),) = door.asked
    assert (method, path) == ("POST", "/v1/orders")
    assert (body["amount"], body["receipt"], body["payment"]) == (500, "txn_1", {"capture": "automatic"})


def test_a_refusal_keeps_code_reason_and_status_and_is_not_asked_again(door: Door) -> None:
    error = {"code": "BAD_REQUEST_ERROR", "description": "Too much.", "reason": "null", "field": None}
    answers(door, (400, json.dumps({"error": error})))
    with pytest.raises(GatewayRefused) as refused:
        create(door)
    assert (refused.value.code, refused.value.reason, refused.value.http_status) == ("BAD_REQUEST_ERROR", "", 400)
    assert not refused.value.may_have_happened
    assert len(door.asked) == 1


def test_a_page_of_html_is_no_answer_and_a_write_is_not_sent_again_after_it(door: Door) -> None:
    answers(door, (502, "<html>Bad Gateway</html>"))
    with pytest.raises(GatewayUnavailable) as lost:
        create(door)
    assert (lost.value.http_status, lost.value.may_have_happened) == (502, True)
    assert len(door.asked) == 1


def test_a_success_that_cannot_be_read_may_have_happened(door: Door) -> None:
    for text in ("<html>", "[]", "{}", '{"id": "order_1", "amount": "many", "currency": "INR"}'):
        answers(door, (200, text))
        with pytest.raises(GatewayUnavailable) as lost:
            create(door)
        assert lost.value.may_have_happened, text


def test_reads_are_asked_again_after_502_and_429(door: Door) -> None:
    answers(door, (502, "<html>"), (429, "{}"), (200, '{"items": []}'))
    assert client(door.url).payments_of(order_id="order_1") == []
    assert len(door.asked) == 3


def test_a_write_turned_away_with_429_is_sent_again_and_given_up_in_the_end(door: Door) -> None:
    answers(door, (429, "{}"), (200, order_document(id="order_1", amount=500, receipt="txn_1")))
    assert create(door).id == "order_1"
    answers(door, (429, "{}"))
    with pytest.raises(GatewayUnavailable) as lost:
        create(door)
    assert (lost.value.http_status, lost.value.may_have_happened) == (429, False)


def test_nobody_there_certainly_did_not_happen() -> None:
    with pytest.raises(GatewayUnavailable) as lost:
        client("http://127.0.0.1:9").create_order(amount_minor=500, currency="INR", receipt="txn_1")
    assert (lost.value.http_status, lost.value.may_have_happened) == (None, False)


def test_a_gateway_that_hangs_is_given_up_in_time_and_may_have_acted(door: Door) -> None:
    def hang(_method: str, _path: str, _body: Any) -> tuple[int, str]:
        time.sleep(1.5)
        return 200, "{}"

    door.answer = hang
    began = time.monotonic()
    with pytest.raises(GatewayUnavailable) as lost:
        client(door.url, read_seconds=0.2).create_order(amount_minor=500, currency="INR", receipt="txn_1")
    assert time.monotonic() - began < 1.4
    assert lost.value.may_have_happened
    assert len(door.asked) == 1


def test_only_an_order_with_that_very_receipt_is_found(door: Door) -> None:
    item = json.loads(order_document(id="order_1", amount=500, receipt="txn_1"))
    answers(door, (200, json.dumps({"items": [item]})))
    found = client(door.url).find_order(receipt="txn_1")
    assert found is not None
    assert found.id == "order_1"
    assert client(door.url).find_order(receipt="txn_2") is None


def test_a_payment_is_read_with_its_warts(door: Door) -> None:
    payment = {"id": "pay_1", "amount": 500, "currency": "INR", "status": "captured", "order_id": "order_1"}
    warts = {"error_code": "NA", "error_reason": "null", "method": None, "amount_refunded": None}
    answers(door, (200, json.dumps({"items": [payment | warts, payment | {"amount_refunded": 1}]})))
    whole, refunded = client(door.url).payments_of(order_id="order_1")
    assert (whole.is_captured, whole.error_code, whole.error_reason, whole.method) == (True, "", "", "")
    assert not refunded.is_captured


_CAPTURED = {"event": "payment.captured", "payload": {"payment": {"entity": {"order_id": "order_1"}}}}
_PAID = {"event": "order.paid", "payload": {"order": {"entity": {"id": "order_2"}}}}
_ODD = {"event": 5, "payload": {"order": {"entity": {"id": 7}}}}


@pytest.mark.parametrize(
    ("body", "name", "order_id"),
    [
        (json.dumps(_CAPTURED).encode(), "payment.captured", "order_1"),
        (json.dumps(_PAID).encode(), "order.paid", "order_2"),
        (b'{"event": "settlement.processed", "payload": {}}', "settlement.processed", ""),
        (json.dumps(_ODD).encode(), "", ""),
        (b'{"event": "order.paid", "payload": []}', "", ""),
        (b"[]", "", ""),
        (b"\xff", "", ""),
        (b"[" * 100_000, "", ""),
    ],
)
def test_a_webhook_says_what_it_is_about_and_bears_anything(body: bytes, name: str, order_id: str) -> None:
    news = gateway_named("razorpay").read_webhook(body)
    assert (news.name, news.order_id) == (name, order_id)


def refund(door: Door) -> Any:
    return client(door.url).refund(
        payment_id="pay_1", amount_minor=500, currency="INR", key="rfk_1234567890", reference="txn_1"
    )


def pay_out(door: Door, amount_minor: int = 500) -> Any:
    return client(door.url).pay_out(
        fund_account_id="fa_1",
        amount_minor=amount_minor,
        currency="INR",
        key="pok_1234",
        reference="txn_1",
        narration="Wallet withdrawal",
    )


_REFUND = json.dumps({"id": "rfnd_1", "amount": 500, "currency": "INR", "status": "pending", "payment_id": "pay_1"})
_PAYOUT = json.dumps({"id": "pout_1", "amount": 500, "currency": "INR", "status": "queued", "reference_id": "txn_1"})


@pytest.mark.parametrize(
    ("send", "answer", "header"),
    [(refund, _REFUND, "X-Refund-Idempotency"), (pay_out, _PAYOUT, "X-Payout-Idempotency")],
)
@pytest.mark.parametrize("trouble", [(502, "<html>Bad Gateway</html>"), (429, "{}"), (409, "{}"), (HANG_UP, "")])
def test_a_write_that_carries_a_key_is_sent_again_with_the_same_key_and_body(
    door: Door, send: Any, answer: str, header: str, trouble: tuple[int, str]
) -> None:
    answers(door, trouble, (200, answer))
    assert send(door).state in ("PENDING", "QUEUED")
    first, second = door.asked
    assert first == second
    assert len({headers[header] for headers in door.headers}) == 1
    assert door.headers[0][header] in ("rfk_1234567890", "pok_1234")


@pytest.mark.parametrize("trouble", [(502, "<html>"), (500, "{}"), (409, "{}"), (HANG_UP, "")])
def test_a_write_whose_outcome_stays_unknown_says_so(door: Door, trouble: tuple[int, str]) -> None:
    answers(door, trouble)
    with pytest.raises(GatewayUnavailable) as lost:
        pay_out(door)
    assert lost.value.may_have_happened
    assert lost.value.http_status == (trouble[0] or None)
    assert len(door.asked) == 3


def test_a_reply_that_was_dropped_is_no_reason_to_make_a_second_order(door: Door) -> None:
    answers(door, (HANG_UP, ""))
    with pytest.raises(GatewayUnavailable) as lost:
        create(door)
    assert (lost.value.http_status, lost.value.may_have_happened) == (None, True)
    assert len(door.asked) == 1


def test_wrong_credentials_fail_nobodys_request_and_are_not_tried_again(door: Door) -> None:
    answers(door, (401, json.dumps({"error": {"code": "BAD_REQUEST_ERROR", "description": "Authentication failed"}})))
    with pytest.raises(GatewayUnavailable) as lost:
        pay_out(door)
    assert (lost.value.http_status, lost.value.may_have_happened) == (401, False)
    assert len(door.asked) == 1


def test_an_answer_without_an_end_is_cut_off(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LARGEST_ANSWER", 1000)
    answers(door, (200, json.dumps({"items": ["x" * 1000]})))
    with pytest.raises(GatewayUnavailable) as lost:
        client(door.url).payments_of(order_id="order_1")
    assert lost.value.http_status is None


def test_large_payouts_go_by_rtgs_and_leave_from_our_own_account(door: Door) -> None:
    answers(door, (200, _PAYOUT))
    for amount_minor, mode in ((50_000_000, "IMPS"), (50_000_001, "RTGS")):
        pay_out(door, amount_minor)
        body = door.asked[-1][2]
        assert (body["mode"], body["account_number"], body["amount"]) == (mode, "2323230000000001", amount_minor)
        assert (body["reference_id"], body["queue_if_low_balance"]) == ("txn_1", True)


def test_without_an_account_of_ours_nothing_is_paid_out_and_nobody_is_asked(door: Door) -> None:
    poor = client(door.url, account_number="")
    with pytest.raises(NotOffered, match="RAZORPAYX_ACCOUNT_NUMBER"):
        poor.find_payout(reference="txn_1")
    with pytest.raises(NotOffered):
        poor.register_account(holder_name="Asha Rao", ifsc="HDFC0000001", account_number="1" * 12, reference="bnk_1")
    assert door.asked == []


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", "QUEUED"),
        ("scheduled", "QUEUED"),
        ("rejected", "FAILED"),
        ("cancelled", "FAILED"),
        ("reversed", "REVERSED"),
        ("something_new", "PROCESSING"),
    ],
)
def test_a_payouts_status_becomes_a_state_and_a_word_that_nobody_knows_decides_nothing(
    door: Door, status: str, state: str
) -> None:
    answers(door, (200, json.dumps(json.loads(_PAYOUT) | {"status": status, "fees": 590, "tax": 90, "utr": None})))
    payout = client(door.url).payout_of(payout_id="pout_1")
    assert (payout.state, payout.status, payout.utr) == (state, status, "")
    assert (payout.fee_minor, payout.tax_minor) == ((590, 90) if state == "REVERSED" else (None, None))


def test_a_long_list_is_read_page_by_page_each_entity_once_and_not_for_ever(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something is made between two pages, and pushes the last of the first onto the second."""
    payment = {"amount": 500, "currency": "INR", "status": "captured"}

    def listing(_method: str, path: str, _body: Any) -> tuple[int, str]:
        skip = int(parse_qs(urlsplit(path).query)["skip"][0])
        shift = 1 if skip else 0
        rows = [payment | {"id": f"pay_{number}"} for number in range(skip - shift, min(skip + 100 - shift, 150))]
        return 200, json.dumps({"items": rows})

    door.answer = listing
    begin = datetime(2026, 11, 25, tzinfo=UTC)
    window = {"begin": begin, "end": begin + timedelta(days=1)}
    assert [each.id for each in client(door.url).payments_between(**window)] == [f"pay_{n}" for n in range(150)]
    (_, first, _), (_, second, _) = door.asked
    assert "count=100&skip=0" in first
    assert "count=100&skip=100" in second
    assert f"from={int(begin.timestamp())}" in first

    monkeypatch.setattr(razorpay, "MOST_PAGES", 2)
    door.answer = lambda *_: (200, json.dumps({"items": [payment | {"id": "pay_1"}] * 100}))
    with pytest.raises(GatewayUnavailable, match="does not come to an end"):
        list(client(door.url).payments_between(**window))


def test_both_ends_of_a_window_are_kept_to_the_microsecond_and_an_entity_without_a_time_is_in_it(door: Door) -> None:
    begin = datetime(2026, 11, 25, tzinfo=UTC)
    row = {"amount": 500, "currency": "INR", "status": "captured", "error_code": ""}
    second = int(begin.timestamp())
    rows = [
        row | {"id": "pay_before", "created_at": second - 1},
        row | {"id": "pay_first", "created_at": second},
        row | {"id": "pay_timeless"},
        row | {"id": "pay_next_day", "created_at": second + 86_400},
    ]
    answers(door, (200, json.dumps({"items": rows})))
    found = client(door.url).payments_between(begin=begin, end=begin + timedelta(days=1))
    assert [each.id for each in found] == ["pay_first", "pay_timeless"]


def test_an_authorized_payment_that_claims_to_be_captured_is_not(door: Door) -> None:
    wart = {"id": "pay_1", "amount": 500, "currency": "INR", "status": "authorized", "captured": True, "error_code": ""}
    answers(door, (200, json.dumps({"items": [wart]})))
    (payment,) = client(door.url).payments_of(order_id="order_1")
    assert (payment.is_captured, payment.was_captured, payment.error_code, payment.created_at) == (
        False, False, "", None,
    )  # fmt: skip
