"""
What sweeps of the outbox look for, indexed beside whoever moves money meanwhile.

It can be run again after it failed: what a failed try leaves goes before the index is built anew.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# It waits for every transaction that was open when it began, however long, and holds up nobody meanwhile.
WAIT = "SET lock_timeout = 0"
# To what the connection or its role says.
WAIT_NO_LONGER = "RESET lock_timeout"


def without_leftover(name: str) -> migrations.RunSQL:
    return migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {name}", migrations.RunSQL.noop)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("kernel", "0004_events")]

    operations = [
        migrations.RunSQL(WAIT, WAIT_NO_LONGER),
        without_leftover("outbox_unsettled"),
        AddIndexConcurrently(
            model_name="outboxevent",
            index=models.Index(
                condition=models.Q(("published_at__isnull", False), ("settled_at__isnull", True)),
                fields=["published_at"],
                name="outbox_unsettled",
            ),
        ),
        without_leftover("outbox_settled"),
        AddIndexConcurrently(
            model_name="outboxevent",
            index=models.Index(
                condition=models.Q(("settled_at__isnull", False)), fields=["settled_at"], name="outbox_settled"
            ),
        ),
        migrations.RunSQL(WAIT_NO_LONGER, WAIT),
    ]
