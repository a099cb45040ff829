"""What a group took in, and what it could not, stays as it was written; but for what replaying and pruning change."""

from django.db import migrations

from wallet_project.kernel.database import grant_only


class Migration(migrations.Migration):
    dependencies = [
        ("kernel", "0005_outbox_indexes"),
    ]

    operations = [
        migrations.AlterModelOptions(name="consumedevent", options={"default_permissions": ()}),
        migrations.AlterModelOptions(name="consumergroup", options={"default_permissions": ()}),
        migrations.AlterModelOptions(name="consumerprogress", options={"default_permissions": ()}),
        migrations.AlterModelOptions(
            name="deadletter",
            options={
                "default_permissions": ("view",),
                "permissions": [("replay_deadletter", "Can have a dead letter taken in again")],
            },
        ),
        grant_only("kernel_consumergroup", "SELECT, INSERT, DELETE"),
        grant_only("kernel_consumedevent", "SELECT, INSERT, DELETE, UPDATE (is_dead)"),
        grant_only("kernel_consumerprogress", "SELECT, INSERT, UPDATE"),
        grant_only("kernel_deadletter", "SELECT, INSERT, UPDATE (cause, published_at, replayed_at)"),
    ]
