"""Rows that name rows which are not there: possible only past the foreign keys, so somebody went past them."""

from collections.abc import Iterator
from typing import Final

from ledger.verifying.lies import Lie, lie
from ledger.verifying.snapshot import Snapshot

# Entries without transaction or wallet are found by the status table and the chains.
_ORPHANS: Final = (
    """
    SELECT format('key %L of actor #%s', k.key, k.initiator_id),
        format('names transaction #%s, which is not there', k.transaction_id)
    FROM {keys} k WHERE NOT EXISTS (SELECT FROM {transactions} t WHERE t.id = k.transaction_id)
    ORDER BY k.initiator_id, k.key LIMIT 1
    """,
    """
    SELECT format('key %L of actor #%s', k.key, k.initiator_id), 'its actor is not there'
    FROM {keys} k WHERE NOT EXISTS (SELECT FROM {actors} a WHERE a.id = k.initiator_id)
    ORDER BY k.initiator_id, k.key LIMIT 1
    """,
    """
    SELECT format('key %L of actor #%s', k.key, k.initiator_id),
        format('names <transaction %s>, which actor #%s initiated', t.id, t.initiator_id)
    FROM {keys} k JOIN {transactions} t ON t.id = k.transaction_id
    WHERE t.initiator_id <> k.initiator_id ORDER BY k.initiator_id, k.key LIMIT 1
    """,
    """
    SELECT format('<transaction %s>', t.id), format('its initiator, actor #%s, is not there', t.initiator_id)
    FROM {transactions} t WHERE NOT EXISTS (SELECT FROM {actors} a WHERE a.id = t.initiator_id)
    ORDER BY t.id LIMIT 1
    """,
    """
    SELECT format('<transaction %s>', t.id),
        format('its group begins with transaction #%s, which is not there', t."group")
    FROM {transactions} t
    WHERE t."group" IS NOT NULL AND NOT EXISTS (SELECT FROM {transactions} g WHERE g.id = t."group")
    ORDER BY t.id LIMIT 1
    """,
    """
    SELECT format('<wallet %s>', w.id), format('there is no currency %s with %s decimals', w.currency, w.decimals)
    FROM {wallets} w
    WHERE NOT EXISTS (SELECT FROM {currencies} c WHERE c.code = w.currency AND c.decimals = w.decimals)
    ORDER BY w.id LIMIT 1
    """,
)


def lies(snapshot: Snapshot) -> Iterator[Lie]:
    for query in _ORPHANS:
        for row in snapshot.rows(query):
            yield lie(snapshot, *row)
