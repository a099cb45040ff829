"""
Rows about money stay, and what they say of amounts and of whose they are: the application writes down how things went.

Support, leads and auditors may read; support and leads work the cases.
"""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.roles import ALL, SUPPORT, SUPPORT_LEAD, grant
from wallet_project.kernel.database import application_role, grant_only

_ASKED = "check_at, checks"
RIGHTS = {
    "bankaccount": "SELECT, INSERT, UPDATE (number_sealed, fund_account_id, validation, validation_id,"
    f" registered_name, removed_at, {_ASKED})",
    "payout": "SELECT, INSERT, UPDATE (payout_id, state, status, reason, utr, fee_minor, tax_minor, sends, sent_at,"
    f" {_ASKED})",
    "gatewayrefund": f"SELECT, INSERT, UPDATE (refund_id, state, status, reason, reference, sends, sent_at, {_ASKED})",
    "parkedpayment": "SELECT, INSERT",
    "dispute": f"SELECT, INSERT, UPDATE (state, reason, lost_by_id, respond_by, ended_at, {_ASKED})",
    "settleditem": "SELECT, INSERT, UPDATE (transaction_id)",
    "case": "SELECT, INSERT, UPDATE (amount_here_minor, amount_there_minor, reason, suggestion, state, times,"
    " last_seen_at, resolved_at, resolved_by_id, resolution)",
    "reconciliation": "SELECT, INSERT, UPDATE (finished_at, totals, differences)",
}
# What the gateway says of an attempt beyond what 0002 lists.
ATTEMPT = f"""
GRANT UPDATE (reference, refunded_minor, fee_minor, tax_minor) ON payments_paymentattempt TO {application_role()};
"""


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    readable = [f"payments.view_{name}" for name in RIGHTS]
    grant(apps, alias, groups=ALL, permissions=[*readable, "ledger.view_hold"])
    grant(apps, alias, groups=[SUPPORT, SUPPORT_LEAD], permissions=["payments.change_case"])


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0004_money_in_and_out"),
        ("accounts", "0002_roles"),
        ("ledger", "0004_holds"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        *(grant_only(f"payments_{name}", privileges) for name, privileges in RIGHTS.items()),
        migrations.RunSQL(ATTEMPT, migrations.RunSQL.noop),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
