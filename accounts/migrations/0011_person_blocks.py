"""Who keeps whom away."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import wallet_project.kernel.ids
from wallet_project.kernel.database import grant_only


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_deliveries_found"),
    ]

    operations = [
        migrations.CreateModel(
            name="PersonBlock",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=wallet_project.kernel.ids.new_uuid, editable=False, unique=True)),
                ("created_at", models.DateTimeField()),
                (
                    "blocked",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "blocker",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="people_blocked",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("blocker", "blocked"), name="personblock_once"),
                    models.CheckConstraint(
                        condition=models.Q(("blocker", models.F("blocked")), _negated=True),
                        name="personblock_of_another",
                    ),
                ],
            },
        ),
        # One is made and taken back, and never becomes another.
        grant_only("accounts_personblock", "SELECT, INSERT, DELETE"),
    ]
