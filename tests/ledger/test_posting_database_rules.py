"""
What the database refuses to a kernel gone wrong.

These are the statements of a posting, as the application's role, with one lie in each.
"""

import uuid
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest

from ledger.models import LedgerEntry, Transaction
from tests.environment import Database
from tests.ledger.factories import Member, asha, clearing, meera, ravi

pytestmark = pytest.mark.usefixtures("database")

REFUSED: Final = (psycopg.errors.CheckViolation, psycopg.errors.UniqueViolation)

_TRANSACTION: Final = """
INSERT INTO ledger_transaction (id, uuid, from_wallet_id, to_wallet_id, amount, currency, decimals, type, status,
    failure_code, initiator_id, reverses_id, note, metadata, created_at, posted_at, completed_at)
VALUES (%(id)s, %(uuid)s, %(from_wallet)s, %(to_wallet)s, %(amount)s, 'INR', 2, %(type)s, %(status)s,
    %(failure_code)s, %(initiator)s, %(reverses)s, '', '{}', now(),
    CASE WHEN %(posted)s THEN now() END, CASE WHEN %(completed)s THEN now() END)
"""
_ENTRY: Final = """
INSERT INTO ledger_ledgerentry (id, wallet_id, transaction_id, sequence, debit, credit, balance_after, hash, created_at)
SELECT nextval('ledger_numbers'), e.wallet, e.transaction, e.sequence, e.debit, e.credit, 0, sha256(''), now()
FROM jsonb_to_recordset(%(entries)s::jsonb)
    AS e (wallet bigint, transaction bigint, sequence bigint, debit numeric, credit numeric)
"""


@dataclass
class Posting:
    """One transaction of 5 rupees from Asha to Ravi with its two entries; each test bends it."""

    sender: Member
    recipient: Member
    url: str
    type: str = "TRANSFER"
    status: str = "SUCCESS"
    amount: str = "5"
    reverses: int | None = None

    def write(self, entries: list[tuple[str, str, str]] | None = None, **changed: Any) -> int:
        """
        In one statement, as the kernel does.

        :param entries: (whose wallet, debit, credit); by default the two that belong.
        """
        with psycopg.connect(self.url) as server:
            row = server.execute("SELECT nextval('ledger_numbers')").fetchone()
            assert row is not None
            legs = [("from", self.amount, "0"), ("to", "0", self.amount)] if entries is None else entries
            wallets = {"from": self.sender.wallet.pk, "to": self.recipient.wallet.pk, "other": clearing()}
            values = {
                "id": row[0],
                "uuid": uuid.uuid4(),
                "from_wallet": wallets["from"],
                "to_wallet": wallets["to"],
                "amount": self.amount,
                "type": self.type,
                "status": self.status,
                "failure_code": "" if self.status != "FAILED" else "insufficient_funds",
                "initiator": self.sender.actor.pk,
                "reverses": self.reverses,
                "posted": bool(legs),
                "completed": self.status != "PENDING",
                "entries": psycopg.types.json.Jsonb(
                    [
                        {
                            "wallet": wallets[whose],
                            "transaction": row[0],
                            "sequence": 10_000_000 + row[0] + place,
                            "debit": debit,
                            "credit": credit,
                        }
                        for place, (whose, debit, credit) in enumerate(legs)
                    ]
                ),
                **changed,
            }
            if legs:
                server.execute(f"WITH opened AS ({_TRANSACTION}) {_ENTRY}", values)
            else:
                server.execute(_TRANSACTION, values)
            return int(row[0])


@pytest.fixture
def posting(database: Database) -> Posting:
    return Posting(sender=asha(), recipient=ravi(), url=database.app_url)


def test_what_balances_is_accepted(posting: Posting) -> None:
    assert LedgerEntry.objects.filter(transaction=posting.write()).count() == 2


@pytest.mark.parametrize(
    "entries",
    [
        [("from", "5", "0"), ("to", "0", "6")],
        [("from", "6", "0"), ("to", "0", "6")],
        [("from", "5", "0"), ("other", "0", "5")],
        [("other", "5", "0"), ("to", "0", "5")],
        [("to", "5", "0"), ("from", "0", "5")],
    ],
    ids=["made from nothing", "another amount", "to somebody else", "from somebody else", "the other way round"],
)
def test_entries_that_do_not_balance_between_their_two_wallets_are_refused(
    posting: Posting, entries: list[tuple[str, str, str]]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="do not balance"):
        posting.write(entries)
    assert not Transaction.objects.filter(from_wallet=posting.sender.wallet).exists()


@pytest.mark.parametrize(
    ("status", "entries"),
    [
        ("SUCCESS", []),
        ("SUCCESS", [("from", "5", "0")]),
        ("FAILED", [("from", "5", "0"), ("to", "0", "5")]),
        ("PENDING", [("from", "5", "0"), ("to", "0", "5")]),
    ],
    ids=["success without entries", "one leg", "failed with entries", "pending with entries"],
)
def test_a_transaction_has_the_entries_of_its_status_or_is_refused(
    posting: Posting, status: str, entries: list[tuple[str, str, str]]
) -> None:
    posting.status = status
    with pytest.raises(REFUSED):
        posting.write(entries, posted=bool(entries) or status == "SUCCESS")


def test_a_promise_cannot_become_a_success_without_its_entries(posting: Posting) -> None:
    posting.type, posting.status = "ADD", "PENDING"
    pending = posting.write([])
    with psycopg.connect(posting.url) as server, pytest.raises(psycopg.errors.CheckViolation, match="entries"):
        server.execute(
            "UPDATE ledger_transaction SET status = 'SUCCESS', posted_at = now(), completed_at = now() WHERE id = %s",
            [pending],
        )


def test_a_transaction_never_gets_a_second_pair_of_legs(posting: Posting) -> None:
    written = posting.write()
    entries = [
        {"wallet": wallet, "transaction": written, "sequence": 7, "debit": debit, "credit": credit}
        for wallet, debit, credit in ((posting.sender.wallet.pk, "5", "0"), (posting.recipient.wallet.pk, "0", "5"))
    ]
    with psycopg.connect(posting.url) as server, pytest.raises(psycopg.errors.UniqueViolation):
        server.execute(_ENTRY, {"entries": psycopg.types.json.Jsonb(entries)})


def test_refunds_stay_within_what_they_refund(posting: Posting) -> None:
    posting.type = "PAY"
    paid = posting.write()
    back = Posting(posting.recipient, posting.sender, posting.url, type="REFUND", amount="3", reverses=paid)
    back.write()
    with pytest.raises(psycopg.errors.CheckViolation, match="refunds"):
        back.write()
    back.amount = "2"
    back.write()


def test_one_transaction_is_reversed_once(posting: Posting) -> None:
    withdrawn = posting.write()
    back = Posting(posting.recipient, posting.sender, posting.url, type="REVERSAL", reverses=withdrawn)
    back.write()
    with pytest.raises(psycopg.errors.UniqueViolation, match="transaction_one_reversal"):
        back.write()


@pytest.mark.parametrize(
    "balance", ["-0.01", "'NaN'", "'Infinity'", "'-Infinity'", "900000000000000", "0.001"], ids=str
)
def test_a_balance_is_never_below_its_least_nor_past_the_bound_nor_no_number(posting: Posting, balance: str) -> None:
    with psycopg.connect(posting.url) as server, pytest.raises((*REFUSED, psycopg.errors.NumericValueOutOfRange)):
        server.execute(f"UPDATE wallets_wallet SET balance = {balance} WHERE id = %s", [posting.sender.wallet.pk])


def test_a_key_is_written_once(posting: Posting) -> None:
    written = posting.write()
    statement = """
        INSERT INTO ledger_idempotencykey (initiator_id, key, fingerprint, transaction_id, http_status, created_at)
        VALUES (%s, 'k', sha256(''), %s, 201, now())
    """
    with psycopg.connect(posting.url) as server:
        server.execute(statement, [posting.sender.actor.pk, written])
        with pytest.raises(psycopg.errors.UniqueViolation, match="ledger_idempotencykey_pkey"):
            server.execute(statement, [posting.sender.actor.pk, written])


def test_a_key_names_a_transaction_of_its_own_initiator(posting: Posting) -> None:
    written = posting.write()
    statement = """
        INSERT INTO ledger_idempotencykey (initiator_id, key, fingerprint, transaction_id, http_status, created_at)
        VALUES (%s, 'k', sha256(''), %s, 201, now())
    """
    nobody = 2**60
    for initiator, transaction in (
        (posting.recipient.actor.pk, written),
        (nobody, written),
        (posting.sender.actor.pk, nobody),
    ):
        with psycopg.connect(posting.url) as server, pytest.raises(psycopg.errors.ForeignKeyViolation):
            server.execute(statement, [initiator, transaction])


def test_an_entry_names_a_transaction_and_a_wallet_that_are_there(posting: Posting) -> None:
    statement = """
        INSERT INTO ledger_ledgerentry
            (id, wallet_id, transaction_id, sequence, debit, credit, balance_after, hash, created_at)
        SELECT nextval('ledger_numbers'), wallet, %(transaction)s, 1000, debit, credit, 0, sha256(''), now()
        FROM (VALUES (%(from)s, 5, 0), (%(to)s, 0, 5)) AS e (wallet, debit, credit)
    """
    nobody = 2**60
    # An ADD that waits has no entries yet, so only the names are wrong here.
    waiting = posting.write(entries=[], type="ADD", status="PENDING", posted=False, completed=False)
    known = {"from": posting.sender.wallet.pk, "to": posting.recipient.wallet.pk, "transaction": waiting}
    for wrong in ("from", "to", "transaction"):
        with psycopg.connect(posting.url) as server, pytest.raises(psycopg.errors.CheckViolation, match="balance"):
            server.execute(statement, {**known, wrong: nobody})


def test_nobody_but_the_system_owes_without_a_credit_line(posting: Posting) -> None:
    shop = meera()
    with psycopg.connect(posting.url) as server:
        server.execute("UPDATE wallets_wallet SET balance = -5 WHERE id = %s", [clearing()])
        for whom in (posting.sender, shop):
            with pytest.raises(psycopg.errors.CheckViolation, match="wallet_never_below_minimum"), server.transaction():
                server.execute("UPDATE wallets_wallet SET balance = -5 WHERE id = %s", [whom.wallet.pk])
        server.rollback()
