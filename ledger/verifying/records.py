"""
The stream that the chain check reads: every entry in 120 bytes, by wallet and sequence, then the wallet's own row.

PostgreSQL composes the bytes of `ledger.chain` itself and sends up to 256 entries of a wallet in one row of COPY
BINARY: a row for each entry costs Python more than all the hashing. `docs/ledger.md` holds the form and its test
vectors, and tests hold both makers of these bytes to them.

A record (big-endian)::

    int64 wallet · int64 sequence · 32 bytes transaction digest · int64 debit · int64 credit · int64 balance_after
    · int64 created_at (microseconds since 2000-01-01 UTC) · 32 bytes hash · int64 transaction

The digest of a transaction with metadata is sent as zeros, for RFC 8785 is Python's work; a second column then
carries for each such record, in the same order: int32 length · the digested form but for its last field ·
the metadata as text. A transaction that is not there, or posted nothing, has length 0.

A wallet's own row is a record too: sequence 2^63 - 1, and entry_count in the place of the transaction.
"""

import json
import struct
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import lru_cache
from hashlib import sha256
from typing import Final

from ledger.chain import digest_of_metadata
from ledger.verifying.snapshot import Snapshot

ENTRIES_IN_A_ROW: Final = 256
WALLET_ITSELF: Final = 2**63 - 1  # its place in the order: after every entry
NEVER: Final = -(2**63)  # how PostgreSQL sends '-infinity'
EPOCH: Final = 946_684_800_000_000  # 2000-01-01, PostgreSQL's epoch, in microseconds since 1970-01-01

RECORD: Final = struct.Struct(">qq32sqqqq32sq")
Record = tuple[int, int, bytes, int, int, int, int, bytes, int]

_NO_NOTE: Final = sha256(b"").hexdigest()
_NO_METADATA: Final = sha256(b"{}").hexdigest()
_ZEROS: Final = bytes(32)
_SQL_ZEROS: Final = f"'\\x{_ZEROS.hex()}'::bytea"
# How much of the digested form precedes the digest of the metadata.
_FORM_LENGTH: Final = 131

# Everything of a transaction's digested form but its last field, the digest of the metadata.
_FORM: Final = f"""
    '\\x0001'::bytea || int8send(t.id) || uuid_send(t.uuid)
    || int8send(t.from_wallet_id) || int8send(coalesce(t.to_wallet_id, 0)) || int8send((t.amount * 10000)::int8)
    || convert_to(t.currency, 'UTF8') || int2send(t.decimals::int2)
    || overlay('\\x000000000000000000000000'::bytea PLACING convert_to(t.type, 'UTF8') FROM 1)
    || int8send(t.initiator_id) || int8send(coalesce(t."group", 0)) || int8send(coalesce(t.reverses_id, 0))
    || int8send((extract(epoch FROM t.created_at) * 1000000)::int8)
    || CASE t.note WHEN '' THEN '\\x{_NO_NOTE}'::bytea ELSE sha256(convert_to(t.note, 'UTF8')) END
"""

# Of each transaction that moved money: its digest, or what Python needs to make it.
_DIGESTS: Final = f"""
    SELECT t.id,
        CASE t.metadata WHEN '{{{{}}}}' THEN sha256({_FORM} || '\\x{_NO_METADATA}'::bytea) END AS digest,
        CASE t.metadata WHEN '{{{{}}}}' THEN NULL ELSE {_FORM} || convert_to(t.metadata::text, 'UTF8') END AS form
    FROM {{transactions}} t
    WHERE t.posted_at IS NOT NULL
"""

STREAM: Final = f"""
SELECT string_agg(record, '' ORDER BY wallet, sequence), string_agg(form, '' ORDER BY wallet, sequence)
FROM (
    SELECT e.wallet_id AS wallet, e.sequence,
        int8send(e.wallet_id) || int8send(e.sequence) || coalesce(d.digest, {_SQL_ZEROS})
        || int8send((e.debit * 10000)::int8) || int8send((e.credit * 10000)::int8)
        || int8send((e.balance_after * 10000)::int8) || timestamptz_send(e.created_at)
        || CASE octet_length(e.hash) WHEN 32 THEN e.hash ELSE {_SQL_ZEROS} END || int8send(e.transaction_id) AS record,
        CASE WHEN d.digest IS NULL THEN int4send(coalesce(octet_length(d.form), 0)) || coalesce(d.form, '') END AS form
    FROM {{entries}} e LEFT JOIN ({_DIGESTS}) d ON d.id = e.transaction_id
    UNION ALL
    SELECT w.id, {WALLET_ITSELF},
        int8send(w.id) || int8send({WALLET_ITSELF}) || {_SQL_ZEROS} || int8send(0) || int8send(0)
        || int8send((w.balance * 10000)::int8) || timestamptz_send(coalesce(w.moved_at, '-infinity'::timestamptz))
        || CASE octet_length(w.head) WHEN 32 THEN w.head ELSE sha256(w.head) END || int8send(w.entry_count),
        NULL
    FROM {{wallets}} w
) stream
GROUP BY wallet, sequence / {ENTRIES_IN_A_ROW}
ORDER BY wallet, sequence / {ENTRIES_IN_A_ROW}
"""

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
_HEADER: Final = len(_SIGNATURE) + 8
_TRAILER: Final = b"\xff\xff"
_LENGTH: Final = struct.Struct(">i")
_COLUMNS: Final = struct.Struct(">hi")


def batches(snapshot: Snapshot) -> Generator[tuple[bytes, Iterator[bytes | None]], None, None]:
    """
    Records in order, up to `ENTRIES_IN_A_ROW` at a time, and the digests of those whose digest is zeros.

    A digest of None: the transaction is not there, or posted nothing.
    """
    with closing(snapshot.copy(STREAM)) as blocks:
        for place, block in enumerate(blocks):
            start = 0
            if place == 0:
                if bytes(block[: len(_SIGNATURE)]) != _SIGNATURE:
                    raise ValueError("This is not COPY BINARY.")
                start = _HEADER
            if len(block) - start <= len(_TRAILER):
                continue
            _, length = _COLUMNS.unpack_from(block, start)
            start += _COLUMNS.size
            rest = start + length
            yield bytes(block[start:rest]), _digests(bytes(block[rest + _LENGTH.size :]))


def _digests(forms: bytes) -> Iterator[bytes | None]:
    place = 0
    while place < len(forms):
        (length,) = _LENGTH.unpack_from(forms, place)
        place += _LENGTH.size
        form = forms[place : place + length]
        place += length
        yield sha256(form[:_FORM_LENGTH] + _digest_of(form[_FORM_LENGTH:])).digest() if form else None


@lru_cache(maxsize=4_096)
def _digest_of(metadata: bytes) -> bytes:
    """Of metadata as PostgreSQL writes it; of what was never metadata, one that matches nothing."""
    members = json.loads(metadata)
    if not isinstance(members, dict) or not all(isinstance(value, str) for value in members.values()):
        return b""
    return digest_of_metadata(members)
