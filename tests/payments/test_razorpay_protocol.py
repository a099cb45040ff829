"""The gateway's client against the real sandbox process: refunds, payouts, disputes, settlements and lists."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest

from payments.gateways.base import GatewayRefused, News, RemotePayment
from payments.gateways.razorpay import Razorpay
from tests.payments.gateway import client
from tests.payments.operating import dispute, move_dispute, settle
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, until

INDIA = ZoneInfo("Asia/Kolkata")
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox(both: tuple[Merchant, Sandbox]) -> Sandbox:
    return both[1]


@pytest.fixture(scope="module")
def razorpay(sandbox: Sandbox) -> Razorpay:
    return client(sandbox.url)


def paid(sandbox: Sandbox, razorpay: Razorpay, amount_minor: int = 20_000) -> RemotePayment:
    order = razorpay.create_order(amount_minor=amount_minor, currency="INR", receipt=f"txn_{datetime.now(UTC)}"[:40])
    sandbox.pay(order.id, "success@razorpay")
    (payment,) = razorpay.payments_of(order_id=order.id)
    return payment


def today() -> dict[str, datetime]:
    now = datetime.now(UTC)
    return {"begin": now - timedelta(hours=1), "end": now + timedelta(hours=1)}


def test_a_payment_tells_its_banks_reference_its_fee_and_its_time(sandbox: Sandbox, razorpay: Razorpay) -> None:
    payment = paid(sandbox, razorpay)
    assert (payment.fee_minor, payment.tax_minor, payment.is_captured) == (472, 72, True)
    assert len(payment.reference) == 12
    assert payment.created_at is not None
    assert abs(datetime.now(UTC) - payment.created_at) < timedelta(minutes=1)
    assert payment in list(razorpay.payments_between(**today()))


def test_an_authorized_payment_is_captured_once(sandbox: Sandbox, razorpay: Razorpay) -> None:
    order = sandbox.order(amount=5_000, payment={"capture": "manual"})
    sandbox.pay(order["id"], "success@razorpay")
    (payment,) = razorpay.payments_of(order_id=order["id"])
    assert payment.status == "authorized"
    assert razorpay.capture(payment_id=payment.id, amount_minor=5_000, currency="INR").is_captured
    with pytest.raises(GatewayRefused) as refused:
        razorpay.capture(payment_id=payment.id, amount_minor=5_000, currency="INR")
    assert (refused.value.http_status, refused.value.code) == (400, "BAD_REQUEST_ERROR")


def test_a_refund_is_made_once_for_its_key_and_carries_the_key_back(sandbox: Sandbox, razorpay: Razorpay) -> None:
    payment = paid(sandbox, razorpay)
    asked = {"payment_id": payment.id, "amount_minor": 5_000, "currency": "INR", "reference": "txn_refund"}
    first = razorpay.refund(key="refund-key-1", **asked)
    assert (first.state, first.amount_minor, first.key, first.payment_id) == (
        "PENDING", 5_000, "refund-key-1", payment.id,
    )  # fmt: skip
    assert razorpay.refund(key="refund-key-1", **asked).id == first.id
    assert [each.id for each in razorpay.refunds_of(payment_id=payment.id)] == [first.id]
    done = until(lambda: razorpay.refund_of(refund_id=first.id), lambda refund: refund.state == "PROCESSED")
    assert done.reference
    assert done in list(razorpay.refunds_between(**today()))
    with pytest.raises(GatewayRefused):
        razorpay.refund(key="refund-key-2", **asked | {"amount_minor": 15_001})


def test_a_payout_is_made_once_for_its_key_and_is_found_by_our_reference(sandbox: Sandbox, razorpay: Razorpay) -> None:
    account = {"holder_name": "Asha Rao", "ifsc": "HDFC0000001", "account_number": "1000000001", "reference": "bnk_a"}
    fund_account = razorpay.register_account(**account)
    assert razorpay.register_account(**account) == fund_account
    asked = {
        "fund_account_id": fund_account, "amount_minor": 20_000, "currency": "INR", "reference": "txn_payout",
        "narration": "Wallet withdrawal", "key": "payout-key-1",
    }  # fmt: skip
    assert razorpay.find_payout(reference="txn_payout") is None
    first = razorpay.pay_out(**asked)
    assert (first.state, first.reference, first.amount_minor) == ("PROCESSING", "txn_payout", 20_000)
    assert razorpay.pay_out(**asked).id == first.id
    done = until(lambda: razorpay.payout_of(payout_id=first.id), lambda payout: payout.state == "PROCESSED")
    assert done.utr
    assert done.fee_minor is not None
    assert razorpay.find_payout(reference="txn_payout") == done
    assert [each for each in razorpay.payouts_between(**today()) if each.reference == "txn_payout"] == [done]


def test_a_bank_account_is_validated_by_its_bank(sandbox: Sandbox, razorpay: Razorpay) -> None:
    fund_account = razorpay.register_account(
        holder_name="Ravi Kumar", ifsc="HDFC0000001", account_number="2000000001", reference="bnk_r"
    )
    asked = razorpay.validate_account(fund_account_id=fund_account, reference="bnk_r")
    answered = until(lambda: razorpay.validation_of(validation_id=asked.id), lambda found: found.state != "ASKED")
    assert (answered.state, answered.registered_name != "") == ("VALID", True)


def test_an_account_that_breaks_when_it_is_paid_is_paid_once_by_one_call(sandbox: Sandbox, razorpay: Razorpay) -> None:
    """Its payouts answer 502 with HTML first, then 429, then work: the same key is sent again through both."""
    fund_account = razorpay.register_account(
        holder_name="Asha Rao", ifsc="HDFC0000001", account_number="1000000007", reference="bnk_7"
    )
    payout = razorpay.pay_out(
        fund_account_id=fund_account, amount_minor=20_000, currency="INR", reference="txn_seven",
        narration="Wallet withdrawal", key="payout-key-7",
    )  # fmt: skip
    assert razorpay.find_payout(reference="txn_seven") is not None
    assert [each.id for each in razorpay.payouts_between(**today()) if each.reference == "txn_seven"] == [payout.id]


def test_a_dispute_is_read_as_it_moves(sandbox: Sandbox, razorpay: Razorpay) -> None:
    payment = paid(sandbox, razorpay)
    found = razorpay.dispute_of(dispute_id=dispute(sandbox, payment.id, amount=15_000))
    assert (found.state, found.payment_id, found.amount_minor, found.deducted_minor) == ("OPEN", payment.id, 15_000, 0)
    assert found.respond_by is not None
    move_dispute(sandbox, found.id, "lost")
    lost = razorpay.dispute_of(dispute_id=found.id)
    assert (lost.state, lost.deducted_minor) == ("LOST", 15_000)
    assert lost in list(razorpay.disputes_between(**today()))


def test_a_settlement_lists_each_payment_less_its_fee(sandbox: Sandbox, razorpay: Razorpay) -> None:
    payment = paid(sandbox, razorpay)
    settlement_id = settle(sandbox)
    day = datetime.now(INDIA).date()
    (item,) = [each for each in razorpay.settled_on(day=day) if each.entity_id == payment.id]
    assert (item.settlement_id, item.kind, item.payment_id) == (settlement_id, "payment", payment.id)
    assert (item.credit_minor, item.debit_minor, item.fee_minor, item.tax_minor) == (20_000 - 472, 0, 472, 72)
    assert item.utr
    assert list(razorpay.settled_on(day=day - timedelta(days=400))) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda gateway: gateway.payments_of(order_id="order_Unknown0000000"),
        lambda gateway: gateway.refund_of(refund_id="rfnd_Unknown0000000"),
        lambda gateway: gateway.payout_of(payout_id="pout_Unknown0000000"),
        lambda gateway: gateway.dispute_of(dispute_id="disp_Unknown0000000"),
    ],
)
def test_an_id_that_nobody_knows_is_refused(razorpay: Razorpay, ask: Callable[[Razorpay], object]) -> None:
    with pytest.raises(GatewayRefused) as refused:
        ask(razorpay)
    assert not refused.value.may_have_happened


def test_every_webhook_of_the_story_says_what_it_is_about(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox, razorpay: Razorpay
) -> None:
    """Of everything above: each genuine, and each naming something that the gateway knows."""
    merchant, _ = both
    wanted = {"order", "refund", "payout", "dispute", "settlement"}
    heard: dict[str, News] = {}

    def listen() -> dict[str, News]:
        for letter in list(merchant.letters):
            headers = {"X-Razorpay-Signature": letter.signature, "x-razorpay-event-id": letter.event_id}
            assert razorpay.is_genuine_webhook(body=letter.body, headers=headers)
            assert not razorpay.is_genuine_webhook(body=letter.body + b" ", headers=headers)
            assert razorpay.webhook_id(body=letter.body, headers=headers) == letter.event_id
            news = razorpay.read_webhook(letter.body)
            assert (news.name, news.about != "") == (letter.event, True)
            heard[news.about] = news
        return heard

    until(listen, lambda found: wanted <= set(found))
    assert razorpay.refund_of(refund_id=heard["refund"].refund_id).payment_id == heard["refund"].payment_id
    assert razorpay.payout_of(payout_id=heard["payout"].payout_id).reference == heard["payout"].reference
    assert razorpay.dispute_of(dispute_id=heard["dispute"].dispute_id).payment_id == heard["dispute"].payment_id
    assert heard["settlement"].on == datetime.now(INDIA).date()
