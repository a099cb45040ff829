"""The walk: applies the groups of a list, in order, to wallets already locked, and collects the rows to write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import rfc8785

from ledger import chain
from ledger.batch import Batch, NeedsWallets
from ledger.judging import Books, judge, moves_money, view_of
from ledger.movements import Act, Completion, Group, Movement, Outcome, PlaceHold, ReleaseHold
from ledger.store import KnownHold, KnownKey, KnownTransaction, Rows
from wallet_project.kernel.ids import new_uuid, new_uuid_text, public_id
from wallet_project.kernel.money import decimals_of, from_units

REFUSED_STATUS: Final = 422


class Walk:
    """
    One pass. After `all`, `rows` holds what to write.

    :param now: the database's clock under the locks; an entry's time is the greater of it and the times at
        which its wallets last moved.
    :param next_number: draws a primary key.
    """

    def __init__(
        self,
        *,
        batch: Batch,
        books: Books,
        now: datetime,
        keys: Mapping[tuple[int, str], KnownKey],
        next_number: Callable[[], int],
    ) -> None:
        batch.require_wallets(books.states)
        self.batch = batch
        self.books = books
        self.states = books.states
        self.now = now
        self.keys = dict(keys)
        self.next_number = next_number
        self.rows = Rows()
        self._now_microseconds = chain.microseconds(now)

    def all(self) -> list[Outcome]:
        outcomes = [self._group(place, group) for place, group in enumerate(self.batch.groups)]
        for pk, state in self.states.items():
            if state.is_changed:
                was = state.wallet
                self.rows.wallets.append(
                    (
                        pk,
                        was.balance_units,
                        state.balance,
                        was.held_units,
                        state.held,
                        state.entry_count,
                        state.head,
                        state.moved_at or None,
                    )
                )
        return outcomes

    def _group(self, place: int, group: Group) -> Outcome:
        earlier = self._earlier(group)
        if earlier is not None:
            return earlier
        for gate in group.gates:
            gate(view_of(group, self.books, self.now))
        code = judge(group, self.books, self.now)
        outcome = self._refuse(place, group, code) if code else self._apply(place, group)
        if group.key is not None:
            self._remember(group, outcome)
        return outcome

    def _earlier(self, group: Group) -> Outcome | None:
        """What has happened already: under this key, or to this PENDING transaction."""
        if group.key is not None:
            known = self.keys.get((group.initiator, group.key.key))
            if known is not None:
                if known.fingerprint != group.key.fingerprint:
                    return Outcome(kind="key_reused", code="idempotency_key_reused", http_status=REFUSED_STATUS)
                return Outcome(
                    kind="replayed",
                    transactions=(known.transaction,),
                    code=known.failure_code if known.http_status == REFUSED_STATUS else "",
                    http_status=known.http_status,
                )
        for act in group.movements:
            unchanged = self._already(act)
            if unchanged is not None:
                return unchanged
        return None

    def _already(self, act: Act) -> Outcome | None:
        """That this act has been done, and how it ended; or a hold to expire whose time is not over yet."""
        if isinstance(act, Completion):
            known = self.books.pending[act.transaction]
            if known.status != "PENDING":
                return Outcome(kind="unchanged", transactions=(known.id,), code=known.status)
        elif isinstance(act, PlaceHold):
            for placed in self.books.holds.values():
                if placed.reference == act.reference:
                    return Outcome(kind="unchanged", code=placed.status, holds=(placed.id,))
        else:
            ended = act.hold if isinstance(act, ReleaseHold) else act.captures
            if ended is not None:
                hold = self.books.holds[ended]
                early = isinstance(act, ReleaseHold) and act.expired and not hold.is_over(self.now)
                if hold.status != "OPEN" or early:
                    return Outcome(kind="unchanged", code=hold.status, holds=(hold.id,))
            if isinstance(act, Movement) and act.type == "REVERSAL" and act.reverses is not None:
                reversal = self.books.given_back[act.reverses].reversal
                if reversal is not None:
                    return Outcome(kind="unchanged", transactions=(reversal,), code="REVERSED")
        return None

    def _remember(self, group: Group, outcome: Outcome) -> None:
        assert group.key is not None  # noqa: S101  (the caller looked)
        self.rows.keys.append(
            (
                group.initiator,
                group.key.key,
                group.key.fingerprint,
                outcome.transactions[0],
                outcome.http_status,
                self._now_microseconds,
            )
        )
        self.keys[(group.initiator, group.key.key)] = KnownKey(
            group.key.fingerprint, outcome.transactions[0], outcome.http_status, outcome.code
        )

    def _refuse(self, place: int, group: Group, code: str) -> Outcome:
        """Record the refusal of the movement that people see; its siblings never were, and holds leave no trace."""
        if any(isinstance(act, Completion) for act in group.movements):
            raise ValueError(f"A completion cannot be refused ({code}).")
        for position, act in enumerate(group.movements):
            if isinstance(act, Movement):
                transaction = self._open(group, act, self.batch.ids[(place, position)], None, failure_code=code)
                self._tell(act, transaction, "FAILED", {})
                return Outcome(kind="refused", transactions=(transaction,), code=code, http_status=REFUSED_STATUS)
        return Outcome(kind="refused", code=code, http_status=REFUSED_STATUS)

    def _apply(self, place: int, group: Group) -> Outcome:
        transactions: list[int] = []
        diverted: list[int] = []
        holds: list[int] = []
        sibling_of = 0 if len(group.movements) > 1 else None
        for position, act in enumerate(group.movements):
            if isinstance(act, Completion):
                transactions.append(act.transaction)
                diverted += self._complete(group, act)
            elif isinstance(act, PlaceHold):
                holds += self._place(act, self.batch.ids[(place, position)])
            elif isinstance(act, ReleaseHold):
                self._free(act.hold)
                self._end(act.hold, "EXPIRED" if act.expired else "RELEASED")
            else:
                if sibling_of is not None and transactions:
                    sibling_of = transactions[0]
                transaction, was_diverted = self._move(group, act, self.batch.ids[(place, position)], sibling_of)
                transactions.append(transaction)
                if was_diverted:
                    diverted.append(transaction)
        return Outcome(
            kind="posted",
            transactions=tuple(transactions),
            http_status=group.key.http_status if group.key else 0,
            diverted=tuple(diverted),
            holds=tuple(holds),
        )

    def _move(self, group: Group, movement: Movement, uuid: UUID, sibling_of: int | None) -> tuple[int, bool]:
        """The movement's transaction, and whether another wallet had to stand in for one of its own."""
        if movement.captures is not None:
            # Before it is aimed: what was held is there to be taken.
            self._free(movement.captures)
        aimed = self._aim(movement)
        transaction = self._open(group, aimed, uuid, sibling_of)
        if movement.captures is not None:
            self._end(movement.captures, "CAPTURED", transaction)
        if movement.reverses is not None:
            self._give_back(movement, transaction)
        return transaction, aimed is not movement

    def _aim(self, movement: Movement) -> Movement:
        """Facts are never refused: money for a wallet that cannot take it goes to suspense, and says so."""
        assert movement.to_wallet is not None  # noqa: S101  (refused before)
        if not movement.fact:
            return movement
        if not self.states[movement.to_wallet].can_take(movement.units):
            intended = {**movement.metadata, "intended_wallet": str(movement.to_wallet)}
            movement = replace(movement, to_wallet=self._needed("suspense", movement.currency), metadata=intended)
        payer = self.states[movement.from_wallet]
        if not payer.wallet.is_system and payer.spare < movement.units:
            owing = {**movement.metadata, "owing_wallet": str(movement.from_wallet)}
            chargebacks = self._needed("chargebacks", movement.currency)
            if chargebacks == movement.to_wallet:
                raise ValueError("What a wallet has not got cannot be taken to chargebacks: it is owed there already.")
            movement = replace(movement, from_wallet=chargebacks, metadata=owing)
        return movement

    def _needed(self, purpose: str, currency: str) -> int:
        if (purpose, currency) not in self.batch.needed:
            raise NeedsWallets(purpose, currency)
        return self.batch.needed[(purpose, currency)]

    def _place(self, act: PlaceHold, uuid: UUID) -> list[int]:
        """A fact holds what there is, and nothing at all where there is nothing."""
        state = self.states[act.wallet]
        units = min(act.units, max(0, state.spare)) if act.fact else act.units
        if not units:
            return []
        pk = self.next_number()
        state.held += units
        expires_at = None if act.expires_at is None else chain.microseconds(act.expires_at)
        self.rows.holds.append(
            (pk, uuid, act.wallet, units, act.currency, act.reason, act.reference, self._now_microseconds, expires_at)
        )
        self.books.holds[pk] = KnownHold(pk, act.wallet, units, act.reference, "OPEN", act.expires_at)
        return [pk]

    def _free(self, hold: int) -> None:
        known = self.books.holds[hold]
        self.states[known.wallet].held -= known.units

    def _end(self, hold: int, status: str, captured_by: int | None = None) -> None:
        self.rows.ended.append((hold, status, captured_by, self._now_microseconds))
        self.books.holds[hold] = self.books.holds[hold]._replace(status=status)

    def _give_back(self, movement: Movement, transaction: int) -> None:
        """Remember it for the groups that follow."""
        assert movement.reverses is not None  # noqa: S101  (the caller looked)
        known = self.books.given_back[movement.reverses]
        if movement.type == "REVERSAL":
            self.books.given_back[movement.reverses] = known._replace(reversal=transaction, left_units=0)
        elif movement.type == "REFUND":
            self.books.given_back[movement.reverses] = known._replace(left_units=known.left_units - movement.units)

    def _open(
        self, group: Group, movement: Movement, uuid: UUID, sibling_of: int | None, *, failure_code: str = ""
    ) -> int:
        """
        A new transaction, with its entries if money moves now.

        :param sibling_of: the first transaction of the group; 0 makes this one the first.
        """
        pk = self.next_number()
        at = self._time_of(movement.from_wallet, movement.to_wallet)
        moves = not failure_code and moves_money(movement)
        status = "FAILED" if failure_code else movement.status
        metadata = dict(movement.metadata)
        known = KnownTransaction(
            id=pk,
            uuid=uuid,
            from_wallet=movement.from_wallet,
            to_wallet=movement.to_wallet or 0,
            amount_units=movement.units,
            currency=movement.currency,
            decimals=decimals_of(movement.currency),
            type=movement.type,
            status=status,
            failure_code=failure_code,
            initiator=group.initiator,
            group=sibling_of if sibling_of != 0 else pk,
            reverses=movement.reverses,
            created_at=at,
            note=movement.note,
            metadata=metadata,
        )
        self.rows.transactions.append(
            (
                pk,
                uuid,
                movement.from_wallet,
                movement.to_wallet,
                movement.amount,
                known.currency,
                known.decimals,
                known.type,
                status,
                failure_code,
                group.initiator,
                known.group,
                movement.reverses,
                movement.note,
                rfc8785.dumps(metadata).decode() if metadata else "{}",
                at,
                at if moves else None,
                None if status == "PENDING" else at,
            )
        )
        if not failure_code:
            self._tell(movement, pk, status, self._enter(known, at) if moves else {})
        return pk

    def _complete(self, group: Group, completion: Completion) -> list[int]:
        """
        End a PENDING transaction.

        An ADD whose wallet cannot take the money fails, and a new ADD takes the money to suspense: what a
        transaction says of its wallets never changes.

        :returns: the transactions that were diverted.
        """
        known = self.books.pending[completion.transaction]
        at = self._time_of(known.from_wallet, known.to_wallet)
        status, failure_code, diverted = completion.status, completion.failure_code, []
        posts = known.type == "ADD" and status == "SUCCESS"
        if posts and not self.states[known.to_wallet].can_take(known.amount_units):
            posts, status, failure_code = False, "FAILED", "recipient_unavailable"
            instead = Movement(
                type="ADD",
                amount=from_units(known.amount_units),
                currency=known.currency,
                from_wallet=known.from_wallet,
                to_wallet=self._needed("suspense", known.currency),
                metadata={"instead_of": public_id("txn", known.uuid), "intended_wallet": str(known.to_wallet)},
                fact=True,
            )
            diverted.append(self._open(group, instead, new_uuid(), None))
        self.books.pending[known.id] = known._replace(status=status)
        self.rows.completions.append((known.id, status, failure_code, at if posts else None, at))
        sequences = self._enter(known, at) if posts else {}
        self._tell(known, known.id, status, sequences)
        return diverted

    def _enter(self, known: KnownTransaction, at: int) -> dict[int, int]:
        """The two entries of a transaction. Returns each wallet's new sequence."""
        digest = chain.digest_of_transaction(
            id=known.id,
            uuid=known.uuid,
            from_wallet=known.from_wallet,
            to_wallet=known.to_wallet,
            amount_units=known.amount_units,
            currency=known.currency,
            decimals=known.decimals,
            type=known.type,
            initiator=known.initiator,
            group=known.group,
            reverses=known.reverses,
            created_at=known.created_at,
            note=known.note,
            metadata=known.metadata,
        )
        units = known.amount_units
        sequences = {}
        for wallet, debit, credit in ((known.from_wallet, units, 0), (known.to_wallet, 0, units)):
            state = self.states[wallet]
            state.balance += credit - debit
            state.entry_count += 1
            state.moved_at = at
            state.head = chain.hash_of_entry(
                previous=state.head,
                wallet=wallet,
                sequence=state.entry_count,
                transaction_digest=digest,
                debit_units=debit,
                credit_units=credit,
                balance_units=state.balance,
                created_at=at,
            )
            self.rows.entries.append(
                (
                    self.next_number(),
                    wallet,
                    known.id,
                    state.entry_count,
                    debit,
                    credit,
                    state.balance,
                    state.head,
                    at,
                )
            )
            sequences[wallet] = state.entry_count
        return sequences

    def _tell(
        self, parties: Movement | KnownTransaction, transaction: int, status: str, sequences: Mapping[int, int]
    ) -> None:
        """
        An event for each person's wallet that may know of it: never of another's failed attempt.

        The relay publishes a wallet's in the order of their numbers. Those are drawn one by one as the rows are
        written, under the wallets' locks: what `next_number` draws comes in blocks for each process, in no order.
        """
        told: Sequence[int | None] = (parties.from_wallet, parties.to_wallet)
        if status == "FAILED" and parties.type != "ADD":
            told = (parties.from_wallet,)
        for wallet in told:
            if wallet is None or self.states[wallet].wallet.is_system:
                continue
            self.rows.events.append(
                (
                    new_uuid_text(),
                    transaction,
                    wallet,
                    status,
                    sequences.get(wallet),
                    self._now_microseconds,
                )
            )

    def _time_of(self, *wallets: int | None) -> int:
        """The greater of the clock and the times at which these wallets last moved: no chain runs backwards."""
        times = [self.states[wallet].moved_at for wallet in wallets if wallet is not None]
        return max(self._now_microseconds, *times)
