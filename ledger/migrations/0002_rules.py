"""
The ledger's rules where nobody can go round them: triggers that always fire, and rights column by column.

ENABLE ALWAYS: `session_replication_role = replica` skips plain triggers. Statement level where a rule is about
a whole posting: both legs arrive in one statement.
"""

from django.db import migrations

from wallet_project.kernel.database import application_role

ROLE = application_role()

SCHEMA = """
CREATE SEQUENCE ledger_numbers AS bigint INCREMENT BY 4096;

-- A time from whole microseconds since 1970, without the rounding of to_timestamp(double). Inlined where it is used.
CREATE FUNCTION ledger_time(microseconds bigint) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN timestamptz 'epoch' + microseconds * interval '1 microsecond';

-- Always empty. LOCK TABLE on it is where postings wait for one another before they take a snapshot.
CREATE TABLE ledger_turnstile (never boolean CHECK (false) NOT NULL);

ALTER TABLE ledger_transaction
    ADD CONSTRAINT transaction_currency_decimals FOREIGN KEY (currency, decimals)
        REFERENCES wallets_currency (code, decimals),
    ADD CONSTRAINT transaction_scale CHECK (scale(trim_scale(amount)) <= decimals),
    -- PENDING to SUCCESS touches no indexed column; room on the page keeps it there.
    SET (fillfactor = 90);

ALTER TABLE ledger_ledgerentry ADD CONSTRAINT entry_hash_is_a_hash CHECK (octet_length(hash) = 32);
ALTER TABLE ledger_idempotencykey ADD CONSTRAINT key_fingerprint_is_a_hash CHECK (octet_length(fingerprint) = 32);
"""

ENTRIES = """
CREATE TRIGGER entry_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the ledger only grows');
ALTER TABLE ledger_ledgerentry ENABLE ALWAYS TRIGGER entry_is_immutable;

CREATE FUNCTION entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    -- Each transaction is looked up by its key, whatever the planner thinks of the table's size. No LIMIT: hoping
    -- to stop early, it would walk the whole table in order.
    SELECT min(g.transaction_id) INTO wrong
    FROM (
        SELECT n.transaction_id, count(*) AS legs, sum(n.debit) AS debit, sum(n.credit) AS credit,
            min(n.wallet_id) FILTER (WHERE n.debit > 0) AS payer, min(n.wallet_id) FILTER (WHERE n.credit > 0) AS payee
        FROM added n GROUP BY n.transaction_id
    ) g
    LEFT JOIN LATERAL (
        SELECT t.amount, t.from_wallet_id, t.to_wallet_id FROM ledger_transaction t
        WHERE t.id = g.transaction_id LIMIT 1
    ) t ON true
    WHERE g.legs <> 2 OR g.debit IS DISTINCT FROM t.amount OR g.credit IS DISTINCT FROM t.amount
        OR g.payer IS DISTINCT FROM t.from_wallet_id OR g.payee IS DISTINCT FROM t.to_wallet_id;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the entries of transaction % do not balance', wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entries_balance AFTER INSERT ON ledger_ledgerentry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entries_balance();
ALTER TABLE ledger_ledgerentry ENABLE ALWAYS TRIGGER entries_balance;
"""

TRANSACTIONS = """
CREATE TRIGGER transaction_is_kept BEFORE DELETE OR TRUNCATE ON ledger_transaction
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the ledger only grows');
ALTER TABLE ledger_transaction ENABLE ALWAYS TRIGGER transaction_is_kept;

CREATE FUNCTION transaction_completes_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'PENDING' OR NEW.status NOT IN ('SUCCESS', 'FAILED') THEN
        RAISE EXCEPTION 'transaction % may only go from PENDING to SUCCESS or FAILED', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.id, OLD.uuid, OLD.from_wallet_id, OLD.to_wallet_id, OLD.amount, OLD.currency, OLD.decimals, OLD.type,
        OLD.initiator_id, OLD."group", OLD.reverses_id, OLD.note, OLD.metadata, OLD.created_at)
        IS DISTINCT FROM
       (NEW.id, NEW.uuid, NEW.from_wallet_id, NEW.to_wallet_id, NEW.amount, NEW.currency, NEW.decimals, NEW.type,
        NEW.initiator_id, NEW."group", NEW.reverses_id, NEW.note, NEW.metadata, NEW.created_at)
        OR (OLD.posted_at IS NOT NULL AND OLD.posted_at IS DISTINCT FROM NEW.posted_at) THEN
        RAISE EXCEPTION 'transaction % is immutable but for its completion', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transaction_completes_once BEFORE UPDATE ON ledger_transaction
    FOR EACH ROW EXECUTE FUNCTION transaction_completes_once();
ALTER TABLE ledger_transaction ENABLE ALWAYS TRIGGER transaction_completes_once;

-- The table of §3 of the design: who has two entries, who has none.
CREATE FUNCTION transactions_have_their_legs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT min(n.id) INTO wrong
    FROM changed n
    WHERE (SELECT count(*) FROM ledger_ledgerentry e WHERE e.transaction_id = n.id)
        <> CASE WHEN n.status = 'SUCCESS' OR n.type = 'WITHDRAW' AND n.posted_at IS NOT NULL THEN 2 ELSE 0 END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'transaction % has not the entries of its status', wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER transactions_have_their_legs_at_birth AFTER INSERT ON ledger_transaction
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION transactions_have_their_legs();
CREATE TRIGGER transactions_have_their_legs_at_completion AFTER UPDATE ON ledger_transaction
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION transactions_have_their_legs();
ALTER TABLE ledger_transaction ENABLE ALWAYS TRIGGER transactions_have_their_legs_at_birth;
ALTER TABLE ledger_transaction ENABLE ALWAYS TRIGGER transactions_have_their_legs_at_completion;

-- Refunds of one transaction are counted under a lock on it, so that two at once cannot exceed it together.
CREATE FUNCTION refunds_stay_within() RETURNS trigger LANGUAGE plpgsql AS $$
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
            WHERE r.reverses_id = o.id AND r.type = 'REFUND' AND r.status <> 'FAILED'));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the refunds of transaction % exceed it', wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refunds_stay_within AFTER INSERT ON ledger_transaction
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION refunds_stay_within();
ALTER TABLE ledger_transaction ENABLE ALWAYS TRIGGER refunds_stay_within;
"""

KEYS = """
CREATE TRIGGER key_is_kept BEFORE DELETE OR TRUNCATE ON ledger_idempotencykey
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('keys are kept for ever');
ALTER TABLE ledger_idempotencykey ENABLE ALWAYS TRIGGER key_is_kept;

CREATE FUNCTION keys_name_their_own() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT min(n.transaction_id) INTO wrong
    FROM added n
    WHERE n.initiator_id IS DISTINCT FROM (
        SELECT t.initiator_id FROM ledger_transaction t WHERE t.id = n.transaction_id);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'a key must name a transaction of its own initiator, not %', wrong
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keys_name_their_own AFTER INSERT ON ledger_idempotencykey
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keys_name_their_own();
ALTER TABLE ledger_idempotencykey ENABLE ALWAYS TRIGGER keys_name_their_own;

CREATE FUNCTION key_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a key stands for one request; only its first checkout is filled in, once'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER key_is_fixed BEFORE UPDATE ON ledger_idempotencykey
    FOR EACH ROW WHEN (
        OLD.checkout IS NOT NULL OR NEW.checkout IS NULL
        OR (OLD.initiator_id, OLD.key, OLD.fingerprint, OLD.transaction_id, OLD.http_status, OLD.created_at)
            IS DISTINCT FROM
           (NEW.initiator_id, NEW.key, NEW.fingerprint, NEW.transaction_id, NEW.http_status, NEW.created_at))
    EXECUTE FUNCTION key_is_fixed();
ALTER TABLE ledger_idempotencykey ENABLE ALWAYS TRIGGER key_is_fixed;
"""

RIGHTS = f"""
REVOKE ALL ON ledger_transaction, ledger_ledgerentry, ledger_idempotencykey, ledger_turnstile, kernel_outboxevent
    FROM {ROLE};
REVOKE ALL ON SEQUENCE ledger_numbers FROM {ROLE};
GRANT USAGE ON SEQUENCE ledger_numbers TO {ROLE};
GRANT SELECT, INSERT ON ledger_transaction, ledger_ledgerentry, ledger_idempotencykey TO {ROLE};
GRANT UPDATE (status, failure_code, posted_at, completed_at) ON ledger_transaction TO {ROLE};
GRANT UPDATE (checkout) ON ledger_idempotencykey TO {ROLE};
-- What LOCK TABLE needs in its two modes, on this table and on no other.
GRANT INSERT, MAINTAIN ON ledger_turnstile TO {ROLE};
GRANT SELECT, INSERT, DELETE ON kernel_outboxevent TO {ROLE};
GRANT UPDATE (published_at) ON kernel_outboxevent TO {ROLE};
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0001_initial"),
        ("wallets", "0002_currencies_and_rules"),
        ("kernel", "0003_refuse_change"),
    ]

    operations = [
        migrations.RunSQL(SCHEMA, migrations.RunSQL.noop),
        migrations.RunSQL(ENTRIES, migrations.RunSQL.noop),
        migrations.RunSQL(TRANSACTIONS, migrations.RunSQL.noop),
        migrations.RunSQL(KEYS, migrations.RunSQL.noop),
        migrations.RunSQL(RIGHTS, migrations.RunSQL.noop),
    ]
