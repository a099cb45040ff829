"""The auditor reads the security audit log, too: who, what, to whom, from where, with what result."""

from django.db import migrations

from wallet_project.kernel.database import application_role, auditor_role

ROLE, AUDITOR = application_role(), auditor_role()

# Keys as well as ids: the log outlives registrations that came to nothing.
VIEW = f"""
CREATE VIEW auditor_security_events AS
SELECT e.id, e.kind, e.result, e.reason, e.actor_id, public_id('usr', a.uuid) AS actor,
    e.subject_id, public_id('usr', s.uuid) AS subject, e.object, e.address, e.agent, e.request_id, e.details,
    e.created_at
FROM accounts_securityevent e
LEFT JOIN accounts_user a ON a.id = e.actor_id
LEFT JOIN accounts_user s ON s.id = e.subject_id;
REVOKE ALL ON auditor_security_events FROM PUBLIC, {ROLE}, {AUDITOR};
GRANT SELECT ON auditor_security_events TO {AUDITOR};
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0005_hold_rules"),
        ("accounts", "0004_security_rights"),
    ]

    operations = [migrations.RunSQL(VIEW, "DROP VIEW auditor_security_events")]
