"""Background work for payments. Tasks carry ids only, are safe to run twice, and end in one deed call."""

import time
from typing import Final

from celery import shared_task
from django.utils import timezone

from accounts.tasks import wake_sender
from payments import bank_checks, disputes, payouts, refunds, settlements, step_ups
from payments.expiry import sweep_orders
from payments.merchant_webhooks import log, sending
from payments.money_back import expire_overdue
from payments.proposals import finish_agreed
from payments.reconciling import reconciliation
from payments.waking import wake
from payments.webhooks import process_event, waiting_events

# Well within a task's time limit, however slow the gateway is.
LONGEST_SWEEP_SECONDS: Final = 45.0
# One merchant's messages at a stretch; then the others' come first.
LONGEST_OF_ONE_ENDPOINT_SECONDS: Final = 5.0


@shared_task(name="payments.process_webhook_events")
def process_webhook_events(*, event_ids: list[int]) -> None:
    """What this run has no time for, the sweep finds."""
    until = time.monotonic() + LONGEST_SWEEP_SECONDS
    for event_id in event_ids:
        if time.monotonic() > until:
            break
        process_event(event_id=event_id, now=timezone.now())


@shared_task(name="payments.sweep_webhook_events")
def sweep_webhook_events() -> None:
    """Works on what a lost wake-up or a silent gateway left behind; the next sweep goes on where this one stops."""
    process_webhook_events(event_ids=waiting_events(now=timezone.now()))


@shared_task(name="payments.sweep_open_orders")
def sweep_open_orders() -> None:
    sweep_orders(now=timezone.now(), longest_seconds=LONGEST_SWEEP_SECONDS)


@shared_task(name="payments.send_payout")
def send_payout(*, transaction_id: int) -> None:
    payouts.send_payout(transaction_id=transaction_id, now=timezone.now())


@shared_task(name="payments.sweep_payouts")
def sweep_payouts() -> None:
    """Sends what a lost wake-up left behind, and asks about what is on its way."""
    payouts.sweep_payouts(now=timezone.now(), longest_seconds=LONGEST_SWEEP_SECONDS)


@shared_task(name="payments.send_refund")
def send_refund(*, transaction_id: int) -> None:
    refunds.send_refund(transaction_id=transaction_id, now=timezone.now())


@shared_task(name="payments.sweep_refunds")
def sweep_refunds() -> None:
    """Sends what a lost wake-up left behind, and asks about what is on its way."""
    refunds.sweep_refunds(now=timezone.now(), longest_seconds=LONGEST_SWEEP_SECONDS)


@shared_task(name="payments.finish_proposals")
def finish_proposals() -> None:
    """Does what two have agreed on and a crash kept from being done; lets the undecided expire."""
    finish_agreed(now=timezone.now())


@shared_task(name="payments.forget_step_ups")
def forget_step_ups() -> None:
    step_ups.forget_unspent(now=timezone.now())


@shared_task(name="payments.expire_money_backs")
def expire_money_backs() -> None:
    """What nobody answered in time is over, and what was set aside for it can be spent again."""
    wake_sender(expire_overdue(now=timezone.now()))


@shared_task(name="payments.check_bank_account")
def check_bank_account(*, account_id: int) -> None:
    bank_checks.check_bank_account(account_id=account_id, now=timezone.now())


@shared_task(name="payments.sweep_bank_accounts")
def sweep_bank_accounts() -> None:
    bank_checks.sweep_bank_accounts(now=timezone.now(), longest_seconds=LONGEST_SWEEP_SECONDS)


@shared_task(name="payments.sweep_disputes")
def sweep_disputes() -> None:
    disputes.sweep_disputes(now=timezone.now(), longest_seconds=LONGEST_SWEEP_SECONDS)


@shared_task(name="payments.collect_settlements")
def collect_settlements() -> None:
    settlements.collect_recent(now=timezone.now())


# Longer than the others, and still shorter than the time after which the broker would hand it to a second worker.
@shared_task(name="payments.reconcile_lately", soft_time_limit=270, time_limit=285)
def reconcile_lately() -> None:
    """A day too long for that is reconciled by `manage.py reconcile`."""
    reconciliation.reconcile_lately(now=timezone.now())


# Expires, for each sweep wakes it once more: behind a backlog they would pile up.
@shared_task(name="payments.send_merchant_webhooks", expires=60)
def send_merchant_webhooks(*, endpoint_id: int) -> None:
    """What of one endpoint is due, for a while; what is left comes again behind the others."""
    until = time.monotonic() + LONGEST_OF_ONE_ENDPOINT_SECONDS
    while time.monotonic() < until:
        told = sending.send_next(endpoint_id=endpoint_id, now=timezone.now())
        if told is None:
            return
        wake_sender(told)
    wake(send_merchant_webhooks, endpoint_id=endpoint_id)


@shared_task(name="payments.sweep_merchant_webhooks")
def sweep_merchant_webhooks() -> None:
    """Finds whose next try is due, or whose wake-up was lost. It sends nothing itself."""
    for endpoint_id in sending.due_endpoints(now=timezone.now()):
        wake(send_merchant_webhooks, endpoint_id=endpoint_id)


@shared_task(name="payments.purge_merchant_webhooks")
def purge_merchant_webhooks() -> None:
    log.purge(now=timezone.now(), longest_seconds=LONGEST_SWEEP_SECONDS)
