"""Who may look at money and at what the gateway told us: support and their leads, and auditors. Nobody may touch it."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import ALL, grant

READABLE = [
    "wallets.view_currency",
    "wallets.view_wallet",
    "wallets.view_merchant",
    "ledger.view_transaction",
    "ledger.view_ledgerentry",
    "payments.view_gatewayorder",
    "payments.view_paymentattempt",
    "payments.view_webhookevent",
]


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    grant(apps, schema_editor.connection.alias, groups=ALL, permissions=READABLE)


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_rights"),
        ("accounts", "0002_roles"),
        ("wallets", "0001_initial"),
        ("ledger", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
