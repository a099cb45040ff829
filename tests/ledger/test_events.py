"""What the ledger tells, held against the documents that say so."""

import gzip
import json
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
import yaml
from django.db import connections
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from ledger import numbers
from ledger.events import TYPE_OF, NoSuchTransaction, render
from ledger.models import Transaction
from ledger.movements import Completion, Group, Movement
from ledger.posting import post
from ledger.system_wallets import system_wallet
from tests.house.sources import CHECKOUT
from tests.ledger.factories import (
    Member,
    asha,
    clearing,
    gateway_actor,
    group,
    key,
    meera,
    ravi,
    transfer,
)
from wallet_project.kernel.events.envelope import CONTENT_TYPE, TOPIC, Event, read_event
from wallet_project.kernel.events.lanes import open_session
from wallet_project.kernel.events.outbox import Row
from wallet_project.kernel.events.producing import PARTITIONS
from wallet_project.kernel.models import OutboxEvent
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

DOCUMENTS = CHECKOUT / "docs" / "events"
# Of AsyncAPI 3.0.0, unchanged, from the npm package @asyncapi/specs 6.11.1 (Apache-2.0, beside it).
ASYNCAPI = CHECKOUT / "tests" / "ledger" / "asyncapi-3.0.0.json.gz"


@cache
def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return found


def complaints(name: str, value: object) -> list[str]:
    validator = Draft202012Validator(schema(name), format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def rows_of(*wallets: Wallet) -> list[Row]:
    found = OutboxEvent.objects.filter(wallet_id__in=[wallet.pk for wallet in wallets]).order_by("number")
    return [Row._make(row) for row in found.values_list(*Row._fields)]


def rendered(rows: Sequence[Row]) -> list[Event]:
    with open_session() as session:
        return render(session.cursor(), rows)


def told(*members: Member) -> list[Event]:
    return rendered(rows_of(*(member.wallet for member in members)))


def statement(*acts: Any, initiator: int | None = None) -> int:
    (outcome,) = post([Group(initiator=initiator or gateway_actor().pk, movements=acts)])
    return outcome.transactions[0]


def withdraw(member: Member, amount: str) -> int:
    payouts = system_wallet(Wallet.Purpose.PAYOUT_CLEARING, "INR")
    return statement(
        Movement(
            type="WITHDRAW", status="PENDING", amount=Decimal(amount), currency="INR", from_wallet=member.wallet.pk,
            to_wallet=payouts,
        )
    )  # fmt: skip


def everything_that_happens() -> tuple[Member, Member]:
    """Asha and Ravi, after one of each."""
    one, other = asha(balance="100"), ravi()
    add = Movement(
        type="ADD", status="PENDING", amount=Decimal("9.50"), currency="INR", from_wallet=clearing(),
        to_wallet=one.wallet.pk,
    )  # fmt: skip
    statement(Completion(transaction=statement(add), status="SUCCESS"))
    statement(Completion(transaction=statement(add), status="FAILED", failure_code="expired"))
    post([group(one, transfer(one, other, "30", note="for Zoya", metadata={"order_reference": "secret/7"}))])
    post([group(other, transfer(other, one, "1000"), key=key())])
    sent = withdraw(one, "5")
    statement(Completion(transaction=sent, status="SUCCESS"))
    failed = withdraw(one, "6")
    payouts = system_wallet(Wallet.Purpose.PAYOUT_CLEARING, "INR")
    back = Movement(
        type="REVERSAL", amount=Decimal(6), currency="INR", from_wallet=payouts, to_wallet=one.wallet.pk,
        reverses=failed, fact=True,
    )  # fmt: skip
    statement(Completion(transaction=failed, status="FAILED", failure_code="bank_refused"), back)
    return one, other


def test_every_event_is_as_the_documents_say() -> None:
    events = told(*everything_that_happens())
    assert {event.type for event in events} == set(TYPE_OF.values())
    for event in events:
        value = json.loads(event.as_bytes())
        assert complaints("envelope", value) == []
        assert complaints(event.type, value["data"]) == []
        # Within a version more may come; what is there now is all that the documents list.
        assert value.keys() == schema("envelope")["properties"].keys()
        assert value["data"].keys() == schema(event.type)["properties"].keys()
        assert value["dataschema"] == schema(event.type)["$id"]
        assert read_event(event.as_bytes()) == event


def test_the_schemas_refuse_what_is_wrong() -> None:
    (event, *_) = told(asha(balance="1"))
    value = json.loads(event.as_bytes())
    for name, wrong in {
        "amount": {"amount": 1.0, "currency": "INR"},
        "balance_after": None,
        "sequence": 0,
        "status": "FAILED",
        "created_at": "yesterdayZ",
        "wallet": "7",
        "failure_code": "none",
    }.items():
        assert complaints(event.type, {**value["data"], name: wrong}), name
    for name, wrong in {"id": "7", "subject": "wal_", "time": "2026-11-29", "specversion": "0.3"}.items():
        assert complaints("envelope", {**value, name: wrong}), name


def test_an_event_tells_what_was_true_when_it_was_written() -> None:
    one, other = everything_that_happens()
    found = [(event.type.split(".")[2], event.data) for event in told(one)]
    assert [
        (
            what,
            data["type"],
            data["direction"],
            data["amount"]["amount"],
            data["sequence"],
            data["balance_after"] and data["balance_after"]["amount"],
            data["failure_code"],
            data["completed_at"] is not None,
        )
        for what, data in found
    ] == [
        ("succeeded", "ADD", "in", "100.00", 1, "100.00", None, True),
        ("pending", "ADD", "in", "9.50", None, None, None, False),
        ("succeeded", "ADD", "in", "9.50", 2, "109.50", None, True),
        ("pending", "ADD", "in", "9.50", None, None, None, False),
        ("failed", "ADD", "in", "9.50", None, None, "expired", True),
        ("succeeded", "TRANSFER", "out", "30.00", 3, "79.50", None, True),
        ("pending", "WITHDRAW", "out", "5.00", 4, "74.50", None, False),
        ("succeeded", "WITHDRAW", "out", "5.00", None, None, None, True),
        ("pending", "WITHDRAW", "out", "6.00", 5, "68.50", None, False),
        ("failed", "WITHDRAW", "out", "6.00", None, None, "bank_refused", True),
        ("succeeded", "REVERSAL", "in", "6.00", 6, "74.50", None, True),
    ]
    given, back = found[5][1], found[10][1]
    assert given["counterparty_wallet"] == other.wallet.public_id
    assert (back["reverses"], back["counterparty_wallet"]) == (found[8][1]["transaction"], None)
    # The refusal of what Ravi had not is his alone.
    assert [event.data["failure_code"] for event in told(other)] == [None, "insufficient_funds"]


def test_an_event_holds_no_words_of_people_and_is_the_same_whenever_it_is_rendered() -> None:
    one, other = everything_that_happens()
    events = told(one, other)
    text = b"".join(event.as_bytes() for event in events).decode()
    for word in ("Zoya", "secret/7", "Asha", "Ravi", "example.com", one.user.public_id):
        assert word not in text
    assert [event.as_bytes() for event in told(one, other)] == [event.as_bytes() for event in events]


def test_a_merchant_is_told_under_the_same_key_as_everybody() -> None:
    buyer, shop = asha(balance="10"), meera()
    post([group(buyer, transfer(buyer, shop, "4", type="PAY"))])
    (event,) = told(shop)
    assert (event.subject, event.key) == (shop.wallet.public_id, shop.wallet.public_id.encode())
    assert (event.data["counterparty_wallet"], event.data["direction"]) == (buyer.wallet.public_id, "in")


def test_a_row_that_tells_of_nothing_is_no_event() -> None:
    (row, *_) = rows_of(asha(balance="1").wallet)
    with pytest.raises(NoSuchTransaction):
        rendered([row, row._replace(transaction_id=-1)])


def test_a_wallets_events_are_numbered_in_their_order_whichever_process_posted_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each process draws the primary keys of its rows in blocks: a later posting may bear smaller ones."""
    payer, payee = asha(balance="100"), ravi()
    blocks: dict[str, Any] = {}
    for block in (range(9 * 10**15, 9 * 10**15 + 50), range(8 * 10**15, 8 * 10**15 + 50)):
        blocks.clear()
        blocks[connections["posting"].settings_dict["NAME"]] = iter(block)
        monkeypatch.setattr(numbers, "_left", blocks)
        post([group(payer, transfer(payer, payee, "1"))])
    first, second = Transaction.objects.filter(from_wallet=payer.wallet).order_by("created_at")
    assert first.pk > second.pk
    assert [row.transaction_id for row in rows_of(payee.wallet)] == [first.pk, second.pk]


def test_the_asyncapi_document_is_sound_and_names_these_very_schemas() -> None:
    document = yaml.safe_load((DOCUMENTS / "asyncapi.yaml").read_text())
    with gzip.open(ASYNCAPI) as file:
        specification = json.load(file)
    validator = jsonschema_rs.validator_for(specification)
    assert [error.message for error in validator.iter_errors(document)] == []
    assert not validator.is_valid({**document, "channels": {"broken": {"address": 7}}})

    channel = document["channels"]["walletEvents"]
    assert (channel["address"], channel["bindings"]["kafka"]["partitions"]) == (TOPIC, PARTITIONS)
    assert document["channels"]["deadLetters"]["address"] == f"{TOPIC}.dead.{{group}}"
    messages = document["components"]["messages"]
    names = {messages[message["$ref"].rpartition("/")[2]]["name"] for message in channel["messages"].values()}
    assert names == set(TYPE_OF.values())
    for message in messages.values():
        if message["name"] in names:
            envelope, own = message["payload"]["schema"]["allOf"]
            assert envelope == {"$ref": "./envelope.json"}
            assert own["properties"] == {
                "type": {"const": message["name"]},
                "data": {"$ref": f"./{message['name']}.json"},
            }
    assert document["components"]["messageTraits"]["event"]["contentType"] == CONTENT_TYPE
    assert {f"{name}.json" for name in (*names, "envelope")} == {path.name for path in DOCUMENTS.glob("*.json")}


def test_a_whole_message_is_what_the_asyncapi_document_says() -> None:
    document = yaml.safe_load((DOCUMENTS / "asyncapi.yaml").read_text())
    schemas = [(f"file:///{path.name}", json.loads(path.read_text())) for path in DOCUMENTS.glob("*.json")]
    registry = Registry().with_resources([(uri, Resource.from_contents(found)) for uri, found in schemas])
    by_name = {message["name"]: message for message in document["components"]["messages"].values()}
    for event in told(*everything_that_happens()):
        whole = {"$id": "file:///asyncapi.yaml", **by_name[event.type]["payload"]["schema"]}
        validator = Draft202012Validator(whole, registry=registry, format_checker=FormatChecker())
        value = json.loads(event.as_bytes())
        assert [error.message for error in validator.iter_errors(value)] == []
        assert not validator.is_valid({**value, "type": "wallet.transaction.other.v1"})


def test_the_example_in_the_document_is_one() -> None:
    text = (CHECKOUT / "docs" / "events.md").read_text()
    value = json.loads(text.partition("```json\n")[2].partition("```")[0])
    assert complaints("envelope", value) == []
    assert complaints(value["type"], value["data"]) == []
