"""What the wallet asks of a payment gateway, in words of its own; and how one fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from wallet_project.kernel.errors import GatewayError


class GatewayUnavailable(GatewayError):
    """No answer, or none that says anything: asked again later it may well work."""


class GatewayRefused(GatewayError):
    """The gateway understood and said no: asked again it says the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOrder:
    """An order as the gateway has it. `amount_minor` in paise."""

    id: str
    amount_minor: int
    currency: str
    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePayment:
    """One attempt to pay an order, as the gateway has it now. `amount_minor` in paise."""

    id: str
    order_id: str
    amount_minor: int
    currency: str
    status: str
    method: str
    refunded_minor: int
    error_code: str
    error_reason: str

    @property
    def is_captured(self) -> bool:
        """The gateway owes us this money, all of it."""
        return self.status == CAPTURED and self.refunded_minor == 0


CAPTURED: Final = "captured"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a webhook is about. It is believed in nothing else: the gateway is asked for the truth."""

    name: str
    order_id: str


class Gateway(Protocol):
    """
    Every call to the network ends within the time-outs of the settings.

    :ivar least_minor: the smallest amount that can be paid, in minor units.
    """

    name: str
    least_minor: int

    def create_order(self, *, amount_minor: int, currency: str, receipt: str) -> RemoteOrder:
        """
        :raises GatewayUnavailable: `may_have_happened` tells whether the order may exist all the same.
        :raises GatewayRefused:
        """

    def find_order(self, *, receipt: str) -> RemoteOrder | None:
        """
        :raises GatewayError:
        """

    def payments_of(self, *, order_id: str) -> list[RemotePayment]:
        """
        All attempts to pay an order: the truth.

        :raises GatewayError:
        """

    def checkout_of(self, order: RemoteOrder) -> dict[str, Any]:
        """Where and how a person pays this order, as the API shows it."""

    def is_genuine_return(self, *, order_id: str, payment_id: str, signature: str) -> bool:
        """Whether the gateway signed that this payment paid this order. Compared in constant time."""

    def is_genuine_webhook(self, *, body: bytes, signature: str) -> bool:
        """Whether the gateway signed these very bytes, with any secret that is still accepted."""

    def read_webhook(self, body: bytes) -> News:
        """What it is about; empty words where it does not say."""


def word(values: Mapping[str, Any], name: str) -> str:
    """
    A field that may be missing, null, `"null"` or `"NA"`: all of them mean that there is nothing to say. Neither does
    text with a NUL, a control character or a lone surrogate in it, which PostgreSQL could not even look for.
    """
    value = values.get(name)
    return value if isinstance(value, str) and value.isprintable() and value not in ("null", "NA") else ""
