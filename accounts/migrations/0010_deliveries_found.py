"""
What is due, what was given up and what somebody was sent lately are found by index; built beside whoever sends.

It can be run again after it failed: what a failed try leaves goes before the index is built anew.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
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

    dependencies = [("accounts", "0009_deliveries")]

    operations = [
        migrations.RunSQL(WAIT, WAIT_NO_LONGER),
        migrations.RunSQL(
            "ALTER TABLE accounts_verification VALIDATE CONSTRAINT outgoing_notification", migrations.RunSQL.noop
        ),
        without_leftover("outgoing_lately"),
        AddIndexConcurrently(
            model_name="outgoingmessage",
            index=models.Index(fields=["user", "requested_at"], name="outgoing_lately"),
        ),
        without_leftover("outgoing_due"),
        AddIndexConcurrently(
            model_name="outgoingmessage",
            index=models.Index(
                condition=Q(("given_up_at__isnull", True), ("sent_at__isnull", True)),
                fields=["next_at"],
                name="outgoing_due",
            ),
        ),
        RemoveIndexConcurrently(model_name="outgoingmessage", name="verification_unsent"),
        without_leftover("outgoing_given_up"),
        AddIndexConcurrently(
            model_name="outgoingmessage",
            index=models.Index(
                condition=Q(("given_up_at__isnull", False)), fields=["given_up_at"], name="outgoing_given_up"
            ),
        ),
        without_leftover("outgoing_tells_of"),
        AddIndexConcurrently(
            model_name="outgoingmessage",
            index=models.Index(
                condition=Q(("notification__isnull", False)), fields=["notification"], name="outgoing_tells_of"
            ),
        ),
        without_leftover("inbox_once"),
        migrations.SeparateDatabaseAndState(
            [
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY inbox_once ON accounts_inboxmessage (message)"
                    " WHERE message IS NOT NULL",
                    "DROP INDEX CONCURRENTLY inbox_once",
                )
            ],
            [
                migrations.AddConstraint(
                    model_name="inboxmessage",
                    constraint=models.UniqueConstraint(
                        fields=["message"], condition=Q(message__isnull=False), name="inbox_once"
                    ),
                )
            ],
        ),
        migrations.RunSQL(WAIT_NO_LONGER, WAIT),
    ]
