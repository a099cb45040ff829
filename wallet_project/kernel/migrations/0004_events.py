"""Who is told of events, and what each has done with them; and how often an event was published."""

import django.db.models.deletion
from django.db import migrations, models

# Drawn one by one, under the locks of the wallets that they tell of: `ledger_numbers`, which numbered events before, is
# drawn in blocks by each process, so that a later event of a wallet could bear a smaller number. Begins above those.
NUMBERS = "CREATE SEQUENCE outbox_numbers AS bigint START WITH 1099511627776;"


class Migration(migrations.Migration):
    dependencies = [
        ("kernel", "0003_refuse_change"),
    ]

    operations = [
        migrations.RunSQL(NUMBERS, "DROP SEQUENCE outbox_numbers;"),
        migrations.CreateModel(
            name="ConsumerGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40, unique=True)),
                ("registered_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="ConsumedEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "group_id", "event_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="kernel.consumergroup",
                    ),
                ),
                ("event_id", models.UUIDField()),
                (
                    "is_dead",
                    models.BooleanField(
                        db_default=False, default=False, help_text="It went to the dead letters instead."
                    ),
                ),
                ("recorded_at", models.DateTimeField()),
            ],
            options={"indexes": [models.Index(fields=["event_id"], name="consumed_event")]},
        ),
        migrations.CreateModel(
            name="ConsumerProgress",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "group_id", "partition", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="kernel.consumergroup",
                    ),
                ),
                ("partition", models.IntegerField()),
                ("position", models.BigIntegerField()),
                ("end", models.BigIntegerField(help_text="The partition's high watermark.")),
                ("said_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="dead_letters",
                        to="kernel.consumergroup",
                    ),
                ),
                ("event_id", models.UUIDField(help_text="Of bytes that are no event: made from where they lay.")),
                ("partition", models.IntegerField()),
                ("offset", models.BigIntegerField()),
                ("value", models.BinaryField()),
                ("cause", models.CharField(max_length=500)),
                ("tries", models.PositiveSmallIntegerField()),
                ("created_at", models.DateTimeField()),
                ("published_at", models.DateTimeField(null=True)),
                ("replayed_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["group", "event_id"], name="dead_letter_once"),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("replayed_at__isnull", True)),
                        fields=["created_at"],
                        name="dead_letter_waiting",
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="outboxevent",
            name="publications",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text="How often it was published."),
        ),
        migrations.AddField(
            model_name="outboxevent",
            name="settled_at",
            field=models.DateTimeField(
                help_text="When every registered group was seen to have recorded it.", null=True
            ),
        ),
    ]
