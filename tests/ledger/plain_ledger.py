"""
A ledger as a child would keep it: a dictionary of balances in the smallest coin, and rules read from the design.

The kernel is held against it. It imports nothing of the project and knows the kernel's rows by their ids alone.
"""

from dataclasses import dataclass, field, replace

BOUND = 900_000_000_000_000 * 10_000
LARGEST = 10_000_000_000 * 10_000


@dataclass
class Account:
    """Amounts in 1/10,000 of the currency's unit, as everywhere here."""

    id: int
    currency: str
    balance: int = 0
    minimum: int = 0
    status: str = "ACTIVE"
    is_system: bool = False
    entries: int = 0


@dataclass(frozen=True)
class Move:
    """Money asked to go from one account to another. `refuse` is a refusal decided before."""

    type: str
    amount: int
    currency: str
    source: int
    target: int | None
    pending: bool = False
    fact: bool = False
    reverses: int | None = None
    refuse: str = ""


@dataclass(frozen=True)
class End:
    """How a PENDING record ends."""

    record: int
    status: str
    code: str = ""


@dataclass(frozen=True)
class Asked:
    """What happens together or not at all. `request` stands for all that a fingerprint covers."""

    initiator: int
    steps: tuple[Move | End, ...]
    key: str | None = None
    request: str = ""


@dataclass
class Record:
    move: Move
    status: str
    code: str = ""


@dataclass(frozen=True)
class Answer:
    """`records`: numbers that this ledger gave; the kernel's ids are bound to them in the same order."""

    kind: str
    code: str = ""
    records: tuple[int, ...] = ()
    diverted: tuple[int, ...] = ()


@dataclass
class PlainLedger:
    accounts: dict[int, Account]
    suspense: dict[str, int]
    records: list[Record] = field(default_factory=list)
    keys: dict[tuple[int, str], tuple[str, Answer]] = field(default_factory=dict)

    def post(self, asked: Asked) -> Answer:
        if asked.key is not None:
            known = self.keys.get((asked.initiator, asked.key))
            if known is not None:
                request, first = known
                if request != asked.request:
                    return Answer("key_reused", "idempotency_key_reused")
                return Answer("replayed", first.code, first.records[:1])
        ended = [
            step for step in asked.steps if isinstance(step, End) and self.records[step.record].status != "PENDING"
        ]
        if ended:
            return Answer("unchanged", self.records[ended[0].record].status, tuple(end.record for end in ended))
        answer = self._happen(asked)
        if asked.key is not None:
            self.keys[asked.initiator, asked.key] = (asked.request, answer)
        return answer

    def verdict(self, steps: tuple[Move | End, ...]) -> str:
        """The code that these steps are refused with, or nothing."""
        moves = [step for step in steps if isinstance(step, Move)]
        for move in moves:
            code = self._verdict_on_parties(move)
            if code:
                return code
        purse = {number: account.balance for number, account in self.accounts.items()}
        for move in moves:
            if move.fact or (move.type == "ADD" and move.pending):
                continue
            assert move.target is not None
            source, target = self.accounts[move.source], self.accounts[move.target]
            purse[source.id] -= move.amount
            if source.is_system and purse[source.id] <= -BOUND:
                return "limit_exceeded"
            if not source.is_system and purse[source.id] < source.minimum:
                return "insufficient_funds"
            purse[target.id] += move.amount
            if purse[target.id] >= BOUND:
                return "limit_exceeded"
        return ""

    def _verdict_on_parties(self, move: Move) -> str:
        if move.refuse:
            return move.refuse
        assert move.target is not None
        source, target = self.accounts[move.source], self.accounts[move.target]
        if source is target:
            return "same_wallet"
        if {source.currency, target.currency} != {move.currency}:
            return "currency_mismatch"
        if move.fact:
            return ""
        if move.amount > LARGEST:
            return "limit_exceeded"
        if not source.is_system and source.status != "ACTIVE":
            return "wallet_frozen"
        if not target.is_system and target.status == "CLOSED":
            return "recipient_unavailable"
        return ""

    def _happen(self, asked: Asked) -> Answer:
        code = self.verdict(asked.steps)
        if code:
            first = asked.steps[0]
            assert isinstance(first, Move)
            return Answer("refused", code, (self._record(first, "FAILED", code),))
        records: list[int] = []
        diverted: list[int] = []
        for step in asked.steps:
            if isinstance(step, End):
                diverted += self._end(step)
                records.append(step.record)
                continue
            aimed = self._aimed(step)
            if not (step.type == "ADD" and step.pending):
                self._carry(aimed)
            records.append(self._record(aimed, "PENDING" if step.pending else "SUCCESS"))
            if aimed is not step:
                diverted.append(records[-1])
        return Answer("posted", "", tuple(records), tuple(diverted))

    def _end(self, end: End) -> list[int]:
        record = self.records[end.record]
        record.status, record.code = end.status, end.code
        if record.move.type != "ADD" or end.status != "SUCCESS":
            return []
        aimed = self._aimed(replace(record.move, fact=True, pending=False))
        self._carry(aimed)
        if aimed.target == record.move.target:
            return []
        record.status, record.code = "FAILED", "recipient_unavailable"
        return [self._record(aimed, "SUCCESS")]

    def _aimed(self, move: Move) -> Move:
        """A fact that its account cannot take goes to suspense."""
        assert move.target is not None
        target = self.accounts[move.target]
        lands = target.is_system or (target.status != "CLOSED" and target.balance + move.amount < BOUND)
        return move if lands or not move.fact else replace(move, target=self.suspense[move.currency])

    def _carry(self, move: Move) -> None:
        assert move.target is not None
        for number, change in ((move.source, -move.amount), (move.target, move.amount)):
            self.accounts[number].balance += change
            self.accounts[number].entries += 1

    def _record(self, move: Move, status: str, code: str = "") -> int:
        self.records.append(Record(move, status, code))
        return len(self.records) - 1

    def refundable(self, record: int) -> int:
        """What is left of a payment after its refunds."""
        back = (r for r in self.records if r.move.type == "REFUND" and r.move.reverses == record)
        return self.records[record].move.amount - sum(r.move.amount for r in back if r.status != "FAILED")

    def is_reversed(self, record: int) -> bool:
        return any(r.move.type == "REVERSAL" and r.move.reverses == record for r in self.records)
