from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("kernel", "0001_roles"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "transaction_id",
                        "wallet_id",
                        "status",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("number", models.BigIntegerField()),
                ("event_id", models.UUIDField()),
                ("transaction_id", models.BigIntegerField()),
                ("wallet_id", models.BigIntegerField()),
                ("lane", models.SmallIntegerField()),
                ("status", models.CharField(max_length=7)),
                ("sequence", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField()),
                ("published_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("published_at__isnull", True)),
                        fields=["lane", "number"],
                        name="outbox_waiting",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("lane__gte", 0), ("lane__lt", 16)), name="outbox_lane"),
                ],
            },
        ),
    ]
