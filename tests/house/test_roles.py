"""What each role may do, to the last permission: one that a migration adds without a line here fails."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.test import Client

from accounts.models import User
from accounts.roles import ALL, AUDITOR, SUPPORT, SUPPORT_LEAD, appoint
from ledger.models import LedgerEntry, Transaction
from tests.ledger.factories import asha
from tests.payments.staff import browser_of, list_of, page_of
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

# What support, leads and auditors all read.
READ = {
    "accounts.view_addresschange",
    "accounts.view_consent",
    "accounts.view_kycsubmission",
    "accounts.view_lostfactor",
    "accounts.view_outgoingmessage",
    "accounts.view_statuschange",
    "accounts.view_user",
    "ledger.view_hold",
    "ledger.view_ledgerentry",
    "ledger.view_transaction",
    "payments.view_bankaccount",
    "payments.view_case",
    "payments.view_dispute",
    "payments.view_gatewayorder",
    "payments.view_gatewayrefund",
    "payments.view_holdinglimit",
    "payments.view_limitrule",
    "payments.view_moneyback",
    "payments.view_ownlimit",
    "payments.view_parkedpayment",
    "payments.view_paymentattempt",
    "payments.view_payout",
    "payments.view_proposal",
    "payments.view_reconciliation",
    "payments.view_settleditem",
    "payments.view_webhookevent",
    "wallets.view_currency",
    "wallets.view_merchant",
    "wallets.view_wallet",
    "wallets.view_walletstatuschange",
}
ACTS_OF_SUPPORT = {
    "accounts.block_user",
    "accounts.decide_kycsubmission",
    "accounts.decide_lostfactor",
    "accounts.lift_addresschange",
    "accounts.resend_outgoingmessage",
    "payments.ask_gateway",
    "payments.change_case",
    "payments.close_moneyback",
    "wallets.freeze_wallet",
}
# What merchants' servers answered helps support, and proves nothing to an auditor.
READ_BY_SUPPORT = {"payments.view_webhookattempt", "payments.view_webhookendpoint", "payments.view_webhookmessage"}
# Money, and the rules that bind it: always two of them.
ACTS_OF_LEADS = {"payments.decide_proposal", "payments.refund_topup", "payments.set_limitrule"}
DEAD_LETTERS = {"kernel.view_deadletter", "kernel.replay_deadletter"}
MAY = {
    SUPPORT: READ | READ_BY_SUPPORT | ACTS_OF_SUPPORT,
    SUPPORT_LEAD: READ
    | READ_BY_SUPPORT
    | ACTS_OF_SUPPORT
    | ACTS_OF_LEADS
    | DEAD_LETTERS
    | {"accounts.view_securityevent"},
    AUDITOR: READ | {"accounts.view_securityevent", "ledger.export_ledgerentry"},
}


def test_each_role_may_do_exactly_this() -> None:
    assert set(ALL) == set(MAY)
    assert set(Group.objects.values_list("name", flat=True)) == set(MAY)
    for role, expected in MAY.items():
        rows = Permission.objects.filter(group__name=role).values_list("content_type__app_label", "codename")
        assert {f"{app}.{codename}" for app, codename in rows} == expected, role


def test_nobody_may_write_by_name_what_only_deeds_write() -> None:
    """No role holds Django's own add, change or delete of anything; a case's resolution is the one exception."""
    writing = {
        name for names in MAY.values() for name in names if name.split(".")[1].startswith(("add", "change", "del"))
    }
    assert writing == {"payments.change_case"}


def test_people_are_given_nothing_directly() -> None:
    assert not User.user_permissions.through.objects.exists()
    assert asha().user.get_all_permissions() == set()


def test_staff_without_a_role_see_nothing() -> None:
    """A mistake that only somebody with the database could make."""
    member = asha()
    User.objects.filter(pk=member.user.pk).update(is_staff=True)
    browser = browser_of(User.objects.get(pk=member.user.pk))
    assert "You don’t have permission" in browser.get("/admin/").content.decode()
    for model in (User, Wallet, Transaction, LedgerEntry):
        assert browser.get(list_of(model)).status_code == 403
    assert browser.get(page_of(member.wallet)).status_code == 403


def test_a_role_without_staff_and_a_former_member_of_staff_are_let_into_nothing() -> None:
    member = asha()
    with transaction.atomic():
        appoint(user=member.user, group=SUPPORT_LEAD)
    browser = browser_of(User.objects.get(pk=member.user.pk))
    assert browser.get(list_of(Wallet)).status_code == 200
    User.objects.filter(pk=member.user.pk).update(is_staff=False)
    assert browser.get(list_of(Wallet)).status_code == 302
    assert Client().get(list_of(Wallet)).status_code == 302


def test_not_even_a_superuser_edits_the_ledger_or_makes_roles() -> None:
    member = asha(balance="10")
    User.objects.filter(pk=member.user.pk).update(is_staff=True, is_superuser=True)
    root = browser_of(User.objects.get(pk=member.user.pk))
    entry = LedgerEntry.objects.filter(wallet=member.wallet).get()
    for row, fields in (
        (entry, {"credit": "99"}),
        (entry.transaction, {"amount": "99"}),
        (member.wallet, {"balance": "99"}),
    ):
        before = type(row)._default_manager.filter(pk=row.pk).values().get()
        assert root.get(page_of(row)).status_code == 200
        assert root.post(page_of(row), fields).status_code == 403
        assert root.post(page_of(row, "delete"), {"post": "yes"}).status_code == 403
        assert root.post(f"{list_of(type(row))}add/", fields).status_code == 403
        assert type(row)._default_manager.filter(pk=row.pk).values().get() == before
    for path in ("/admin/auth/group/", "/admin/auth/group/add/", "/admin/auth/permission/"):
        assert root.get(path).status_code == 404
