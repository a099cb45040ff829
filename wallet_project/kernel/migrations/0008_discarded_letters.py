"""A dead letter that can never be taken in is given up, with a reason, and then waits no more."""

from django.db import migrations, models

from wallet_project.kernel.database import grant_only


class Migration(migrations.Migration):
    dependencies = [
        ("kernel", "0007_outbox_vacuum"),
    ]

    operations = [
        migrations.AddField(
            model_name="deadletter",
            name="discard_reason",
            field=models.CharField(db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="discarded_at",
            field=models.DateTimeField(help_text="When it was given up: it is never to be taken in.", null=True),
        ),
        grant_only(
            "kernel_deadletter",
            "SELECT, INSERT, UPDATE (cause, published_at, replayed_at, discarded_at, discard_reason)",
        ),
    ]
