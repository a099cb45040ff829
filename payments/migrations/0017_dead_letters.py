"""Leads of support see what consumers could not take in, and have it taken in again."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import SUPPORT_LEAD, grant


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    grant(
        apps,
        schema_editor.connection.alias,
        groups=[SUPPORT_LEAD],
        permissions=["kernel.view_deadletter", "kernel.replay_deadletter"],
    )


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0016_merchant_webhooks"),
        ("kernel", "0006_consumer_rights"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
