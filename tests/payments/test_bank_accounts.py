"""Bank accounts: what may be added, what is shown of them, and what is kept in the dark."""

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest
import structlog
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from django.utils import timezone

from payments.bank_accounts import add_bank_account, number_of
from payments.bank_checks import sweep_bank_accounts
from payments.models import BankAccount
from payments.payouts import sweep_payouts
from payments.serializers import BankAccountAnswer
from tests.payments.cast import Holder, holder, new_key
from tests.payments.gateway import client, open_door, wallet_speaks_to
from tests.payments.sandbox_process import Sandbox, merchant_and_sandbox
from tests.payments.withdrawing import ASHA_AT_HDFC, bank_account, until, withdraw
from wallet_project.kernel.ids import new_uuid, public_id
from wallet_project.kernel.sealing import Unreadable

pytestmark = pytest.mark.usefixtures("database")

NUMBER = "501000120001"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with merchant_and_sandbox(tmp_path_factory.mktemp("sandbox")) as (_, running):
        yield running


def add(person: Holder, **fields: Any) -> Any:
    return person.post("/bank-accounts", {**ASHA_AT_HDFC, "account_number": NUMBER, **fields})


def kept(answer: Any) -> BankAccount:
    return next(account for account in BankAccount.objects.all() if account.public_id == answer.json()["id"])


def test_asha_adds_a_bank_account_and_sees_only_its_last_four_digits() -> None:
    asha = holder()
    answer = add(asha, ifsc="hdfc0001234", holder_name="  Asha  Rao ")
    assert answer.status_code == 201
    item = answer.json()
    assert set(item) == set(BankAccountAnswer().fields)
    assert item["id"].startswith("bnk_")
    assert (item["holder_name"], item["ifsc"], item["bank"]) == ("Asha Rao", "HDFC0001234", "HDFC Bank")
    assert (item["account_number"], item["status"]) == ("••••••••0001", "UNCHECKED")
    listed = asha.get("/bank-accounts")
    assert listed.json() == {"results": [item], "next": None}
    assert NUMBER not in answer.content.decode() + listed.content.decode()
    assert holder("Zoya Khan").get("/bank-accounts").json() == {"results": [], "next": None}


def test_the_number_stands_nowhere_in_the_database_and_in_no_log(superuser_url: str) -> None:
    number = f"777{secrets.randbelow(10**9):09d}"
    with structlog.testing.capture_logs() as lines:
        account = kept(add(holder(), account_number=number))
    assert number not in json.dumps(lines, default=str)
    with psycopg.connect(superuser_url) as server:
        row = server.execute("SELECT b::text FROM payments_bankaccount b WHERE id = %s", [account.pk]).fetchone()
    assert row is not None
    assert number not in row[0]
    assert number.encode().hex() not in row[0]
    assert number_of(account=account) == number


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("holder_name", "As"),
        ("holder_name", "A" * 51),
        ("holder_name", "12345"),
        ("holder_name", "Asha\nRao"),
        ("holder_name", "<b>Asha</b>"),
        ("holder_name", "आशा राव"),
        ("holder_name", None),
        ("ifsc", "HDFC1001234"),
        ("ifsc", "HDFC000123"),
        ("ifsc", "HDFC00012345"),
        ("ifsc", "HDF\u013100001234"),
        ("ifsc", "HDFC0001234\n"),
        ("ifsc", 11),
        ("account_number", "1234"),
        ("account_number", "1" * 19),
        ("account_number", "50100012 0001"),
        ("account_number", "50100012000A"),
        ("account_number", "५०१०००१२०००१"),
        ("account_number", 501000120001),
        ("account_number", ""),
    ],
)
def test_what_is_no_bank_account_is_refused_with_its_field_and_not_repeated(field: str, wrong: Any) -> None:
    asha = holder()
    answer = add(asha, **{field: wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert NUMBER not in answer.content.decode()
    assert asha.get("/bank-accounts").json()["results"] == []


def test_the_same_account_again_is_the_one_that_is_there_and_others_may_have_it_too() -> None:
    asha, ravi = holder(), holder("Ravi Kumar")
    first = add(asha)
    again = add(asha, ifsc="HDFC0001234".lower(), holder_name="A Rao")
    assert (again.status_code, again.json()) == (201, first.json())
    assert add(asha, ifsc="SBIN0001234").json()["id"] != first.json()["id"]
    assert add(ravi).json()["id"] != first.json()["id"]
    assert asha.get("/bank-accounts").json()["results"][1] == first.json()


def test_ten_at_once_leave_one_row_and_the_eleventh_account_is_refused() -> None:
    asha = holder()

    def race(number: str) -> int:
        try:
            return int(add(asha, account_number=number).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(race, [NUMBER] * 6)) == {201}
        assert BankAccount.objects.filter(owner=asha.user).count() == 1
        answers = list(pool.map(race, [f"50100012{n:04d}" for n in range(20, 34)]))
    assert (answers.count(201), answers.count(422)) == (settings.MOST_BANK_ACCOUNTS - 1, 5)
    refused = add(asha, account_number="5010001299999")
    assert (refused.status_code, refused.json()["code"]) == (422, "limit_exceeded")
    assert add(asha).status_code == 201


def test_who_removes_accounts_and_adds_others_all_day_has_no_more_rupees_sent_to_them() -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    for _ in range(settings.MOST_BANK_ACCOUNTS_A_DAY):
        added = add(zoya)
        assert (added.status_code, zoya.delete(f"/bank-accounts/{added.json()['id']}").status_code) == (201, 204)
    refused = add(zoya)
    assert (refused.status_code, refused.json()["code"]) == (422, "limit_exceeded")
    assert add(asha).status_code == 201
    tomorrow = timezone.now() + timedelta(days=1)
    add_bank_account(owner=zoya.user, **ASHA_AT_HDFC, account_number=NUMBER, now=tomorrow)


def test_the_list_has_pages_that_stay_when_an_account_is_removed() -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    ids = [bank_account(asha, f"{n:04d}") for n in range(5)][::-1]
    first = asha.get("/bank-accounts?limit=2").json()
    assert [row["id"] for row in first["results"]] == ids[:2]
    assert asha.delete(f"/bank-accounts/{ids[1]}").status_code == 204
    second = asha.get(f"/bank-accounts?limit=2&cursor={first['next']}").json()
    assert [row["id"] for row in second["results"]] == ids[2:4]
    last = asha.get(f"/bank-accounts?limit=2&cursor={second['next']}").json()
    assert ([row["id"] for row in last["results"]], last["next"]) == (ids[4:], None)
    for wrong in ("cursor=nonsense", f"cursor={public_id('cur', new_uuid())}"):
        assert asha.get(f"/bank-accounts?{wrong}").json()["code"] == "cursor_invalid"
    assert zoya.get(f"/bank-accounts?cursor={first['next']}").json()["code"] == "cursor_invalid"
    for wrong in ("limit=0", "limit=101", "limit=x"):
        assert asha.get(f"/bank-accounts?{wrong}").status_code == 400


def test_a_removed_account_is_gone_its_number_forgotten_and_it_may_come_back_as_another() -> None:
    asha, zoya = holder(), holder("Zoya Khan")
    answer = add(asha)
    path = f"/bank-accounts/{answer.json()['id']}"
    assert zoya.delete(path).status_code == 404
    assert asha.delete(path).status_code == 204
    assert asha.delete(path).status_code == 404
    assert asha.get("/bank-accounts").json()["results"] == []
    account = kept(answer)
    assert (bytes(account.number_sealed), account.check_at) == (b"", None)
    with pytest.raises(Unreadable):
        number_of(account=account)
    assert add(asha).json()["id"] != answer.json()["id"]
    for unknown in (public_id("bnk", new_uuid()), public_id("txn", new_uuid()), "x" * 300):
        assert asha.delete(f"/bank-accounts/{unknown}").status_code == 404


def test_a_number_that_a_payout_still_needs_is_kept_until_it_was_sent(sandbox: Sandbox) -> None:
    asha = holder(rupees=500)
    answer = add(asha, account_number="501000129876")
    withdraw(asha, answer.json()["id"])
    assert asha.delete(f"/bank-accounts/{answer.json()['id']}").status_code == 204
    account = kept(answer)
    assert number_of(account=account) == "501000129876"
    with wallet_speaks_to(client(sandbox.url)):
        sweep_bank_accounts(now=timezone.now())
        assert number_of(account=account) == "501000129876"
        sweep_payouts(now=timezone.now())
        sweep_bank_accounts(now=timezone.now() + timedelta(hours=1))
    account.refresh_from_db()
    assert bytes(account.number_sealed) == b""


def test_an_account_is_made_known_and_its_bank_asked_who_it_belongs_to(sandbox: Sandbox) -> None:
    asha = holder()
    known, unknown = add(asha, account_number="60100012345"), add(asha, account_number="40404012345")
    with wallet_speaks_to(client("http://127.0.0.1:9")):
        sweep_bank_accounts(now=timezone.now())
    assert {row["status"] for row in asha.get("/bank-accounts").json()["results"]} == {"UNCHECKED"}
    ahead = timedelta(minutes=2)
    with wallet_speaks_to(client(sandbox.url)):
        sweep_bank_accounts(now=timezone.now() + ahead)
        assert {row["status"] for row in asha.get("/bank-accounts").json()["results"]} == {"ASKED"}

        def answered() -> bool:
            nonlocal ahead
            ahead += timedelta(minutes=2)
            sweep_bank_accounts(now=timezone.now() + ahead)
            return BankAccount.objects.filter(owner=asha.user, check_at__isnull=False).count() == 0

        until(answered)
    assert [row["status"] for row in asha.get("/bank-accounts").json()["results"]] == ["INVALID", "VALID"]
    account = kept(known)
    assert account.registered_name
    there = sandbox.call("GET", f"/fund_accounts/{account.fund_account_id}").json()["bank_account"]
    assert (there["name"], there["ifsc"], there["account_number"]) == ("Asha Rao", "HDFC0001234", "60100012345")
    refused = asha.post("/wallet/withdraw", {"bank_account": unknown.json()["id"], "amount": "5"}, key=new_key())
    assert (refused.status_code, refused.json()["code"]) == (422, "bank_account_invalid")


def test_one_account_that_cannot_be_read_does_not_keep_the_others_from_the_gateway() -> None:
    asha = holder()
    broken, whole = kept(add(asha, account_number="811111111111")), kept(add(asha, account_number="822222222222"))
    BankAccount.objects.filter(pk=broken.pk).update(number_sealed=b"nonsense")

    def answer(method: str, path: str, body: Any) -> tuple[int, str]:
        return 200, json.dumps({"id": f"{path.rsplit('/', 1)[-1][:4]}_1", "status": "created", "results": {}})

    with open_door() as door, wallet_speaks_to(client(door.url)), structlog.testing.capture_logs() as lines:
        door.answer = answer
        sweep_bank_accounts(now=timezone.now())
    whole.refresh_from_db()
    assert (whole.fund_account_id, whole.validation) == ("fund_1", "ASKED")
    assert [line["account"] for line in lines if line["event"] == "bank_account.check_failed"] == [broken.public_id]


def test_a_number_put_into_another_row_is_not_taken_for_that_rows() -> None:
    asha = holder()
    one, other = kept(add(asha, account_number="833333333333")), kept(add(asha, account_number="844444444444"))
    BankAccount.objects.filter(pk=one.pk).update(number_sealed=other.number_sealed)
    one.refresh_from_db()
    with pytest.raises(RuntimeError, match=one.public_id):
        number_of(account=one)


def test_reseal_brings_every_number_under_the_new_key_and_the_old_one_may_go() -> None:
    asha = holder()
    account = kept(add(asha, account_number="855555555555"))
    BankAccount.objects.exclude(pk=account.pk).update(number_sealed=b"")
    old, new = settings.DATA_KEYS[0], secrets.token_bytes(32)
    said = StringIO()
    with override_settings(DATA_KEYS=[new, old]):
        call_command("reseal", stdout=said)
        call_command("reseal", stdout=said)
        assert add(asha, account_number="855555555555").json()["id"] == account.public_id
    assert said.getvalue().split("\n")[:2] == ["sealed anew: 1", "sealed anew: 0"]
    account.refresh_from_db()
    with override_settings(DATA_KEYS=[new]):
        assert number_of(account=account) == "855555555555"
    with pytest.raises(Unreadable):
        number_of(account=account)
