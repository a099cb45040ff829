"""Blocking with a reason, and what each role sees and may do in the admin."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.blocking import block, unblock
from accounts.models import StatusChange, User
from accounts.roles import ALL, AUDITOR, SUPPORT, SUPPORT_LEAD, appoint
from tests.accounts.people import PASSWORD, new_email, new_phone, person, superuser
from wallet_project.kernel.errors import Refusal

pytestmark = pytest.mark.usefixtures("database")
PEOPLE = "/admin/accounts/user/"


def staff(group: str, full_name: str = "Dev") -> User:
    user = person(full_name)
    with transaction.atomic():
        appoint(user=user, group=group)
    return user


def browser_of(user: User) -> Client:
    """Signed in where the admin sends them."""
    client = Client(raise_request_exception=False)
    there = client.get("/admin/login/?next=/admin/")
    assert (there.status_code, there["Location"]) == (302, "/sign-in?next=/admin/")
    fields = {"address": user.email or user.phone, "password": PASSWORD, "next": "/admin/"}
    answer = client.post("/sign-in", fields)
    assert (answer.status_code, answer["Location"]) == (303, "/admin/"), answer.content
    return client


def page_of(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def status_page_of(user: User) -> str:
    return reverse("admin:accounts_user_change_status", args=[user.pk])


def shown(answer: Any) -> str:
    return str(answer.content.decode())


def test_blocking_is_recorded_with_who_and_why() -> None:
    asha, dev = person(), staff(SUPPORT)
    block(user=asha, by=dev, reason="  Reported stolen ", now=timezone.now())
    asha.refresh_from_db()
    assert (asha.status, asha.token_version, asha.is_active) == ("BLOCKED", 1, False)
    unblock(user=asha, by=dev, reason="Found again", now=timezone.now())
    asha.refresh_from_db()
    assert (asha.status, asha.is_active) == ("ACTIVE", True)
    changes = StatusChange.objects.filter(user=asha).order_by("pk").values_list("status", "by", "reason")
    assert list(changes) == [("BLOCKED", dev.pk, "Reported stolen"), ("ACTIVE", dev.pk, "Found again")]


def test_blocking_twice_is_recorded_once() -> None:
    asha, dev = person(), staff(SUPPORT)
    for _ in range(2):
        block(user=asha, by=dev, reason="Reported", now=timezone.now())
    assert StatusChange.objects.filter(user=asha).count() == 1


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "a\0b"])
def test_a_reason_is_demanded(reason: str) -> None:
    asha = person()
    with pytest.raises(Refusal, match="invalid"):
        block(user=asha, by=staff(SUPPORT), reason=reason, now=timezone.now())
    asha.refresh_from_db()
    assert asha.status == "ACTIVE"


def test_only_who_may_block_blocks() -> None:
    asha, dev, root = person(), staff(SUPPORT), superuser()
    for by, whom in ((asha, person()), (staff(AUDITOR, "Anil"), asha), (dev, dev), (dev, root), (dev, staff(SUPPORT))):
        with pytest.raises(Refusal, match="permission_denied"):
            block(user=whom, by=by, reason="Because", now=timezone.now())
    block(user=dev, by=root, reason="Left the company", now=timezone.now())
    with pytest.raises(Refusal, match="permission_denied"):
        block(user=asha, by=User.objects.get(pk=dev.pk), reason="Because", now=timezone.now())


def test_an_unverified_registration_cannot_be_blocked() -> None:
    claim = User.objects.create(full_name="Zoya", email=new_email("zoya"))
    with pytest.raises(Refusal, match="invalid"):
        block(user=claim, by=superuser(), reason="Because", now=timezone.now())


def test_an_operator_appoints_who_registered_and_nobody_else() -> None:
    anil, root = person("Anil"), person("Root", phone=new_phone())
    call_command("appoint", anil.email, "auditor", stdout=StringIO())
    call_command("appoint", root.phone, "superuser", stdout=StringIO())
    anil.refresh_from_db()
    root.refresh_from_db()
    assert (anil.is_staff, anil.is_superuser, anil.groups.get().name) == (True, False, AUDITOR)
    assert (root.is_staff, root.is_superuser) == (True, True)
    claim = User.objects.create(full_name="Zoya", email=new_email("zoya"))
    for address, role in ((claim.email, "auditor"), ("nonsense", "auditor"), (anil.email, "king")):
        with pytest.raises(CommandError):
            call_command("appoint", address, role, stdout=StringIO())


def test_the_record_cannot_be_rewritten_by_the_application() -> None:
    asha = person()
    block(user=asha, by=superuser(), reason="Reported", now=timezone.now())
    for statement in ("UPDATE accounts_statuschange SET reason = 'x'", "DELETE FROM accounts_statuschange"):
        with pytest.raises(ProgrammingError, match="permission denied"), connection.cursor() as cursor:
            cursor.execute(statement)


def test_the_migration_made_three_groups_with_what_they_may_do() -> None:
    may = {"accounts.view_user", "accounts.view_statuschange"}
    assert set(ALL) == {"support", "support_lead", "auditor"}
    assert may | {"accounts.block_user"} <= staff(SUPPORT).get_all_permissions()
    assert may | {"accounts.block_user"} <= staff(SUPPORT_LEAD).get_all_permissions()
    anils = staff(AUDITOR).get_all_permissions()
    assert may <= anils
    assert "accounts.block_user" not in anils
    assert {name.split(".")[1].partition("_")[0] for name in anils} <= {"view", "export"}


def test_support_finds_people_by_email_phone_id_and_name() -> None:
    browser = browser_of(staff(SUPPORT))
    asha = person("Asha Qvist", email=new_email(), phone=new_phone())
    ravi = person("Ravi")
    assert asha.email is not None
    for term in (asha.email.upper(), asha.phone, asha.public_id, "qvist"):
        text = shown(browser.get(PEOPLE, {"q": term}))
        assert asha.public_id in text
        assert ravi.public_id not in text


def test_a_nul_in_the_address_of_a_list_is_left_out_of_it() -> None:
    browser = browser_of(staff(SUPPORT))
    for query in ("status__exact=%00ACTIVE", "q=%00qvist", "status__exact=%00"):
        assert browser.get(f"{PEOPLE}?{query}").status_code == 200, query
    assert browser.get(f"{PEOPLE}?a%00b=1").status_code < 500


def test_the_list_of_people_asks_the_same_few_queries_however_long_it_is() -> None:
    browser = browser_of(staff(SUPPORT))
    for _ in range(3):
        person()
    with CaptureQueriesContext(connection) as few:
        browser.get(PEOPLE)
    for _ in range(12):
        person()
    with CaptureQueriesContext(connection) as many:
        browser.get(PEOPLE)
    assert len(many) == len(few)


def test_a_persons_page_asks_the_same_queries_however_often_they_were_blocked() -> None:
    asha, root = person(), superuser()
    browser = browser_of(staff(SUPPORT))
    browser.get(page_of(asha))  # the first look at any page fills Django's cache of content types
    counts = []
    for times in (1, 4):
        for _ in range(times):
            block(user=asha, by=root, reason="Reported", now=timezone.now())
            unblock(user=asha, by=root, reason="Cleared", now=timezone.now())
        with CaptureQueriesContext(connection) as queries:
            assert "Reported" in shown(browser.get(page_of(asha)))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_no_password_hash_is_shown() -> None:
    asha = person()
    assert "argon2" not in shown(browser_of(superuser()).get(page_of(asha)))


@pytest.mark.parametrize("role", [SUPPORT, SUPPORT_LEAD])
def test_support_blocks_and_unblocks_on_a_page_that_asks_why(role: str) -> None:
    asha, dev = person(), staff(role)
    browser = browser_of(dev)
    assert status_page_of(asha) in shown(browser.get(page_of(asha)))
    assert "Block Asha Rao?" in shown(browser.get(status_page_of(asha)))
    assert browser.post(status_page_of(asha), {"act": "block", "reason": " "}).status_code == 200
    asha.refresh_from_db()
    assert asha.status == "ACTIVE"
    for act, status in (("block", "BLOCKED"), ("unblock", "ACTIVE")):
        answer = browser.post(status_page_of(asha), {"act": act, "reason": "She asked for it"})
        assert (answer.status_code, answer["Location"]) == (302, page_of(asha))
        asha.refresh_from_db()
        assert asha.status == status
    assert StatusChange.objects.filter(user=asha, by=dev, reason="She asked for it").count() == 2


def test_a_get_never_blocks_and_a_post_needs_its_csrf_token() -> None:
    asha, dev = person(), staff(SUPPORT)
    browser = browser_of(dev)
    browser.get(status_page_of(asha), {"act": "block", "reason": "x"})
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    assert strict.post(status_page_of(asha), {"act": "block", "reason": "x"}).status_code == 403
    asha.refresh_from_db()
    assert asha.status == "ACTIVE"


def test_an_auditor_reads_and_blocks_nobody() -> None:
    asha = person()
    browser = browser_of(staff(AUDITOR, "Anil"))
    page = browser.get(page_of(asha))
    assert page.status_code == 200
    assert status_page_of(asha) not in shown(page)
    assert browser.get(status_page_of(asha)).status_code == 403
    assert browser.post(status_page_of(asha), {"act": "block", "reason": "x"}).status_code == 403


@pytest.mark.parametrize("role", [SUPPORT, AUDITOR, None])
def test_nobody_adds_changes_or_deletes_people_in_the_admin(role: str | None) -> None:
    asha = person()
    browser = browser_of(staff(role) if role else superuser())
    assert browser.get(f"{PEOPLE}add/").status_code == 403
    assert browser.post(f"{PEOPLE}add/", {"full_name": "x"}).status_code == 403
    assert browser.post(page_of(asha), {"full_name": "Zoya"}).status_code == 403
    assert browser.post(reverse("admin:accounts_user_delete", args=[asha.pk]), {"post": "yes"}).status_code == 403
    browser.post(PEOPLE, {"action": "delete_selected", "_selected_action": [asha.pk], "post": "yes"})
    asha.refresh_from_db()
    assert asha.full_name == "Asha Rao"
    assert browser.get("/admin/auth/group/").status_code == 404


def test_customers_and_strangers_do_not_enter_the_admin() -> None:
    asha = person()
    for browser in (browser_of(asha), Client()):
        assert (browser.get(PEOPLE).status_code, browser.get(PEOPLE)["Location"][:13]) == (302, "/admin/login/")


def test_a_blocked_member_of_staff_is_out_at_the_next_page_and_not_back_after_unblocking() -> None:
    dev, root = staff(SUPPORT), superuser()
    browser = browser_of(dev)
    assert browser.get(PEOPLE).status_code == 200
    block(user=dev, by=root, reason="Left", now=timezone.now())
    assert browser.get(PEOPLE).status_code == 302
    unblock(user=dev, by=root, reason="Came back", now=timezone.now())
    assert browser.get(PEOPLE).status_code == 302


def test_the_admin_changes_no_passwords() -> None:
    """It would leave tokens and sessions alive."""
    browser = browser_of(superuser())
    assert browser.get("/admin/password_change/").status_code == 404
    index = browser.get("/admin/")
    assert index.status_code == 200
    assert "password_change" not in shown(index)
