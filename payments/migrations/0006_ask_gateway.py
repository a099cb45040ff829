"""Support and leads may have the gateway asked again; auditors only read what it said."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import SUPPORT, SUPPORT_LEAD, grant


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    grant(apps, alias, groups=[SUPPORT, SUPPORT_LEAD], permissions=["payments.ask_gateway"], model="gatewayorder")


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0005_rights_and_permissions"),
        ("accounts", "0002_roles"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="gatewayorder",
            options={"default_permissions": ("view",), "permissions": [("ask_gateway", "Can ask the gateway again")]},
        ),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
