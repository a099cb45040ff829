"""
What became of each message that must go out, and the browsers that are woken.

Columns of a table in use: each is null, or has a default that the database itself knows, so that no row is written anew
and what still runs the older code goes on.
"""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import ALL, SUPPORT, SUPPORT_LEAD, grant
from wallet_project.kernel.ids import new_uuid

# Not valid at first: no row is read while the tables are locked. The next migration looks at what is there.
REFERENCE = """
    ALTER TABLE accounts_verification ADD COLUMN notification_id bigint;
    ALTER TABLE accounts_verification ADD CONSTRAINT outgoing_notification
        FOREIGN KEY (notification_id) REFERENCES accounts_notification (id) DEFERRABLE INITIALLY DEFERRED NOT VALID;
"""
NO_REFERENCE = "ALTER TABLE accounts_verification DROP COLUMN notification_id;"


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    grant(apps, alias, groups=ALL, permissions=["accounts.view_outgoingmessage"])
    grant(apps, alias, groups=[SUPPORT, SUPPORT_LEAD], permissions=["accounts.resend_outgoingmessage"])


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_notifications")]

    operations = [
        migrations.CreateModel(
            name="PushSubscription",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=new_uuid, editable=False, unique=True)),
                ("endpoint", models.CharField(max_length=500)),
                (
                    "digest",
                    models.BinaryField(help_text="SHA-256 of the endpoint.", max_length=32, unique=True),
                ),
                ("p256dh", models.CharField(max_length=100)),
                ("auth", models.CharField(max_length=30)),
                ("label", models.CharField(blank=True, help_text="What the browser says it is.", max_length=100)),
                ("created_at", models.DateTimeField()),
                (
                    "session",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="push_subscriptions",
                        to="accounts.session",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="push_subscriptions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"default_permissions": ()},
        ),
        migrations.AlterModelOptions(
            name="outgoingmessage",
            options={
                "default_permissions": ("view",),
                "permissions": [("resend_outgoingmessage", "Can have a message sent that was given up")],
            },
        ),
        migrations.AlterField(
            model_name="outgoingmessage",
            name="address",
            field=models.CharField(help_text="Of a push: its subscription's public id.", max_length=254),
        ),
        migrations.AlterField(
            model_name="outgoingmessage",
            name="channel",
            field=models.CharField(choices=[("email", "e-mail"), ("phone", "SMS"), ("push", "web push")], max_length=5),
        ),
        migrations.AlterField(
            model_name="outgoingmessage",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("CODE", "a code that proves a registration's address"),
                    ("TAKEN", "a word to the owner of an address that somebody tried to register"),
                    ("RESET", "a code for a new password"),
                    ("STEP_UP", "a code for one payment"),
                    ("ADDRESS", "a code that proves a person's further or changed address"),
                    (
                        "NOTICE",
                        "a word about what happened to the account; `details` or `notification` says what",
                    ),
                ],
                default="CODE",
                max_length=7,
            ),
        ),
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(REFERENCE, NO_REFERENCE)],
            [
                migrations.AddField(
                    model_name="outgoingmessage",
                    name="notification",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="messages",
                        to="accounts.notification",
                    ),
                )
            ],
        ),
        migrations.AddField(
            model_name="outgoingmessage",
            name="next_at",
            field=models.DateTimeField(help_text="When a sweep takes it up; null: the next one.", null=True),
        ),
        migrations.AddField(
            model_name="outgoingmessage",
            name="provider_id",
            field=models.CharField(db_default="", help_text="What the provider calls it.", max_length=255),
        ),
        migrations.AddField(model_name="outgoingmessage", name="given_up_at", field=models.DateTimeField(null=True)),
        migrations.AddField(
            model_name="outgoingmessage",
            name="last_error",
            field=models.CharField(db_default="", help_text="A word of ours; names nobody.", max_length=60),
        ),
        migrations.AddField(
            model_name="inboxmessage",
            name="message",
            field=models.BigIntegerField(
                help_text="The OutgoingMessage that it is; sent twice, it is here once.", null=True
            ),
        ),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
