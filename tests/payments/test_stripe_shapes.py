"""
What localstripe lacks, against a small server that answers in the shapes of Stripe's public documentation: keys and
conflicts, bank accounts, disputes, settlements, lists by time, rotated webhook secrets.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from payments.gateways.base import GatewayRefused, GatewayUnavailable, News, NotOffered
from payments.gateways.stripe import TOLERANCE_SECONDS, Stripe
from tests.payments.gateway import Door, open_door
from tests.payments.stripe_process import OLDER_WEBHOOK_SECRET, WEBHOOK_SECRET, stripe_client

DAY = date(2026, 11, 25)
MIDNIGHT = int(datetime(2026, 11, 25, tzinfo=UTC).timestamp())


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as opened:
        yield opened


@pytest.fixture
def stripe(door: Door) -> Stripe:
    return stripe_client(door.url)


def answers(door: Door, *script: tuple[int, Any]) -> None:
    """One after another; the last goes on for ever."""
    left = [(status, json.dumps(document)) for status, document in script]
    door.answer = lambda _method, _path, _body: left.pop(0) if len(left) > 1 else left[0]


def listed(*items: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(items), "has_more": has_more, "url": "/v1/things"}


PAYOUT = {
    "id": "po_1", "object": "payout", "amount": 20000, "currency": "inr", "status": "in_transit", "automatic": False,
    "created": MIDNIGHT, "arrival_date": MIDNIGHT, "metadata": {"reference": "txn_1"},
    "trace_id": {"status": "supported", "value": "UTR123"},
}  # fmt: skip
REFUND = {
    "id": "re_1", "object": "refund", "amount": 500, "currency": "inr", "status": "pending", "charge": "ch_1",
    "metadata": {"key": "refund-key-1"}, "created": MIDNIGHT,
    "destination_details": {"type": "card", "card": {"reference": "ARN1", "reference_status": "available"}},
}  # fmt: skip


def refund(stripe: Stripe) -> Any:
    return stripe.refund(payment_id="ch_1", amount_minor=500, currency="INR", key="refund-key-1", reference="txn_1")


@pytest.mark.parametrize("trouble", [(409, {"error": {"type": "idempotency_error"}}), (502, "<html>"), (429, {})])
def test_a_write_goes_out_again_under_its_key(door: Door, stripe: Stripe, trouble: tuple[int, Any]) -> None:
    answers(door, trouble, (200, REFUND))
    made = refund(stripe)
    assert (made.state, made.reference, made.key) == ("PENDING", "ARN1", "refund-key-1")
    first, second = door.asked
    assert first == second
    assert first[2] == {
        "charge": "ch_1", "amount": "500", "metadata[key]": "refund-key-1", "metadata[reference]": "txn_1",
    }  # fmt: skip
    assert [headers["Idempotency-Key"] for headers in door.headers] == ["refund-key-1"] * 2


def test_a_refusal_keeps_its_code_and_a_silence_is_unknown(door: Door, stripe: Stripe) -> None:
    answers(
        door,
        (
            400,
            {
                "error": {
                    "type": "invalid_request_error",
                    "code": "charge_already_refunded",
                    "message": "Already refunded",
                }
            },
        ),
    )
    with pytest.raises(GatewayRefused, match="Already refunded") as refused:
        refund(stripe)
    assert (refused.value.code, refused.value.may_have_happened) == ("charge_already_refunded", False)
    answers(door, (500, {}))
    with pytest.raises(GatewayUnavailable) as lost:
        refund(stripe)
    assert lost.value.may_have_happened


def test_a_bank_account_is_registered_with_our_own_account_and_paid(door: Door, stripe: Stripe) -> None:
    answers(door, (200, {"id": "ba_1", "object": "bank_account"}), (200, PAYOUT))
    account = stripe.register_account(
        holder_name="Asha Rao", ifsc="HDFC0000001", account_number="1000000001", reference="bnk_1"
    )
    assert account == "ba_1"
    _, path, form = door.asked[0]
    assert path == "/v1/accounts/acct_wallet/external_accounts"
    assert form["external_account[routing_number]"] == "HDFC0000001"
    payout = stripe.pay_out(
        fund_account_id="ba_1", amount_minor=20_000, currency="INR", key="payout-key-1", reference="txn_1",
        narration="Wallet withdrawal to a bank",
    )  # fmt: skip
    assert (payout.state, payout.utr, payout.reference) == ("PROCESSING", "UTR123", "txn_1")
    assert (door.asked[1][2]["destination"], door.headers[1]["Idempotency-Key"]) == ("ba_1", "payout-key-1")
    assert door.asked[1][2]["statement_descriptor"] == "Wallet withdrawal to a"


def test_without_an_account_of_ours_nothing_is_paid_out_and_nothing_is_validated_at_all(door: Door) -> None:
    poor = stripe_client(door.url, account_id="")
    with pytest.raises(NotOffered, match="STRIPE_ACCOUNT_ID"):
        poor.register_account(holder_name="Asha", ifsc="HDFC0000001", account_number="1000000001", reference="bnk_1")
    with pytest.raises(NotOffered):
        poor.validate_account(fund_account_id="ba_1", reference="bnk_1")
    assert door.asked == []


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("needs_response", "OPEN"),
        ("warning_under_review", "UNDER_REVIEW"),
        ("won", "WON"),
        ("lost", "LOST"),
        ("warning_closed", "CLOSED"),
        ("something_new", "OPEN"),
    ],
)
def test_a_dispute_is_read_with_what_was_taken(door: Door, stripe: Stripe, status: str, state: str) -> None:
    document = {
        "id": "du_1", "object": "dispute", "charge": "ch_1", "amount": 5000, "currency": "inr", "status": status,
        "reason": "fraudulent", "created": MIDNIGHT, "evidence_details": {"due_by": MIDNIGHT + 86_400},
        "balance_transactions": [{"amount": -5000, "type": "adjustment"}],
    }  # fmt: skip
    answers(door, (200, document))
    found = stripe.dispute_of(dispute_id="du_1")
    assert (found.state, found.payment_id, found.amount_minor, found.deducted_minor) == (state, "ch_1", 5000, 5000)
    assert found.respond_by == datetime(2026, 11, 26, tzinfo=UTC)


def test_a_settlement_is_an_automatic_payout_with_its_balance_transactions(door: Door, stripe: Stripe) -> None:
    automatic = PAYOUT | {"id": "po_settled", "automatic": True, "metadata": {}}
    fee = [{"type": "stripe_fee", "amount": 400}, {"type": "tax", "amount": 72}]
    paid = {
        "id": "txn_1", "type": "charge", "amount": 20000, "fee": 472, "net": 19528, "currency": "inr",
        "fee_details": fee, "source": {"id": "ch_1", "object": "charge"},
    }  # fmt: skip
    back = {
        "id": "txn_2", "type": "refund", "amount": -500, "fee": 0, "net": -500, "currency": "inr", "fee_details": [],
        "source": {"id": "re_1", "object": "refund", "charge": "ch_1"},
    }  # fmt: skip
    itself = {"id": "txn_3", "type": "payout", "amount": -19028, "net": -19028, "currency": "inr", "source": None}

    def answer(_method: str, path: str, _body: Any) -> tuple[int, str]:
        query = parse_qs(urlsplit(path).query)
        if path.startswith("/v1/payouts"):
            assert query["arrival_date[gte]"] == [str(MIDNIGHT)]
            assert query["arrival_date[lt]"] == [str(MIDNIGHT + 86_400)]
            return 200, json.dumps(listed(automatic, PAYOUT))
        assert query["payout"] == ["po_settled"]
        return 200, json.dumps(listed(paid, back, itself))

    door.answer = answer
    payment, returned = stripe.settled_on(day=DAY)
    assert (payment.settlement_id, payment.entity_id, payment.kind, payment.payment_id, payment.utr) == (
        "po_settled", "ch_1", "payment", "ch_1", "UTR123",
    )  # fmt: skip
    assert (payment.credit_minor, payment.debit_minor, payment.amount_minor) == (19528, 0, 20000)
    assert (payment.fee_minor, payment.tax_minor) == (472, 72)
    assert (returned.entity_id, returned.kind, returned.payment_id) == ("re_1", "refund", "ch_1")
    assert (returned.credit_minor, returned.debit_minor, returned.amount_minor) == (0, 500, 500)


def test_lists_by_time_are_read_page_by_page_after_the_last_of_the_one_before(door: Door, stripe: Stripe) -> None:
    charge = {"amount": 500, "currency": "inr", "status": "succeeded", "captured": True, "payment_intent": "pi_1"}
    answers(
        door,
        (200, listed(charge | {"id": "ch_2"}, charge | {"id": "ch_1"}, has_more=True)),
        (200, listed(charge | {"id": "ch_0"})),
    )
    begin = datetime(2026, 11, 25, tzinfo=UTC)
    found = list(stripe.payments_between(begin=begin, end=begin + timedelta(days=1)))
    assert [each.id for each in found] == ["ch_2", "ch_1", "ch_0"]
    first, second = (parse_qs(urlsplit(path).query) for _, path, _ in door.asked)
    assert (first["created[gte]"], first["created[lt]"]) == ([str(MIDNIGHT)], [str(MIDNIGHT + 86_400)])
    assert "starting_after" not in first
    assert second["starting_after"] == ["ch_1"]


def test_our_own_payouts_are_told_from_settlements(door: Door, stripe: Stripe) -> None:
    answers(door, (200, listed(PAYOUT | {"automatic": True, "id": "po_settled"}, PAYOUT)))
    begin = datetime(2026, 11, 25, tzinfo=UTC)
    assert [each.id for each in stripe.payouts_between(begin=begin, end=begin + timedelta(days=1))] == ["po_1"]


def header(body: bytes, *, secret: str = WEBHOOK_SECRET, age_seconds: int = 0) -> str:
    signed_at = int(time.time()) - age_seconds
    return f"t={signed_at},v1={hmac.new(secret.encode(), b'%d.%s' % (signed_at, body), hashlib.sha256).hexdigest()}"


def test_a_webhook_is_genuine_for_a_while_under_either_secret_and_in_no_other_way(stripe: Stripe) -> None:
    body = b'{"id": "evt_1"}'
    good = header(body)
    signed_at, _, signature = good.partition(",v1=")
    for genuine in (
        good,
        header(body, secret=OLDER_WEBHOOK_SECRET),
        f"{signed_at},v1={'0' * 64},v1={signature},v0=abc",
        header(body, age_seconds=TOLERANCE_SECONDS - 5),
    ):
        assert stripe.is_genuine_webhook(body=body, headers={"Stripe-Signature": genuine}), genuine
    for forged in (
        "",
        "é",
        f"v1={signature}",
        signed_at,
        f"t=1,v1={signature}",
        f"t=soon,v1={signature}",
        f"t={'9' * 5000},v1={signature}",
        f"{signed_at},v0={signature}",
        f"{signed_at},v1=é",
        header(body, secret="whsec_other"),
        header(body, age_seconds=TOLERANCE_SECONDS + 5),
        header(body, age_seconds=-TOLERANCE_SECONDS - 5),
        header(body + b" "),
    ):
        assert not stripe.is_genuine_webhook(body=body, headers={"Stripe-Signature": forged}), forged
    assert not stripe.is_genuine_webhook(body=body, headers={})
    assert stripe.webhook_id(body=body, headers={}) == "evt_1"
    assert stripe.webhook_id(body=b"[", headers={}) == ""


@pytest.mark.parametrize(
    ("subject", "news"),
    [
        ({"object": "payment_intent", "id": "pi_1"}, {"about": "order", "order_id": "pi_1"}),
        (
            {"object": "charge", "id": "ch_1", "payment_intent": "pi_1"},
            {"about": "order", "order_id": "pi_1", "payment_id": "ch_1"},
        ),
        ({"object": "charge", "id": "ch_1", "payment_intent": None}, {}),
        (REFUND, {"about": "refund", "refund_id": "re_1", "payment_id": "ch_1"}),
        (
            {"object": "dispute", "id": "du_1", "charge": "ch_1"},
            {"about": "dispute", "dispute_id": "du_1", "payment_id": "ch_1"},
        ),
        (PAYOUT, {"about": "payout", "payout_id": "po_1", "reference": "txn_1"}),
        (PAYOUT | {"automatic": True}, {"about": "settlement", "on": DAY}),
        ({"object": "balance"}, {}),
    ],
)
def test_a_webhook_says_what_it_is_about(stripe: Stripe, subject: dict[str, Any], news: dict[str, Any]) -> None:
    body = json.dumps({"id": "evt_1", "object": "event", "type": "some.event", "data": {"object": subject}}).encode()
    assert stripe.read_webhook(body) == News(name="some.event", **news)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b'{"type": "x"}', b'{"type": 5, "data": {"object": 5}}', b"[" * 100_000]
)
def test_a_webhook_may_hold_anything(stripe: Stripe, body: bytes) -> None:
    assert stripe.read_webhook(body).about == ""
