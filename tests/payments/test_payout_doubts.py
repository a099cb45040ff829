"""Payouts where the gateway contradicts itself, or says no: nothing is guessed, and nobody is paid twice."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from django.db import connections
from django.utils import timezone

from ledger.posting import post
from payments import payout_outcomes
from payments.asking_again import ask_again
from payments.models import BankAccount, Case, Payout
from payments.payouts import KEY_LIFETIME, ask_about_payout, follow_payout, sweep_payouts
from tests.accounts.people import superuser
from tests.ledger.proofs import assert_books_hold
from tests.payments.cast import Holder, holder
from tests.payments.gateway import client, open_door, wallet_speaks_to
from tests.payments.withdrawing import balance_of, bank_account, payout_of, seen, withdraw
from wallet_project.kernel.errors import GatewayError, Refusal

pytestmark = pytest.mark.usefixtures("database")

BAD_GATEWAY = (502, "<html><body>502 Bad Gateway</body></html>")
REFUSED = (400, json.dumps({"error": {"code": "BAD_REQUEST_ERROR", "description": "No.", "reason": "input_invalid"}}))
UNAUTHORIZED = (401, json.dumps({"error": {"code": "BAD_REQUEST_ERROR", "description": "Authentication failed"}}))


class Bank:
    """A gateway that says what a test wrote down: `on_send` to a payout, `has` when it is asked what it has."""

    def __init__(self) -> None:
        self.on_send: list[tuple[int, str] | dict[str, Any]] = []
        self.has: list[dict[str, Any]] = []
        self.when_asked: tuple[int, str] | None = None
        self.on_register: tuple[int, str] | None = None
        self.sent: list[dict[str, Any]] = []
        self.looked_for = 0
        # Answers first, where it does.
        self.meanwhile: Callable[[str, str], tuple[int, str] | None] = lambda _method, _path: None

    def __call__(self, method: str, path: str, body: Any) -> tuple[int, str]:
        answer = self.meanwhile(method, path)
        return self.usually(method, path, body) if answer is None else answer

    def usually(self, method: str, path: str, body: Any) -> tuple[int, str]:
        if path.startswith(("/v1/contacts", "/v1/fund_accounts")):
            return self.on_register or (200, json.dumps({"id": "fa_00000000000001"}))
        if method == "POST":
            self.sent.append(body)
            answer = self.on_send.pop(0) if len(self.on_send) > 1 else self.on_send[0]
            return answer if isinstance(answer, tuple) else (200, json.dumps(document(body, **answer)))
        if self.when_asked is not None:
            return self.when_asked
        if "?" in path:
            self.looked_for += 1
            items = [document(self.sent[0], **has) for has in self.has]
            return 200, json.dumps({"entity": "collection", "count": len(items), "items": items})
        has = self.has.pop(0) if len(self.has) > 1 else self.has[0]
        return 200, json.dumps(document(self.sent[0], **has))


def document(body: dict[str, Any], **says: Any) -> dict[str, Any]:
    return {
        "id": "pout_00000000" + body["reference_id"][-6:],
        "entity": "payout",
        "amount": body["amount"],
        "currency": "INR",
        "status": "processing",
        "reference_id": body["reference_id"],
        "fees": 590,
        "tax": 90,
        **says,
    }


@pytest.fixture
def bank(superuser_url: str) -> Iterator[Bank]:
    bank = Bank()
    with open_door() as door, wallet_speaks_to(client(door.url)):
        door.answer = bank
        yield bank
    # What is on its way is in clearing, and the cast of this module has nothing else there.
    assert_books_hold(superuser_url)
    open_payouts = Payout.objects.filter(transaction__status="PENDING")
    assert balance_of("payout_clearing") * 100 == sum(payout.amount_minor for payout in open_payouts)
    open_payouts.update(check_at=None)


def asha_withdraws() -> tuple[Holder, dict[str, Any]]:
    asha = holder(rupees=300)
    return asha, withdraw(asha, bank_account(asha))


def ask(withdrawal: dict[str, Any], **ahead: float) -> None:
    ask_about_payout(payout=payout_of(withdrawal), now=timezone.now() + timedelta(**ahead))


def cases_of(withdrawal: dict[str, Any]) -> list[str]:
    return list(Case.objects.filter(subject=withdrawal["id"], state="OPEN").values_list("kind", flat=True))


def assert_waits(asha: Holder, withdrawal: dict[str, Any]) -> None:
    shown = seen(asha, withdrawal)
    assert (shown["status"], shown["reversed_by"], asha.balance) == ("PENDING", None, 200)


def assert_returned(asha: Holder, withdrawal: dict[str, Any], code: str) -> None:
    shown = seen(asha, withdrawal)
    assert (shown["status"], shown["failure"]["code"], asha.balance) == ("FAILED", code, 300)
    assert seen(asha, {"id": shown["reversed_by"]})["reverses"] == withdrawal["id"]


def test_a_definite_no_brings_the_money_back_once_the_gateway_has_nothing_of_it(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [REFUSED]
    sweep_payouts(now=timezone.now())
    assert_returned(asha, withdrawal, "gateway_refused")
    payout = payout_of(withdrawal)
    assert (payout.state, payout.reason, payout.check_at) == ("FAILED", "input_invalid", None)
    assert (len(bank.sent), bank.looked_for) == (1, 1)
    sweep_payouts(now=timezone.now() + timedelta(days=1))
    ask(withdrawal)
    assert (len(bank.sent), asha.balance, cases_of(withdrawal)) == (1, 300, [])


def test_a_payout_that_turns_up_after_it_was_given_up_is_a_case_before_it_arrives(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [REFUSED]
    ask(withdrawal)
    bank.has = [{"status": "processing"}]
    ask(withdrawal)
    assert cases_of(withdrawal) == ["STATE"]
    assert_returned(asha, withdrawal, "gateway_refused")


def test_a_no_after_an_answer_that_was_lost_is_not_believed_where_the_payout_is_there(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [BAD_GATEWAY, BAD_GATEWAY, REFUSED]
    bank.has = [{"status": "processed", "utr": "UTR1"}]
    ask(withdrawal)
    assert seen(asha, withdrawal)["status"] == "SUCCESS"
    assert asha.balance == 200
    assert all(body == bank.sent[0] for body in bank.sent)


def test_a_payout_sent_yesterday_is_looked_for_first_for_the_gateway_may_have_forgotten_its_key(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [BAD_GATEWAY]
    with pytest.raises(GatewayError):
        ask(withdrawal)
    sent, bank.has = len(bank.sent), [{"status": "processed", "utr": "UTR1"}]
    ask(withdrawal, hours=24)
    assert (len(bank.sent), payout_of(withdrawal).sends, payout_of(withdrawal).state) == (sent, 1, "PROCESSED")
    assert asha.balance == 200


def test_a_no_while_an_earlier_try_may_still_be_on_its_way_is_asked_for_again(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [BAD_GATEWAY]
    with pytest.raises(GatewayError):
        ask(withdrawal)
    bank.on_send = [REFUSED]
    with pytest.raises(GatewayError):
        ask(withdrawal)
    assert_waits(asha, withdrawal)
    ask(withdrawal, minutes=3)
    assert_returned(asha, withdrawal, "gateway_refused")


def test_a_no_is_not_enough_where_nobody_can_say_what_the_gateway_has(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send, bank.when_asked = [REFUSED], BAD_GATEWAY
    with pytest.raises(GatewayError):
        ask(withdrawal)
    assert_waits(asha, withdrawal)
    assert payout_of(withdrawal).state == "UNKNOWN"


@pytest.mark.parametrize("status", [401, 403])
def test_our_own_wrong_credentials_cost_nobody_anything_and_somebody_is_told(bank: Bank, status: int) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [(status, UNAUTHORIZED[1])]
    with pytest.raises(GatewayError):
        ask(withdrawal)
    assert_waits(asha, withdrawal)
    assert cases_of(withdrawal) == ["UNKNOWN_OUTCOME"]
    bank.on_send = [{"status": "processed", "utr": "UTR2"}]
    ask(withdrawal)
    assert seen(asha, withdrawal)["status"] == "SUCCESS"
    assert cases_of(withdrawal) == []


def test_an_account_that_the_gateway_does_not_take_returns_the_money_and_takes_no_more(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_register = REFUSED
    sweep_payouts(now=timezone.now())
    assert_returned(asha, withdrawal, "gateway_refused")
    assert bank.sent == []
    (account,) = asha.get("/bank-accounts").json()["results"]
    assert account["status"] == "INVALID"
    again = asha.post("/wallet/withdraw", {"bank_account": account["id"], "amount": "5"})
    assert (again.status_code, again.json()["code"]) == (422, "bank_account_invalid")


@pytest.mark.parametrize(
    ("says", "kind"),
    [
        ({"amount": 10001, "status": "processed"}, "AMOUNT"),
        ({"currency": "USD", "status": "failed"}, "AMOUNT"),
        ({"reference_id": "somebody-elses", "status": "processed"}, "STATE"),
    ],
)
def test_a_payout_that_is_not_as_we_asked_for_it_is_a_case_and_decides_nothing(
    bank: Bank, says: dict[str, Any], kind: str
) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [says]
    ask(withdrawal)
    assert_waits(asha, withdrawal)
    assert cases_of(withdrawal) == [kind]
    assert payout_of(withdrawal).check_at is not None


def test_a_payout_that_arrives_after_its_money_came_back_is_a_case_and_no_guess(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [{"status": "failed"}]
    ask(withdrawal)
    assert_returned(asha, withdrawal, "payout_failed")
    payout_id = str(payout_of(withdrawal).payout_id)

    # An answer that is older than what is known: asked once more, the gateway says so itself.
    bank.has = [{"status": "processed"}, {"status": "failed"}]
    follow_payout(gateway="razorpay", payout_id=payout_id, reference="", now=timezone.now())
    assert cases_of(withdrawal) == []

    bank.has = [{"status": "processed"}]
    for _ in range(2):
        follow_payout(gateway="razorpay", payout_id=payout_id, reference="", now=timezone.now())
    assert cases_of(withdrawal) == ["STATE"]
    assert_returned(asha, withdrawal, "payout_failed")
    bank.has = [{"status": "processing"}]
    follow_payout(gateway="razorpay", payout_id=payout_id, reference="", now=timezone.now())
    assert payout_of(withdrawal).state == "FAILED"


def test_a_reason_that_names_the_account_is_kept_without_its_number(bank: Bank) -> None:
    _, withdrawal = asha_withdraws()
    bank.on_send = [{"status": "failed", "status_details": {"description": "Account 501000120001 is closed."}}]
    ask(withdrawal)
    assert payout_of(withdrawal).reason == "Account … is closed."


def test_past_the_life_of_its_key_a_payout_is_only_asked_for(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    bank.on_send = [BAD_GATEWAY]
    with pytest.raises(GatewayError):
        ask(withdrawal)
    sent = len(bank.sent)
    now = timezone.now() + KEY_LIFETIME
    ask_about_payout(payout=payout_of(withdrawal), now=now)
    assert (len(bank.sent), bank.looked_for) == (sent, 1)
    assert_waits(asha, withdrawal)
    assert cases_of(withdrawal) == ["UNKNOWN_OUTCOME"]
    bank.has = [{"status": "failed"}]
    ask_about_payout(payout=payout_of(withdrawal), now=now)
    assert_returned(asha, withdrawal, "payout_failed")
    assert cases_of(withdrawal) == []


def test_what_a_payout_cost_is_booked_once_when_it_becomes_known(bank: Bank) -> None:
    _, withdrawal = asha_withdraws()
    before = balance_of("gateway_fees"), balance_of("gst"), balance_of("bank")
    bank.on_send = [{"status": "processed", "utr": "UTR3", "fees": None, "tax": None}]
    ask(withdrawal)
    bank.has = [{"status": "processed", "utr": "UTR3", "fees": 590, "tax": 90}]
    for _ in range(3):
        ask(withdrawal)
    after = balance_of("gateway_fees"), balance_of("gst"), balance_of("bank")
    assert [str(new - old) for new, old in zip(after, before, strict=True)] == ["-5.0000", "-0.9000", "105.9000"]
    assert (payout_of(withdrawal).fee_minor, payout_of(withdrawal).tax_minor) == (590, 90)


def test_a_cost_that_is_heard_of_while_the_payout_comes_back_is_booked_once(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    asha, withdrawal = asha_withdraws()
    before = balance_of("gateway_fees"), balance_of("gst"), balance_of("bank")
    bank.on_send = [{"status": "processed", "utr": "UTR5", "fees": None, "tax": None}]
    ask(withdrawal)

    def let_another_first(groups: Any, within: Any = None) -> Any:
        """Between what this worker has read and what it posts, another books the cost."""
        monkeypatch.undo()
        bank.has = [{"status": "processed", "utr": "UTR5", "fees": 590, "tax": 90}]
        ask(withdrawal)
        return post(groups, within=within)

    monkeypatch.setattr(payout_outcomes, "post", let_another_first)
    bank.has = [{"status": "reversed", "utr": "UTR5", "fees": 590, "tax": 90}]
    ask(withdrawal)
    after = balance_of("gateway_fees"), balance_of("gst"), balance_of("bank")
    assert [str(new - old) for new, old in zip(after, before, strict=True)] == ["-5.0000", "-0.9000", "5.9000"]
    payout = payout_of(withdrawal)
    assert (payout.state, payout.fee_minor, payout.tax_minor) == ("REVERSED", 590, 90)
    assert asha.balance == 300


def test_one_payout_that_cannot_be_worked_on_does_not_keep_the_others_from_the_bank(bank: Bank) -> None:
    asha, broken = asha_withdraws()
    BankAccount.objects.filter(owner=asha.user).update(number_sealed=b"nonsense")
    ravi, whole = asha_withdraws()
    bank.on_send = [{"status": "processed", "utr": "UTR4"}]
    with structlog.testing.capture_logs() as lines:
        sweep_payouts(now=timezone.now())
    assert [line["payout"] for line in lines if line["event"] == "payout.failed_to_attend"] == [broken["id"]]
    assert seen(ravi, whole)["status"] == "SUCCESS"
    assert_waits(asha, broken)
    sweep_payouts(now=timezone.now() + timedelta(days=2))
    assert cases_of(broken) == ["UNKNOWN_OUTCOME"]
    assert Case.objects.get(subject=broken["id"]).reason.startswith("It could not be sent since 20")


def test_a_no_to_support_returns_nothing_while_the_sweep_has_the_same_payout_on_its_way(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    is_sent, may_answer = threading.Event(), threading.Event()

    def sweep() -> None:
        try:
            ask(withdrawal)
        finally:
            connections.close_all()

    sweeping = threading.Thread(target=sweep)

    def meanwhile(method: str, path: str) -> tuple[int, str] | None:
        """While support makes the account known, the sweep sends the payout; the gateway takes its time over it."""
        if path.startswith("/v1/contacts") and sweeping.ident is None:
            sweeping.start()
            assert is_sent.wait(10)
        elif (method, path) == ("POST", "/v1/payouts"):
            if is_sent.is_set():
                return REFUSED
            is_sent.set()
            assert may_answer.wait(10)
        return None

    bank.meanwhile, bank.on_send = meanwhile, [{}]
    ask(withdrawal)
    may_answer.set()
    sweeping.join(10)
    assert_waits(asha, withdrawal)
    assert (payout_of(withdrawal).state, payout_of(withdrawal).sends) == ("PROCESSING", 1)


def test_support_sends_nothing_while_the_sweep_may_be_sending_it(bank: Bank) -> None:
    asha, withdrawal = asha_withdraws()
    dev, answers = superuser(), []

    def ask_as_support(now: datetime) -> None:
        try:
            ask_again(about=payout_of(withdrawal), by=dev, now=now)
        except (Refusal, GatewayError) as error:
            answers.append(error.code if isinstance(error, Refusal) else "no answer")
        else:
            answers.append("asked")

    def press() -> None:
        ask_as_support(timezone.now())
        connections.close_all()

    def meanwhile(method: str, path: str) -> tuple[int, str] | None:
        """While the gateway takes its time over the sweep's request, Dev presses the button."""
        if (method, path) == ("POST", "/v1/payouts") and not answers:
            pressing = threading.Thread(target=press)
            pressing.start()
            pressing.join(10)
        return None

    bank.meanwhile, bank.on_send = meanwhile, [BAD_GATEWAY]
    now = timezone.now()
    sweep_payouts(now=now)
    assert (answers, payout_of(withdrawal).sends) == (["busy"], 1)
    # That ended without an answer; nobody can tell from here, until it is surely over.
    ask_as_support(now + timedelta(seconds=30))
    assert (answers, payout_of(withdrawal).sends) == (["busy", "busy"], 1)
    ask_as_support(now + timedelta(minutes=2))
    assert (answers[2:], payout_of(withdrawal).sends) == (["no answer"], 2)
    # Later it is asked about so rarely that whoever claimed it last has long ended: Dev need not wait for the sweep,
    # and the sweep that comes then finds it claimed.
    due_at = now + timedelta(hours=8)
    Payout.objects.filter(key=withdrawal["id"]).update(checks=30, check_at=due_at)
    bank.on_send = [{}]
    ask_as_support(due_at - timedelta(hours=6, minutes=-1))
    assert (answers[3:], payout_of(withdrawal).sends) == (["busy"], 2)
    ask_as_support(due_at - timedelta(hours=5))
    assert (answers[4:], payout_of(withdrawal).state, payout_of(withdrawal).sends) == (["asked"], "PROCESSING", 3)
    assert_waits(asha, withdrawal)
