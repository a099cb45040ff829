"""
History: transactions as one person sees them.

A wallet's transactions stand in two indexes, out and in. Both are read backwards and merged, so that a page costs
what it shows, however deep it lies; everything else about a row is one look-up each.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from accounts.models import User
from ledger.models import Hold, LedgerEntry, Transaction
from wallet_project.kernel.database import read_prepared
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id, public_id
from wallet_project.kernel.money import Money
from wallet_project.kernel.newest_first import CURSOR_PREFIX
from wallets.display_names import MASKED_SQL, display_name
from wallets.models import Wallet

MOST_ROWS: Final = 100
USUAL_ROWS: Final = 20
LONGEST_SEARCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTransaction:
    """A transaction from the side of one wallet. `entries` only where one transaction is asked for."""

    pk: int
    public_id: str
    type: str
    status: str
    direction: str
    amount: Money
    counterparty_name: str
    counterparty_wallet: str | None
    note: str
    order_reference: str | None
    balance_after: Money | None
    reverses: str | None
    reversed_by: str | None
    failure_code: str
    created_at: datetime
    completed_at: datetime | None
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEntry:
    """One's own side of a movement."""

    wallet: str
    sequence: int
    debit: Money
    credit: Money
    balance_after: Money
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """`from_date` and `to_date` are whole days of the wallet's time zone, both included."""

    type: str | None = None
    status: str | None = None
    from_date: date | None = None
    to_date: date | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[SeenTransaction]
    next: str | None


_COLUMNS: Final = """t.id, t.uuid, t.type, t.status, t.failure_code, t.amount, t.currency, t.note, t.metadata,
        t.created_at, t.completed_at, t.from_wallet_id, t.to_wallet_id, t.reverses_id"""

# What the payee may see: never others' failed attempts. The very words of the index's condition.
_IN_SIGHT: Final = "(t.status <> 'FAILED' OR t.type = 'ADD')"

# Of a wallet whose owner is erased its label says what others saw of their name.
_NAME_BEHIND: Final = (
    "(CASE WHEN {wallet}.status = 'CLOSED' AND {wallet}.label <> '' THEN {wallet}.label ELSE u.full_name END)"
)

# Sub-selects and a lateral join with a limit, so that each row is looked up by itself: a planner free to join whole
# tables would read all of them for a page, and sort.
_DETAILS: Final = f"""
SELECT p.id, p.uuid, p.type, p.status, p.failure_code, p.amount, p.currency, p.note, p.metadata, p.created_at,
       p.completed_at, p.is_out,
       (SELECT e.balance_after FROM ledger_ledgerentry e
        WHERE e.transaction_id = p.id AND (e.debit > 0) = p.is_out),
       other.uuid, other.kind, other.purpose, other.full_name, other.display_name,
       (SELECT t.uuid FROM ledger_transaction t WHERE t.id = p.reverses_id),
       (SELECT t.uuid FROM ledger_transaction t
        WHERE t.reverses_id = p.id AND t.status <> 'FAILED'
            AND (t.type = 'REVERSAL' OR t.type = 'REFUND' AND p.type = 'TRANSFER') LIMIT 1)
FROM ({{page}}) p
LEFT JOIN LATERAL (
    SELECT w.uuid, w.kind, w.purpose, {_NAME_BEHIND.format(wallet="w")} AS full_name, m.display_name
    FROM wallets_wallet w
    LEFT JOIN accounts_user u ON u.id = w.owner_id
    LEFT JOIN wallets_merchant m ON m.wallet_id = w.id
    WHERE w.id = CASE WHEN p.is_out THEN p.to_wallet_id ELSE p.from_wallet_id END
    LIMIT 1
) other ON TRUE
ORDER BY p.created_at DESC, p.id DESC
"""

# Each half is read backwards along its own index and no further than the page: Merge Append pulls from both.
_PAGE: Final = f"""
    SELECT * FROM (
        (SELECT {_COLUMNS}, TRUE AS is_out FROM ledger_transaction t
         WHERE t.from_wallet_id = %(wallet)s {{out_filters}}
         ORDER BY t.created_at DESC, t.id DESC LIMIT %(rows)s)
        UNION ALL
        (SELECT {_COLUMNS}, FALSE AS is_out FROM ledger_transaction t
         WHERE t.to_wallet_id = %(wallet)s AND {_IN_SIGHT} {{in_filters}}
         ORDER BY t.created_at DESC, t.id DESC LIMIT %(rows)s)
    ) both_ways
    ORDER BY created_at DESC, id DESC LIMIT %(rows)s"""

_ONE: Final = f"""
    SELECT t.*, t.sees_out AND (NOT t.sees_in OR t.payer_kind = 'USER' OR t.from_wallet_id = t.to_wallet_id) AS is_out
    FROM (
        SELECT {_COLUMNS}, payer.kind AS payer_kind,
            (payer.owner_id = %(person)s AND (%(uuid)s::uuid IS NULL OR payer.uuid = %(uuid)s)) IS TRUE AS sees_out,
            (payee.owner_id = %(person)s AND (%(uuid)s::uuid IS NULL OR payee.uuid = %(uuid)s) AND {_IN_SIGHT}) IS TRUE
                AS sees_in
        FROM ledger_transaction t
        JOIN wallets_wallet payer ON payer.id = t.from_wallet_id
        LEFT JOIN wallets_wallet payee ON payee.id = t.to_wallet_id
        WHERE {{which}}
    ) t
    WHERE t.sees_out OR t.sees_in"""

_MASKED_BEHIND: Final = MASKED_SQL.format(name=_NAME_BEHIND.format(wallet="c"))

_SEARCH: Final = f"""AND (
        t.note ILIKE %(search)s OR t.uuid = %(searched_id)s OR t.metadata ->> 'order_reference' ILIKE %(search)s
        OR EXISTS (
            SELECT FROM wallets_wallet c
            LEFT JOIN accounts_user u ON u.id = c.owner_id
            LEFT JOIN wallets_merchant m ON m.wallet_id = c.id
            WHERE c.id = t.{{other}} AND c.owner_id IS NOT NULL
                AND coalesce(m.display_name, {_MASKED_BEHIND}) ILIKE %(search)s))"""

# What people read where the other side is the wallet's own bookkeeping.
_SYSTEM_NAMES: Final[Mapping[str, str]] = {
    Wallet.Purpose.GATEWAY_CLEARING: "Bank or card top-up",
    Wallet.Purpose.PAYOUT_CLEARING: "Withdrawal to a bank",
    Wallet.Purpose.BANK: "Bank",
    Wallet.Purpose.FEE_INCOME: "Wallet fee",
    Wallet.Purpose.GATEWAY_FEES: "Payment fee",
    Wallet.Purpose.GST: "Tax",
    Wallet.Purpose.CHARGEBACKS: "Disputed payment",
    Wallet.Purpose.PROMOTIONS: "Wallet promotion",
    Wallet.Purpose.SUSPENSE: "Wallet support",
}


def history_of(
    *, wallet: Wallet, filters: Filters | None = None, cursor: str | None = None, limit: int = USUAL_ROWS
) -> Page:
    """
    One page of a wallet's transactions, newest first; stable while new ones come in.

    :raises Refusal: `cursor_invalid`, for what never was a cursor of this wallet.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"A page has 1 to {MOST_ROWS} rows.")
    conditions, parameters = _conditions(filters or Filters())
    if cursor is not None:
        conditions += " AND (t.created_at, t.id) < (%(before)s, %(before_id)s)"
        parameters["before"], parameters["before_id"] = _place_of(cursor, wallet)
    page = _PAGE.format(
        out_filters=conditions.format(other="to_wallet_id"), in_filters=conditions.format(other="from_wallet_id")
    )
    rows = _read(page, {**parameters, "wallet": wallet.pk, "rows": limit + 1})
    return Page(rows[:limit], rows[limit - 1].cursor if len(rows) > limit else None)


def find_transaction(*, user: User, transaction: str, wanted: str | None = None) -> SeenTransaction:
    """
    A transaction by its public id, as this person sees it from their own wallets.

    :param wanted: look from this wallet of theirs only.
    :raises Refusal: `not_found`, for unknown ids as for what is not theirs to see.
    """
    uuid = parse_public_id(Transaction.PREFIX, transaction)
    if uuid is None:
        raise Refusal("not_found", "There is no such transaction.")
    return _see(user, "t.uuid = %(which)s", uuid, wanted)


def see_transaction(*, user: User, pk: int, wanted: str | None = None) -> SeenTransaction:
    """
    The same, by primary key, for what this person has just asked for.

    :raises Refusal: `not_found`.
    """
    return _see(user, "t.id = %(which)s", pk, wanted)


def own_entries(*, user: User, pk: int) -> list[SeenEntry]:
    """The entries of a transaction in this person's own wallets, never in others'."""
    entries = LedgerEntry.objects.filter(transaction=pk, wallet__owner=user).select_related("wallet").order_by("pk")
    return [_seen_entry(entry, entry.wallet) for entry in entries]


def entries_of(*, wallet: Wallet, rows: Sequence[SeenTransaction]) -> dict[int, list[SeenEntry]]:
    """One wallet's entries of a page of its transactions, by transaction (primary key)."""
    found: dict[int, list[SeenEntry]] = defaultdict(list)
    entries = LedgerEntry.objects.filter(transaction__in=[row.pk for row in rows], wallet=wallet).order_by("pk")
    for entry in entries:
        found[entry.transaction_id].append(_seen_entry(entry, wallet))
    return found


def reasons_of_holds(*, wallet: Wallet) -> list[str]:
    """Why some of a wallet's money is held, each reason once."""
    holds = Hold.objects.filter(wallet=wallet, status=Hold.Status.OPEN)
    return sorted(set(holds.values_list("reason", flat=True)[:MOST_ROWS]))


def _see(user: User, which: str, value: object, wanted: str | None) -> SeenTransaction:
    uuid = None if wanted is None else parse_public_id(Wallet.PREFIX, wanted)
    rows: list[SeenTransaction] = []
    if wanted is None or uuid is not None:
        found = read_prepared(
            _DETAILS.format(page=_ONE.format(which=which)), {"which": value, "person": user.pk, "uuid": uuid}
        )
        rows = [_seen(row) for row in found]
    if not rows:
        raise Refusal("not_found", "There is no such transaction.")
    return rows[0]


def _seen_entry(entry: LedgerEntry, wallet: Wallet) -> SeenEntry:
    return SeenEntry(
        wallet=wallet.public_id,
        sequence=entry.sequence,
        debit=Money(entry.debit, wallet.currency),
        credit=Money(entry.credit, wallet.currency),
        balance_after=Money(entry.balance_after, wallet.currency),
        created_at=entry.created_at,
    )


def _conditions(filters: Filters) -> tuple[str, dict[str, Any]]:
    """SQL for both directions; `{other}` stands for the counterparty's column."""
    conditions, parameters = "", dict[str, Any]()
    if filters.type is not None:
        conditions += " AND t.type = %(type)s"
        parameters["type"] = filters.type
    if filters.status is not None:
        conditions += " AND t.status = %(status)s"
        parameters["status"] = filters.status
    if filters.from_date is not None:
        conditions += " AND t.created_at >= %(from)s"
        parameters["from"] = _midnight(filters.from_date)
    if filters.to_date is not None:
        conditions += " AND t.created_at < %(until)s"
        parameters["until"] = _midnight(filters.to_date + timedelta(days=1))
    if filters.search is not None:
        conditions += " " + _SEARCH
        escaped = filters.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        parameters["search"] = f"%{escaped}%"
        parameters["searched_id"] = parse_public_id(Transaction.PREFIX, filters.search)
    return conditions, parameters


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(settings.TIME_ZONE))


def _place_of(cursor: str, wallet: Wallet) -> tuple[datetime, int]:
    """
    Where a cursor points. It names the last row shown by its public id, so it tells nothing new, and what was never
    in this wallet's history is no cursor of it.
    """
    uuid = parse_public_id(CURSOR_PREFIX, cursor)
    found = None
    if uuid is not None:
        found = Transaction.objects.filter(uuid=uuid).values("created_at", "pk", "from_wallet", "to_wallet").first()
    if found is None or wallet.pk not in (found["from_wallet"], found["to_wallet"]):
        raise Refusal("cursor_invalid")
    return found["created_at"], found["pk"]


def _read(page: str, parameters: Mapping[str, Any]) -> list[SeenTransaction]:
    """Not prepared: where a page lies decides how it is best read."""
    with connection.cursor() as cursor:
        cursor.execute(_DETAILS.format(page=page), parameters)
        return [_seen(row) for row in cursor.fetchall()]


def _seen(row: tuple[Any, ...]) -> SeenTransaction:
    (pk, uuid, type_, status, failure_code, amount, currency, note, metadata, created_at) = row[:10]
    (completed_at, is_out, balance_after, other, kind, purpose, full_name, merchant_name, reverses, reversal) = row[10:]
    if isinstance(metadata, str):
        metadata = json.loads(metadata)
    if other is None:
        # Only a known payee without a wallet is without one here; their masked name was kept with the refusal.
        name = metadata.get("payee_name", "…")
    elif kind == Wallet.Kind.SYSTEM:
        # A withdrawal and its return name the bank account, masked; everything else the kind of bookkeeping.
        name = metadata.get("payee_name") or _SYSTEM_NAMES.get(purpose, "Wallet")
    else:
        name = display_name(full_name=full_name, merchant_name=merchant_name)
    return SeenTransaction(
        pk=pk,
        public_id=public_id(Transaction.PREFIX, uuid),
        type=type_,
        status=status,
        direction="out" if is_out else "in",
        amount=Money(amount, currency),
        counterparty_name=name,
        counterparty_wallet=_id_of(Wallet.PREFIX, None if kind == Wallet.Kind.SYSTEM else other),
        note=note,
        order_reference=metadata.get("order_reference"),
        balance_after=_money(balance_after, currency),
        reverses=_id_of(Transaction.PREFIX, reverses),
        reversed_by=_id_of(Transaction.PREFIX, reversal),
        failure_code=failure_code,
        created_at=created_at,
        completed_at=completed_at,
        cursor=public_id(CURSOR_PREFIX, uuid),
    )


def _id_of(prefix: str, uuid: UUID | None) -> str | None:
    return None if uuid is None else public_id(prefix, uuid)


def _money(amount: Decimal | None, currency: str) -> Money | None:
    return None if amount is None else Money(amount, currency)
