"""Each wallet's entries, from the first: sequence, running balance, time and hash; then the wallet's own word."""

import struct
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from ledger.chain import VERSION, moment
from ledger.verifying import records
from ledger.verifying.lies import Lie, lie
from ledger.verifying.records import EPOCH, NEVER, RECORD, WALLET_ITSELF, Record
from ledger.verifying.snapshot import Snapshot
from wallet_project.kernel.money import from_units

_VERSION: Final = struct.pack(">h", VERSION)
_TIME: Final = struct.Struct(">q")
_NO_DIGEST: Final = bytes(32)
# Where in a record the digest begins and ends, and where the hashed fields of fixed place end: before the time.
_DIGEST_FROM, _DIGEST_TO, _FIXED_TO = 16, 48, 72


class Progress(Protocol):
    """A progress bar, as far as it is needed here."""

    def update(self, n: int) -> object: ...

    def close(self) -> object: ...


@dataclass(frozen=True, slots=True)
class _Broken:
    """A lie about a row that is still a number: names are looked up when the stream has ended."""

    wallet: int
    sequence: int
    says: str


@dataclass(slots=True)
class _Chain:
    """A wallet as its entries so far leave it. Times in microseconds since 2000-01-01 UTC."""

    wallet: int = 0
    sequence: int = 0
    balance: int = 0
    head: bytes = bytes(32)
    moved_at: int = NEVER


def lies(snapshot: Snapshot, progress: Progress) -> Iterator[Lie]:
    """The first break of any chain, by wallet and sequence. Nothing after it can be judged."""
    with closing(_walk(snapshot, progress)) as walk:
        broken = next(walk, None)
    if broken is not None:
        entry = "" if broken.sequence == WALLET_ITSELF else f"entry {broken.sequence} of "
        yield lie(snapshot, f"{entry}<wallet {broken.wallet}>", broken.says)


def _walk(snapshot: Snapshot, progress: Progress) -> Generator[_Broken, None, None]:
    chain = _Chain()
    is_open = False  # entries were read, and their wallet's row not yet
    with closing(records.batches(snapshot)) as batches:
        for batch, digests in batches:
            wallet, sequence, *_ = first = RECORD.unpack_from(batch)
            if wallet != chain.wallet:
                if is_open:
                    yield _Broken(chain.wallet, chain.sequence, "belongs to no wallet")
                chain = _Chain(wallet=wallet)
            is_open = sequence != WALLET_ITSELF
            if is_open:
                yield from _follow(chain, batch, digests)
                progress.update(len(batch) // RECORD.size)
            else:
                yield from _close(chain, first)
    if is_open:
        yield _Broken(chain.wallet, chain.sequence, "belongs to no wallet")


def _follow(chain: _Chain, batch: bytes, digests: Iterator[bytes | None]) -> Iterator[_Broken]:
    """Entries of one wallet, each after the one before it. The loop that runs two million times."""
    last, running, head, moved_at = chain.sequence, chain.balance, chain.head, chain.moved_at
    pack_time, start = _TIME.pack, 0
    for record in RECORD.iter_unpack(batch):
        _, sequence, digest, debit, credit, balance, at, found, transaction = record
        fixed = batch[start : start + _FIXED_TO]
        start += RECORD.size
        if digest == _NO_DIGEST:
            made = next(digests, None)
            if made is None:
                yield _Broken(chain.wallet, sequence, f"names <transaction {transaction}>, which posted nothing")
            fixed = fixed[:_DIGEST_FROM] + (made or _NO_DIGEST) + fixed[_DIGEST_TO:]
        # The form of ledger.chain: version, previous hash, the fields as they came, the time since 1970.
        computed = sha256(_VERSION + head + fixed + pack_time(at + EPOCH)).digest()
        if computed != found or sequence != last + 1 or balance != running + credit - debit or at < moved_at:
            before = _Chain(chain.wallet, last, running, head, moved_at)
            yield _Broken(chain.wallet, sequence, _explain(before, record, computed))
        last, running, head, moved_at = sequence, balance, found, at
    chain.sequence, chain.balance, chain.head, chain.moved_at = last, running, head, moved_at


def _explain(before: _Chain, record: Record, computed: bytes) -> str:
    """The plainest of an entry's lies: a hash says only that something changed."""
    _, sequence, _, debit, credit, balance, at, found, transaction = record
    if sequence != before.sequence + 1:
        return f"sequence: expected {before.sequence + 1}, found {sequence}"
    expected = before.balance + credit - debit
    if balance != expected:
        return (
            f"balance_after: expected {_text(expected)} ({_text(before.balance)} + {_text(credit)} - {_text(debit)}),"
            f" found {_text(balance)}"
        )
    if at < before.moved_at:
        return f"created_at: expected {_time(before.moved_at)} or later, found {_time(at)}"
    return (
        f"hash differs: expected {computed.hex()}, found {found.hex()}; the entry or its transaction"
        f" <transaction {transaction}> was changed"
    )


def _close(chain: _Chain, own: Record) -> Iterator[_Broken]:
    """A wallet's own columns against its last entry, or against nothing when it has none."""
    _, _, _, _, _, balance, moved_at, head, entry_count = own
    last = f"as entry {chain.sequence} left it" if chain.sequence else "for it has no entries"
    for column, expected, found in (
        ("entry_count", str(chain.sequence), str(entry_count)),
        ("balance", _text(chain.balance), _text(balance)),
        ("head", chain.head.hex(), head.hex()),
        ("moved_at", _time(chain.moved_at), _time(moved_at)),
    ):
        if expected != found:
            yield _Broken(chain.wallet, WALLET_ITSELF, f"{column}: expected {expected}, {last}, found {found}")


def _text(units: int) -> str:
    return f"{from_units(units):.4f}"


def _time(microseconds: int) -> str:
    return "never" if microseconds == NEVER else moment(microseconds + EPOCH).isoformat()
