"""What people are told in the app, and where they want to hear of it as well."""

import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import wallet_project.kernel.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_outgoing_messages"),
    ]

    operations = [
        migrations.CreateModel(
            name="Notification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=wallet_project.kernel.ids.new_uuid, editable=False, unique=True)),
                ("kind", models.CharField(max_length=30)),
                ("title", models.CharField(max_length=120)),
                ("text", models.CharField(max_length=1000)),
                ("transaction", models.UUIDField(null=True)),
                ("event_id", models.UUIDField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(help_text="When it happened, which may be long before it was noted."),
                ),
                ("read_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notifications",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["user", "created_at", "id"], name="notification_newest"),
                    models.Index(
                        condition=models.Q(("read_at__isnull", True)), fields=["user"], name="notification_unread"
                    ),
                    django.contrib.postgres.indexes.BrinIndex(fields=["created_at"], name="notification_age"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("event_id__isnull", False)),
                        fields=("user", "event_id", "kind"),
                        name="notification_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="NotificationPreference",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(help_text="A row's name: several kinds of notification share one.", max_length=30),
                ),
                (
                    "channel",
                    models.CharField(choices=[("email", "Email"), ("sms", "Sms"), ("push", "Push")], max_length=5),
                ),
                ("is_on", models.BooleanField()),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notification_preferences",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("user", "kind", "channel"), name="notification_preference_once")
                ],
            },
        ),
    ]
