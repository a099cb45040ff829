"""Leads of support may give a person's top-up back to where it came from."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import SUPPORT_LEAD, grant


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    grant(apps, alias, groups=[SUPPORT_LEAD], permissions=["payments.refund_topup"], model="gatewayrefund")


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0006_ask_gateway"),
        ("accounts", "0002_roles"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="gatewayrefund",
            options={"default_permissions": ("view",), "permissions": [("refund_topup", "Can give top-ups back")]},
        ),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
