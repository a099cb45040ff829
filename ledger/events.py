"""
What the ledger tells: the rows of the outbox as events (docs/events.md, docs/events/*.json).

An event says what was true when its row was written, however late and however often it is rendered: a withdrawal that
is PENDING has neither ended nor failed, though its transaction may have since. It holds ids and amounts, and of the
other side no more than a wallet's public id; system wallets are nobody's business.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from ledger.models import Transaction
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.outbox import Cursor, Row
from wallet_project.kernel.ids import public_id
from wallet_project.kernel.money import Money
from wallets.models import Wallet

TYPE_OF: Final = {
    Transaction.Status.PENDING.value: "wallet.transaction.pending.v1",
    Transaction.Status.SUCCESS.value: "wallet.transaction.succeeded.v1",
    Transaction.Status.FAILED.value: "wallet.transaction.failed.v1",
}

_READ: Final = """
SELECT t.uuid, w.uuid, t.type, t.from_wallet_id = n.wallet, t.amount, t.currency, e.balance_after, o.uuid, r.uuid,
    t.failure_code, t.created_at, t.completed_at
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) WITH ORDINALITY AS n (transaction, wallet, sequence, place)
JOIN ledger_transaction t ON t.id = n.transaction
JOIN wallets_wallet w ON w.id = n.wallet
LEFT JOIN wallets_wallet o ON o.kind <> 'SYSTEM'
    AND o.id = CASE WHEN t.from_wallet_id = n.wallet THEN t.to_wallet_id ELSE t.from_wallet_id END
LEFT JOIN ledger_transaction r ON r.id = t.reverses_id
LEFT JOIN ledger_ledgerentry e ON e.wallet_id = n.wallet AND e.sequence = n.sequence
ORDER BY n.place
"""


class NoSuchTransaction(LookupError):
    """A row of the outbox tells of what is not there, which no posting can leave behind."""


def render(cursor: Cursor, rows: Sequence[Row]) -> list[Event]:
    """
    An event for each row, in one query.

    :raises NoSuchTransaction:
    """
    cursor.execute(
        _READ,
        [[row.transaction_id for row in rows], [row.wallet_id for row in rows], [row.sequence for row in rows]],
        binary=True,
    )
    found = cursor.fetchall()
    if len(found) != len(rows):
        raise NoSuchTransaction(f"{len(rows) - len(found)} of {len(rows)} rows tell of what is not there")
    return [_event(row, columns) for row, columns in zip(rows, found, strict=True)]


def _event(row: Row, columns: tuple[Any, ...]) -> Event:
    (
        transaction, wallet, type_, is_out, amount, currency, balance_after, other, reverses,
        failure_code, created_at, completed_at,
    ) = columns  # fmt: skip
    has_ended = row.status != Transaction.Status.PENDING
    subject = _wallet_id(wallet)
    return Event(
        id=row.event_id,
        type=TYPE_OF[row.status],
        subject=subject,
        time=row.created_at,
        data={
            "transaction": public_id(Transaction.PREFIX, transaction),
            "wallet": subject,
            "type": type_,
            "status": row.status,
            "direction": "out" if is_out else "in",
            "amount": _money(amount, currency),
            "sequence": row.sequence,
            "balance_after": None if balance_after is None else _money(balance_after, currency),
            "counterparty_wallet": None if other is None else _wallet_id(other),
            "reverses": None if reverses is None else public_id(Transaction.PREFIX, reverses),
            "failure_code": failure_code if row.status == Transaction.Status.FAILED else None,
            "created_at": _time(created_at),
            "completed_at": _time(completed_at) if has_ended else None,
        },
    )


@lru_cache(maxsize=4096)
def _wallet_id(uuid: UUID) -> str:
    return public_id(Wallet.PREFIX, uuid)


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    return Money(amount, currency).as_json()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
