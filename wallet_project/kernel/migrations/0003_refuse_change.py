"""One trigger function for every table that only grows. Its argument says why."""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("kernel", "0002_outboxevent")]

    operations = [migrations.RunSQL(FUNCTION, "DROP FUNCTION refuse_change();")]
