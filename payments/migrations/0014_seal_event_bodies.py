"""What a gateway's events say is sealed, and sealed anew when keys rotate."""

from django.db import migrations

from wallet_project.kernel.database import application_role

SEAL = f"GRANT UPDATE (body) ON payments_webhookevent TO {application_role()};"
KEEP = f"REVOKE UPDATE (body) ON payments_webhookevent FROM {application_role()};"


class Migration(migrations.Migration):
    dependencies = [("payments", "0013_parked_past_limit")]

    operations = [migrations.RunSQL(SEAL, KEEP)]
