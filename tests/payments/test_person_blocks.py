"""Keeping another person away: what they can do no more, and what they learn of it."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.blocking import block as block_account
from accounts.models import PersonBlock
from ledger.models import Transaction
from payments import person_blocks, transfers
from tests.accounts.people import PASSWORD, new_phone, superuser
from tests.payments.cast import Holder, holder, merchant, new_key
from wallet_project.kernel.ids import new_uuid, public_id
from wallets.opening import open_merchant

pytestmark = pytest.mark.usefixtures("database")


def block(blocker: Holder, **named: str) -> Any:
    return blocker.post("/me/blocked-people", named)


def pay(payer: Holder, to: str, amount: str = "5", key: str | None = None) -> Any:
    return payer.post("/wallet/transfer", {"to": to, "amount": amount}, key=key)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def name_of(asker: Holder, to: str) -> Any:
    return asker.get(f"/wallet/payee?to={to.replace('+', '%2B')}")


@pytest.fixture
def zoya() -> Holder:
    """Kept away by whoever says so."""
    return holder("Zoya Khan", rupees=100)


@pytest.fixture
def asha(zoya: Holder) -> Holder:
    """She has blocked Zoya."""
    asha = holder("Asha Rao", rupees=100, phone=new_phone())
    answer = block(asha, to=zoya.email)
    assert answer.status_code == 201, answer.content
    assert answer.json()["display_name"] == "Zoya K."
    return asha


def spellings(person: Holder) -> list[str]:
    return [person.email, str(person.user.phone), person.wallet.public_id]


@pytest.fixture
def dev() -> Holder:
    """Support has blocked him: whoever is kept away by a person must read just what they read of him."""
    dev = holder("Dev Singh", phone=new_phone())
    block_account(user=dev.user, by=superuser(), reason="Fraud", now=timezone.now())
    return dev


def words(answer: Any) -> Any:
    return answer.status_code, answer.json() | {"transaction": "", "request_id": ""}


def test_whoever_is_kept_away_cannot_pay_and_reads_what_anybody_reads_who_cannot_be_paid(
    asha: Holder, zoya: Holder, dev: Holder
) -> None:
    for to, of_dev in zip(spellings(asha), spellings(dev), strict=True):
        key = new_key()
        answer, other = pay(zoya, to, key=key), pay(zoya, of_dev)
        assert code(answer) == (422, "recipient_unavailable")
        assert words(answer) == words(other)
        again = pay(zoya, to, key=key)
        assert (again.json()["transaction"], again.headers["Idempotent-Replayed"]) == (
            answer.json()["transaction"],
            "true",
        )
        for refused in (answer, other):
            kept = zoya.get(f"/transactions/{refused.json()['transaction']}").json()
            assert (kept["status"], kept["counterparty"]) == ("FAILED", {"display_name": "somebody", "wallet": None})
        for dry in (to, of_dev):
            seen = zoya.post("/wallet/transfer?dry_run=true", {"to": dry, "amount": "5"})
            assert code(seen) == (422, "recipient_unavailable")
    assert (asha.balance, zoya.balance) == (100, 100)
    assert asha.get("/transactions").json()["results"][0]["type"] == "ADD"


def test_nor_look_the_name_up(asha: Holder, zoya: Holder, dev: Holder) -> None:
    for to, of_dev in zip(spellings(asha), spellings(dev), strict=True):
        assert code(name_of(zoya, to)) == (422, "recipient_unavailable")
        assert words(name_of(zoya, to)) == words(name_of(zoya, of_dev))
        assert name_of(holder("Ravi Kumar"), to).json() == {"display_name": "Asha R."}


def test_nor_learn_it_by_blocking_back(asha: Holder, zoya: Holder, dev: Holder) -> None:
    """From a transaction of the two they know it anyway, and may keep the other away as well."""
    for to, of_dev in zip(spellings(asha), spellings(dev), strict=True):
        assert code(block(zoya, to=to)) == (422, "recipient_unavailable")
        assert words(block(zoya, to=to)) == words(block(zoya, to=of_dev))
    before = pay(asha, zoya.email)
    assert code(before) == (409, "unblock_first")
    id = asha.get("/me/blocked-people").json()["results"][0]["id"]
    assert asha.delete(f"/me/blocked-people/{id}").status_code == 204
    paid = pay(asha, zoya.email).json()["id"]
    assert block(asha, transaction=paid).status_code == 201
    answer = block(zoya, transaction=paid)
    assert (answer.status_code, answer.json()["display_name"]) == (201, "Asha R.")


def test_the_blocker_pays_them_only_after_letting_them_in(asha: Holder, zoya: Holder) -> None:
    key = new_key()
    assert code(pay(asha, zoya.email, key=key)) == (409, "unblock_first")
    assert code(asha.post("/wallet/transfer?dry_run=true", {"to": zoya.email, "amount": "5"})) == (409, "unblock_first")
    assert name_of(asha, zoya.email).json() == {"display_name": "Zoya K."}
    listed = asha.get("/me/blocked-people").json()
    assert [each["display_name"] for each in listed["results"]] == ["Zoya K."]
    assert asha.delete(f"/me/blocked-people/{listed['results'][0]['id']}").status_code == 204
    assert asha.get("/me/blocked-people").json()["results"] == []
    # Nothing was kept of the first: its key is unused.
    assert pay(asha, zoya.email, key=key).status_code == 201
    assert pay(zoya, asha.email).status_code == 201


def test_it_is_judged_under_the_posting_too(zoya: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    asha = holder(rupees=10)
    find = transfers.find_parties

    def blocked_meanwhile(**given: Any) -> Any:
        found = find(**given)
        person_blocks.block_payee(user=asha.user, to=zoya.email, now=timezone.now())
        return found

    monkeypatch.setattr(transfers, "find_parties", blocked_meanwhile)
    answer = pay(zoya, asha.email)
    assert code(answer) == (422, "recipient_unavailable")
    assert (asha.balance, zoya.balance) == (10, 100)
    assert Transaction.objects.get(from_wallet=zoya.wallet).status == "FAILED"


def test_a_shop_sells_to_everybody_and_cannot_be_blocked(asha: Holder, zoya: Holder) -> None:
    shop = open_merchant(user=asha.user, handle=f"asha-{new_uuid().hex[-12:]}", display_name="Asha Arts")
    assert zoya.post("/wallet/pay", {"merchant": shop.handle, "amount": "5"}).status_code == 201
    # Nor does her block tell whose shop it is.
    assert name_of(zoya, shop.wallet.public_id).json() == {"display_name": "Asha Arts"}
    sent = pay(zoya, shop.wallet.public_id)
    assert sent.status_code == 201
    assert zoya.post(f"/transactions/{sent.json()['id']}/money-back", {"note": ""}).status_code == 201
    meera, books = merchant()
    assert code(block(asha, to=books.wallet.public_id)) == (400, "invalid")
    bought = asha.post("/wallet/pay", {"merchant": books.handle, "amount": "5"}).json()["id"]
    assert code(block(asha, transaction=bought)) == (400, "invalid")
    assert block(asha, to=meera.email).status_code == 201
    assert asha.post("/wallet/pay", {"merchant": books.handle, "amount": "5"}).status_code == 201


def test_the_other_way_it_changes_nothing_for_third_people(asha: Holder) -> None:
    ravi = holder("Ravi Kumar", rupees=10)
    assert pay(ravi, asha.email).status_code == 201
    assert pay(asha, ravi.email).status_code == 201


def test_blocking_twice_is_as_good_as_once(asha: Holder, zoya: Holder) -> None:
    first = asha.get("/me/blocked-people").json()["results"]
    again = block(asha, to=zoya.wallet.public_id)
    assert (again.status_code, again.json()) == (200, first[0])
    assert asha.get("/me/blocked-people").json()["results"] == first


@pytest.mark.parametrize(
    ("named", "answer"),
    [
        ({}, (400, "invalid")),
        ({"to": "a", "transaction": "b"}, (400, "invalid")),
        ({"to": "nobody"}, (400, "invalid")),
        ({"to": "nobody@example.com"}, (404, "payee_not_found")),
        ({"transaction": public_id("txn", new_uuid())}, (404, "not_found")),
        ({"transaction": "nonsense"}, (404, "not_found")),
    ],
)
def test_whom_nobody_can_block(named: dict[str, str], answer: tuple[int, str]) -> None:
    assert code(block(holder(), **named)) == answer


def test_neither_oneself_nor_a_bank_can_be_blocked() -> None:
    asha = holder(rupees=5)
    assert code(block(asha, to=asha.email)) == (400, "invalid")
    added = asha.get("/transactions").json()["results"][0]["id"]
    assert code(block(asha, transaction=added)) == (400, "invalid")


def test_nobody_unblocks_for_another(asha: Holder, zoya: Holder) -> None:
    id = asha.get("/me/blocked-people").json()["results"][0]["id"]
    assert code(zoya.delete(f"/me/blocked-people/{id}")) == (404, "not_found")
    assert code(asha.delete("/me/blocked-people/nonsense")) == (404, "not_found")
    assert PersonBlock.objects.filter(blocker=asha.user).exists()


def test_there_are_so_many_and_no_more_and_the_list_has_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_blocks, "MOST_BLOCKED", 3)
    asha, others = holder(), [holder(name) for name in ("Ravi Kumar", "Zoya Khan", "Dev Singh", "Anil Gupta")]
    assert [block(asha, to=other.email).status_code for other in others] == [201, 201, 201, 422]
    page = asha.get("/me/blocked-people?limit=2").json()
    assert [each["display_name"] for each in page["results"]] == ["Dev S.", "Zoya K."]
    rest = asha.get(f"/me/blocked-people?limit=2&cursor={page['next']}").json()
    assert ([each["display_name"] for each in rest["results"]], rest["next"]) == (["Ravi K."], None)
    assert code(asha.get("/me/blocked-people?cursor=nonsense")) == (400, "cursor_invalid")


def test_whoever_leaves_keeps_nobody_away_and_is_kept_away_by_nobody() -> None:
    asha, ravi = holder(), holder("Ravi Kumar")
    assert block(asha, to=ravi.email).status_code == 201
    PersonBlock.objects.create(blocker=ravi.user, blocked=asha.user, created_at=timezone.now())
    data = b"".join(asha.get("/me/data").streaming_content)
    assert b'"people_blocked": [{"name": "Ravi K."' in data
    assert asha.post("/me/close", {"password": PASSWORD}).status_code == 204
    assert not PersonBlock.objects.filter(blocker=asha.user).exists()
    assert not PersonBlock.objects.filter(blocked=asha.user).exists()
