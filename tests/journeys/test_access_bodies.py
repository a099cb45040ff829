"""What a call names or slips in: other people's wallets and accounts, and fields that are not a caller's to set."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings
from drf_spectacular.generators import SchemaGenerator

from accounts.models import User
from ledger.models import Transaction
from payments.models import BankAccount
from tests.journeys.access_bodies import BODIES, PRIVILEGED
from tests.journeys.access_world import Thing, World, build
from tests.payments.cast import Holder
from tests.payments.gateway import client, wallet_speaks_to
from tests.payments.sandbox_process import merchant_and_sandbox
from tests.payments.withdrawing import bank_account
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")
BASE = "/api/v1"
# Of a person and of a wallet: never a caller's to set.
KEPT_OF_USERS = ("pk", "uuid", "status", "kyc_level", "second_factor", "is_staff", "is_superuser", "groups", "phone")
KEPT_OF_USERS_TOO = ("email", "email_verified_at", "phone_verified_at", "user_permissions", "created_at")
KEPT_OF_WALLETS = ("pk", "owner", "kind", "purpose", "status", "currency", "held", "minimum_balance", "created_at")


@pytest.fixture(scope="module")
def world(database: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        override_settings(REFUNDS_BY_PERSON=True, STEP_UP_FIRST_WITHDRAWAL=False),
        merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (shop, sandbox),
        wallet_speaks_to(client(sandbox.url)),
    ):
        made = build(shop, sandbox)
        ravi = made.people["other"]
        access = made.headers("other")["Authorization"].removeprefix("Bearer ")
        account = bank_account(Holder(ravi, ravi.wallets.get(), access), "2671")
        made.things["others_account"] = Thing(account, account)
        yield made


def operations() -> dict[str, dict[str, Any]]:
    """By method and path."""
    schema = SchemaGenerator().get_schema(public=True)
    return {
        f"{method} {path.removeprefix(BASE)}": operation
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }


def send(world: World, role: str, operation: str, query: str = "", **more: Any) -> Any:
    method, path = operation.split(" ")
    path = path.replace("{id}", world.things["top_up"].hers).replace("{type}", "PAY")
    body = {**BODIES[operation](world), **more} if operation in BODIES else {}
    sent = json.dumps(body).encode() if method != "get" else b""
    return world.browser("nobody").generic(
        method.upper(), f"{BASE}{path}{query}", sent, "application/json", headers=world.headers(role)
    )


def test_every_call_that_takes_a_body_has_one_here() -> None:
    taking = {name for name, operation in operations().items() if operation.get("requestBody")}
    assert len(taking) > 15
    assert not (missing := sorted(taking - set(BODIES))), f"tests/journeys/access_bodies.py lacks {missing}"
    assert not (gone := sorted(set(BODIES) - taking)), f"access_bodies.py has calls that there are not: {gone}"


def test_a_wallet_that_is_not_ones_own_is_not_there(world: World) -> None:
    taking = [
        name
        for name, operation in operations().items()
        if any(parameter["name"] == "wallet" for parameter in operation.get("parameters", ()))
    ]
    assert len(taking) >= 6
    before = kept()
    books = Wallet.objects.filter(kind="SYSTEM")[0].public_id
    for operation in taking:
        answers = [
            send(world, "other", operation, f"?wallet={wallet}")
            for wallet in (world.things["wallet"].hers, world.things["wallet"].unknown, books, "nonsense", "1")
        ]
        told = {(answer.status_code, *(answer.json().get(name) for name in ("code", "detail"))) for answer in answers}
        assert len(told) == 1, (operation, told)
        assert answers[0].status_code == 404, operation
        if "{id}" not in operation and "withdraw" not in operation:
            # It is the wallet that was missed: Asha's own call is let in.
            assert send(world, "person", operation, f"?wallet={world.things['wallet'].hers}").status_code < 300
    assert kept() == before


def test_money_does_not_go_to_a_bank_account_that_is_not_ones_own(world: World) -> None:
    told = {
        (answer.status_code, answer.json()["code"], answer.json()["detail"])
        for named in (world.things["bank_account"].hers, world.things["bank_account"].unknown)
        for answer in (
            send(world, "other", "post /wallet/withdraw", bank_account=named),
            send(world, "other", "post /wallet/withdraw", "?dry_run=true", bank_account=named),
        )
    }
    assert {(status, code) for status, code, _ in told} == {(404, "not_found")}
    assert len(told) == 1


def test_fields_that_are_not_a_callers_to_set_change_nothing(world: World) -> None:
    ravi, asha = world.people["other"], world.people["person"]
    wallet, hers = ravi.wallets.get(), asha.wallets.get()
    before, newest, people = kept(), Transaction.objects.latest("pk").pk, set(User.objects.values_list("pk", flat=True))
    had, she_had = wallet.balance, hers.balance
    done = []
    for operation in BODIES:
        # What a body may say is left as it is; all the rest is slipped in.
        slipped = {name: value for name, value in PRIVILEGED.items() if name not in BODIES[operation](world)}
        answer = send(world, "other", operation, **slipped)
        assert answer.status_code < 500, (operation, answer.content)
        if answer.status_code < 300:
            done.append(operation)
    # It proves nothing of calls that were refused for another reason.
    assert {"post /wallet/transfer", "post /wallet/pay", "post /wallet/withdraw", "post /wallet/add"} <= set(done)
    assert {"post /bank-accounts", "post /auth/register", "post /auth/password/change"} <= set(done)
    after = kept()
    assert {key: row for key, row in after.items() if key in before} == before
    (newcomer,) = User.objects.exclude(pk__in=people)
    assert (newcomer.is_staff, newcomer.is_superuser, newcomer.kyc_level, newcomer.status) == (
        False,
        False,
        "MINIMUM",
        "ACTIVE",
    )
    assert (newcomer.has_verified_address, newcomer.token_version, newcomer.groups.count()) == (False, 0, 0)
    assert not User.objects.filter(token_version=77777).exists()
    # That call takes nothing but the name, and says so.
    assert "patch /me" not in done
    movements = list(Transaction.objects.filter(pk__gt=newest).order_by("pk"))
    assert [(one.type, one.status) for one in movements] == [
        ("ADD", "PENDING"),
        ("TRANSFER", "SUCCESS"),
        ("PAY", "SUCCESS"),
        ("WITHDRAW", "PENDING"),
    ]
    assert {(one.initiator.user, one.amount, one.reverses, one.group) for one in movements} == {
        (ravi, Decimal(1), None, None)
    }
    assert {one.from_wallet_id for one in movements[1:]} == {wallet.pk}
    wallet.refresh_from_db()
    hers.refresh_from_db()
    assert (wallet.balance, hers.balance) == (had - 3, she_had)
    added = BankAccount.objects.get(last_four="1001")
    assert (added.owner, added.removed_at) == (ravi, None)


def kept() -> dict[tuple[str, int], dict[str, Any]]:
    """What no body may change, of everybody."""
    users = {("user", row["pk"]): row for row in User.objects.order_by("pk").values(*KEPT_OF_USERS, *KEPT_OF_USERS_TOO)}
    wallets = {("wallet", row["pk"]): row for row in Wallet.objects.order_by("pk").values(*KEPT_OF_WALLETS)}
    return users | wallets
