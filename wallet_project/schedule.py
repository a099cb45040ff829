"""What Celery's beat starts, and how often."""

from typing import Any

from celery.schedules import crontab


def beat_schedule(*, sweep_seconds: float) -> dict[str, dict[str, Any]]:
    """
    :param sweep_seconds: how soon what is due is found. Nobody waits long in front of a demo.
    """
    return {
        # They expire, so that a worker that was away does not sweep a hundred times.
        "accounts.sweep_messages": {
            "task": "accounts.sweep_messages",
            "schedule": 5.0,
            "options": {"expires": 15.0},
        },
        "accounts.purge": {"task": "accounts.purge", "schedule": 3600.0, "options": {"expires": 3600.0}},
        "ledger.release_expired_holds": {
            "task": "ledger.release_expired_holds",
            "schedule": 60.0,
            "options": {"expires": 60.0},
        },
        "payments.sweep_webhook_events": {
            "task": "payments.sweep_webhook_events",
            "schedule": 15.0,
            "options": {"expires": 15.0},
        },
        "payments.sweep_payouts": {
            "task": "payments.sweep_payouts",
            "schedule": sweep_seconds,
            "options": {"expires": sweep_seconds},
        },
        "payments.sweep_bank_accounts": {
            "task": "payments.sweep_bank_accounts",
            "schedule": sweep_seconds,
            "options": {"expires": sweep_seconds},
        },
        "payments.sweep_refunds": {
            "task": "payments.sweep_refunds",
            "schedule": sweep_seconds,
            "options": {"expires": sweep_seconds},
        },
        "payments.sweep_open_orders": {
            "task": "payments.sweep_open_orders",
            "schedule": sweep_seconds,
            "options": {"expires": sweep_seconds},
        },
        "payments.sweep_disputes": {
            "task": "payments.sweep_disputes",
            "schedule": 300.0,
            "options": {"expires": 300.0},
        },
        "payments.finish_proposals": {
            "task": "payments.finish_proposals",
            "schedule": 60.0,
            "options": {"expires": 60.0},
        },
        "payments.collect_settlements": {
            "task": "payments.collect_settlements",
            "schedule": 3600.0,
            "options": {"expires": 3600.0},
        },
        # By the wallet's own clock. The later two find the night's work done, unless the gateway was silent before.
        "payments.reconcile_lately": {
            "task": "payments.reconcile_lately",
            "schedule": crontab(hour="2,4,6", minute="30"),
            "options": {"expires": 3600.0},
        },
    }
