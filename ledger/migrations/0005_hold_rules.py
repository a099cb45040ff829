"""
Holds where nobody can go round them: what a wallet holds is the sum of its open holds, and a hold ends once.

Both sides are looked at when the posting commits, whichever of them was written. A refund that was itself reversed
leaves what it gave back to be given back again.
"""

from django.db import migrations

from wallet_project.kernel.database import application_role, auditor_role

ROLE, AUDITOR = application_role(), auditor_role()

HOLDS = """
CREATE TRIGGER hold_is_kept BEFORE DELETE OR TRUNCATE ON ledger_hold
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('holds end, and stay');
ALTER TABLE ledger_hold ENABLE ALWAYS TRIGGER hold_is_kept;

CREATE FUNCTION hold_begins_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'OPEN' OR NOT EXISTS (
        SELECT FROM wallets_wallet w WHERE w.id = NEW.wallet_id AND w.currency = NEW.currency AND w.kind <> 'SYSTEM'
            AND scale(trim_scale(NEW.amount)) <= w.decimals) THEN
        RAISE EXCEPTION 'a hold begins open, on a wallet of somebody, in its currency'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hold_begins_open BEFORE INSERT ON ledger_hold FOR EACH ROW EXECUTE FUNCTION hold_begins_open();
ALTER TABLE ledger_hold ENABLE ALWAYS TRIGGER hold_begins_open;

CREATE FUNCTION hold_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'OPEN' OR NEW.status = 'OPEN'
        OR (OLD.id, OLD.uuid, OLD.wallet_id, OLD.amount, OLD.currency, OLD.reason, OLD.reference, OLD.created_at,
            OLD.expires_at) IS DISTINCT FROM
           (NEW.id, NEW.uuid, NEW.wallet_id, NEW.amount, NEW.currency, NEW.reason, NEW.reference, NEW.created_at,
            NEW.expires_at) THEN
        RAISE EXCEPTION 'hold % ends once, and nothing else of it changes', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.status = 'CAPTURED' AND NOT EXISTS (
        SELECT FROM ledger_transaction t
        WHERE t.id = NEW.captured_by_id AND t.from_wallet_id = NEW.wallet_id AND t.posted_at IS NOT NULL
            AND t.amount <= NEW.amount) THEN
        RAISE EXCEPTION 'hold % is captured by money that leaves its wallet', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hold_ends_once BEFORE UPDATE ON ledger_hold FOR EACH ROW EXECUTE FUNCTION hold_ends_once();
ALTER TABLE ledger_hold ENABLE ALWAYS TRIGGER hold_ends_once;

CREATE FUNCTION holds_are_held() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    holder bigint;
BEGIN
    IF TG_TABLE_NAME = 'ledger_hold' THEN
        holder := NEW.wallet_id;
    ELSE
        holder := NEW.id;
    END IF;
    IF (SELECT w.held FROM wallets_wallet w WHERE w.id = holder) IS DISTINCT FROM
        (SELECT coalesce(sum(h.amount), 0) FROM ledger_hold h WHERE h.wallet_id = holder AND h.status = 'OPEN') THEN
        RAISE EXCEPTION 'wallet % does not hold what its open holds say', holder USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER holds_are_held AFTER INSERT OR UPDATE ON ledger_hold
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION holds_are_held();
ALTER TABLE ledger_hold ENABLE ALWAYS TRIGGER holds_are_held;
-- Of the many updates of a wallet only those that change what is held are looked at.
CREATE CONSTRAINT TRIGGER holds_are_held AFTER UPDATE ON wallets_wallet
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.held IS DISTINCT FROM NEW.held)
    EXECUTE FUNCTION holds_are_held();
ALTER TABLE wallets_wallet ENABLE ALWAYS TRIGGER holds_are_held;
"""

REFUNDS = """
CREATE OR REPLACE FUNCTION refunds_stay_within() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM changed WHERE type = 'REFUND' AND status <> 'FAILED') THEN
        RETURN NULL;
    END IF;
    PERFORM FROM ledger_transaction o
    WHERE o.id = ANY (ARRAY(SELECT reverses_id FROM changed WHERE type = 'REFUND' AND status <> 'FAILED'))
    ORDER BY o.id FOR NO KEY UPDATE;
    SELECT min(o.id) INTO wrong
    FROM ledger_transaction o
    WHERE o.id = ANY (ARRAY(SELECT reverses_id FROM changed WHERE type = 'REFUND' AND status <> 'FAILED'))
        AND (o.status <> 'SUCCESS' OR o.amount < (
            SELECT sum(r.amount) FROM ledger_transaction r
            WHERE r.reverses_id = o.id AND r.type = 'REFUND' AND r.status <> 'FAILED'
                AND NOT EXISTS (SELECT FROM ledger_transaction u
                    WHERE u.reverses_id = r.id AND u.type = 'REVERSAL' AND u.status <> 'FAILED')));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the refunds of transaction % exceed it', wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
"""

AUDITORS = f"""
CREATE VIEW auditor_holds AS
SELECT h.id, h.uuid, public_id('hld', h.uuid) AS hold, h.wallet_id, h.amount, h.currency, h.reason, h.reference,
    h.status, h.captured_by_id, h.created_at, h.expires_at, h.ended_at
FROM ledger_hold h;
REVOKE ALL ON auditor_holds FROM PUBLIC, {ROLE}, {AUDITOR};
GRANT SELECT ON auditor_holds TO {AUDITOR};
"""

RIGHTS = f"""
REVOKE ALL ON ledger_hold FROM {ROLE};
GRANT SELECT, INSERT ON ledger_hold TO {ROLE};
GRANT UPDATE (status, captured_by_id, ended_at) ON ledger_hold TO {ROLE};
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_holds")]

    operations = [
        migrations.RunSQL(HOLDS, migrations.RunSQL.noop),
        migrations.RunSQL(REFUNDS, migrations.RunSQL.noop),
        migrations.RunSQL(AUDITORS, "DROP VIEW auditor_holds"),
        migrations.RunSQL(RIGHTS, migrations.RunSQL.noop),
    ]
