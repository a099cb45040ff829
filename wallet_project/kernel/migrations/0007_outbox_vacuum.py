"""
The outbox is a queue: a row is written, marked, settled and removed within days.

Each look for what waits goes over what is dead at the queue's head, so that is cleared away long before it is the
fifth of the whole table that PostgreSQL would else wait for.
"""

from django.db import migrations

TABLES = ("kernel_outboxevent", "kernel_consumedevent")
OFTEN = {"autovacuum_vacuum_scale_factor": "0.01", "autovacuum_vacuum_threshold": "5000"}


class Migration(migrations.Migration):
    dependencies = [("kernel", "0006_consumer_rights")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in OFTEN.items())});",
            f"ALTER TABLE {table} RESET ({', '.join(OFTEN)});",
        )
        for table in TABLES
    ]
