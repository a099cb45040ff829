"""Money asked back from whoever got it by mistake, and cases of people who say that it was not them."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import wallet_project.kernel.ids
from accounts.roles import ALL, SUPPORT, SUPPORT_LEAD, grant
from wallet_project.kernel.database import grant_only

# Besides the rights of its columns: an answer given is not taken back, and nobody asks in another's name.
ENDS_ONCE = """
CREATE FUNCTION moneyback_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status NOT IN ('ASKED', 'HELD') AND (OLD.status, OLD.hold_id, OLD.refund_id, OLD.ended_at)
        IS DISTINCT FROM (NEW.status, NEW.hold_id, NEW.refund_id, NEW.ended_at) THEN
        RAISE EXCEPTION 'request % for money back has ended', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.status = 'GIVEN' AND NOT EXISTS (
        SELECT FROM ledger_transaction t
        JOIN ledger_transaction r ON r.reverses_id = t.id AND r.type = 'REFUND' AND r.status = 'SUCCESS'
            AND (r.amount, r.from_wallet_id, r.to_wallet_id) = (t.amount, t.to_wallet_id, t.from_wallet_id)
        WHERE t.id = NEW.transfer_id AND r.id = NEW.refund_id) THEN
        RAISE EXCEPTION 'request % for money back is given back by a refund of its transfer', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER moneyback_ends_once BEFORE UPDATE ON payments_moneyback
    FOR EACH ROW EXECUTE FUNCTION moneyback_ends_once();
ALTER TABLE payments_moneyback ENABLE ALWAYS TRIGGER moneyback_ends_once;
"""
ENDS_AGAIN = """
DROP TRIGGER moneyback_ends_once ON payments_moneyback;
DROP FUNCTION moneyback_ends_once();
"""


def give(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    grant(apps, alias, groups=ALL, permissions=["payments.view_moneyback"])
    grant(apps, alias, groups=[SUPPORT, SUPPORT_LEAD], permissions=["payments.close_moneyback"])


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0006_auditor_security_events"),
        ("accounts", "0002_roles"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("payments", "0014_seal_event_bodies"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="case",
            name="kind",
            field=models.CharField(
                choices=[
                    ("MISSING_HERE", "the gateway has it, the ledger does not"),
                    ("MISSING_THERE", "the ledger has it, the gateway does not"),
                    ("AMOUNT", "the amounts differ"),
                    ("STATE", "the states differ"),
                    ("UNKNOWN_OUTCOME", "nobody can say whether it happened"),
                    ("REFUND_FAILED", "money could not be given back"),
                    ("CHARGEBACK_SHORTFALL", "disputed money that is not there any more"),
                    ("DIVERTED", "money whose wallet cannot take it, in suspense"),
                    ("FORGERY", "somebody sent what the gateway did not sign"),
                    ("NOT_ME", "whoever was told of it says that it was not them"),
                ],
                max_length=20,
            ),
        ),
        migrations.CreateModel(
            name="MoneyBack",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=wallet_project.kernel.ids.new_uuid, editable=False, unique=True)),
                ("note", models.CharField(blank=True, max_length=280)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("ASKED", "waits for an answer"),
                            ("HELD", "set aside until it is decided"),
                            ("GIVEN", "given back"),
                            ("DECLINED", "declined"),
                            ("WITHDRAWN", "withdrawn by who asked"),
                            ("EXPIRED", "over without an answer"),
                        ],
                        default="ASKED",
                        max_length=9,
                    ),
                ),
                ("asked_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("held_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("closing_reason", models.CharField(blank=True, max_length=300)),
                (
                    "asked",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "asker",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "closed_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "hold",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="money_back",
                        to="ledger.hold",
                    ),
                ),
                (
                    "refund",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="money_given_back",
                        to="ledger.transaction",
                    ),
                ),
                (
                    "transfer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="money_backs", to="ledger.transaction"
                    ),
                ),
            ],
            options={
                "verbose_name": "request for money back",
                "verbose_name_plural": "requests for money back",
                "permissions": [("close_moneyback", "Can close requests for money back")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["asker", "id"], name="moneyback_asker"),
                    models.Index(fields=["asked", "id"], name="moneyback_asked"),
                    models.Index(
                        condition=models.Q(("status__in", ("ASKED", "HELD"))),
                        fields=["expires_at"],
                        name="moneyback_open",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status__in", ("ASKED", "HELD"))),
                        fields=("transfer",),
                        name="moneyback_open_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("status", "GIVEN")), fields=("transfer",), name="moneyback_given_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("asker", models.F("asked")), _negated=True), name="moneyback_of_another"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), ("status__in", ("ASKED", "HELD"))),
                            models.Q(
                                models.Q(("status__in", ("ASKED", "HELD")), _negated=True), ("ended_at__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="moneyback_ended_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("refund__isnull", False), ("status", "GIVEN")),
                            models.Q(models.Q(("status", "GIVEN"), _negated=True), ("refund__isnull", True)),
                            _connector="OR",
                        ),
                        name="moneyback_given_by_a_refund",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("held_at__isnull", False), ("hold__isnull", False)),
                            models.Q(
                                ("held_at__isnull", True),
                                ("hold__isnull", True),
                                models.Q(("status", "HELD"), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="moneyback_held_by_a_hold",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("closed_by__isnull", True), ("closing_reason", "")),
                            models.Q(
                                ("closed_by__isnull", False),
                                ("status", "EXPIRED"),
                                models.Q(("closing_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="moneyback_closed_for_a_reason",
                    ),
                ],
            },
        ),
        grant_only(
            "payments_moneyback",
            "SELECT, INSERT, "
            "UPDATE (status, note, hold_id, refund_id, held_at, ended_at, closed_by_id, closing_reason)",
        ),
        migrations.RunSQL(ENDS_ONCE, ENDS_AGAIN),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
