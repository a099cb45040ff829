"""
Default privileges of the application role.

Tables of Django and of libraries are read and written; none may be truncated, altered or referenced.
Each money table narrows this in its own app's migration.
"""

from django.db import migrations

from wallet_project.kernel.database import application_role, auditor_role

ROLE = application_role()
AUDITOR = auditor_role()


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.RunSQL(
            f"""
            REVOKE CREATE ON SCHEMA public FROM PUBLIC;
            GRANT USAGE ON SCHEMA public TO {ROLE}, {AUDITOR};
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE};
            GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {ROLE};
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {ROLE};
            ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {ROLE};
            REVOKE INSERT, UPDATE, DELETE ON TABLE django_migrations FROM {ROLE};
            """,
            reverse_sql=f"""
            ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM {ROLE};
            ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON SEQUENCES FROM {ROLE};
            """,
        )
    ]
