"""The support queue in the admin: what stands open, worked off by people who say what they did."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from structlog.testing import capture_logs

from accounts.models import User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD
from payments.cases import open_case, resolve_case, settle_found
from payments.models import Case, GatewayOrder, PaymentAttempt, WebhookEvent
from payments.support_queue import subjects_of
from tests.accounts.people import person, superuser
from tests.payments.cast import Holder, fund, holder
from tests.payments.staff import browser_of, list_of, page_of, press, shown, staff
from wallet_project.kernel.ids import new_uuid

pytestmark = pytest.mark.usefixtures("database")
QUEUE = list_of(Case)


@pytest.fixture(autouse=True)
def empty_queue(database: object) -> None:
    """What earlier tests left open is resolved: a queue is one for everybody."""
    open_cases = Case.objects.filter(state=Case.State.OPEN)
    settle_found(found=open_cases, resolution="The test is over.", now=timezone.now())


def found(subject: str = "", kind: str = "AMOUNT", *, days_ago: int = 0, **more: Any) -> Case:
    return open_case(
        kind=kind,
        subject=subject or f"pay_{new_uuid().hex[-14:]}",
        gateway="razorpay",
        reason="Here it is ten rupees, there it is twelve.",
        suggestion="Post two rupees.",
        amount_here_minor=1000,
        amount_there_minor=1200,
        currency="INR",
        now=timezone.now() - timedelta(days=days_ago),
        **more,
    )


def paid_order(asha: Holder) -> PaymentAttempt:
    add, now = fund(asha.wallet, 10), timezone.now()
    order = GatewayOrder.objects.create(
        transaction=add,
        gateway="razorpay",
        order_id=f"order_{add.pk}",
        amount_minor=1000,
        currency="INR",
        created_at=now,
        expires_at=now,
    )
    return PaymentAttempt.objects.create(
        order=order,
        gateway="razorpay",
        payment_id=f"pay_{add.pk}",
        amount_minor=1000,
        currency="INR",
        status="captured",
        credited_by=add,
        first_seen_at=now,
        last_seen_at=now,
    )


def listed(browser: Client, **query: str) -> list[str]:
    """The public ids of the cases, as the list shows them from above."""
    return re.findall(r">(cas_\w+)</a>", shown(browser.get(QUEUE, query)))


def test_open_cases_stand_first_and_of_them_the_oldest() -> None:
    done = found(days_ago=9)
    resolve_case(case=done, by=person(), resolution="Posted.", now=timezone.now())
    young, old = found(), found(days_ago=3)
    dev = staff(SUPPORT)
    assert listed(dev)[:2] == [old.public_id, young.public_id]
    assert done.public_id in listed(dev)[2:]
    assert listed(dev, state__exact="OPEN") == [old.public_id, young.public_id]
    assert listed(dev, state__exact="OPEN", kind__exact="STATE") == []


def test_a_case_is_found_by_its_id_by_what_it_is_about_and_by_whose_money_it_is() -> None:
    asha = holder()
    attempt = paid_order(asha)
    case = found(attempt.payment_id, transaction=attempt.credited_by_id)
    found()
    dev = staff(SUPPORT)
    assert attempt.credited_by is not None
    for term in (case.public_id, case.subject, attempt.credited_by.public_id, asha.email, asha.wallet.public_id):
        assert listed(dev, q=term) == [case.public_id], term
    assert listed(dev, q="pay_OfNobody") == []


def test_its_page_shows_both_amounts_why_what_to_do_and_the_way_to_what_it_is_about() -> None:
    attempt = paid_order(holder())
    case = found(attempt.payment_id)
    assert page_of(attempt) in shown(staff(SUPPORT).get(QUEUE))
    page = shown(staff(AUDITOR, "Anil Gupta").get(page_of(case)))
    for words in ("₹10.00", "₹12.00", case.reason, case.suggestion, page_of(attempt), "the amounts differ"):
        assert words in page


def test_what_a_case_is_about_is_found_by_its_name_or_by_its_transaction() -> None:
    attempt = paid_order(holder())
    now = timezone.now()
    event = WebhookEvent.objects.create(
        gateway="razorpay", event_id=f"evt_{attempt.pk}", body=b"{}", received_at=now, due_at=now
    )
    by_payment, by_order = found(attempt.payment_id), found(str(attempt.order.order_id))
    by_event, by_transaction = found(event.event_id), found("clearing/of_it", transaction=attempt.credited_by_id)
    nowhere, elsewhere = found("webhooks of 2026-11-25", kind="FORGERY"), found(attempt.payment_id, kind="STATE")
    Case.objects.filter(pk=elsewhere.pk).update(state="RESOLVED", resolved_at=now)
    elsewhere.gateway = "another"
    subjects = subjects_of([by_payment, by_order, by_event, by_transaction, nowhere, elsewhere])
    assert subjects == {
        by_payment.pk: attempt,
        by_order.pk: attempt.order,
        by_event.pk: event,
        by_transaction.pk: attempt,
    }


@pytest.mark.parametrize("role", [SUPPORT, SUPPORT_LEAD])
def test_support_resolves_a_case_by_writing_what_was_done(role: str) -> None:
    case, dev = found(), staff(role)
    assert page_of(case, "resolve") in shown(dev.get(page_of(case)))
    assert "Resolve this case?" in shown(dev.get(page_of(case, "resolve")))
    for nothing in ("", "   ", "x" * 301, "a\0b"):
        assert dev.post(page_of(case, "resolve"), {"resolution": nothing}).status_code == 200
    case.refresh_from_db()
    assert case.state == Case.State.OPEN
    with capture_logs() as logs:
        assert press(dev, case, "resolve", resolution="Posted two rupees.") == f"{case.public_id} is resolved."
    case.refresh_from_db()
    me = User.objects.get(pk=dev.session["_auth_user_id"])
    assert (case.state, case.resolution, case.resolved_by) == ("RESOLVED", "Posted two rupees.", me)
    assert [(line["event"], line["by"]) for line in logs if line["event"].startswith("case.")] == [
        ("case.resolved", me.pk)
    ]
    kept = LogEntry.objects.get(object_id=str(case.pk), content_type__model="case")
    assert (kept.user_id, kept.change_message) == (me.pk, "Resolved: Posted two rupees.")


def test_a_resolved_case_stays_as_it_was_resolved() -> None:
    case, first, second = found(), staff(SUPPORT), staff(SUPPORT_LEAD, "Ravi Kumar")
    press(first, case, "resolve", resolution="Posted two rupees.")
    page = shown(second.get(page_of(case)))
    assert page_of(case, "resolve") not in page
    assert "Posted two rupees." in page
    assert "had been resolved before" in press(second, case, "resolve", resolution="Another word.")
    case.refresh_from_db()
    assert case.resolution == "Posted two rupees."
    assert LogEntry.objects.filter(object_id=str(case.pk), content_type__model="case").count() == 1


def test_auditors_and_strangers_resolve_nothing_and_a_get_or_a_forged_post_neither() -> None:
    case = found()
    anil, root, dev = staff(AUDITOR, "Anil Gupta"), browser_of(superuser()), staff(SUPPORT)
    zoya = browser_of(person("Zoya Khan"))
    assert page_of(case, "resolve") not in shown(anil.get(page_of(case)))
    for browser, status in ((anil, 403), (zoya, 302), (Client(), 302)):
        for method in (browser.get, browser.post):
            assert method(page_of(case, "resolve"), {"resolution": "Mine."}).status_code == status
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = dev.cookies
    assert strict.post(page_of(case, "resolve"), {"resolution": "Mine."}).status_code == 403
    dev.get(page_of(case, "resolve"), {"resolution": "Mine."})
    assert root.get(page_of(case, "resolve").replace(f"/{case.pk}/", "/999999999/")).status_code == 404
    for browser in (dev, root):
        assert browser.post(page_of(case), {"state": "RESOLVED", "resolution": "Mine."}).status_code == 403
    case.refresh_from_db()
    assert case.state == Case.State.OPEN


def test_the_first_page_says_how_many_cases_stand_open() -> None:
    dev = staff(SUPPORT)
    assert "No case is open" in shown(dev.get("/admin/"))
    found()
    assert ">1 open case<" in shown(dev.get("/admin/"))
    found()
    assert ">2 open cases<" in shown(staff(AUDITOR, "Anil Gupta").get("/admin/"))


def test_a_page_of_many_cases_asks_no_more_than_a_page_of_one_of_each() -> None:
    dev = staff(SUPPORT)

    def queries() -> int:
        dev.get(QUEUE)
        with CaptureQueriesContext(connection) as captured:
            dev.get(QUEUE)
        return len(captured)

    def another() -> None:
        attempt = paid_order(holder())
        found(attempt.payment_id)
        found("", kind="STATE", transaction=attempt.credited_by_id)

    another()
    few = queries()
    for _ in range(3):
        another()
    assert queries() == few
    assert few < 30
