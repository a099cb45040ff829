"""The security audit log only grows; who of staff sees and decides what."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import ALL, AUDITOR, SUPPORT, SUPPORT_LEAD, grant
from wallet_project.kernel.database import append_only, grant_only


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    readable = ["addresschange", "lostfactor", "consent", "kycsubmission"]
    grant(apps, alias, groups=ALL, permissions=[f"accounts.view_{name}" for name in readable])
    grant(apps, alias, groups=[SUPPORT_LEAD, AUDITOR], permissions=["accounts.view_securityevent"])
    grant(
        apps,
        alias,
        groups=[SUPPORT, SUPPORT_LEAD],
        permissions=["accounts.decide_kycsubmission", "accounts.decide_lostfactor"],
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_factors_changes_and_audit"),
        ("kernel", "0003_refuse_change"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        append_only("accounts_securityevent", "the security audit log only grows"),
        # Deleted with a registration that came to nothing; never changed.
        grant_only("accounts_consent", "SELECT, INSERT, DELETE"),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
