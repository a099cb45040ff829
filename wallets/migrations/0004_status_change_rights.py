"""Who froze which wallet is never rewritten; support and leads may freeze."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import ALL, SUPPORT, SUPPORT_LEAD, grant
from wallet_project.kernel.database import append_only


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    grant(apps, alias, groups=ALL, permissions=["wallets.view_walletstatuschange"])
    grant(
        apps,
        alias,
        groups=[SUPPORT, SUPPORT_LEAD],
        permissions=["wallets.freeze_wallet"],
        model="walletstatuschange",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("wallets", "0003_status_changes"),
        ("accounts", "0002_roles"),
        ("kernel", "0003_refuse_change"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        append_only("wallets_walletstatuschange", "who froze a wallet stays on record"),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
