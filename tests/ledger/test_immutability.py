"""What the database refuses, and to whom: entries stay for ever, transactions only complete, keys stay as they are."""

from dataclasses import dataclass

import psycopg
import pytest
from django.utils import timezone
from psycopg import sql

from accounts import audit
from ledger.models import LedgerEntry, Transaction
from ledger.posting import post
from tests import environment
from tests.ledger.factories import asha, group, key, ravi, transfer
from tests.ledger.test_holds import placed

pytestmark = pytest.mark.usefixtures("database")

REFUSED = (psycopg.errors.RestrictViolation, psycopg.errors.InsufficientPrivilege)
TABLES = ("ledger_ledgerentry", "ledger_transaction", "ledger_idempotencykey", "ledger_hold", "wallets_wallet")


@dataclass(frozen=True, slots=True)
class Roles:
    """Everybody who can reach the database, by URL."""

    application: str
    owner: str
    auditor: str
    superuser: str


@pytest.fixture
def roles(database: environment.Database) -> Roles:
    """And a ledger with something in it: an UPDATE of nothing proves nothing."""
    a, r = asha(balance="10"), ravi()
    post([group(a, transfer(a, r, "5", note="lunch"), key=key())])
    placed(a, "1")
    audit.record("sign_in", now=timezone.now(), actor=a.user, subject=a.user)
    return Roles(database.app_url, database.owner_url, database.auditor_url, database.superuser_url)


def refuse(url: str, statement: str, *before: str, error: type[Exception] | tuple[type[Exception], ...]) -> None:
    """`statement` fails as this role, after `before` did not."""
    with psycopg.connect(url) as server:
        for setting in before:
            server.execute(setting)
        with pytest.raises(error):
            server.execute(statement)
        server.rollback()


CHANGES = [
    "UPDATE ledger_ledgerentry SET debit = debit + 1",
    "UPDATE ledger_ledgerentry SET hash = hash",
    "UPDATE ledger_ledgerentry SET created_at = now() WHERE sequence = 1",
    "DELETE FROM ledger_ledgerentry",
    "TRUNCATE ledger_ledgerentry",
    "TRUNCATE ledger_transaction CASCADE",
    "TRUNCATE wallets_wallet CASCADE",
    "DELETE FROM ledger_transaction",
    "DELETE FROM ledger_idempotencykey",
    "TRUNCATE ledger_idempotencykey",
    "DELETE FROM wallets_wallet",
    "UPDATE ledger_hold SET amount = amount + 1",
    "DELETE FROM ledger_hold",
    "TRUNCATE ledger_hold CASCADE",
]


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_of_the_ledger_is_changed_by_the_application(roles: Roles, change: str) -> None:
    refuse(roles.application, change, error=psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_of_the_ledger_is_changed_by_the_owner(roles: Roles, change: str) -> None:
    refuse(roles.owner, change, error=psycopg.errors.RestrictViolation)


@pytest.mark.parametrize("change", CHANGES)
def test_not_even_by_a_superuser_who_only_plays_replica(roles: Roles, change: str) -> None:
    """`session_replication_role = replica` skips plain triggers; ours fire always."""
    refuse(roles.superuser, change, "SET session_replication_role = replica", error=psycopg.errors.RestrictViolation)


def test_the_rows_are_still_there(roles: Roles) -> None:
    with psycopg.connect(roles.owner) as server:
        (before,) = server.execute("SELECT count(*) FROM ledger_ledgerentry").fetchone() or (0,)
        with pytest.raises(psycopg.errors.RestrictViolation):
            server.execute("DELETE FROM ledger_ledgerentry")
    assert LedgerEntry.objects.count() == before >= 4


@pytest.mark.parametrize(
    "column",
    [
        "id = id + 1000000000",
        "uuid = gen_random_uuid()",
        "from_wallet_id = to_wallet_id, to_wallet_id = from_wallet_id",
        "amount = amount + 1",
        "currency = 'JPY', decimals = 0",
        "type = 'PAY'",
        "initiator_id = initiator_id + 1",
        '"group" = id',
        "reverses_id = id",
        "note = 'rent'",
        'metadata = \'{"a": "b"}\'',
        "created_at = created_at + interval '1 second'",
        "posted_at = posted_at + interval '1 second'",
        "status = 'FAILED', failure_code = 'changed_my_mind'",
        "completed_at = completed_at + interval '1 second'",
    ],
)
@pytest.mark.parametrize("before", [(), ("SET session_replication_role = replica",)], ids=["origin", "replica"])
def test_a_completed_transaction_is_fixed(roles: Roles, column: str, before: tuple[str, ...]) -> None:
    who = roles.superuser if before else roles.owner
    lunch = Transaction.objects.filter(note="lunch").latest("id")
    refuse(
        who,
        f"UPDATE ledger_transaction SET {column} WHERE id = {lunch.pk}",
        *before,
        error=psycopg.errors.RestrictViolation,
    )


@pytest.mark.parametrize("column", ["amount = 1", "note = ''", "to_wallet_id = 1", "metadata = '{}'", "type = 'ADD'"])
def test_the_application_may_not_even_ask_to_change_what_is_fixed(roles: Roles, column: str) -> None:
    refuse(roles.application, f"UPDATE ledger_transaction SET {column}", error=psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize(
    "column", ["fingerprint = sha256('x')", "key = key || '2'", "http_status = 500", "transaction_id = 1"]
)
def test_a_key_stands_for_one_request(roles: Roles, column: str) -> None:
    statement = f"UPDATE ledger_idempotencykey SET {column}"
    refuse(roles.application, statement, error=psycopg.errors.InsufficientPrivilege)
    refuse(roles.owner, statement, error=psycopg.errors.RestrictViolation)


def test_a_first_checkout_is_filled_in_once(roles: Roles) -> None:
    with psycopg.connect(roles.application) as server:
        server.execute(
            """UPDATE ledger_idempotencykey SET checkout = '{"order_id": "order_1"}' WHERE checkout IS NULL"""
        )
        with pytest.raises(psycopg.errors.RestrictViolation):
            server.execute("""UPDATE ledger_idempotencykey SET checkout = '{"order_id": "order_2"}'""")


@pytest.mark.parametrize("column", ["owner_id = owner_id + 1", "kind = 'MERCHANT'", "currency = 'JPY', decimals = 0"])
def test_a_wallet_keeps_its_owner_and_its_currency(roles: Roles, column: str) -> None:
    statement = f"UPDATE wallets_wallet SET {column} WHERE kind = 'USER'"
    refuse(roles.application, statement, error=psycopg.errors.InsufficientPrivilege)
    refuse(roles.owner, statement, error=psycopg.errors.RestrictViolation)


def test_a_wallet_is_born_with_nothing_in_it(roles: Roles) -> None:
    refuse(
        roles.application,
        "INSERT INTO wallets_wallet (uuid, owner_id, kind, purpose, shard, label, currency, decimals, balance, held,"
        " minimum_balance, status, entry_count, head, created_at) SELECT gen_random_uuid(), owner_id, kind, purpose,"
        " shard, label, 'KWD', 3, 5, 0, 0, status, 0, decode(repeat('00', 32), 'hex'), now() FROM wallets_wallet"
        " WHERE kind = 'USER' LIMIT 1",
        error=psycopg.errors.RestrictViolation,
    )


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE {} DISABLE TRIGGER ALL",
        "ALTER TABLE {} DISABLE TRIGGER USER",
        "ALTER TABLE {} DROP COLUMN created_at",
        "ALTER TABLE {} OWNER TO CURRENT_USER",
        "DROP TABLE {} CASCADE",
        "TRUNCATE {} CASCADE",
        "CREATE RULE nothing AS ON INSERT TO {} DO INSTEAD NOTHING",
        "CREATE TRIGGER mine BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ],
)
def test_the_application_cannot_touch_the_rules(roles: Roles, table: str, statement: str) -> None:
    refuse(roles.application, statement.format(table), error=psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER entry_is_immutable ON ledger_ledgerentry",
        "DROP FUNCTION refuse_change() CASCADE",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "SET session_replication_role = replica",
        "SET SESSION AUTHORIZATION wallet_owner",
        "SET ROLE wallet_owner",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id int)",
        "INSERT INTO ledger_turnstile VALUES (true)",
    ],
)
@pytest.mark.parametrize("who", ["application", "auditor"])
def test_neither_the_application_nor_the_auditor_has_a_way_round(roles: Roles, who: str, statement: str) -> None:
    errors = (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ReadOnlySqlTransaction,
        psycopg.errors.CheckViolation,
    )
    refuse(getattr(roles, who), statement, error=errors)


def test_granting_oneself_more_gives_nothing(roles: Roles) -> None:
    with psycopg.connect(roles.application) as server:
        # A warning, no error, for it may at least read.
        server.execute("GRANT ALL ON ledger_ledgerentry TO wallet_app")
        found = server.execute(
            "SELECT has_table_privilege('ledger_ledgerentry', 'UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'),"
            " has_any_column_privilege('ledger_ledgerentry', 'UPDATE')"
        ).fetchone()
    assert found == (False, False)


VIEWS = (
    "auditor_wallets",
    "auditor_transactions",
    "auditor_entries",
    "auditor_keys",
    "auditor_actors",
    "auditor_currencies",
    "auditor_holds",
    "auditor_security_events",
)


@pytest.mark.parametrize("view", VIEWS)
def test_the_auditor_reads_a_view_and_writes_nothing_through_it(roles: Roles, view: str) -> None:
    with psycopg.connect(roles.auditor) as server:
        assert server.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(view))).fetchone()
        columns = server.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [view]
        ).fetchone()
    assert columns
    # Not only because its sessions begin read-only: a session may change that.
    writable = "SET default_transaction_read_only = off"
    not_through_a_view = (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.ObjectNotInPrerequisiteState,
        psycopg.errors.WrongObjectType,
    )
    with psycopg.connect(roles.auditor, autocommit=True) as server:
        server.execute(writable)
        for statement in (
            f"UPDATE {view} SET {columns[0]} = {columns[0]}",
            f"DELETE FROM {view}",
            f"INSERT INTO {view} ({columns[0]}) VALUES (NULL)",
            f"TRUNCATE {view}",
        ):
            with pytest.raises(not_through_a_view):
                server.execute(statement)


def test_the_auditor_reads_its_views_and_no_table(roles: Roles) -> None:
    with psycopg.connect(roles.auditor) as server:
        found = server.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'v', 'm', 'p', 'S')"
            " AND (CASE relkind WHEN 'S' THEN has_sequence_privilege(oid, 'USAGE, SELECT, UPDATE')"
            " ELSE has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN')"
            " OR has_any_column_privilege(oid, 'SELECT, INSERT, UPDATE, REFERENCES') END)"
        ).fetchall()
    assert {name for (name,) in found} == set(VIEWS)


def test_the_application_does_not_reach_through_the_auditors_views(roles: Roles) -> None:
    for view in VIEWS:
        refuse(roles.application, f"SELECT FROM {view}", error=psycopg.errors.InsufficientPrivilege)


def test_an_auditor_sees_names_but_no_address_in_full(roles: Roles) -> None:
    a = asha()
    with psycopg.connect(roles.auditor) as server:
        found = server.execute(
            "SELECT wallet, owner, owner_name, owner_email_masked, owner_phone_masked FROM auditor_wallets"
            " WHERE id = %s",
            [a.wallet.pk],
        ).fetchone()
        columns = {
            name
            for (name,) in server.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = ANY(%s::regclass[]) AND attnum > 0", [list(VIEWS)]
            )
        }
    assert found == (a.wallet.public_id, a.user.public_id, "Asha Rao", "a…@example.com", None)
    assert not columns & {"email", "phone", "password", "fingerprint", "checkout", "token_version"}


def test_every_rule_of_the_ledger_fires_always(roles: Roles) -> None:
    """A new trigger that forgets ENABLE ALWAYS would be skipped by a replica's session."""
    with psycopg.connect(roles.owner) as server:
        found = server.execute(
            "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid = ANY(%s::regclass[])",
            [list(TABLES)],
        ).fetchall()
    assert len(found) >= 11
    assert [row for row in found if row[2] not in ("A", b"A")] == []
