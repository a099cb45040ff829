"""The security audit log: what is written into it, who reads it where, and that nobody changes it by any role."""

from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone
from psycopg import sql

from accounts import audit
from accounts.blocking import block, unblock
from accounts.models import OutgoingMessage, SecurityEvent, User
from accounts.roles import AUDITOR, SUPPORT, SUPPORT_LEAD, appoint
from tests import environment
from tests.accounts.people import person, superuser
from tests.payments.staff import browser_of, list_of, page_of, shown
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
REFUSED = (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)


def staff(group: str, full_name: str = "Dev Singh") -> User:
    user = person(full_name)
    with transaction.atomic():
        appoint(user=user, group=group)
    return User.objects.get(pk=user.pk)


def about(user: User) -> list[tuple[Any, ...]]:
    """What happened to somebody by others' hands, oldest first."""
    events = SecurityEvent.objects.filter(subject=user).exclude(actor=user).order_by("pk")
    return list(events.values_list("kind", "result", "actor", "reason"))


def test_blocking_is_on_record_with_who_whom_and_from_where_and_they_are_told() -> None:
    asha, dev, root = person(), staff(SUPPORT), superuser()
    browser = browser_of(dev)
    forged = {"HTTP_X_FORWARDED_FOR": "198.51.100.1", "HTTP_USER_AGENT": "Firefox"}
    for act in ("block", "unblock"):
        fields = {"act": act, "reason": "Reported stolen"}
        assert browser.post(page_of(asha, "status"), fields, REMOTE_ADDR="203.0.113.9", **forged).status_code == 302
    assert about(asha) == [
        ("person.blocked", "DONE", dev.pk, "Reported stolen"),
        ("person.unblocked", "DONE", dev.pk, "Reported stolen"),
    ]
    event = SecurityEvent.objects.filter(subject=asha, kind="person.blocked").get()
    assert (event.address, event.agent) == ("203.0.113.9", "Firefox")
    assert event.request_id.startswith("req_")
    told = OutgoingMessage.objects.filter(user=asha, purpose="NOTICE").order_by("pk")
    assert [message.details["kind"] for message in told] == ["blocked", "unblocked"]
    assert "stolen" not in str([message.details for message in told])
    # Twice is once.
    block(user=asha, by=root, reason="Again", now=timezone.now())
    assert block(user=asha, by=root, reason="Again", now=timezone.now()) == []
    assert len(about(asha)) == 3


def test_who_tried_to_block_and_may_not_is_on_record() -> None:
    asha, root = person(), superuser()
    dev, anil, lata = staff(SUPPORT), staff(AUDITOR, "Anil Gupta"), staff(SUPPORT_LEAD, "Lata Sen")
    for by, whom in ((anil, asha), (dev, lata), (dev, root), (asha, dev), (lata, lata), (root, root)):
        before = SecurityEvent.objects.count()
        for deed, kind in ((block, "person.blocked"), (unblock, "person.unblocked")):
            with pytest.raises(Refusal, match="permission_denied"):
                deed(user=whom, by=by, reason="Because", now=timezone.now())
            event = SecurityEvent.objects.latest("pk")
            assert (event.kind, event.result, event.reason) == (kind, "REFUSED", "permission_denied")
            assert (event.actor, event.subject) == (by, whom)
        assert SecurityEvent.objects.count() == before + 2
        assert User.objects.get(pk=whom.pk).status == "ACTIVE"
    # By the page as well, which offers nothing to whoever may not.
    assert browser_of(anil).post(page_of(asha, "status"), {"act": "block", "reason": "x"}).status_code == 403
    assert SecurityEvent.objects.latest("pk").actor == anil


def test_a_closed_account_is_neither_blocked_nor_opened_again() -> None:
    asha, root = person(), superuser()
    User.objects.filter(pk=asha.pk).update(status="CLOSED")
    for deed in (block, unblock):
        with pytest.raises(Refusal, match="invalid"):
            deed(user=asha, by=root, reason="Because", now=timezone.now())
    assert User.objects.get(pk=asha.pk).status == "CLOSED"
    assert page_of(asha, "status") not in shown(browser_of(root).get(page_of(asha)))
    assert about(asha) == []


def test_a_role_that_an_operator_gives_is_on_record() -> None:
    anil = person("Anil Gupta")
    call_command("appoint", anil.email, "auditor", stdout=StringIO())
    event = SecurityEvent.objects.get(kind="role.given", subject=anil)
    assert (event.actor, event.details["role"], event.details["door"]) == (None, "auditor", "command")


@pytest.mark.parametrize(("role", "status"), [(SUPPORT, 403), (SUPPORT_LEAD, 200), (AUDITOR, 200), ("", 200)])
def test_leads_and_auditors_read_the_log_and_nobody_writes_it(role: str, status: int) -> None:
    asha = person()
    audit.record("sign_in", now=timezone.now(), actor=asha, subject=asha)
    event = SecurityEvent.objects.latest("pk")
    browser = browser_of(staff(role) if role else superuser())
    assert browser.get(list_of(SecurityEvent)).status_code == status
    assert browser.get(page_of(event)).status_code == status
    assert browser.get(f"{list_of(SecurityEvent)}add/").status_code == 403
    assert browser.post(f"{list_of(SecurityEvent)}add/", {"kind": "x"}).status_code == 403
    assert browser.post(page_of(event), {"kind": "x"}).status_code == 403
    assert browser.post(page_of(event, "delete"), {"post": "yes"}).status_code == 403
    link = f"{list_of(SecurityEvent)}?q={asha.public_id}"
    assert (link in shown(browser.get(page_of(asha)))) is (status == 200)
    for stranger in (browser_of(asha), Client()):
        assert stranger.get(list_of(SecurityEvent)).status_code == 302
    assert SecurityEvent.objects.get(pk=event.pk).kind == "sign_in"


def test_the_log_is_found_by_person_address_and_object_and_narrowed_by_kind_result_and_time() -> None:
    asha, dev = person(phone="+919812312399", email="asha.q@example.com"), staff(SUPPORT)
    now = timezone.now()
    audit.record("session.revoked", now=now, actor=asha, subject=asha, object="ses_1", html="<script>x</script>")
    audit.record("session.reuse", now=now - timezone.timedelta(days=2), subject=asha, refused="token_invalid")
    audit.record("person.blocked", now=now, actor=dev, subject=asha, reason="Reported")
    gone = SecurityEvent.objects.create(
        kind="sign_in", result="REFUSED", actor_id=2**40, created_at=now, address="2001:db8::7", agent="<b>"
    )
    browser = browser_of(superuser())
    # The fourth about her: that she agreed to the terms.
    for query, count in (
        ({"q": asha.public_id}, 4),
        ({"q": "ASHA.Q@example.com"}, 4),
        ({"q": "+91 98123 12399"}, 4),
        ({"q": dev.public_id}, 2),
        ({"q": "2001:db8:0::7"}, 1),
        ({"q": "ses_1"}, 1),
        ({"q": "nobody@example.com"}, 0),
        ({"q": "\0"}, None),
        ({"q": asha.public_id, "kind": "session"}, 2),
        ({"q": asha.public_id, "kind": "ses"}, 4),
        ({"q": asha.public_id, "result__exact": "REFUSED"}, 1),
        ({"q": asha.public_id, "within": "day"}, 3),
        ({"q": asha.public_id, "within": "week", "kind": "session"}, 2),
        ({"q": asha.public_id, "within": "nonsense"}, 4),
    ):
        answer = browser.get(list_of(SecurityEvent), query)
        assert answer.status_code == 200, query
        assert count is None or answer.context["cl"].result_count == count, query
    assert "a registration that is gone" in shown(browser.get(page_of(gone)))
    revoked = SecurityEvent.objects.get(object="ses_1")
    assert "&lt;script&gt;" in shown(browser.get(page_of(revoked)))


@pytest.fixture
def written(database: environment.Database) -> environment.Database:
    """A row in the log and in what else only grows: an UPDATE of nothing proves nothing."""
    asha = person()
    block(user=asha, by=superuser(), reason="Reported", now=timezone.now())
    return database


def test_what_only_grows_is_changed_by_no_role(written: environment.Database) -> None:
    with psycopg.connect(written.owner_url) as server:
        tables = [
            name
            for (name,) in server.execute(
                "SELECT tgrelid::regclass::text FROM pg_trigger"
                " WHERE tgname LIKE '%\\_only\\_grows' AND tgenabled = 'A'"
            )
        ]
    assert {"accounts_securityevent", "wallets_walletstatuschange", "payments_limitrule"} <= set(tables)
    for table in tables:
        changes = (f"UPDATE {table} SET id = id", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE")
        for url, before in (
            (written.app_url, ()),
            (written.owner_url, ()),
            (written.auditor_url, ("SET default_transaction_read_only = off",)),
            (written.superuser_url, ("SET session_replication_role = replica",)),
        ):
            with psycopg.connect(url, autocommit=True) as server:
                for setting in before:
                    server.execute(setting)
                for change in changes:
                    with pytest.raises(REFUSED):
                        server.execute(change)


def test_an_auditor_writes_nothing_by_sql_whatever_they_name(written: environment.Database) -> None:
    """Every table, view and sequence that the catalogue knows, and every way round them that PostgreSQL offers."""
    with psycopg.connect(written.auditor_url, autocommit=True) as server:
        # Their sessions begin read-only; whoever means harm says this first.
        server.execute("SET default_transaction_read_only = off")
        relations = server.execute(
            "SELECT relname, relkind::text, (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1)"
            " FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')"
        ).fetchall()
        assert len([1 for row in relations if row[1] == "r"]) > 40
        for name, kind, column in relations:
            table, first = sql.Identifier(name), sql.Identifier(column)
            if kind == "S":
                statements = [sql.SQL("SELECT nextval({})").format(sql.Literal(name))]
            else:
                statements = [
                    sql.SQL("UPDATE {} SET {} = NULL").format(table, first),
                    sql.SQL("DELETE FROM {}").format(table),
                    sql.SQL("INSERT INTO {} DEFAULT VALUES").format(table),
                    sql.SQL("TRUNCATE {}").format(table),
                    sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(table),
                    sql.SQL("DROP {} {}").format(sql.SQL("VIEW" if kind == "v" else "TABLE"), table),
                ]
                if not name.startswith("auditor_"):
                    statements.append(sql.SQL("SELECT FROM {}").format(table))
            for statement in statements:
                with pytest.raises(_NOT_FOR_AUDITORS):
                    server.execute(statement)
        for statement in _WAYS_ROUND:
            with pytest.raises(_NOT_FOR_AUDITORS):
                server.execute(statement)
        assert server.execute("SELECT count(*) > 0 FROM auditor_security_events").fetchone() == (True,)


_NOT_FOR_AUDITORS = (
    psycopg.errors.InsufficientPrivilege,
    # Of views: a join is not updatable, and a view is no table.
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.WrongObjectType,
    psycopg.errors.NoActiveSqlTransaction,
)
_WAYS_ROUND = (
    "CREATE TABLE mine (id int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "SET ROLE wallet_app",
    "SET ROLE wallet_owner",
    "SET session_replication_role = replica",
    "ALTER ROLE wallet_auditor SUPERUSER",
    "GRANT ALL ON accounts_securityevent TO wallet_auditor",
    "ALTER TABLE accounts_securityevent DISABLE TRIGGER ALL",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/of-an-auditor'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "ALTER SYSTEM SET fsync = off",
)
