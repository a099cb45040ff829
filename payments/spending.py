"""
What a wallet has spent, as its limits and the step-up see it: read in one statement, written with the movement.

Under the wallet's lock nobody else writes its rows, so the last row of each kind is the truth. See `models.Spending`
for the totals that each row carries. Limits count by wallet; the step-up counts by person, from all of one's wallets to
all of another's (`hold_other_wallets`).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from psycopg.errors import SerializationFailure

from ledger.movements import Movement
from payments.models import Spending
from wallet_project.kernel.database import POSTING, read_prepared, require_transaction, write_prepared
from wallets.models import Wallet

LOOKING_BACK: Final = timedelta(hours=24)

# Each part is the last row of an index; of payers and payees with several wallets, one for each pair.
_STANDING: Final = """
SELECT u.kyc_level,
    rule.per_transaction, rule.per_day, rule.per_month,
    own.per_transaction, own.per_day, own.per_month,
    last.day, last.day_total, last.month_total,
    paid.ever, paid.older, paid.here,
    room.most,
    (SELECT count(*) FROM wallets_wallet o WHERE o.owner_id = w.owner_id AND o.id <> w.id),
    EXISTS (SELECT FROM accounts_addresschange c WHERE c.user_id = u.id AND c.held_until > %(now)s),
    CASE WHEN %(type)s = 'ADD' THEN (
        SELECT sum(t.amount) FROM payments_gatewayorder g JOIN ledger_transaction t ON t.id = g.transaction_id
        WHERE g.state IN ('NEW', 'OPEN') AND t.to_wallet_id = w.id
    ) END,
    EXISTS (
        SELECT FROM wallets_wallet p JOIN accounts_personblock b ON b.blocker_id = p.owner_id
        WHERE p.id = %(credited)s AND p.kind = 'USER' AND b.blocked_id = w.owner_id
    )
FROM wallets_wallet w
JOIN accounts_user u ON u.id = w.owner_id
LEFT JOIN LATERAL (
    SELECT * FROM payments_limitrule r
    WHERE r.kyc_level = u.kyc_level AND r.type = %(type)s AND r.since <= %(now)s
    ORDER BY r.since DESC, r.id DESC LIMIT 1
) rule ON true
LEFT JOIN LATERAL (
    SELECT * FROM payments_ownlimit o
    WHERE o.user_id = u.id AND o.type = %(type)s AND o.dropped_at IS NULL
        AND (o.since <= %(now)s OR o.since = o.asked_at)
    ORDER BY o.since DESC, o.id DESC LIMIT 1
) own ON true
LEFT JOIN LATERAL (
    SELECT * FROM payments_spending s
    WHERE s.wallet_id = w.id AND s.type = %(type)s
    ORDER BY s.id DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT sum(last.payee_total) AS ever, sum(older.payee_total) AS older,
        sum(last.payee_total) FILTER (WHERE mine.id = w.id AND theirs.id = %(payee)s) AS here
    FROM wallets_wallet mine
    CROSS JOIN ({payees}) theirs
    CROSS JOIN LATERAL (
        SELECT s.payee_total FROM payments_spending s
        WHERE s.wallet_id = mine.id AND s.{column} = theirs.id
        ORDER BY s.created_at DESC, s.id DESC LIMIT 1
    ) last
    LEFT JOIN LATERAL (
        SELECT s.payee_total FROM payments_spending s
        WHERE s.wallet_id = mine.id AND s.{column} = theirs.id AND s.created_at <= %(since)s
        ORDER BY s.created_at DESC, s.id DESC LIMIT 1
    ) older ON true
    WHERE mine.owner_id = w.owner_id
) paid ON true
LEFT JOIN LATERAL (
    SELECT h.most FROM wallets_wallet p
    JOIN accounts_user pu ON pu.id = p.owner_id
    JOIN LATERAL (
        SELECT * FROM payments_holdinglimit h
        WHERE h.kyc_level = pu.kyc_level AND h.since <= %(now)s
        ORDER BY h.since DESC, h.id DESC LIMIT 1
    ) h ON true
    WHERE p.id = %(credited)s AND p.kind = 'USER'
) room ON true
WHERE w.id = %(wallet)s
"""
# All wallets of whoever the money goes to are one payee: a person's own, their shop's, one that was closed.
_TO_WALLET: Final = _STANDING.format(
    column="payee_wallet_id",
    payees="SELECT p.id FROM wallets_wallet named JOIN wallets_wallet p ON p.owner_id = named.owner_id "
    "WHERE named.id = %(payee)s",
)
_TO_BANK: Final = _STANDING.format(column="bank_account_id", payees="SELECT %(payee)s::bigint AS id")
# Of each wallet of a person's, the last row of each type that leaves it.
_LEFT_TODAY: Final = """
SELECT sum(last.day_total)
FROM wallets_wallet named
JOIN wallets_wallet mine ON mine.owner_id = named.owner_id
CROSS JOIN unnest(%(types)s::text[]) AS leaving (type)
CROSS JOIN LATERAL (
    SELECT s.day, s.day_total FROM payments_spending s
    WHERE s.wallet_id = mine.id AND s.type = leaving.type
    ORDER BY s.id DESC LIMIT 1
) last
WHERE named.id = %(wallet)s AND last.day >= %(day)s
"""
# A REFUND is counted where a person gives back what they were sent (`money_back_answers`).
_LEAVING: Final = ["TRANSFER", "PAY", "WITHDRAW", "REFUND"]
_NOTE: Final = """
INSERT INTO payments_spending (
    wallet_id, transaction_id, type, amount, payee_wallet_id, bank_account_id, stepped_up,
    day, day_total, month_total, payee_total, created_at
) VALUES (
    %(wallet)s, %(transaction)s, %(type)s, %(amount)s, %(payee_wallet)s, %(bank_account)s, %(stepped_up)s,
    %(day)s, %(day_total)s, %(month_total)s, %(payee_total)s, %(now)s
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payee:
    """Who the money goes to, as spending is counted: a wallet, a bank account, or (topping up) nobody."""

    wallet: int | None = None
    bank_account: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    A wallet before a movement. Amounts are Decimals of its currency; None where there is no such limit.

    :ivar day: the wallet's own day, `day_total` and `month_total` what was spent of this type in it and in its month.
    :ivar payee_total: what went from this wallet to this very wallet or account without step-up, ever.
    :ivar is_new_payee: whether this person never paid that one, from and to whichever wallet.
    :ivar payee_lately: what did without step-up, within 24 hours.
    :ivar most_held: what the credited wallet may hold.
    :ivar other_wallets: how many more the owner has.
    :ivar asks_support: an address of the owner's changed lately (`accounts.address_changes.is_recent`).
    :ivar being_added: of a top-up, what others of this wallet may still bring: they have an order that is open.
    :ivar is_kept_away: the person whose own wallet is credited has blocked this one's owner.
    """

    per_transaction: Decimal | None
    per_day: Decimal | None
    per_month: Decimal | None
    day: date
    day_total: Decimal
    month_total: Decimal
    payee_total: Decimal
    is_new_payee: bool
    payee_lately: Decimal
    most_held: Decimal | None
    other_wallets: int
    asks_support: bool
    being_added: Decimal
    is_kept_away: bool


def read_standing(*, wallet: int, movement_type: str, payee: Payee, credited: int | None, now: datetime) -> Standing:
    """
    :param wallet: whose spending counts; `credited`: the wallet that gets the money.
    :param now: under the locks, the database's clock.
    """
    statement, value = (_TO_BANK, payee.bank_account) if payee.bank_account else (_TO_WALLET, payee.wallet)
    parameters = {
        "wallet": wallet,
        "type": movement_type,
        "payee": value,
        "credited": credited,
        "now": now,
        "since": now - LOOKING_BACK,
    }
    (row,) = read_prepared(statement, parameters)
    own = [_lower(operators, persons) for operators, persons in zip(row[1:4], row[4:7], strict=True)]
    day, day_total, month_total = _totals_on(day_of(now), *row[7:10])
    ever, older, here = row[10:13]
    return Standing(
        per_transaction=own[0],
        per_day=own[1],
        per_month=own[2],
        day=day,
        day_total=day_total,
        month_total=month_total,
        payee_total=here or Decimal(0),
        is_new_payee=ever is None,
        payee_lately=(ever or Decimal(0)) - (older or Decimal(0)),
        most_held=row[13],
        other_wallets=row[14],
        asks_support=row[15],
        being_added=row[16] or Decimal(0),
        is_kept_away=row[17],
    )


def left_today(*, wallet: int, day: date) -> Decimal:
    """What its owner has spent on a day, from all of their wallets and in every way, less what came back of it."""
    ((total,),) = read_prepared(_LEFT_TODAY, {"wallet": wallet, "types": _LEAVING, "day": day})
    return total or Decimal(0)


def hold_other_wallets(*, wallet: int, standing: Standing) -> None:
    """
    Within the posting, before it judges: lock what else the owner of this wallet has. It is locked itself, and whoever
    pays from one changes that one: so of two payments of one person's at once, from two wallets, the second starts
    anew and sees the first.

    :raises SerializationFailure: one is in use. Waiting for it, each would hold what the other waits for; run again,
        alone at the turnstile, this one comes after it.
    """
    require_transaction(POSTING)
    if not standing.other_wallets:
        return
    others = Wallet.objects.filter(owner__wallets=wallet).exclude(pk=wallet).order_by("pk")
    held = list(others.select_for_update(of=("self",), no_key=True, skip_locked=True).values_list("pk"))
    if len(held) < standing.other_wallets:
        raise SerializationFailure("Another wallet of this person's is in use.")


def note_spending(
    *,
    wallet: int,
    movement: Movement,
    transaction: int,
    payee: Payee,
    standing: Standing,
    stepped_up: bool,
    now: datetime,
) -> None:
    """Within the posting of the movement."""
    write_prepared(
        _NOTE,
        {
            "wallet": wallet,
            "transaction": transaction,
            "type": movement.type,
            "amount": movement.amount,
            "payee_wallet": payee.wallet,
            "bank_account": payee.bank_account,
            "stepped_up": stepped_up,
            "day": standing.day,
            "day_total": standing.day_total + movement.amount,
            "month_total": standing.month_total + movement.amount,
            "payee_total": standing.payee_total + (Decimal(0) if stepped_up else movement.amount),
            "now": now,
        },
    )


def give_spending_back(*, transaction: int, now: datetime) -> None:
    """
    Within the posting that undoes it: an unpaid top-up, a withdrawal that came back. It counts no more on its day and
    in its month. Nothing, where it was never counted or has been given back before.
    """
    rows = list(Spending.objects.filter(transaction=transaction))
    if len(rows) != 1:
        return
    spent = rows[0]
    last = Spending.objects.filter(wallet=spent.wallet_id, type=spent.type).order_by("-pk").first() or spent
    day, day_total, month_total = _totals_on(day_of(now), last.day, last.day_total, last.month_total)
    if spent.day == day:
        day_total -= spent.amount
    if (spent.day.year, spent.day.month) == (day.year, day.month):
        month_total -= spent.amount
    Spending.objects.create(
        wallet_id=spent.wallet_id,
        transaction_id=transaction,
        type=spent.type,
        amount=-spent.amount,
        day=day,
        day_total=day_total,
        month_total=month_total,
        created_at=now,
    )


def day_of(moment: datetime) -> date:
    """The wallet's own day (a setting; Asia/Kolkata's)."""
    return moment.astimezone(ZoneInfo(settings.TIME_ZONE)).date()


def _totals_on(
    today: date, last_day: date | None, day_total: Decimal | None, month_total: Decimal | None
) -> tuple[date, Decimal, Decimal]:
    """The day that counts, and what the last row says of it and of its month. No clock that goes behind begins anew."""
    day = max(today, last_day or today)
    same_month = last_day is not None and (last_day.year, last_day.month) == (day.year, day.month)
    nothing = Decimal(0)
    return (
        day,
        (day_total or nothing) if last_day == day else nothing,
        (month_total or nothing) if same_month else nothing,
    )


def _lower(operators: Decimal | None, persons: Decimal | None) -> Decimal | None:
    known = [limit for limit in (operators, persons) if limit is not None]
    return min(known) if known else None
