"""The application may mark an event as published, again, and as settled; what the event says stays as written."""

from django.db import migrations

from wallet_project.kernel.database import application_role

ROLE = application_role()
COLUMNS = "publications, settled_at"


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_auditor_security_events"), ("kernel", "0005_outbox_indexes")]

    operations = [
        migrations.RunSQL(
            f"GRANT UPDATE ({COLUMNS}) ON kernel_outboxevent TO {ROLE};",
            f"REVOKE UPDATE ({COLUMNS}) ON kernel_outboxevent FROM {ROLE};",
        )
    ]
