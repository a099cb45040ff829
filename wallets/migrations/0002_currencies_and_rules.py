"""What Django's constraints cannot say: decimals tied to the currency, birth with nothing, rights column by column."""

from django.db import migrations

from wallet_project.kernel.database import application_role

ROLE = application_role()

CURRENCIES = """
INSERT INTO wallets_currency (code, decimals) VALUES ('INR', 2), ('JPY', 0), ('KWD', 3);
"""

DECIMALS = """
ALTER TABLE wallets_wallet
    ADD CONSTRAINT wallet_currency_decimals FOREIGN KEY (currency, decimals)
        REFERENCES wallets_currency (code, decimals),
    ADD CONSTRAINT wallet_scale CHECK (
        scale(trim_scale(balance)) <= decimals
        AND scale(trim_scale(held)) <= decimals
        AND scale(trim_scale(minimum_balance)) <= decimals),
    ADD CONSTRAINT wallet_head_is_a_hash CHECK (octet_length(head) = 32),
    SET (fillfactor = 70);
"""

TRIGGERS = """
CREATE FUNCTION wallet_born_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.balance <> 0 OR NEW.held <> 0 OR NEW.entry_count <> 0 OR NEW.moved_at IS NOT NULL
        OR NEW.head <> decode(repeat('00', 32), 'hex') THEN
        RAISE EXCEPTION 'a wallet is born with nothing in it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER wallet_born_empty BEFORE INSERT ON wallets_wallet
    FOR EACH ROW EXECUTE FUNCTION wallet_born_empty();
ALTER TABLE wallets_wallet ENABLE ALWAYS TRIGGER wallet_born_empty;

CREATE TRIGGER wallet_is_kept BEFORE DELETE OR TRUNCATE ON wallets_wallet
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('wallets are closed, never removed');
ALTER TABLE wallets_wallet ENABLE ALWAYS TRIGGER wallet_is_kept;

CREATE FUNCTION wallet_identity_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a wallet keeps its owner, kind, purpose, shard and currency'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER wallet_identity_is_fixed BEFORE UPDATE ON wallets_wallet
    FOR EACH ROW WHEN (
        OLD.id <> NEW.id OR OLD.uuid <> NEW.uuid OR OLD.owner_id IS DISTINCT FROM NEW.owner_id
        OR OLD.kind <> NEW.kind OR OLD.purpose <> NEW.purpose OR OLD.shard <> NEW.shard
        OR OLD.currency <> NEW.currency OR OLD.decimals <> NEW.decimals)
    EXECUTE FUNCTION wallet_identity_is_fixed();
ALTER TABLE wallets_wallet ENABLE ALWAYS TRIGGER wallet_identity_is_fixed;
"""

RIGHTS = f"""
REVOKE ALL ON wallets_wallet, wallets_currency, wallets_merchant FROM {ROLE};
GRANT SELECT, INSERT ON wallets_wallet TO {ROLE};
GRANT UPDATE (balance, held, entry_count, head, moved_at, status, label) ON wallets_wallet TO {ROLE};
GRANT SELECT ON wallets_currency TO {ROLE};
GRANT SELECT, INSERT, UPDATE ON wallets_merchant TO {ROLE};
"""


class Migration(migrations.Migration):
    dependencies = [("wallets", "0001_initial"), ("kernel", "0003_refuse_change")]

    operations = [
        migrations.RunSQL(CURRENCIES, migrations.RunSQL.noop),
        migrations.RunSQL(DECIMALS, migrations.RunSQL.noop),
        migrations.RunSQL(TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL(RIGHTS, migrations.RunSQL.noop),
    ]
