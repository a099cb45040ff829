"""What is still open of a wallet, found without reading its history. Built beside the writers: each table is in use."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    # PostgreSQL builds no index concurrently inside a transaction.
    atomic = False

    dependencies = [
        ("ledger", "0006_auditor_security_events"),
        ("payments", "0011_forget_holders"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="dispute",
            index=models.Index(
                condition=Q(("state__in", ["OPEN", "UNDER_REVIEW", "ACTION_REQUIRED"])),
                fields=["attempt"],
                name="dispute_undecided",
            ),
        ),
        AddIndexConcurrently(
            model_name="gatewayorder",
            index=models.Index(condition=Q(("state__in", ["NEW", "OPEN"])), fields=["transaction"], name="order_open"),
        ),
        AddIndexConcurrently(
            model_name="gatewayrefund",
            index=models.Index(
                condition=Q(("state__in", ["NEW", "UNKNOWN", "PENDING"])), fields=["transaction"], name="refund_open"
            ),
        ),
        AddIndexConcurrently(
            model_name="payout",
            index=models.Index(
                condition=Q(("state__in", ["NEW", "UNKNOWN", "QUEUED", "PROCESSING"])),
                fields=["transaction"],
                name="payout_open",
            ),
        ),
    ]
