"""
The kernel against a ledger so plain that it is obviously right, over whatever Hypothesis thinks of.

After each list the answers, every balance, every count of entries and every status must agree.
"""

import hashlib
import os
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.models import Transaction
from ledger.movements import Completion, Group, Key, Movement
from ledger.posting import post, preview
from ledger.system_wallets import system_wallet
from tests.environment import Database
from tests.ledger.factories import asha, gateway_actor, meera, ravi
from tests.ledger.plain_ledger import Account, Answer, Asked, End, Move, PlainLedger
from tests.ledger.proofs import assert_books_hold
from tests.ledger.verifier import holds
from wallets.models import Wallet

pytestmark = pytest.mark.usefixtures("database")

AMOUNTS = [1_00, 50_00, 100_00, 2_500_00, 10_000_00, 10_000_000_000_01_00, 950_000_000_000_000_00_00]
USUALLY = [1_00, 50_00, 100_00, 2_500_00]
SYSTEM = ("gateway_clearing", "payout_clearing", "fee_income", "suspense")


class KernelAgainstPlainLedger(RuleBasedStateMachine):
    @initialize()
    def people_come(self) -> None:
        """Two customers and a merchant in rupees, one with a credit line, and somebody who holds dinars."""
        self.members = [asha(balance="1"), ravi(minimum_balance=Decimal("-0.5")), meera(), asha(currency="KWD")]
        self.actors = [member.actor.pk for member in self.members]
        self.people = [member.wallet.pk for member in self.members]
        self.rupees = self.people[:3]
        self.system = {purpose: system_wallet(purpose, "INR") for purpose in SYSTEM}
        wallets = Wallet.objects.filter(pk__in=[*self.people, *self.system.values()])
        self.ledger = PlainLedger(
            accounts={
                wallet.pk: Account(
                    id=wallet.pk,
                    currency=wallet.currency,
                    balance=int(wallet.balance * 10_000),
                    minimum=int(wallet.minimum_balance * 10_000),
                    is_system=wallet.kind == "SYSTEM",
                    entries=wallet.entry_count,
                )
                for wallet in wallets
            },
            suspense={"INR": self.system["suspense"]},
        )
        self.ids: list[int] = []  # the kernel's primary key of each of the plain ledger's records

    # What may be asked

    def a_transfer(self, data: st.DataObject, people: list[int] | None = None) -> Move:
        people = people or self.people
        return Move(
            type=data.draw(st.sampled_from(["TRANSFER", "PAY"])),
            amount=data.draw(st.sampled_from(USUALLY) | st.sampled_from(AMOUNTS)),
            currency=data.draw(st.sampled_from(["INR", "INR", "INR", "KWD"])),
            source=data.draw(st.sampled_from(people)),
            target=data.draw(st.sampled_from(people)),
            refuse=data.draw(st.sampled_from(["", "", "", "", "recipient_unavailable"])),
        )

    def a_payment_with_its_fee(self, data: st.DataObject) -> tuple[Move, ...]:
        paid = self.a_transfer(data, self.rupees)
        fee = Move("FEE", data.draw(st.sampled_from(USUALLY)), "INR", paid.source, self.system["fee_income"])
        passed_on = self.a_transfer(data, self.rupees)
        return data.draw(st.sampled_from([(paid, fee), (paid, passed_on), (paid, fee, passed_on)]))

    def a_top_up(self, data: st.DataObject) -> Move:
        kind = data.draw(st.sampled_from(["now", "promised"]))
        return Move(
            type="ADD",
            amount=data.draw(st.sampled_from(USUALLY)),
            currency="INR",
            source=self.system["gateway_clearing"],
            target=data.draw(st.sampled_from(self.rupees)),
            pending=kind == "promised",
            fact=kind == "now",
        )

    def a_withdrawal(self, data: st.DataObject) -> Move:
        amount, source = data.draw(st.sampled_from(USUALLY)), data.draw(st.sampled_from(self.rupees))
        return Move("WITHDRAW", amount, "INR", source, self.system["payout_clearing"], pending=True)

    @rule(data=st.data(), length=st.integers(1, 4))
    def people_ask(self, data: st.DataObject, length: int) -> None:
        lists = []
        for _ in range(length):
            asks = data.draw(
                st.sampled_from([self.a_transfer, self.a_payment_with_its_fee, self.a_top_up, self.a_withdrawal])
            )
            steps = asks(data)
            steps = steps if isinstance(steps, tuple) else (steps,)
            key = data.draw(st.none() | st.sampled_from(["k1", "k2", "k3"]))
            lists.append(Asked(data.draw(st.sampled_from(self.actors)), steps, key, repr(steps) if key else ""))
        self.agree_on(lists)

    @precondition(lambda self: self.ledger.keys)
    @rule(data=st.data(), changed=st.booleans())
    def somebody_asks_again_under_the_same_key(self, data: st.DataObject, changed: bool) -> None:
        initiator, key = data.draw(st.sampled_from(sorted(self.ledger.keys)))
        request = self.ledger.keys[initiator, key][0]
        steps = (self.a_transfer(data),)
        # The kernel knows a request by its fingerprint alone: what comes with it on a replay is not looked at.
        self.agree_on([Asked(initiator, steps, key, "something else" if changed else request)])

    @precondition(lambda self: any(record.move.pending for record in self.ledger.records))
    @rule(data=st.data(), length=st.integers(1, 3))
    def news_comes(self, data: st.DataObject, length: int) -> None:
        """Of promised money and of withdrawals, also twice, late, and contrary to what was heard before."""
        known = [
            number
            for number, record in enumerate(self.ledger.records)
            if record.move.pending and not record.move.refuse
        ]
        lists = []
        for _ in range(length if known else 0):
            number = data.draw(st.sampled_from(known))
            record = self.ledger.records[number]
            if data.draw(st.booleans()):
                lists.append(Asked(gateway_actor().pk, (End(number, "SUCCESS"),)))
            elif record.move.type == "ADD":
                lists.append(Asked(gateway_actor().pk, (End(number, "FAILED", "expired"),)))
            else:
                lists.append(Asked(gateway_actor().pk, (End(number, "FAILED", "rejected"), self.given_back(number))))
        self.agree_on(lists)

    def given_back(self, number: int) -> Move:
        move = self.ledger.records[number].move
        assert move.target is not None
        return Move("REVERSAL", move.amount, "INR", move.target, move.source, fact=True, reverses=number)

    @rule(data=st.data())
    def a_bank_returns_a_withdrawal_late(self, data: st.DataObject) -> None:
        paid_out = [
            number
            for number, record in enumerate(self.ledger.records)
            if record.move.type == "WITHDRAW" and record.status == "SUCCESS" and not self.ledger.is_reversed(number)
        ]
        if paid_out:
            self.agree_on([Asked(gateway_actor().pk, (self.given_back(data.draw(st.sampled_from(paid_out))),))])

    @rule(data=st.data())
    def a_payment_is_refunded_in_part_or_whole(self, data: st.DataObject) -> None:
        payments = [
            number
            for number, record in enumerate(self.ledger.records)
            if record.move.type in ("PAY", "TRANSFER") and record.status == "SUCCESS" and self.ledger.refundable(number)
        ]
        if not payments:
            return
        number = data.draw(st.sampled_from(payments))
        move, left = self.ledger.records[number].move, self.ledger.refundable(number)
        assert move.target is not None
        amount = data.draw(st.sampled_from([left, *(amount for amount in USUALLY if amount <= left)]))
        refund = Move("REFUND", amount, move.currency, move.target, move.source, reverses=number)
        self.agree_on([Asked(self.actors[2], (refund,))])

    @rule(data=st.data(), status=st.sampled_from(["FROZEN", "ACTIVE", "ACTIVE", "CLOSED"]))
    def a_wallet_changes_its_status(self, data: st.DataObject, status: str) -> None:
        wallet = data.draw(st.sampled_from(self.people))
        if self.ledger.accounts[wallet].status != "CLOSED":
            self.ledger.accounts[wallet].status = status
            Wallet.objects.filter(pk=wallet).update(status=status)

    # How the two are held against each other

    def agree_on(self, lists: list[Asked]) -> None:
        if len(lists) == 1 and lists[0].key is None and all(isinstance(step, Move) for step in lists[0].steps):
            (foretold,) = preview([self.in_the_kernels_words(lists[0])])
            assert foretold.code == self.ledger.verdict(lists[0].steps)
        groups = [self.in_the_kernels_words(asked) for asked in lists]
        outcomes = post(groups)
        expected = [self.ledger.post(asked) for asked in lists]
        assert [(outcome.kind, outcome.code) for outcome in outcomes] == [
            (answer.kind, answer.code) for answer in expected
        ]
        for asked, answer, outcome in zip(lists, expected, outcomes, strict=True):
            self.bind(answer.records, outcome.transactions)
            self.bind(answer.diverted, outcome.diverted)
            assert outcome.http_status == http_status_of(asked, answer)
        self.balances_agree()

    def bind(self, records: tuple[int, ...], transactions: tuple[int, ...]) -> None:
        assert len(records) == len(transactions)
        for number, transaction in zip(records, transactions, strict=True):
            self.ids.extend([0] * (number + 1 - len(self.ids)))
            assert self.ids[number] in (0, transaction)
            self.ids[number] = transaction

    def in_the_kernels_words(self, asked: Asked) -> Group:
        key = Key(key=asked.key, fingerprint=fingerprint_of(asked.request)) if asked.key is not None else None
        steps = tuple(self.movement(step) if isinstance(step, Move) else self.completion(step) for step in asked.steps)
        return Group(initiator=asked.initiator, movements=steps, key=key)

    def movement(self, move: Move) -> Movement:
        return Movement(
            type=move.type,
            amount=Decimal(move.amount) / 10_000,
            currency=move.currency,
            from_wallet=move.source,
            to_wallet=move.target,
            status="PENDING" if move.pending else "SUCCESS",
            reverses=None if move.reverses is None else self.ids[move.reverses],
            fact=move.fact,
            refuse=move.refuse,
        )

    def completion(self, end: End) -> Completion:
        return Completion(transaction=self.ids[end.record], status=end.status, failure_code=end.code)  # type: ignore[arg-type]

    def balances_agree(self) -> None:
        found = Wallet.objects.filter(pk__in=self.ledger.accounts).values_list("pk", "balance", "entry_count")
        assert {pk: (int(balance * 10_000), count) for pk, balance, count in found} == {
            account.id: (account.balance, account.entries) for account in self.ledger.accounts.values()
        }

    @invariant()
    def statuses_agree(self) -> None:
        if not getattr(self, "ids", None):
            return
        found = Transaction.objects.in_bulk(self.ids)
        assert [(found[pk].status, found[pk].failure_code, found[pk].to_wallet_id) for pk in self.ids] == [
            (record.status, record.code, record.move.target) for record in self.ledger.records
        ]

    def teardown(self) -> None:
        assert_books_hold(os.environ["DATABASE_SUPERUSER_URL"])


def http_status_of(asked: Asked, answer: Answer) -> int:
    if answer.kind == "unchanged":
        return 0
    if answer.code:
        return 422
    return 0 if asked.key is None else 201


def fingerprint_of(request: str) -> bytes:
    return hashlib.sha256(request.encode()).digest()


@pytest.fixture(scope="module", autouse=True)
def the_verifier_agrees_at_the_end(database: Database) -> Iterator[None]:
    yield
    holds()


@pytest.mark.timeout(900)  # it takes well under a minute; a failure is made small first, and that takes longer
def test_the_kernel_does_what_a_plain_ledger_does() -> None:
    run_state_machine_as_test(
        KernelAgainstPlainLedger,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            print_blob=True,
        ),
    )
