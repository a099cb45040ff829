"""The auditor's export: who may have it, that it is all entries of one moment, and that no cell is a formula."""

import csv
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import transaction
from django.http import StreamingHttpResponse
from django.test import Client

from accounts.models import User
from accounts.roles import AUDITOR, SUPPORT, appoint
from ledger import exports
from ledger.exports import HEADER, ROWS_AT_ONCE, entries_as_csv, neutral
from ledger.models import LedgerEntry
from ledger.posting import post
from ledger.verifying.snapshot import snapshot_of
from tests import environment
from tests.ledger.factories import UserFactory, asha, group, member, ravi, transfer
from wallet_project.kernel.ids import public_id

pytestmark = pytest.mark.usefixtures("database")

ADDRESS = "/audit/entries.csv"


def staff(full_name: str, role: str) -> User:
    user = UserFactory.create(full_name=full_name)
    with transaction.atomic():
        appoint(user=user, group=role)
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def export_as(user: User) -> list[dict[str, str]]:
    response = signed_in(user).get(ADDRESS)
    assert response.status_code == 200
    assert isinstance(response, StreamingHttpResponse)
    text = b"".join(response.streaming_content).decode()
    response.close()
    return list(csv.DictReader(StringIO(text, newline="")))


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO("".join(entries_as_csv()), newline="")))


@pytest.fixture
def anil() -> User:
    return staff("Anil Desai", AUDITOR)


def test_anil_the_auditor_gets_every_entry(anil: User) -> None:
    a, r = asha(balance="100"), ravi()
    (outcome,) = post([group(a, transfer(a, r, "5.50", note="lunch, “late”\nand more"))])
    found = export_as(anil)
    assert len(found) == LedgerEntry.objects.count()
    assert sum(Decimal(row["debit"]) for row in found) == sum(Decimal(row["credit"]) for row in found)
    mine = next(row for row in found if row["wallet"] == r.wallet.public_id)
    entry = LedgerEntry.objects.select_related("transaction").get(wallet=r.wallet)
    assert mine == {
        "created_at": entry.created_at.isoformat(timespec="microseconds"),
        "wallet": r.wallet.public_id,
        "sequence": "1",
        "wallet_kind": "USER",
        "wallet_label": "",
        "owner_name": "Ravi Menon",
        "transaction": entry.transaction.public_id,
        "type": "TRANSFER",
        "status": "SUCCESS",
        "debit": "0.00",
        "credit": "5.50",
        "balance_after": "5.50",
        "balance_side": "credit",
        "currency": "INR",
        "counterparty_wallet": a.wallet.public_id,
        "note": "lunch, “late”\nand more",
        "hash": bytes(entry.hash).hex(),
    }
    assert entry.transaction_id == outcome.transactions[0]


def test_the_response_is_a_download_that_nobody_keeps(anil: User) -> None:
    response = signed_in(anil).get(ADDRESS)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="entries.csv"'
    assert "no-store" in response["Cache-Control"]
    response.close()


def test_the_audit_page_links_to_the_export(anil: User) -> None:
    page = signed_in(anil).get("/audit/")
    assert page.status_code == 200
    assert f'href="{ADDRESS}"' in page.content.decode()
    assert all(column in page.content.decode() for column in HEADER)


def test_the_way_there_is_shown_to_auditors_alone(anil: User) -> None:
    assert 'href="/audit/"' in signed_in(anil).get("/").content.decode()
    for other in (asha().user, staff("Dev Nair", SUPPORT)):
        assert "/audit/" not in signed_in(other).get("/").content.decode()


@pytest.mark.parametrize("address", ["/audit/", ADDRESS])
def test_zoya_never_gets_in(address: str) -> None:
    answer = Client().get(address)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in?")
    zoya = UserFactory.create(full_name="Zoya Khan")
    assert signed_in(zoya).get(address).status_code == 403


@pytest.mark.parametrize("address", ["/audit/", ADDRESS])
def test_support_does_not_read_the_ledger_so(address: str) -> None:
    assert signed_in(staff("Dev Nair", SUPPORT)).get(address).status_code == 403


def test_a_superuser_may_and_a_blocked_auditor_may_not(anil: User) -> None:
    root = UserFactory.create(full_name="Root", is_superuser=True)
    assert signed_in(root).get("/audit/").status_code == 200
    client = signed_in(anil)
    User.objects.filter(pk=anil.pk).update(status=User.Status.BLOCKED)
    assert client.get("/audit/").status_code == 302


@pytest.mark.parametrize("address", ["/audit/", ADDRESS])
def test_nothing_is_posted_there(anil: User, address: str) -> None:
    assert signed_in(anil).post(address).status_code == 405


def test_the_role_is_a_group_with_the_permission() -> None:
    permissions = Group.objects.get(name=AUDITOR).permissions.values_list("content_type__app_label", "codename")
    assert ("ledger", "export_ledgerentry") in permissions


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＠"])
def test_no_cell_is_a_formula(start: str) -> None:
    a, r = member(f"{start}cmd|' /C calc'!A0", balance="9"), ravi()
    post([group(a, transfer(a, r, "1", note=f"{start}1+1"))])
    found = [row for row in rows() if row["wallet"] in (a.wallet.public_id, r.wallet.public_id)]
    assert f"'{start}1+1" in {row["note"] for row in found}
    assert f"'{start}cmd|' /C calc'!A0" in {row["owner_name"] for row in found}


def test_no_cell_of_the_whole_file_begins_like_one() -> None:
    """The clearing wallet owes: a plain minus would be the first of them."""
    asha(balance="7")
    found = rows()
    assert not [cell for row in found for cell in row.values() if re.match(r"[=+\-@\t\r]", cell)]
    owing = [row for row in found if row["wallet_kind"] == "SYSTEM"]
    assert {row["balance_side"] for row in owing} == {"debit"}
    assert all(Decimal(row["balance_after"]) > 0 for row in owing)


@pytest.mark.parametrize("cell", ["", "lunch", "1-1", " =1", "'=1"])
def test_what_is_no_formula_stays_as_it_is(cell: str) -> None:
    assert neutral(cell) == cell


def test_each_currency_has_its_own_decimals() -> None:
    jpy, kwd = asha(currency="JPY", balance="500"), asha(currency="KWD", balance="1.234")
    found = {row["wallet"]: row["credit"] for row in rows()}
    assert found[jpy.wallet.public_id] == "500"
    assert found[kwd.wallet.public_id] == "1.234"


def test_the_order_is_stable_and_the_pieces_are_small() -> None:
    a, r = asha(balance="1000"), ravi()
    post([group(a, transfer(a, r, "0.01")) for _ in range(ROWS_AT_ONCE)])
    pieces = list(entries_as_csv())
    assert pieces[0] == ",".join(HEADER) + "\r\n"
    assert all(piece.count("\r\n") <= ROWS_AT_ONCE for piece in pieces)
    first = rows()
    post([group(a, transfer(a, r, "0.01"))])
    assert rows()[: len(first)] == first
    of_asha = [int(row["sequence"]) for row in first if row["wallet"] == a.wallet.public_id]
    assert of_asha == sorted(of_asha)


def test_it_is_one_moment_whatever_is_posted_meanwhile() -> None:
    a, r = asha(balance="1000"), ravi()
    post([group(a, transfer(a, r, "0.01")) for _ in range(ROWS_AT_ONCE)])
    expected = LedgerEntry.objects.count()
    pieces = entries_as_csv()
    header = next(pieces)
    post([group(a, transfer(a, r, "0.01")) for _ in range(50)])
    found = list(csv.reader(StringIO(header + "".join(pieces), newline="")))
    assert len(found) - 1 == expected


def test_a_reader_who_goes_away_leaves_no_session(database: environment.Database, anil: User) -> None:
    a, r = asha(balance="1000"), ravi()
    post([group(a, transfer(a, r, "0.01")) for _ in range(ROWS_AT_ONCE)])
    response = signed_in(anil).get(ADDRESS)
    assert isinstance(response, StreamingHttpResponse)
    pieces: Iterator[bytes] = iter(response.streaming_content)
    next(pieces), next(pieces)
    assert _auditors_sessions(database) == 1
    response.close()
    assert _auditors_sessions(database) == 0


def _auditors_sessions(database: environment.Database) -> int:
    with psycopg.connect(database.superuser_url) as server:
        found = server.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'wallet_auditor' AND datname = %s", [database.name]
        ).fetchone()
    assert found
    return int(found[0])


def test_two_at_once_do_not_disturb_each_other(anil: User) -> None:
    asha(balance="1")
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(len(rows()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [LedgerEntry.objects.count()] * 2


def test_the_plan_neither_sorts_nor_hashes_the_ledger() -> None:
    """So the first line leaves at once, and the server's memory does not grow with the ledger either."""
    with snapshot_of("auditor", **exports._SETTINGS) as snapshot:
        plan = "\n".join(row[0] for row in snapshot.rows("EXPLAIN " + exports._ENTRIES))
    assert "Sort" not in plan
    assert "Hash" not in plan
    assert "Index Scan using ledger_ledgerentry_pkey" in plan


def test_the_command_writes_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    asha(balance="1")
    printed = StringIO()
    call_command("export_entries", stdout=printed)
    assert printed.getvalue() == "".join(entries_as_csv())


def test_the_command_ends_with_2_where_it_may_not_read(database: environment.Database) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as server:
        server.execute("REVOKE SELECT ON auditor_entries FROM wallet_auditor")
        try:
            with pytest.raises(CommandError, match="permission denied") as caught:
                call_command("export_entries", stdout=StringIO())
        finally:
            server.execute("GRANT SELECT ON auditor_entries TO wallet_auditor")
    assert caught.value.returncode == 2


def test_postgresql_spells_public_ids_as_we_do(database: environment.Database) -> None:
    a = asha()
    with psycopg.connect(database.auditor_url) as server:
        found = server.execute("SELECT wallet, uuid FROM auditor_wallets").fetchall()
    assert (a.wallet.public_id, a.wallet.uuid) in found
    assert all(wallet == public_id("wal", uuid) for wallet, uuid in found)
