"""A page of history costs what it shows: first page and deepest, in a wallet of 50,000 entries."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from accounts.actors import system_actor
from accounts.models import User
from ledger import queries
from ledger.models import Transaction
from ledger.movements import Group, Movement
from ledger.posting import post
from ledger.system_wallets import Purpose, system_wallet
from tests.accounts.people import new_email, person
from wallets.models import Wallet
from wallets.opening import open_wallet

pytestmark = pytest.mark.usefixtures("database")

ENTRIES = 50_000
AT_ONCE = 1_000
SHOWN = 20


@pytest.fixture(scope="module")
def busy(database: object) -> Wallet:
    """Asha's wallet: half of its entries in, half out, among those of others."""
    asha = open_wallet(user=person())
    everybody = User.objects.bulk_create(
        User(full_name=f"Ravi {number}", email=new_email(f"ravi{number}"), email_verified_at=timezone.now())
        for number in range(2_000)
    )
    others = Wallet.objects.bulk_create(
        Wallet(owner=ravi, kind="USER", currency="INR", decimals=2) for ravi in everybody
    )[:100]
    beat, clearing = system_actor("tests").pk, system_wallet(Purpose.GATEWAY_CLEARING, "INR")
    for other in others:
        post([_movement(beat, clearing, other.pk, 1_000_000, "ADD")])
    for start in range(0, ENTRIES, AT_ONCE):
        groups = []
        for number in range(start, start + AT_ONCE):
            other = others[number % len(others)].pk
            pair = (other, asha.pk) if number % 2 == 0 else (asha.pk, other)
            groups.append(_movement(beat, *pair, 1, "TRANSFER"))
        post(groups)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE")
    return asha


def _movement(initiator: int, from_wallet: int, to_wallet: int, rupees: int, type_: str) -> Group:
    movement = Movement(
        type=type_,
        amount=Decimal(rupees),
        currency="INR",
        from_wallet=from_wallet,
        to_wallet=to_wallet,
        fact=type_ == "ADD",
    )
    return Group(initiator=initiator, movements=(movement,))


def _plan(page: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What PostgreSQL did for the very statement that `page` runs."""
    plans: list[dict[str, Any]] = []

    def explained(statement: str, parameters: Any) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + queries._DETAILS.format(page=statement), parameters)
            plans.append(cursor.fetchone()[0][0]["Plan"])
        return original(statement, parameters)

    original = queries._read
    monkeypatch.setattr(queries, "_read", explained)
    page()
    return plans[0]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def _deepest_cursor(wallet: Wallet) -> str:
    """The cursor that leads to the last full page."""
    first = Transaction.objects.filter(from_wallet=wallet) | Transaction.objects.filter(to_wallet=wallet)
    oldest: Transaction = first.order_by("created_at", "id")[SHOWN + 1]
    return queries.public_id(queries.CURSOR_PREFIX, oldest.uuid)


@pytest.mark.parametrize("where", ["first", "deepest", "filtered by days", "filtered by type"])
def test_a_page_reads_what_it_shows_and_sorts_nothing(
    busy: Wallet, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "first": {},
        "deepest": {"cursor": _deepest_cursor(busy)},
        "filtered by days": {"filters": queries.Filters(from_date=date(2020, 1, 1), to_date=date(2100, 1, 1))},
        "filtered by type": {"filters": queries.Filters(type="TRANSFER", status="SUCCESS")},
    }[where]
    plan = _plan(lambda: queries.history_of(wallet=busy, limit=SHOWN, **options), monkeypatch)
    nodes = list(_nodes(plan))
    kinds = {node["Node Type"] for node in nodes}
    assert not {"Sort", "Incremental Sort", "Hash Join", "Materialize"} & kinds, kinds
    # Nobody here is a merchant, so their empty table may be read whole.
    assert {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} <= {"wallets_merchant"}
    assert "Merge Append" in kinds
    assert {"transaction_out", "transaction_in"} <= {node.get("Index Name") for node in nodes}
    read = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes
        if node.get("Relation Name") == "ledger_transaction"
    )
    assert SHOWN <= read <= SHOWN + 5
    for relation, most in {"ledger_ledgerentry": 1, "wallets_wallet": 1}.items():
        (looked_up,) = [node for node in nodes if node.get("Relation Name") == relation]
        assert looked_up["Actual Loops"] <= SHOWN + 5
        assert looked_up["Actual Rows"] + looked_up.get("Rows Removed by Filter", 0) <= most


def test_the_deepest_page_is_the_last_and_shows_the_oldest(busy: Wallet) -> None:
    page = queries.history_of(wallet=busy, limit=SHOWN + 10, cursor=_deepest_cursor(busy))
    assert (len(page.rows), page.next) == (SHOWN + 1, None)
    assert page.rows[-1].balance_after is not None
    assert page.rows[-1].balance_after.text == "1.00"
