"""
Each kind of tampering by a superuser with every trigger off, found and named by `verify_ledger`.

Every test has a small ledger of its own, in which every row of the status table occurs.
"""

from dataclasses import dataclass
from decimal import Decimal

import psycopg
import pytest

from ledger import judging
from ledger.models import IdempotencyKey, LedgerEntry, Transaction
from ledger.movements import Completion, Movement
from ledger.posting import post
from ledger.system_wallets import system_wallet
from tests import environment
from tests.ledger.factories import Member, asha, clearing, fund, group, key, meera, ravi, transfer
from tests.ledger.verifier import first_lie, holds, tampering
from wallets.models import Wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The story that was posted, and the superuser who may spoil it."""

    superuser_url: str
    asha: Member
    ravi: Member
    meera: Member
    top_up: Transaction
    lunch: Transaction
    dinner: Transaction
    books: Transaction
    refused: Transaction
    failed_withdrawal: Transaction
    promised: Transaction

    def tamper(self, *statements: str, **values: object) -> None:
        with tampering(self.superuser_url) as server:
            for statement in statements:
                changed = server.execute(statement, values)
                assert changed.rowcount != 0, statement


@pytest.fixture
def ledger(own_database: environment.Database) -> Ledger:
    return tell_the_story(own_database.superuser_url)


def tell_the_story(superuser_url: str) -> Ledger:
    a, r, m = asha(), ravi(), meera()
    top_up = fund(a.wallet, "100")
    payouts = system_wallet(Wallet.Purpose.PAYOUT_CLEARING, "INR")
    withdrawal = Movement(
        type="WITHDRAW",
        status="PENDING",
        amount=Decimal(7),
        currency="INR",
        from_wallet=a.wallet.pk,
        to_wallet=payouts,
    )
    lunch, dinner, books, refused, first, _ = (
        outcome.transactions[0]
        for outcome in post(
            [
                group(a, transfer(a, r, "5", note="lunch"), key=key("lunch")),
                group(a, transfer(a, r, "11", note="dinner")),
                group(a, transfer(a, m, "20", type="PAY", metadata={"order_reference": "A-1", "é": "☕"})),
                group(r, transfer(r, a, "1000000")),
                group(a, withdrawal),
                group(a, withdrawal),
            ]
        )
    )
    back = Movement(
        type="REVERSAL",
        amount=Decimal(7),
        currency="INR",
        from_wallet=payouts,
        to_wallet=a.wallet.pk,
        reverses=first,
        fact=True,
    )
    promise = Movement(
        type="ADD",
        status="PENDING",
        amount=Decimal(3),
        currency="INR",
        from_wallet=clearing(),
        to_wallet=a.wallet.pk,
    )
    _, promised = post(
        [
            group(a, Completion(transaction=first, status="FAILED", failure_code="bank_refused"), back),
            group(a, promise),
        ]
    )
    told = Transaction.objects.in_bulk([top_up, lunch, dinner, books, refused, first, promised.transactions[0]])
    return Ledger(
        superuser_url=superuser_url,
        asha=a,
        ravi=r,
        meera=m,
        top_up=told[top_up],
        lunch=told[lunch],
        dinner=told[dinner],
        books=told[books],
        refused=told[refused],
        failed_withdrawal=told[first],
        promised=told[promised.transactions[0]],
    )


def entry_of(transaction: Transaction, member: Member) -> LedgerEntry:
    return LedgerEntry.objects.get(transaction=transaction, wallet=member.wallet)


def test_an_honest_ledger_holds(ledger: Ledger) -> None:
    assert "The ledger holds: 14 entries, 9 transactions, 1 keys, 5 wallets, 1 currencies" in holds()


def test_the_amount_of_a_transaction_is_found(ledger: Ledger) -> None:
    ledger.tamper("UPDATE ledger_transaction SET amount = 6 WHERE id = %(id)s", id=ledger.lunch.pk)
    assert first_lie() == (
        f"The ledger lies. {ledger.lunch.public_id}: amount: the transaction says 6.0000, its debit of"
        f" {ledger.asha.wallet.public_id} says 5.0000"
    )


def test_the_amount_of_an_entry_is_found(ledger: Ledger) -> None:
    entry = entry_of(ledger.lunch, ledger.ravi)
    ledger.tamper("UPDATE ledger_ledgerentry SET credit = 50 WHERE id = %(id)s", id=entry.pk)
    assert first_lie() == (
        f"The ledger lies. {ledger.lunch.public_id}: amount: the transaction says 5.0000, its credit of"
        f" {ledger.ravi.wallet.public_id} says 50.0000"
    )


def test_an_amount_changed_everywhere_at_once_is_found_by_its_hash(ledger: Ledger) -> None:
    """Transaction, both entries, every later balance and both wallets agree; only the chain remembers."""
    ledger.tamper(
        "UPDATE ledger_transaction SET amount = 6 WHERE id = %(id)s",
        "UPDATE ledger_ledgerentry SET debit = 6 WHERE transaction_id = %(id)s AND debit > 0",
        "UPDATE ledger_ledgerentry SET credit = 6 WHERE transaction_id = %(id)s AND credit > 0",
        "UPDATE ledger_ledgerentry SET balance_after = balance_after - 1 WHERE wallet_id = %(payer)s AND sequence >= 2",
        "UPDATE ledger_ledgerentry SET balance_after = balance_after + 1 WHERE wallet_id = %(payee)s",
        "UPDATE wallets_wallet SET balance = balance - 1 WHERE id = %(payer)s",
        "UPDATE wallets_wallet SET balance = balance + 1 WHERE id = %(payee)s",
        id=ledger.lunch.pk,
        payer=ledger.asha.wallet.pk,
        payee=ledger.ravi.wallet.pk,
    )
    lie = first_lie()
    assert f"entry 2 of {ledger.asha.wallet.public_id}: hash differs: expected " in lie
    assert f"its transaction {ledger.lunch.public_id} was changed" in lie


def test_the_payee_is_found(ledger: Ledger) -> None:
    ledger.tamper(
        "UPDATE ledger_transaction SET to_wallet_id = %(to)s WHERE id = %(id)s",
        id=ledger.lunch.pk,
        to=ledger.meera.wallet.pk,
    )
    assert first_lie() == (
        f"The ledger lies. {ledger.lunch.public_id}: to_wallet: the transaction says"
        f" {ledger.meera.wallet.public_id}, its credit stands in {ledger.ravi.wallet.public_id}"
    )


def test_a_payee_changed_with_the_entry_is_found(ledger: Ledger) -> None:
    ledger.tamper(
        "UPDATE ledger_transaction SET to_wallet_id = %(to)s WHERE id = %(id)s",
        "UPDATE ledger_ledgerentry SET wallet_id = %(to)s, sequence = 2 WHERE transaction_id = %(id)s AND credit > 0",
        id=ledger.lunch.pk,
        to=ledger.meera.wallet.pk,
    )
    # The payer's chain hashes the payee too.
    assert f"entry 2 of {ledger.asha.wallet.public_id}: hash differs" in first_lie()


def test_entries_in_another_order_are_found(ledger: Ledger) -> None:
    swap = "UPDATE ledger_ledgerentry SET sequence = %s WHERE wallet_id = %%(wallet)s AND sequence = %s"
    ledger.tamper(swap % (99, 1), swap % (1, 2), swap % (2, 99), wallet=ledger.ravi.wallet.pk)
    # Dinner's entry comes first now, and its running balance gives it away.
    assert first_lie() == (
        f"The ledger lies. entry 1 of {ledger.ravi.wallet.public_id}: balance_after: expected 11.0000"
        " (0.0000 + 11.0000 - 0.0000), found 16.0000"
    )


def test_entries_in_another_order_with_balances_repaired_are_found(ledger: Ledger) -> None:
    swap = (
        "UPDATE ledger_ledgerentry SET sequence = %s, balance_after = %s"
        " WHERE wallet_id = %%(wallet)s AND sequence = %s"
    )
    ledger.tamper(swap % (99, 16, 1), swap % (1, 11, 2), swap % (2, 16, 99), wallet=ledger.ravi.wallet.pk)
    assert f"entry 1 of {ledger.ravi.wallet.public_id}: hash differs" in first_lie()


def test_a_missing_entry_is_found(ledger: Ledger) -> None:
    entry = entry_of(ledger.dinner, ledger.ravi)
    ledger.tamper("DELETE FROM ledger_ledgerentry WHERE id = %(id)s", id=entry.pk)
    assert first_lie() == (f"The ledger lies. {ledger.dinner.public_id}: TRANSFER SUCCESS: expected 2 entries, found 1")


def test_a_missing_transaction_is_found(ledger: Ledger) -> None:
    ledger.tamper("DELETE FROM ledger_transaction WHERE id = %(id)s", id=ledger.dinner.pk)
    assert first_lie() == (f"The ledger lies. transaction #{ledger.dinner.pk}: is not there, but 2 entries name it")


def test_a_movement_cut_out_of_the_middle_is_found(ledger: Ledger) -> None:
    ledger.tamper(
        "DELETE FROM ledger_ledgerentry WHERE transaction_id = %(id)s",
        "DELETE FROM ledger_transaction WHERE id = %(id)s",
        id=ledger.dinner.pk,
    )
    assert first_lie() == (f"The ledger lies. entry 4 of {ledger.asha.wallet.public_id}: sequence: expected 3, found 4")


def test_a_balance_is_found(ledger: Ledger) -> None:
    ledger.tamper("UPDATE wallets_wallet SET balance = 1000 WHERE id = %(id)s", id=ledger.ravi.wallet.pk)
    assert first_lie() == (
        f"The ledger lies. {ledger.ravi.wallet.public_id}: balance: expected 16.0000, as entry 2 left it,"
        " found 1000.0000"
    )


def test_a_balance_of_a_wallet_without_entries_is_found(ledger: Ledger) -> None:
    zoya = ravi()
    ledger.tamper("UPDATE wallets_wallet SET balance = 1 WHERE id = %(id)s", id=zoya.wallet.pk)
    assert first_lie() == (
        f"The ledger lies. {zoya.wallet.public_id}: balance: expected 0.0000, for it has no entries, found 1.0000"
    )


def test_a_balance_after_is_found(ledger: Ledger) -> None:
    entry = entry_of(ledger.dinner, ledger.ravi)
    ledger.tamper("UPDATE ledger_ledgerentry SET balance_after = 17 WHERE id = %(id)s", id=entry.pk)
    assert f"entry 2 of {ledger.ravi.wallet.public_id}: balance_after: expected 16.0000" in first_lie()


@pytest.mark.parametrize(
    "change",
    [
        "note = 'rent'",
        "created_at = created_at - interval '1 microsecond'",
        "initiator_id = (SELECT min(id) FROM accounts_actor WHERE id <> initiator_id)",
        'metadata = \'{"order_reference": "A-2"}\'',
        "uuid = gen_random_uuid()",
        '"group" = id',
        "type = 'PAY'",
        "decimals = 3",
    ],
)
def test_any_other_field_of_a_transaction_is_found_by_its_hash(ledger: Ledger, change: str) -> None:
    ledger.tamper(f"UPDATE ledger_transaction SET {change} WHERE id = %(id)s", id=ledger.dinner.pk)
    lie = first_lie()
    dinner = Transaction.objects.get(pk=ledger.dinner.pk)
    assert f"entry 3 of {ledger.asha.wallet.public_id}: hash differs: expected " in lie
    assert f"its transaction {dinner.public_id} was changed" in lie


@pytest.mark.parametrize("change", ['\'{"order_reference": "A-2"}\'', "'{}'", "'[1]'", "'{\"order_reference\": 1}'"])
def test_metadata_is_found(ledger: Ledger, change: str) -> None:
    ledger.tamper(f"UPDATE ledger_transaction SET metadata = {change} WHERE id = %(id)s", id=ledger.books.pk)
    assert f"entry 4 of {ledger.asha.wallet.public_id}: hash differs" in first_lie()


def test_the_time_of_an_entry_is_found(ledger: Ledger) -> None:
    ledger.tamper(
        "UPDATE ledger_ledgerentry SET created_at = created_at - interval '1 day' WHERE transaction_id = %(id)s",
        id=ledger.dinner.pk,
    )
    assert f"{ledger.dinner.public_id}: posted_at: the transaction says " in first_lie()


def test_times_that_run_backwards_are_found(ledger: Ledger) -> None:
    ledger.tamper(
        "UPDATE ledger_ledgerentry SET created_at = created_at - interval '1 day' WHERE transaction_id = %(id)s",
        "UPDATE ledger_transaction SET posted_at = posted_at - interval '1 day' WHERE id = %(id)s",
        id=ledger.dinner.pk,
    )
    assert f"entry 3 of {ledger.asha.wallet.public_id}: created_at: expected " in first_lie()


@pytest.mark.parametrize(
    ("which", "change", "says"),
    [
        ("promised", "status = 'SUCCESS', completed_at = now(), posted_at = now()", "expected 2 entries, found 0"),
        ("refused", "status = 'SUCCESS', failure_code = '', posted_at = now()", "expected 2 entries, found 0"),
        ("lunch", "status = 'FAILED', failure_code = 'insufficient_funds'", "expected 0 entries, found 2"),
        ("lunch", "status = 'PENDING', completed_at = NULL", "status: TRANSFER PENDING cannot be"),
        ("failed_withdrawal", "posted_at = NULL", "expected 0 entries, found 2"),
        ("promised", "posted_at = now()", "posted_at: expected none without entries"),
    ],
)
def test_a_status_is_found(ledger: Ledger, which: str, change: str, says: str) -> None:
    transaction = getattr(ledger, which)
    ledger.tamper(f"UPDATE ledger_transaction SET {change} WHERE id = %(id)s", id=transaction.pk)
    lie = first_lie()
    assert f"{transaction.public_id}: " in lie
    assert says in lie


def test_a_failed_withdrawal_without_its_reversal_is_found(ledger: Ledger) -> None:
    ledger.tamper("UPDATE ledger_transaction SET type = 'ADJUSTMENT' WHERE type = 'REVERSAL'")
    assert first_lie() == (
        f"The ledger lies. {ledger.failed_withdrawal.public_id}: WITHDRAW FAILED after its debit: expected exactly one"
        " REVERSAL, found 0"
    )


def test_a_reversal_of_another_amount_is_found(ledger: Ledger) -> None:
    reversal = Transaction.objects.get(type="REVERSAL")
    ledger.tamper(
        "UPDATE ledger_transaction SET amount = 8 WHERE id = %(id)s",
        "UPDATE ledger_ledgerentry SET debit = 8 WHERE transaction_id = %(id)s AND debit > 0",
        "UPDATE ledger_ledgerentry SET credit = 8 WHERE transaction_id = %(id)s AND credit > 0",
        id=reversal.pk,
    )
    assert first_lie() == (
        f"The ledger lies. {reversal.public_id}: amount: expected 7.0000 as {ledger.failed_withdrawal.public_id},"
        " found 8.0000"
    )


def test_a_transfer_that_is_refunded_to_somebody_else_is_found(ledger: Ledger) -> None:
    lunch, members = ledger.lunch, {"asha": ledger.asha, "meera": ledger.meera}
    for other in ("asha", "meera"):
        back = transfer(ledger.ravi, members[other], "1", type="REFUND", reverses=lunch.pk)
        (outcome,) = post([group(ledger.ravi, back)])
        if other == "asha":
            holds()
    assert first_lie() == (
        f"The ledger lies. {Transaction.objects.get(pk=outcome.transactions[0]).public_id}: refunds {lunch.public_id},"
        f" and goes from {ledger.ravi.wallet.public_id} to {ledger.meera.wallet.public_id}, not the way that came"
    )


def test_refunds_beyond_what_was_paid_are_found(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_judge_origin", lambda *_: "")
    refund = transfer(ledger.meera, ledger.asha, "12", type="REFUND", reverses=ledger.books.pk)
    (first,) = post([group(ledger.meera, refund)])
    with psycopg.connect(ledger.superuser_url) as server:
        server.execute("ALTER TABLE ledger_transaction DISABLE TRIGGER refunds_stay_within")
    fund(ledger.meera.wallet, "50")
    (second,) = post([group(ledger.meera, refund)])
    assert first.kind == second.kind == "posted"
    assert first_lie() == (
        f"The ledger lies. {Transaction.objects.get(pk=second.transactions[0]).public_id}: the refunds of"
        f" {ledger.books.public_id} come to 24.0000, expected at most 20.0000"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("head = sha256('another')", "head: expected "),
        ("entry_count = entry_count + 1", "entry_count: expected 2, as entry 2 left it, found 3"),
        ("moved_at = moved_at + interval '1 microsecond'", "moved_at: expected "),
        ("held = 1", "held: expected 0, the sum of its open holds, found 1"),
        ("decimals = 3", "there is no currency INR with 3 decimals"),
    ],
)
def test_a_wallets_own_columns_are_found(ledger: Ledger, change: str, says: str) -> None:
    ledger.tamper(f"UPDATE wallets_wallet SET {change} WHERE id = %(id)s", id=ledger.ravi.wallet.pk)
    assert f"{ledger.ravi.wallet.public_id}: {says}" in first_lie()


def test_a_hash_is_found(ledger: Ledger) -> None:
    entry = entry_of(ledger.lunch, ledger.ravi)
    ledger.tamper("UPDATE ledger_ledgerentry SET hash = sha256('another') WHERE id = %(id)s", id=entry.pk)
    assert f"entry 1 of {ledger.ravi.wallet.public_id}: hash differs" in first_lie()


def test_a_key_of_a_missing_transaction_is_found(ledger: Ledger) -> None:
    lunch = IdempotencyKey.objects.get(key="lunch")
    ledger.tamper("UPDATE ledger_idempotencykey SET transaction_id = 123456789 WHERE key = 'lunch'")
    assert first_lie() == (
        f"The ledger lies. key 'lunch' of actor #{lunch.initiator_id}: names transaction #123456789, which is not there"
    )


def test_a_key_that_names_anothers_transaction_is_found(ledger: Ledger) -> None:
    ledger.tamper("UPDATE ledger_idempotencykey SET transaction_id = %(id)s WHERE key = 'lunch'", id=ledger.refused.pk)
    assert f"names {ledger.refused.public_id}, which actor #{ledger.ravi.actor.pk} initiated" in first_lie()


def test_a_missing_wallet_is_found(ledger: Ledger) -> None:
    ledger.tamper("DELETE FROM wallets_wallet WHERE id = %(id)s", id=ledger.ravi.wallet.pk)
    assert first_lie() == (
        f"The ledger lies. {ledger.lunch.public_id}: names wallet #{ledger.ravi.wallet.pk}, which is not there"
    )


def test_balances_below_what_a_person_may_owe_are_found(ledger: Ledger) -> None:
    ledger.tamper(
        "UPDATE wallets_wallet SET minimum_balance = 17 WHERE id = %(id)s",
        id=_without_check(ledger, "wallet_never_below_minimum"),
    )
    assert f"{ledger.ravi.wallet.public_id}: balance: expected at least 17.0000, found 16.0000" in first_lie()


def test_a_not_a_number_is_a_lie_and_no_crash(ledger: Ledger) -> None:
    _without_check(ledger, "entry_balance_bounds")
    entry = entry_of(ledger.lunch, ledger.ravi)
    ledger.tamper("UPDATE ledger_ledgerentry SET balance_after = 'NaN' WHERE id = %(id)s", id=entry.pk)
    assert f"{ledger.lunch.public_id}: one of its entries has two sides, or a balance_after" in first_lie()


def test_a_tail_cut_off_with_everything_repaired_is_not_seen_before_there_are_seals(ledger: Ledger) -> None:
    """
    The limit of a chain that nobody outside holds the end of: see docs/ledger.md.

    A superuser takes back the last movement between two wallets and repairs balances, counts, heads and times.
    """
    payment, *_ = post([group(ledger.meera, transfer(ledger.meera, ledger.ravi, "1"))])
    with tampering(ledger.superuser_url) as server:
        server.execute("DELETE FROM kernel_outboxevent WHERE transaction_id = %s", payment.transactions)
        server.execute("DELETE FROM ledger_ledgerentry WHERE transaction_id = %s", payment.transactions)
        server.execute("DELETE FROM ledger_transaction WHERE id = %s", payment.transactions)
        for member in (ledger.meera, ledger.ravi):
            _repair_wallet(server, member.wallet.pk)
    assert ledger.ravi.balance == 16
    assert "The ledger holds: 14 entries, 9 transactions" in holds()


def _repair_wallet(server: "psycopg.Connection[tuple[object, ...]]", pk: int) -> None:
    server.execute(
        """
        UPDATE wallets_wallet w
        SET balance = e.balance_after, entry_count = e.sequence, head = e.hash, moved_at = e.created_at
        FROM ledger_ledgerentry e
        WHERE w.id = %s AND e.wallet_id = w.id
            AND e.sequence = (SELECT max(sequence) FROM ledger_ledgerentry WHERE wallet_id = w.id)
        """,
        [pk],
    )


def _without_check(ledger: Ledger, name: str) -> int:
    """Drop a check of wallets or entries; Ravi's wallet."""
    table = "wallets_wallet" if name.startswith("wallet") else "ledger_ledgerentry"
    ledger.tamper(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    return ledger.ravi.wallet.pk
