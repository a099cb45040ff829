"""The three groups, and what they may do with people. Apps above grant their own."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import grant


def forwards(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    grant(
        apps,
        alias,
        groups=["support", "support_lead", "auditor"],
        permissions=["accounts.view_user", "accounts.view_statuschange"],
    )
    grant(apps, alias, groups=["support", "support_lead"], permissions=["accounts.block_user"])


def backwards(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    groups.filter(name__in=["support", "support_lead", "auditor"]).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
