"""Settlements, against a real sandbox process that pays into the bank and reports what it paid."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from ledger.models import Transaction
from ledger.movements import Group, Outcome
from ledger.posting import post
from ledger.system_wallets import Purpose
from payments import settlements
from payments.captures import settle_order
from payments.disputes import follow_dispute
from payments.gateways.base import GatewayUnavailable, RemoteSettledItem
from payments.gateways.razorpay import Razorpay
from payments.models import Case, GatewayOrder, GatewayRefund, PaymentAttempt, SettledItem
from payments.refunds import follow_refund
from payments.settlements import collect_recent, collect_settlements
from payments.tasks import sweep_webhook_events
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import holder
from tests.payments.gateway import client, deliver, letters_about, wallet_speaks_to
from tests.payments.operating import (
    dispute,
    move_dispute,
    refund_at_dashboard,
    refunds_wait,
    settle,
    top_up,
)
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (merchant, sandbox):
        refunds_wait(sandbox)
        yield merchant, sandbox


@pytest.fixture
def sandbox(both: tuple[Merchant, Sandbox], superuser_url: str) -> Iterator[Sandbox]:
    """Whatever a test does, the books hold after it, and what is posted is what the gateway paid."""
    with wallet_speaks_to(client(both[1].url)):
        yield both[1]
    assert_books_hold(superuser_url)
    posted = SettledItem.objects.filter(transaction__isnull=False).values_list("credit_minor", "debit_minor")
    assert standing(Purpose.BANK) == -Decimal(sum(credit - debit for credit, debit in posted)) / 100


def standing(purpose: str) -> Decimal:
    """All shards of a system wallet together."""
    return sum(Wallet.objects.filter(purpose=purpose).values_list("balance", flat=True), Decimal(0))


def today() -> date:
    return timezone.localdate()


def collect() -> settlements.Collected:
    return collect_settlements(gateway="razorpay", date=today(), now=timezone.now())


def effects(payment_id: str) -> list[tuple[str, Decimal]]:
    """What happened in the gateway's clearing on a payment's account, in order."""
    credited = PaymentAttempt.objects.get(payment_id=payment_id).credited_by
    assert credited is not None
    clearing = credited.from_wallet_id
    found = [("ADD", -credited.amount)]
    for each in Transaction.objects.filter(metadata__payment=payment_id).order_by("pk"):
        if clearing in (each.from_wallet_id, each.to_wallet_id):
            found.append((each.type, each.amount if each.to_wallet_id == clearing else -each.amount))
    return found


def left_in_clearing(payment_id: str) -> Decimal:
    return sum((amount for _, amount in effects(payment_id)), Decimal(0))


def test_a_settled_payment_returns_its_clearing_to_zero_and_its_fee_and_tax_to_theirs(sandbox: Sandbox) -> None:
    before = {purpose: standing(purpose) for purpose in (Purpose.BANK, Purpose.GATEWAY_FEES, Purpose.GST)}
    asha = holder()
    payment_id = top_up(sandbox, asha, "1000")
    settlement_id = settle(sandbox)
    collected = collect()
    assert (collected.posted, collected.unexplained) == (1, 0)
    # 2 % and 18 % GST on that.
    assert effects(payment_id) == [
        ("ADD", Decimal(-1000)),
        ("SETTLEMENT", Decimal("976.40")),
        ("FEE", Decimal(20)),
        ("FEE", Decimal("3.60")),
    ]
    moved = {purpose: standing(purpose) - was for purpose, was in before.items()}
    assert moved == {Purpose.BANK: Decimal("-976.40"), Purpose.GATEWAY_FEES: -20, Purpose.GST: Decimal("-3.60")}
    item = SettledItem.objects.select_related("transaction").get(entity_id=payment_id)
    assert item.transaction is not None
    assert item.transaction.metadata["settlement"] == settlement_id == item.settlement_id
    assert (item.kind, item.credit_minor, item.fee_minor, item.tax_minor) == ("payment", 97_640, 2_360, 360)
    assert item.utr
    assert asha.balance == 1000


def test_what_is_collected_again_or_at_once_is_posted_once(sandbox: Sandbox) -> None:
    payment_ids = [top_up(sandbox, holder(), "100") for _ in range(3)]
    settle(sandbox)

    def work(_: int) -> settlements.Collected:
        try:
            return collect()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        collected = list(pool.map(work, range(8)))
    assert sum(each.posted for each in collected) == 3
    assert sum(each.unexplained for each in collected) == 0
    assert collect().posted == 0
    for payment_id in payment_ids:
        assert left_in_clearing(payment_id) == 0


def test_a_refund_and_a_lost_dispute_leave_the_bank_again(sandbox: Sandbox) -> None:
    asha = holder()
    refunded, disputed = top_up(sandbox, asha, "500"), top_up(sandbox, asha, "300")
    refund_id = refund_at_dashboard(sandbox, refunded, 20_000)
    dispute_id = dispute(sandbox, disputed)
    move_dispute(sandbox, dispute_id, "lost")
    before = standing(Purpose.BANK)
    settle(sandbox)
    # Neither was heard of yet: collecting what was settled for them asks about them.
    collected = collect()
    assert (collected.posted, collected.unexplained) == (4, 0)
    # 500 less 11.80, 300 less 7.08, and 200 and 300 back.
    assert standing(Purpose.BANK) == before - Decimal("488.20") - Decimal("292.92") + 200 + 300
    assert left_in_clearing(disputed) == 0
    settled = SettledItem.objects.get(entity_id=refund_id)
    refund = GatewayRefund.objects.get(refund_id=refund_id)
    assert settled.transaction is not None
    assert settled.transaction.from_wallet_id == refund.transaction.to_wallet_id
    assert (settled.transaction.type, settled.transaction.amount) == ("SETTLEMENT", Decimal(200))
    assert asha.balance == 300
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    assert collect().posted == 0


class Reporting(Razorpay):
    """The wallet's client, and a gateway whose report was tampered with on its way."""

    tamper: Any = staticmethod(lambda item: item)

    def settled_on(self, *, day: date) -> Iterator[RemoteSettledItem]:
        for item in super().settled_on(day=day):
            yield self.tamper(item)


def reporting(sandbox: Sandbox, tamper: Any) -> Razorpay:
    speaker = client(sandbox.url)
    speaker.__class__ = Reporting
    speaker.tamper = tamper  # type: ignore[attr-defined]
    return speaker


def test_items_that_do_not_add_up_are_cases_and_nothing_is_posted_by_guess(sandbox: Sandbox) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"credit_minor": 9_765}, "the credit is not the amount less the fee"),
        ({"amount_minor": 20_000, "credit_minor": 19_764}, "credited here with another amount"),
        ({"tax_minor": 300}, "make no sense together"),
        ({"debit_minor": 1}, "make no sense together"),
        ({"currency": "USD"}, "credited here with another amount"),
    ]
    changes = {top_up(sandbox, holder(), "100"): each for each in wrong}
    settlement_id = settle(sandbox)
    before = standing(Purpose.BANK)

    def tamper(item: RemoteSettledItem) -> RemoteSettledItem:
        return replace(item, **changes[item.entity_id][0]) if item.entity_id in changes else item

    with wallet_speaks_to(reporting(sandbox, tamper)):
        for _ in range(2):
            collected = collect()
            assert (collected.posted, collected.unexplained) == (0, 5)
    for payment_id, (_, why) in changes.items():
        assert why in Case.objects.get(kind="AMOUNT", subject=f"{settlement_id}/{payment_id}").reason
    # Nor is a report that says something else the next day.
    assert collect().posted == 0
    for payment_id in changes:
        case = Case.objects.get(kind="AMOUNT", subject=f"{settlement_id}/{payment_id}")
        assert (case.state, case.times, "other figures" in case.reason) == ("OPEN", 3, True)
        assert SettledItem.objects.get(entity_id=payment_id).transaction is None
    assert standing(Purpose.BANK) == before


def test_one_absurd_item_keeps_no_other_of_its_day_from_its_posting(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha = holder()
    sound, long_named, huge, nul, unpostable = (top_up(sandbox, asha, "100") for _ in range(5))
    costly, unheard = refund_at_dashboard(sandbox, sound, 1_000), refund_at_dashboard(sandbox, sound, 2_000)
    follow_refund(gateway="razorpay", refund_id=costly, payment_id=sound, now=timezone.now())
    earlier = collect().unexplained
    settlement_id = settle(sandbox)
    changes: dict[str, dict[str, Any]] = {
        costly: {"fee_minor": 10**18, "debit_minor": 10**18 + 1_000},
        long_named: {"entity_id": long_named + "x" * 80},
        huge: {"fee_minor": 2**80},
        nul: {"utr": "UTR\0"},
    }
    speaker = reporting(sandbox, lambda item: replace(item, **changes.get(item.entity_id, {})))

    def keep_silent(**_: str) -> None:
        raise GatewayUnavailable("No answer came.")

    def post_all_but_one(groups: Sequence[Group], within: Any) -> list[Outcome]:
        """The kernel refuses a whole list for one fact in it that cannot have happened."""
        if any(getattr(group.movements[0], "metadata", {}).get("payment") == unpostable for group in groups):
            raise ValueError("That cannot have happened.")
        return post(groups, within=within)

    speaker.refund_of = keep_silent  # type: ignore[method-assign, assignment]
    with wallet_speaks_to(speaker), monkeypatch.context() as patched:
        patched.setattr(settlements, "post", post_all_but_one)
        collected = collect()
    assert (collected.posted, collected.unexplained - earlier) == (1, 6)
    assert SettledItem.objects.get(entity_id=sound).transaction is not None
    kinds = {
        costly: "AMOUNT",
        long_named: "AMOUNT",
        huge: "AMOUNT",
        nul: "AMOUNT",
        unpostable: "AMOUNT",
        unheard: "UNKNOWN_OUTCOME",
    }
    for entity, kind in kinds.items():
        case = Case.objects.get(subject__startswith=f"{settlement_id}/{entity}")
        assert (entity, case.kind, case.state) == (entity, kind, "OPEN")
    # What is reported in a sound way the next time is posted; what had been kept with other figures is not.
    assert collect().posted == 5
    for entity in (unpostable, unheard):
        assert Case.objects.get(subject=f"{settlement_id}/{entity}").state == "RESOLVED"
    assert SettledItem.objects.get(entity_id=costly).transaction is None


def test_a_gateway_that_is_away_is_not_waited_for_once_for_each_item(sandbox: Sandbox) -> None:
    payment_id = top_up(sandbox, holder(), "100")
    refunds = [refund_at_dashboard(sandbox, payment_id, 100) for _ in range(5)]
    earlier = collect().unexplained
    settle(sandbox)
    speaker, asked = reporting(sandbox, lambda item: item), []

    def keep_silent(*, refund_id: str) -> None:
        asked.append(refund_id)
        raise GatewayUnavailable("No answer came.")

    speaker.refund_of = keep_silent  # type: ignore[method-assign, assignment]
    with wallet_speaks_to(speaker):
        collected = collect()
    assert (collected.posted, collected.unexplained - earlier, len(asked)) == (1, 5, 3)
    assert Case.objects.filter(kind="UNKNOWN_OUTCOME", state="OPEN").count() == 5
    assert collect().posted == len(refunds)
    assert not Case.objects.filter(kind="UNKNOWN_OUTCOME", state="OPEN").exists()


def test_an_item_that_explains_itself_later_is_posted_then_and_its_case_closed(sandbox: Sandbox) -> None:
    asha = holder()
    order_id = asha.post("/wallet/add", {"amount": "500"}).json()["checkout"]["order_id"]
    sandbox.pay(order_id, "success@razorpay")
    payment_id = sandbox.payments(order_id)[0]["id"]
    settlement_id = settle(sandbox)
    assert collect().posted == 0
    case = Case.objects.get(kind="MISSING_HERE", subject=f"{settlement_id}/{payment_id}")
    assert case.state == "OPEN"
    settle_order(order=GatewayOrder.objects.get(order_id=order_id), now=timezone.now())
    assert collect().posted == 1
    case.refresh_from_db()
    assert (case.state, asha.balance) == ("RESOLVED", Decimal(500))
    assert left_in_clearing(payment_id) == 0


def test_an_item_of_a_payment_that_nobody_here_knows_is_a_case(sandbox: Sandbox) -> None:
    order = sandbox.order(amount=10_000)
    sandbox.pay(order["id"], "success@razorpay")
    payment_id = sandbox.payments(order["id"])[0]["id"]
    settlement_id = settle(sandbox)
    before = standing(Purpose.BANK)
    assert collect().posted == 0
    case = Case.objects.get(subject=f"{settlement_id}/{payment_id}")
    assert (case.kind, case.amount_there_minor, case.currency) == ("MISSING_HERE", 10_000, "INR")
    assert standing(Purpose.BANK) == before


def test_a_payment_that_is_settled_twice_is_posted_once_and_is_a_case(sandbox: Sandbox) -> None:
    payment_id = top_up(sandbox, holder(), "100")
    settle(sandbox)
    collect()
    before = standing(Purpose.BANK)

    def tamper(item: RemoteSettledItem) -> RemoteSettledItem:
        return replace(item, settlement_id="setl_Another0000000") if item.entity_id == payment_id else item

    with wallet_speaks_to(reporting(sandbox, tamper)):
        assert collect().posted == 0
    case = Case.objects.get(subject=f"setl_Another0000000/{payment_id}")
    assert (case.kind, "before" in case.reason, standing(Purpose.BANK)) == ("AMOUNT", True, before)


def test_more_items_than_one_posting_takes_are_posted_in_several(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        top_up(sandbox, holder(), "100")
    settle(sandbox)
    lists: list[int] = []

    def counting(groups: Sequence[Group], within: Any) -> list[Outcome]:
        lists.append(len(groups))
        return post(groups, within=within)

    monkeypatch.setattr(settlements, "MOST_ITEMS_AT_ONCE", 2)
    monkeypatch.setattr(settlements, "post", counting)
    assert collect().posted == 5
    assert max(lists) == 2


def test_today_and_yesterday_are_collected(sandbox: Sandbox) -> None:
    payment_id = top_up(sandbox, holder(), "100")
    settle(sandbox)
    collect_recent(now=timezone.now() + timedelta(days=1))
    assert left_in_clearing(payment_id) == 0


def test_the_news_of_disputes_and_settlements_bring_their_money_whoever_believes_them(
    sandbox: Sandbox, both: tuple[Merchant, Sandbox]
) -> None:
    asha = holder()
    dispute_id = dispute(sandbox, payment_id := top_up(sandbox, asha, "500"))
    move_dispute(sandbox, dispute_id, "lost")
    settlement_id = settle(sandbox)
    news = [*letters_about(both[0], dispute_id, 2), *letters_about(both[0], settlement_id, 1)]
    assert {letter.event for letter in news} == {
        "payment.dispute.created",
        "payment.dispute.lost",
        "settlement.processed",
    }
    # The last first, and each twice.
    for letter in [*reversed(news), *news]:
        assert deliver(letter).status_code == 200
        sweep_webhook_events()
    assert asha.get("/wallet/balance").json()["balance"]["amount"] == "0.00"
    assert [row["type"] for row in asha.get("/transactions").json()["results"]] == ["CHARGEBACK", "ADD"]
    assert left_in_clearing(payment_id) == 0
