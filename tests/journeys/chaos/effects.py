"""What became of each event, counted by queries: nothing of the code that did it is asked."""

from dataclasses import dataclass
from typing import Final

from tests.running import Run

# Every payment of the crowd; and of each its events, one for either side.
_PAYMENTS: Final = "SELECT id FROM ledger_transaction WHERE status = 'SUCCESS' AND type IN ('TRANSFER', 'PAY')"
_EVENTS: Final = f"""
SELECT o.event_id, o.published_at, o.publications, w.owner_id, w.kind, t.type FROM kernel_outboxevent o
JOIN ledger_transaction t ON t.id = o.transaction_id JOIN wallets_wallet w ON w.id = o.wallet_id
WHERE t.id IN ({_PAYMENTS})
"""
_WAITS: Final = """
SELECT 'to be published', count(*) FROM kernel_outboxevent WHERE published_at IS NULL
UNION ALL SELECT 'to be recorded by ' || g.name, count(*)
    FROM kernel_outboxevent o JOIN kernel_consumergroup g ON g.registered_at <= o.created_at
    WHERE NOT EXISTS (SELECT FROM kernel_consumedevent c WHERE c.group_id = g.id AND c.event_id = o.event_id)
    GROUP BY g.id
UNION ALL SELECT 'to be sent', count(*) FROM accounts_verification
    WHERE sent_at IS NULL AND given_up_at IS NULL AND NOT (details ->> 'kind' IS NOT DISTINCT FROM 'more')
UNION ALL SELECT 'to be told to shops', count(*) FROM payments_webhookmessage WHERE state = 'WAITING'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """
    Once nothing waits any more.

    :ivar recorded: by group, how many of the events it has recorded, and how many of those as dead.
    :ivar untold: events that are not told exactly once, to exactly the person whose wallet it was.
    :ivar told_again: how many events were published more than once.
    :ivar without_message: people with a notification that no message tells of although fewer than the most were sent.
    :ivar twice: notifications that more than one message tells of.
    :ivar not_arrived: messages that were sent, and yet are not in the inbox exactly once.
    :ivar shop: by state, how many messages for the shop there are, and for how many of its events.
    """

    payments: int
    events: int
    recorded: dict[str, tuple[int, int]]
    notifications: int
    untold: list[tuple[object, ...]]
    told_again: int
    messages: int
    without_message: list[tuple[object, ...]]
    twice: list[tuple[object, ...]]
    not_arrived: list[tuple[object, ...]]
    dead_letters: int
    given_up: int
    shop: dict[str, tuple[int, int]]
    shop_events: int


def still_waiting(run: Run) -> dict[str, int]:
    return {str(what): _int(count) for what, count in run.query(_WAITS) if count}


def on_its_way(run: Run) -> bool:
    """Whether the broker has something that a group has not recorded."""
    query = (
        "SELECT EXISTS (SELECT FROM kernel_outboxevent o JOIN kernel_consumergroup g ON g.registered_at <= o.created_at"
        " WHERE o.published_at IS NOT NULL AND o.settled_at IS NULL"
        " AND NOT EXISTS (SELECT FROM kernel_consumedevent c WHERE c.group_id = g.id AND c.event_id = o.event_id))"
    )
    return run.query(query) == [(True,)]


def registered_groups(run: Run) -> set[str]:
    return {str(name) for (name,) in run.query("SELECT name FROM kernel_consumergroup")}


def effects(run: Run, *, most_messages: int) -> Effects:
    def number(query: str) -> int:
        [(found,)] = run.query(query)
        return _int(found)

    recorded = run.query(
        f"SELECT g.name, count(c.event_id), count(*) FILTER (WHERE c.is_dead) FROM ({_EVENTS}) e"
        " CROSS JOIN kernel_consumergroup g LEFT JOIN kernel_consumedevent c"
        " ON c.group_id = g.id AND c.event_id = e.event_id GROUP BY g.name"
    )
    shop = run.query(
        f"SELECT m.state, count(*), count(DISTINCT m.event_id) FROM payments_webhookmessage m"
        f" JOIN ({_EVENTS}) e ON e.event_id = m.event_id WHERE e.kind = 'MERCHANT' GROUP BY m.state"
    )
    return Effects(
        payments=number(f"SELECT count(*) FROM ({_PAYMENTS}) p"),
        events=number(f"SELECT count(DISTINCT event_id) FROM ({_EVENTS}) e WHERE published_at IS NOT NULL"),
        recorded={str(name): (_int(count), _int(dead)) for name, count, dead in recorded},
        notifications=number("SELECT count(*) FROM accounts_notification WHERE kind IN ('money_in', 'money_out')"),
        untold=run.query(
            f"SELECT e.event_id, count(n.id) FROM ({_EVENTS}) e LEFT JOIN accounts_notification n"
            " ON n.event_id = e.event_id GROUP BY e.event_id, e.owner_id"
            " HAVING count(n.id) <> 1 OR bool_or(n.user_id <> e.owner_id)"
        ),
        told_again=number(f"SELECT count(*) FROM ({_EVENTS}) e WHERE publications > 1"),
        messages=number("SELECT count(*) FROM accounts_verification WHERE sent_at IS NOT NULL"),
        without_message=run.query(
            "SELECT n.user_id FROM accounts_notification n"
            " LEFT JOIN accounts_verification m ON m.notification_id = n.id"
            " WHERE n.kind IN ('money_in', 'money_out') GROUP BY n.user_id"
            f" HAVING count(*) > count(m.id) AND count(m.id) < {most_messages}"
            # Notices of the account count among the most.
            " - (SELECT count(*) FROM accounts_verification o JOIN accounts_notification a ON a.id = o.notification_id"
            " WHERE o.user_id = n.user_id AND a.kind NOT IN ('money_in', 'money_out'))"
        ),
        twice=run.query(
            "SELECT notification_id, channel FROM accounts_verification WHERE notification_id IS NOT NULL"
            " GROUP BY notification_id, channel HAVING count(*) > 1"
        ),
        not_arrived=run.query(
            "SELECT m.id, count(i.id) FROM accounts_verification m"
            " LEFT JOIN accounts_inboxmessage i ON i.message = m.id"
            " WHERE m.sent_at IS NOT NULL GROUP BY m.id HAVING count(i.id) <> 1"
        ),
        dead_letters=number("SELECT count(*) FROM kernel_deadletter"),
        given_up=number("SELECT count(*) FROM accounts_verification WHERE given_up_at IS NOT NULL"),
        shop={str(state): (_int(count), _int(events)) for state, count, events in shop},
        shop_events=number(f"SELECT count(*) FROM ({_EVENTS}) e WHERE kind = 'MERCHANT' AND type = 'PAY'"),
    )


def _int(value: object) -> int:
    assert isinstance(value, int), value
    return value
