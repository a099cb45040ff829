"""What every door of the sandbox works with: its configuration, its state, its courier."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from payments.sandbox.configuration import Configuration
from payments.sandbox.courier import Courier
from payments.sandbox.events import Letterhead
from payments.sandbox.state import State

EXTENSION = "payments.sandbox.desk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One sandbox, put together."""

    configuration: Configuration
    state: State
    courier: Courier

    @property
    def letterhead(self) -> Letterhead:
        """How this sandbox signs its webhooks."""
        first, *others = self.configuration.webhook_secrets
        return Letterhead(account_id=self.state.account_id, secret=first, others=tuple(others))


def desk() -> Desk:
    """The desk of the application that handles this request."""
    return cast(Desk, current_app.extensions[EXTENSION])
