"""The consumer groups that there are, each with what takes its events in. `manage.py consume_events` runs them."""

from collections.abc import Mapping
from typing import Final

from payments import telling
from payments.merchant_webhooks import taking_in
from wallet_project.kernel.events.recording import Handler

# Each is owed every event from its first start on.
GROUPS: Final[Mapping[str, Handler]] = {
    "notifications": telling.tell,
    "webhooks": taking_in.take_in,
}
