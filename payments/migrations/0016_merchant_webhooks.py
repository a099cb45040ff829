"""What merchants' servers are told; the log of its tries is added to and pruned, and never written anew."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import wallet_project.kernel.ids
from accounts.roles import SUPPORT, SUPPORT_LEAD, grant
from wallet_project.kernel.database import grant_only


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    readable = ("webhookendpoint", "webhookmessage", "webhookattempt")
    permissions = [f"payments.view_{name}" for name in readable]
    grant(apps, schema_editor.connection.alias, groups=[SUPPORT, SUPPORT_LEAD], permissions=permissions)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_roles"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("payments", "0015_money_back"),
        ("wallets", "0004_status_change_rights"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=wallet_project.kernel.ids.new_uuid, editable=False, unique=True)),
                ("url", models.CharField(blank=True, max_length=500)),
                ("types", models.JSONField(default=list, help_text="Of the events that it is told.")),
                (
                    "state",
                    models.CharField(
                        choices=[("ACTIVE", "is told"), ("DISABLED", "switched off"), ("REMOVED", "Removed")],
                        default="ACTIVE",
                        max_length=8,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "None"),
                            ("OWNER", "by its owner"),
                            ("GONE", "it answered that it is gone (410)"),
                            ("FAILING", "it took nothing for days"),
                        ],
                        default="",
                        max_length=7,
                    ),
                ),
                ("state_changed_at", models.DateTimeField()),
                ("secret_sealed", models.BinaryField()),
                ("previous_sealed", models.BinaryField(default=b"")),
                ("previous_until", models.DateTimeField(blank=True, null=True)),
                (
                    "failing_since",
                    models.DateTimeField(
                        blank=True, help_text="First failure since it last took something.", null=True
                    ),
                ),
                (
                    "silences",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="Times in a row that it answered late or not."
                    ),
                ),
                ("paused_until", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "wallet",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="webhook_endpoints",
                        to="wallets.wallet",
                    ),
                ),
            ],
            options={
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="WebhookMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=wallet_project.kernel.ids.new_uuid, editable=False, unique=True)),
                ("event_id", models.UUIDField(help_text="The event's in the outbox; of a test event one of its own.")),
                ("type", models.CharField(max_length=40)),
                ("body", models.TextField()),
                (
                    "state",
                    models.CharField(
                        choices=[("WAITING", "Waiting"), ("DELIVERED", "Delivered"), ("GIVEN_UP", "given up")],
                        default="WAITING",
                        max_length=9,
                    ),
                ),
                (
                    "tries",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="Since it was registered, or sent again by hand."
                    ),
                ),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="messages",
                        to="payments.webhookendpoint",
                    ),
                ),
            ],
            options={
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="WebhookAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("url", models.CharField(max_length=500)),
                ("request_headers", models.JSONField(default=dict)),
                (
                    "status",
                    models.PositiveSmallIntegerField(blank=True, help_text="Null where nobody answered.", null=True),
                ),
                ("response_headers", models.JSONField(default=dict, help_text="The few that say something.")),
                ("response_body", models.TextField(blank=True, help_text="Its beginning.")),
                (
                    "error",
                    models.CharField(blank=True, help_text="A word of ours, where nobody answered.", max_length=20),
                ),
                ("milliseconds", models.PositiveIntegerField()),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="attempts",
                        to="payments.webhookmessage",
                    ),
                ),
            ],
            options={
                "default_permissions": ("view",),
            },
        ),
        migrations.AddIndex(
            model_name="webhookendpoint",
            index=models.Index(
                condition=models.Q(("state", "REMOVED"), _negated=True),
                fields=["wallet"],
                name="webhook_endpoint_wallet",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("previous_sealed", b""), ("secret_sealed", b""), ("state", "REMOVED"), ("url", "")),
                    models.Q(
                        models.Q(("state", "REMOVED"), _negated=True),
                        models.Q(("url", ""), _negated=True),
                        models.Q(("secret_sealed", b""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="webhook_endpoint_removed_is_empty",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookendpoint",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "DISABLED"), models.Q(("reason", ""), _negated=True)),
                    models.Q(models.Q(("state", "DISABLED"), _negated=True), ("reason", "")),
                    _connector="OR",
                ),
                name="webhook_endpoint_reason_exactly_if_disabled",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(
                condition=models.Q(("state", "WAITING")),
                fields=["endpoint", "next_attempt_at"],
                name="webhook_message_due",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(fields=["endpoint", "-id"], name="webhook_message_newest"),
        ),
        migrations.AddIndex(
            model_name="webhookmessage",
            index=models.Index(fields=["created_at"], name="webhook_message_age"),
        ),
        migrations.AddConstraint(
            model_name="webhookmessage",
            constraint=models.UniqueConstraint(fields=("endpoint", "event_id"), name="webhook_message_once"),
        ),
        migrations.AddConstraint(
            model_name="webhookmessage",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("next_attempt_at__isnull", False), ("state", "WAITING")),
                    models.Q(
                        models.Q(("state", "WAITING"), _negated=True),
                        ("ended_at__isnull", False),
                        ("next_attempt_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="webhook_message_waits_or_has_ended",
            ),
        ),
        # Pruned by age, and removed with their endpoint; what was sent and answered is never changed.
        grant_only("payments_webhookattempt", "SELECT, INSERT, DELETE"),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
