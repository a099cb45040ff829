"""
What is spent and what the limits were is never rewritten; the first limits; who of staff sets them.

Production's follow the Reserve Bank of India's Master Directions on Prepaid Payment Instruments (2021, as amended): at
most 10,000 rupees in a wallet opened with minimum details, and as much a month; at most 2,00,000 in one with full KYC.
"""

from typing import Any

from django.conf import settings
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone

from accounts.roles import ALL, SUPPORT_LEAD, grant
from wallet_project.kernel.database import append_only, grant_only

TYPES = ("TRANSFER", "PAY", "WITHDRAW", "ADD")
# Of each KYC level: of one movement, of a day, of a month; and the most that a wallet may hold. Rupees.
PRODUCTION = {
    "MINIMUM": (10_000, 10_000, 10_000, 10_000),
    "FULL": (100_000, 200_000, 1_000_000, 200_000),
}
LOCAL = {
    "MINIMUM": (200_000, 200_000, 6_000_000, 1_000_000),
    "FULL": (1_000_000, 1_000_000, 30_000_000, 10_000_000),
}


def set_first_limits(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    rules = apps.get_model("payments", "LimitRule").objects.using(alias)
    holdings = apps.get_model("payments", "HoldingLimit").objects.using(alias)
    now, reason = timezone.now(), "The first limits."
    for level, (once, day, month, most) in (LOCAL if settings.IS_LOCAL else PRODUCTION).items():
        for type_ in TYPES:
            rules.create(
                kyc_level=level,
                type=type_,
                per_transaction=once,
                per_day=day,
                per_month=month,
                since=now,
                reason=reason,
            )
        holdings.create(kyc_level=level, most=most, since=now, reason=reason)


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    readable = ["limitrule", "holdinglimit", "ownlimit", "proposal"]
    grant(apps, alias, groups=ALL, permissions=[f"payments.view_{name}" for name in readable])
    grant(
        apps,
        alias,
        groups=[SUPPORT_LEAD],
        permissions=["payments.set_limitrule", "payments.decide_proposal"],
    )


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0009_limits_step_ups_and_proposals"),
        ("accounts", "0004_security_rights"),
        ("kernel", "0003_refuse_change"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        append_only("payments_spending", "what was spent stays on record"),
        append_only("payments_limitrule", "the history of limits only grows"),
        append_only("payments_holdinglimit", "the history of limits only grows"),
        grant_only("payments_ownlimit", "SELECT, INSERT, UPDATE (dropped_at)"),
        grant_only(
            "payments_proposal",
            "SELECT, INSERT, UPDATE (status, decided_by_id, decided_at, decision, outcome)",
        ),
        grant_only(
            "payments_stepup",
            "SELECT, INSERT, DELETE, UPDATE (failures, proven_digest, spent_at, spent_by_id, verification_id)",
        ),
        # Last: no table can be altered while its rows' foreign keys wait to be checked.
        migrations.RunPython(set_first_limits, migrations.RunPython.noop),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
