"""What sweeps of the outbox look for, indexed beside whoever moves money meanwhile."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("kernel", "0004_events")]

    operations = [
        AddIndexConcurrently(
            model_name="outboxevent",
            index=models.Index(
                condition=models.Q(("published_at__isnull", False), ("settled_at__isnull", True)),
                fields=["published_at"],
                name="outbox_unsettled",
            ),
        ),
        AddIndexConcurrently(
            model_name="outboxevent",
            index=models.Index(
                condition=models.Q(("settled_at__isnull", False)), fields=["settled_at"], name="outbox_settled"
            ),
        ),
    ]
