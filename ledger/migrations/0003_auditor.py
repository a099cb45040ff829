"""
What an auditor sees: six views, and nothing else; who may export all entries.

The views carry everything that the hash chain covers, primary keys included, so that `verify_ledger --database
auditor` and an auditor's own program can compute it again. They carry names, for an auditor must know who, but of
addresses only what tells two of one name apart; no password, code, token or fingerprint.
"""

from django.db import migrations

from accounts.roles import AUDITOR, grant
from wallet_project.kernel.database import application_role, auditor_role

ROLE = auditor_role()

PUBLIC_ID = """
-- As wallet_project.kernel.ids: a prefix and the UUID's 128 bits in Crockford's base 32, two zero bits before them.
CREATE FUNCTION public_id(prefix text, value uuid) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN prefix || '_' || (
    SELECT string_agg(
        substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + substring(bits FROM 5 * n + 1 FOR 5)::bit(5)::int, 1), ''
        ORDER BY n)
    FROM (SELECT B'00' || ('x' || encode(uuid_send(value), 'hex'))::bit(128)) AS b (bits), generate_series(0, 25) n
);
"""

VIEWS = """
CREATE VIEW auditor_wallets AS
SELECT w.id, w.uuid, public_id('wal', w.uuid) AS wallet, w.kind, w.purpose, w.shard, w.label, w.currency, w.decimals,
    w.balance, w.held, w.minimum_balance, w.status, w.entry_count, w.head, w.moved_at, w.created_at,
    public_id('usr', u.uuid) AS owner, u.full_name AS owner_name,
    left(u.email, 1) || '…' || substring(u.email FROM '@.*$') AS owner_email_masked,
    left(u.phone, 3) || '…' || right(u.phone, 2) AS owner_phone_masked
FROM wallets_wallet w LEFT JOIN accounts_user u ON u.id = w.owner_id;

CREATE VIEW auditor_transactions AS
SELECT t.id, t.uuid, public_id('txn', t.uuid) AS transaction, t.from_wallet_id, t.to_wallet_id, t.amount, t.currency,
    t.decimals, t.type, t.status, t.failure_code, t.initiator_id, t."group", t.reverses_id, t.note, t.metadata,
    t.created_at, t.posted_at, t.completed_at
FROM ledger_transaction t;

CREATE VIEW auditor_entries AS
SELECT e.id, e.wallet_id, e.transaction_id, e.sequence, e.debit, e.credit, e.balance_after, e.hash, e.created_at
FROM ledger_ledgerentry e;

CREATE VIEW auditor_keys AS
SELECT k.initiator_id, k.key, k.transaction_id, k.http_status, k.created_at FROM ledger_idempotencykey k;

CREATE VIEW auditor_actors AS
SELECT a.id, a.kind, a.name, public_id('usr', u.uuid) AS person, u.full_name AS person_name
FROM accounts_actor a LEFT JOIN accounts_user u ON u.id = a.user_id;

CREATE VIEW auditor_currencies AS SELECT c.code, c.decimals FROM wallets_currency c;
"""

NAMES = ("wallets", "transactions", "entries", "keys", "actors", "currencies")
ALL_VIEWS = ", ".join(f"auditor_{name}" for name in NAMES)

# Default privileges gave the application rights on the views too, and through a plain view it could write.
RIGHTS = f"""
REVOKE ALL ON {ALL_VIEWS} FROM PUBLIC, {application_role()}, {ROLE};
GRANT SELECT ON {ALL_VIEWS} TO {ROLE};
"""


def grant_export(apps, schema_editor):
    grant(apps, schema_editor.connection.alias, groups=[AUDITOR], permissions=["ledger.export_ledgerentry"])


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0002_rules"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="ledgerentry",
            options={
                "permissions": [("export_ledgerentry", "Can export all entries")],
                "verbose_name_plural": "ledger entries",
            },
        ),
        migrations.RunSQL(PUBLIC_ID, "DROP FUNCTION public_id(text, uuid)"),
        migrations.RunSQL(VIEWS, f"DROP VIEW {ALL_VIEWS}"),
        migrations.RunSQL(RIGHTS, migrations.RunSQL.noop),
        migrations.RunPython(grant_export, migrations.RunPython.noop),
    ]
