"""The browser that comes back from the checkout, and everybody who brings the same news at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from payments.captures import settle_order
from payments.models import GatewayOrder, PaymentAttempt, WebhookEvent
from payments.webhooks import process_event
from tests.payments.adding import add, confirm
from tests.payments.cast import holder
from tests.payments.gateway import deliver, letters_about
from tests.payments.sandbox_process import Letter, Merchant, Sandbox, returned

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_browsers_return_credits_without_a_session_and_goes_on_to_the_receipt(
    sandbox: Sandbox, method: str
) -> None:
    asha = holder()
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    browser = Client(enforce_csrf_checks=True)
    path = "/payments/razorpay/callback"
    for _ in range(2):
        answer = browser.get(path, fields) if method == "GET" else browser.post(path, fields)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/receipts/{begun['transaction']['id']}")
    assert asha.balance == 250


def test_a_forged_return_credits_nothing_and_shows_no_receipt(sandbox: Sandbox) -> None:
    asha = holder()
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "success@razorpay"))
    for forged in ({}, fields | {"razorpay_signature": "0" * 64}, {"error[metadata]": "[" * 1000}):
        answer = Client().get("/payments/razorpay/callback", forged)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/add")
    assert asha.balance == 0


def test_a_failed_return_shows_its_own_payer_where_the_topup_stands(sandbox: Sandbox) -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    begun = add(asha)
    fields = returned(sandbox.pay(begun["checkout"]["order_id"], "failure@razorpay"))
    assert fields["error[code]"]
    for person, to in ((asha, f"/receipts/{begun['transaction']['id']}"), (zoya, "/add"), (None, "/add")):
        browser = Client()
        if person is not None:
            browser.force_login(person.user)
        assert browser.get("/payments/razorpay/callback", fields).headers["Location"] == to


def test_five_copies_a_confirmation_a_return_and_the_sweep_at_once_credit_once(
    both: tuple[Merchant, Sandbox], sandbox: Sandbox
) -> None:
    asha = holder()
    order_id = add(asha)["checkout"]["order_id"]
    fields = returned(sandbox.pay(order_id, "duplicate@razorpay"))
    letters = letters_about(both[0], order_id, 10)
    order = GatewayOrder.objects.get(order_id=order_id)
    start = threading.Barrier(len(letters) + 3)

    def at_once(deed: Any) -> Any:
        start.wait()
        try:
            return deed()
        finally:
            connections.close_all()

    def hear(letter: Letter) -> None:
        assert deliver(letter).status_code == 200
        event = WebhookEvent.objects.get(event_id=letter.event_id)
        process_event(event_id=event.pk, now=timezone.now())

    deeds = [lambda letter=letter: hear(letter) for letter in letters]
    deeds += [
        lambda: confirm(asha, fields),
        lambda: Client().get("/payments/razorpay/callback", fields),
        lambda: settle_order(order=order, now=timezone.now()),
    ]
    with ThreadPoolExecutor(len(deeds)) as pool:
        for done in [pool.submit(at_once, deed) for deed in deeds]:
            done.result()
    assert asha.balance == 250
    assert len({letter.event_id for letter in letters}) == 2
    assert WebhookEvent.objects.filter(event_id__in={letter.event_id for letter in letters}).count() == 2
    assert PaymentAttempt.objects.filter(order=order, credited_by__isnull=False).count() == 1
