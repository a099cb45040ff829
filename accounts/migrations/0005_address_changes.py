"""A change of address is proven, fails, is held and lifted; support may lift."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import SUPPORT, SUPPORT_LEAD, grant


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    grant(apps, alias, groups=[SUPPORT, SUPPORT_LEAD], permissions=["accounts.lift_addresschange"])


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_security_rights"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="addresschange",
            options={
                "default_permissions": ("view",),
                "permissions": [("lift_addresschange", "Can let large payments pass after a change of address")],
            },
        ),
        migrations.AddField(
            model_name="addresschange",
            name="failures",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="addresschange",
            name="held_until",
            field=models.DateTimeField(blank=True, help_text="Until then large payments ask support.", null=True),
        ),
        migrations.AddField(
            model_name="addresschange",
            name="own_message",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="accounts.verification",
            ),
        ),
        migrations.AddField(
            model_name="addresschange",
            name="proven_at",
            field=models.DateTimeField(blank=True, help_text="When a second factor was shown for it.", null=True),
        ),
        migrations.AlterField(
            model_name="addresschange",
            name="undo_digest",
            field=models.BinaryField(blank=True, max_length=32, null=True, unique=True),
        ),
        migrations.AlterField(
            model_name="addresstries",
            name="kind",
            field=models.CharField(
                choices=[
                    ("CODE", "codes tried at an address"),
                    ("SENT", "messages sent to an address"),
                    ("RESET", "codes for a new password tried at an address"),
                    ("STEP_UP", "wrong codes for payments, of a person"),
                    ("ADDRESS", "wrong codes for a changed address, of a person"),
                    ("FACTOR", "wrong second factors, of a person"),
                    ("PASSWORD", "wrong passwords of a person who is signed in"),
                ],
                max_length=8,
            ),
        ),
        migrations.AddIndex(
            model_name="addresschange",
            index=models.Index(
                condition=models.Q(("held_until__isnull", False)),
                fields=["user", "held_until"],
                name="address_change_held",
            ),
        ),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
