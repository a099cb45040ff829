"""What Celery's beat starts, and how often."""

from typing import Any, Final

from celery.schedules import crontab

_HOUR: Final = 3600.0


def beat_schedule(*, sweep_seconds: float) -> dict[str, dict[str, Any]]:
    """
    :param sweep_seconds: how soon what is due is found. Nobody waits long in front of a demo.
    """
    return dict(
        [
            _entry("accounts.sweep_messages", every=5.0, expires=15.0),
            _entry("accounts.purge", every=_HOUR),
            _entry("accounts.take_lost_factors_away", every=60.0),
            _entry("ledger.release_expired_holds", every=60.0),
            _entry("payments.sweep_webhook_events", every=15.0),
            _entry("payments.sweep_payouts", every=sweep_seconds),
            _entry("payments.sweep_bank_accounts", every=sweep_seconds),
            _entry("payments.sweep_refunds", every=sweep_seconds),
            _entry("payments.sweep_open_orders", every=sweep_seconds),
            _entry("payments.sweep_disputes", every=300.0),
            _entry("payments.sweep_merchant_webhooks", every=sweep_seconds),
            _entry("payments.purge_merchant_webhooks", every=_HOUR),
            _entry("payments.finish_proposals", every=60.0),
            _entry("payments.expire_money_backs", every=60.0),
            _entry("payments.collect_settlements", every=_HOUR),
            _entry("payments.forget_step_ups", every=_HOUR),
            # By the wallet's own clock. The later two find the night's work done, unless the gateway was silent before.
            _entry("payments.reconcile_lately", every=crontab(hour="2,4,6", minute="30"), expires=_HOUR),
        ]
    )


def _entry(task: str, *, every: float | crontab, expires: float | None = None) -> tuple[str, dict[str, Any]]:
    """It expires, usually when the next one is due: a worker that was away does not sweep a hundred times."""
    return task, {"task": task, "schedule": every, "options": {"expires": every if expires is None else expires}}
