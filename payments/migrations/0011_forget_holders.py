"""Of a closed account's bank accounts the holder's name is forgotten too."""

from django.db import migrations

from wallet_project.kernel.database import application_role

FORGET = f"GRANT UPDATE (holder_name) ON payments_bankaccount TO {application_role()};"
KEEP = f"REVOKE UPDATE (holder_name) ON payments_bankaccount FROM {application_role()};"


class Migration(migrations.Migration):
    dependencies = [("payments", "0010_limits_and_rights")]

    operations = [migrations.RunSQL(FORGET, KEEP)]
