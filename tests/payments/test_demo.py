"""manage.py seed_demo."""

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from ledger.models import Transaction
from tests.accounts.people import call
from wallets.models import Merchant, Wallet

pytestmark = pytest.mark.usefixtures("database")


def test_the_cast_is_made_once_with_posted_money_and_can_sign_in() -> None:
    for _ in range(2):
        call_command("seed_demo", stdout=StringIO())
    balances = {
        wallet.owner.email: wallet.balance
        for wallet in Wallet.objects.filter(kind="USER").select_related("owner")
        if wallet.owner is not None
    }
    assert balances["asha@example.com"] == Decimal(10_000)
    assert balances["ravi@example.com"] == Decimal(2_500)
    assert len(balances) == User.objects.count() == 7
    assert Merchant.objects.get().handle == "meera-books"
    assert [t.type for t in Transaction.objects.all()] == ["ADD", "ADD"]
    for email in balances:
        answer = call("POST", "/auth/token", {"email": email, "password": "wallet-demo-2026"})
        assert answer.status_code == 200
    groups = {user.email: list(user.groups.values_list("name", flat=True)) for user in User.objects.all()}
    assert (groups["support@example.com"], groups["lead@example.com"]) == (["support"], ["support_lead"])
    assert groups["auditor@example.com"] == ["auditor"]
    assert User.objects.get(email="root@example.com").is_superuser


def test_without_the_demo_it_is_refused(settings: Any) -> None:
    settings.WALLET_DEMO = False
    with pytest.raises(CommandError, match="WALLET_DEMO"):
        call_command("seed_demo")
