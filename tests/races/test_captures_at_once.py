"""
Fifty copies of one webhook, confirmations, returns and sweeps, in four processes at one moment: one credit.

The order was paid twice, so that whoever credits one payment races against whoever parks and returns the other.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from ledger.models import Transaction
from payments.models import GatewayRefund, ParkedPayment, PaymentAttempt, WebhookEvent
from tests.payments.adding import add, assert_two_books_agree, refunds_settle, seen
from tests.payments.cast import holder
from tests.payments.gateway import client, letters_about, wallet_speaks_to
from tests.payments.sandbox_process import Merchant, Sandbox, merchant_and_sandbox, returned
from tests.races.hearers import hear

pytestmark = pytest.mark.usefixtures("database")

PROCESSES = 4
COPIES = 52
_HEAD_START_SECONDS = 6.0


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Merchant, Sandbox]]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def test_fifty_copies_in_four_processes_credit_one_payment_and_return_the_other_once(
    both: tuple[Merchant, Sandbox], superuser_url: str
) -> None:
    merchant, sandbox = both
    with wallet_speaks_to(client(sandbox.url)):
        asha = holder()
        begun = add(asha)
        order_id = begun["checkout"]["order_id"]
        fields = returned(sandbox.pay(order_id, "twice@razorpay"))
        (letter, *_) = letters_about(merchant, order_id, 1)
        begins_at = time.time() + _HEAD_START_SECONDS
        with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
            asked = [
                pool.submit(hear, sandbox.url, begins_at, letter, fields, asha.access, COPIES // PROCESSES)
                for _ in range(PROCESSES)
            ]
            reports = [each.result() for each in asked]
        assert len({pid for pid, _ in reports}) == PROCESSES
        said = Counter(word for _, words in reports for word in words)
        assert said == {"webhook 200": COPIES, "confirm 200 SUCCESS": 4, "return 303": 4, "swept": 4}
        assert WebhookEvent.objects.filter(event_id=letter.event_id).count() == 1
        assert asha.balance == 250
        assert PaymentAttempt.objects.filter(order__order_id=order_id, credited_by__isnull=False).count() == 1
        assert ParkedPayment.objects.count() == GatewayRefund.objects.count() == 1
        refunds_settle(sandbox)
        assert Counter(Transaction.objects.values_list("type", "status")) == {
            ("ADD", "SUCCESS"): 2,
            ("REFUND", "SUCCESS"): 1,
        }
        assert seen(asha) == [("ADD", "SUCCESS", "250.00")]
        assert_two_books_agree(sandbox, superuser_url)
