"""The consumer groups that there are, each with what takes its events in. `manage.py consume_events` runs them."""

from collections.abc import Mapping, Sequence
from typing import Final

from ledger.believing import as_told
from payments import telling
from payments.merchant_webhooks import taking_in
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.events.recording import Handler


def _as_told(handler: Handler) -> Handler:
    """Each handler is given what the ledger told, whatever the broker made of it."""

    def take_in(events: Sequence[Event]) -> None:
        handler(as_told(events))

    return take_in


# Each is owed every event from its first start on.
GROUPS: Final[Mapping[str, Handler]] = {
    "notifications": _as_told(telling.tell),
    "webhooks": _as_told(taking_in.take_in),
}
