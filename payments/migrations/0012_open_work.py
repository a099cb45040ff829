"""
What is still open of a wallet, found without reading its history. Built beside the writers: each table is in use.

It can be run again after it failed. What a failed try leaves is an invalid index, which no query uses and every writer
keeps up to date; it goes before the index is built anew.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

# It waits for every transaction that was open when it began, however long, and holds up nobody meanwhile.
WAIT = "SET lock_timeout = 0"
# To what the connection or its role says.
WAIT_NO_LONGER = "RESET lock_timeout"


def without_leftover(name: str) -> migrations.RunSQL:
    return migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {name}", migrations.RunSQL.noop)


class Migration(migrations.Migration):
    # PostgreSQL builds no index concurrently inside a transaction.
    atomic = False

    dependencies = [
        ("ledger", "0006_auditor_security_events"),
        ("payments", "0011_forget_holders"),
    ]

    operations = [
        migrations.RunSQL(WAIT, WAIT_NO_LONGER),
        without_leftover("dispute_undecided"),
        AddIndexConcurrently(
            model_name="dispute",
            index=models.Index(
                condition=Q(("state__in", ["OPEN", "UNDER_REVIEW", "ACTION_REQUIRED"])),
                fields=["attempt"],
                name="dispute_undecided",
            ),
        ),
        without_leftover("order_open"),
        AddIndexConcurrently(
            model_name="gatewayorder",
            index=models.Index(condition=Q(("state__in", ["NEW", "OPEN"])), fields=["transaction"], name="order_open"),
        ),
        without_leftover("refund_open"),
        AddIndexConcurrently(
            model_name="gatewayrefund",
            index=models.Index(
                condition=Q(("state__in", ["NEW", "UNKNOWN", "PENDING"])), fields=["transaction"], name="refund_open"
            ),
        ),
        without_leftover("payout_open"),
        AddIndexConcurrently(
            model_name="payout",
            index=models.Index(
                condition=Q(("state__in", ["NEW", "UNKNOWN", "QUEUED", "PROCESSING"])),
                fields=["transaction"],
                name="payout_open",
            ),
        ),
        migrations.RunSQL(WAIT_NO_LONGER, WAIT),
    ]
