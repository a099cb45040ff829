"""
The hash chain: which bytes are hashed, defined once.

Every wallet's entries form a chain: an entry's hash covers the hash before it, so that no entry can be
changed, removed or put elsewhere without every later hash disagreeing. All fields have a fixed width and
are big-endian, the form in which PostgreSQL's `COPY BINARY` and `int8send` deliver them. Amounts are
integers of 1/10,000; times are microseconds since 1970-01-01 UTC. Test vectors stand in `docs/ledger.md`.

Digest of a transaction's immutable fields, version 1 (163 bytes)::

    int16 version · int64 id · 16 bytes uuid · int64 from_wallet · int64 to_wallet · int64 amount
    · 3 bytes currency · int16 decimals · 12 bytes type (ASCII, zero-padded) · int64 initiator
    · int64 group (0: none) · int64 reverses (0: none) · int64 created_at
    · 32 bytes SHA-256 of the note in UTF-8 · 32 bytes SHA-256 of the metadata after RFC 8785

Hash of an entry, version 1 (114 bytes)::

    int16 version · 32 bytes previous hash (zeros before the first) · int64 wallet · int64 sequence
    · 32 bytes transaction digest · int64 debit · int64 credit · int64 balance_after · int64 created_at
"""

import struct
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final

import rfc8785

VERSION: Final = 1

_TRANSACTION: Final = struct.Struct(">hq16sqqq3sh12sqqqq32s32s")
_ENTRY: Final = struct.Struct(">h32sqq32sqqqq")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The time that `microseconds` stands for, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


@lru_cache(maxsize=4096)
def _digest_of_text(text: str) -> bytes:
    return sha256(text.encode()).digest()


def digest_of_metadata(metadata: Mapping[str, str]) -> bytes:
    """SHA-256 of the metadata's canonical JSON (RFC 8785). Values are strings."""
    if not metadata:
        return _EMPTY_METADATA
    return sha256(rfc8785.dumps(dict(metadata))).digest()


_EMPTY_METADATA: Final = sha256(b"{}").digest()


def digest_of_transaction(
    *,
    id: int,
    uuid: uuid.UUID,
    from_wallet: int,
    to_wallet: int,
    amount_units: int,
    currency: str,
    decimals: int,
    type: str,
    initiator: int,
    group: int | None,
    reverses: int | None,
    created_at: int,
    note: str,
    metadata: Mapping[str, str],
) -> bytes:
    """The 32 bytes that stand for a transaction in its entries' hashes. Times in microseconds."""
    return sha256(
        _TRANSACTION.pack(
            VERSION,
            id,
            uuid.bytes,
            from_wallet,
            to_wallet,
            amount_units,
            currency.encode("ascii"),
            decimals,
            type.encode("ascii"),
            initiator,
            group or 0,
            reverses or 0,
            created_at,
            _digest_of_text(note),
            digest_of_metadata(metadata),
        )
    ).digest()


def hash_of_entry(
    *,
    previous: bytes,
    wallet: int,
    sequence: int,
    transaction_digest: bytes,
    debit_units: int,
    credit_units: int,
    balance_units: int,
    created_at: int,
) -> bytes:
    """The 32 bytes that close a wallet's chain at this entry."""
    return sha256(
        _ENTRY.pack(
            VERSION,
            previous,
            wallet,
            sequence,
            transaction_digest,
            debit_units,
            credit_units,
            balance_units,
            created_at,
        )
    ).digest()
