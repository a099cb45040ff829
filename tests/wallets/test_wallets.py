"""Opening wallets, and GET /wallet/balance."""

import threading
from datetime import UTC, datetime

import pytest
from django.db import connections

from tests.accounts.people import PASSWORD, call, code_sent_to, new_email, register_by_api, wrong
from tests.payments.cast import holder, merchant
from wallets.models import Wallet
from wallets.opening import open_merchant, open_wallet
from wallets.serializers import BalanceAnswer

pytestmark = pytest.mark.usefixtures("database")


def test_verifying_an_address_opens_a_wallet_with_nothing_in_it() -> None:
    email = new_email()
    assert register_by_api(email=email).status_code == 201
    code = code_sent_to(email)
    refused = call("POST", "/auth/verify", {"email": email, "code": wrong(code)})
    assert (refused.status_code, refused.json()["code"]) == (400, "code_invalid")
    assert not Wallet.objects.filter(owner__email=email).exists()
    answer = call("POST", "/auth/verify", {"email": email, "code": code})
    assert answer.status_code == 200
    assert answer.json()["user"]["email"] == email
    wallet = Wallet.objects.get(owner__email=email)
    assert (wallet.kind, wallet.currency, wallet.balance, wallet.status) == ("USER", "INR", 0, "ACTIVE")
    access = call("POST", "/auth/token", {"email": email, "password": PASSWORD}).json()["access"]
    shown = call("GET", "/wallet/balance", access=access).json()
    assert (shown["wallet"], shown["balance"]) == (wallet.public_id, {"amount": "0.00", "currency": "INR"})
    assert call("POST", "/auth/verify", {"email": email, "code": code}).json()["code"] == "code_invalid"


def test_the_balance_tells_what_may_leave_and_when_it_was_read() -> None:
    asha = holder(rupees="12.34")
    shown = asha.get("/wallet/balance").json()
    assert set(shown) == set(BalanceAnswer().fields)
    assert (shown["balance"]["amount"], shown["available"]["amount"], shown["status"]) == ("12.34", "12.34", "ACTIVE")
    as_of = datetime.fromisoformat(shown["as_of"])
    assert abs((datetime.now(UTC) - as_of).total_seconds()) < 60
    assert shown["as_of"].endswith("Z")


def test_the_wallet_parameter_names_ones_own_shop_and_nobody_elses() -> None:
    asha = holder()
    meera, books = merchant()
    shop = books.wallet.public_id
    assert meera.get(f"/wallet/balance?wallet={shop}").json()["wallet"] == shop
    assert meera.get("/wallet/balance").json()["wallet"] == meera.wallet.public_id
    for unknown in (shop, "wal_", "nonsense", "%00", ""):
        answer = asha.get(f"/wallet/balance?wallet={unknown}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert call("GET", "/wallet/balance").status_code == 401


def test_a_closed_wallet_is_shown_until_there_is_an_open_one() -> None:
    asha = holder()
    Wallet.objects.filter(pk=asha.wallet.pk).update(status="CLOSED")
    assert asha.get("/wallet/balance").json()["status"] == "CLOSED"
    fresh = open_wallet(user=asha.user)
    assert fresh.pk != asha.wallet.pk
    assert asha.get("/wallet/balance").json()["wallet"] == fresh.public_id


def test_opening_twice_or_at_once_opens_one_wallet() -> None:
    asha = holder()
    meera, books = merchant()
    found: list[int] = []
    start = threading.Barrier(4)

    def open_shop() -> None:
        start.wait()
        found.append(open_merchant(user=asha.user, handle="asha-tea", display_name="Asha's Tea").pk)
        connections.close_all()

    threads = [threading.Thread(target=open_shop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert open_wallet(user=asha.user).pk == asha.wallet.pk
    assert Wallet.objects.filter(owner=asha.user).count() == 2
    assert open_merchant(user=meera.user, handle="other", display_name="Other").pk == books.pk
