"""The button by which support has the gateway asked again, against a real sandbox process."""

from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from structlog.testing import capture_logs

from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from payments.cases import open_case
from payments.disputes import follow_dispute
from payments.models import Case, Dispute, GatewayOrder, Payout, SettledItem, WebhookEvent
from payments.settlements import collect_settlements, subject_of
from tests.accounts.people import superuser
from tests.payments.cast import holder
from tests.payments.gateway import client, deliver, letters_about, wallet_speaks_to
from tests.payments.money_story import add, pay
from tests.payments.operating import dispute, move_dispute, settle, top_up
from tests.payments.sandbox_process import Merchant, Sandbox
from tests.payments.staff import browser_of, page_of, press, shown, staff
from tests.payments.withdrawing import bank_account, payout_of, until, withdraw

pytestmark = pytest.mark.usefixtures("database")
BUTTON = "Ask the gateway again"


def waiting_payout() -> Payout:
    asha = holder(rupees=500)
    return payout_of(withdraw(asha, bank_account(asha)))


def test_a_payment_that_nobody_told_us_about_is_credited_once_however_often_support_asks(sandbox: Sandbox) -> None:
    asha = holder()
    order = add(asha)
    dev = staff(SUPPORT)
    assert press(dev, order) == "The gateway answered, and there is nothing new: it is still OPEN."
    pay(sandbox, order)
    with capture_logs() as logs:
        assert press(dev, order) == "The gateway answered: it was OPEN and is PAID now."
    assert press(dev, order) == "The gateway answered, and there is nothing new: it is still PAID."
    assert asha.balance == 500
    told = next(line for line in logs if line["event"] == "support.asked_again")
    assert (told["about"], told["pk"], told["before"], told["after"]) == ("GatewayOrder", order.pk, "OPEN", "PAID")
    assert told["by"].startswith("usr_")
    assert asha.email not in str(logs)
    kept = LogEntry.objects.filter(object_id=str(order.pk), content_type__model="gatewayorder").order_by("pk")
    assert [entry.change_message.split(". ")[0] for entry in kept] == ["Asked the gateway again"] * 3
    assert BUTTON in shown(dev.get(page_of(order)))


def test_a_withdrawal_is_paid_once_however_often_support_asks(sandbox: Sandbox) -> None:
    payout, dev = waiting_payout(), staff(SUPPORT)
    assert "it was NEW and is " in press(dev, payout)

    def arrived() -> bool:
        press(dev, payout)
        payout.refresh_from_db()
        return payout.state == Payout.State.PROCESSED

    until(arrived)
    press(dev, payout)
    query = {"account_number": "2323230000000001", "reference_id": payout.key}
    assert len(sandbox.call("GET", "/payouts", params=query).json()["items"]) == 1
    payout.transaction.refresh_from_db()
    assert payout.transaction.status == "SUCCESS"


def test_a_dispute_ends_as_the_gateway_says_when_support_asks(sandbox: Sandbox) -> None:
    asha = holder()
    dispute_id = dispute(sandbox, top_up(sandbox, asha))
    follow_dispute(gateway="razorpay", dispute_id=dispute_id, now=timezone.now())
    row = Dispute.objects.get(dispute_id=dispute_id)
    move_dispute(sandbox, dispute_id, "won")
    assert press(staff(SUPPORT_LEAD), row) == "The gateway answered: it was OPEN and is WON now."
    asha.wallet.refresh_from_db()
    assert (asha.wallet.balance, asha.wallet.held) == (Decimal(500), Decimal(0))


def test_an_event_is_followed_again_even_one_that_was_done(both: tuple[Merchant, Sandbox], sandbox: Sandbox) -> None:
    asha = holder()
    order = add(asha)
    pay(sandbox, order)
    letter = letters_about(both[0], order.order_id or "", 1)[0]
    assert deliver(letter).status_code == 200
    event, dev = WebhookEvent.objects.get(event_id=letter.event_id), staff(SUPPORT)
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        assert "It could not be followed now (GatewayUnavailable)" in press(dev, event)
    assert asha.balance == 0
    assert "is asked now" in press(dev, event)
    assert "nothing new" in press(dev, event)
    event.refresh_from_db()
    assert event.processed_at is not None
    assert asha.balance == 500


def test_a_settled_item_that_nobody_could_explain_is_posted_once_its_payment_is_known(sandbox: Sandbox) -> None:
    order, dev = add(holder()), staff(SUPPORT)
    payment_id = pay(sandbox, order)["razorpay_payment_id"]
    settle(sandbox)
    collect_settlements(gateway="razorpay", date=timezone.localdate(), now=timezone.now())
    item = SettledItem.objects.get(entity_id=payment_id)
    assert item.transaction_id is None
    case = Case.objects.get(subject=subject_of(item))
    press(dev, order)
    assert press(dev, case) == (
        f"Settled item {item}: The gateway answered: it was not explained and is posted now."
        " That explains the case: it is resolved."
    )
    item.refresh_from_db()
    assert item.transaction_id is not None


def test_a_gateway_that_does_not_answer_or_is_not_set_up_decides_nothing(sandbox: Sandbox) -> None:
    payout, dev = waiting_payout(), staff(SUPPORT)
    with wallet_speaks_to(client("http://127.0.0.1:9")), capture_logs() as logs:
        assert press(dev, payout).startswith("The gateway did not answer, so nothing was decided.")
    assert "support.asked_in_vain" in [line["event"] for line in logs]
    order = add(holder())
    GatewayOrder.objects.filter(pk=order.pk).update(order_id="order_OfNobody0000000")
    said = press(dev, order)
    assert said.startswith("The gateway would not say (400")
    assert said.endswith("Nothing was decided.")
    order.refresh_from_db()
    assert order.state == "OPEN"
    assert LogEntry.objects.filter(object_id=str(order.pk), change_message__contains="would not say").exists()


def test_a_case_asks_about_what_it_is_about_and_is_resolved_where_that_explains_it(sandbox: Sandbox) -> None:
    payout, dev = waiting_payout(), staff(SUPPORT)
    case = open_case(
        kind=Case.Kind.UNKNOWN_OUTCOME,
        gateway="razorpay",
        subject=payout.key,
        reason="No answer came.",
        now=timezone.now(),
    )
    said = ""

    def explained() -> bool:
        nonlocal said
        said = press(dev, case)
        case.refresh_from_db()
        return case.state == Case.State.RESOLVED

    until(explained)
    assert said.endswith("That explains the case: it is resolved.")
    assert case.resolved_by is None
    page = shown(dev.get(page_of(case)))
    assert BUTTON not in page
    assert page_of(payout) in page


def test_a_case_about_nothing_that_we_know_has_no_button_and_says_so_when_it_is_pressed(sandbox: Sandbox) -> None:
    case = open_case(kind=Case.Kind.MISSING_HERE, subject="pay_OfNobody", reason="Nobody knows it.", now=timezone.now())
    dev = staff(SUPPORT)
    assert BUTTON not in shown(dev.get(page_of(case)))
    assert "Nothing was asked or decided" in press(dev, case)


def test_only_support_asks_and_only_by_post(sandbox: Sandbox) -> None:
    asha = holder()
    order = add(asha)
    pay(sandbox, order)
    anil = staff(AUDITOR, "Anil Gupta")
    assert BUTTON not in shown(anil.get(page_of(order)))
    assert anil.post(page_of(order, "ask")).status_code == 403
    assert browser_of(asha.user).post(page_of(order, "ask")).status_code == 302
    for browser in (staff(SUPPORT), browser_of(superuser())):
        assert browser.get(page_of(order, "ask")).status_code == 405
        assert browser.post(page_of(order, "ask").replace(str(order.pk), "999999999")).status_code == 404
    assert asha.balance == 0
    assert press(browser_of(superuser()), order).endswith("is PAID now.")
    assert asha.balance == 500
