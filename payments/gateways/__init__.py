"""The payment gateways that the wallet knows. A new one is one new file and one line here."""

from typing import Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from payments.gateways.base import Gateway
from payments.gateways.razorpay import Razorpay
from payments.gateways.stripe import Stripe

GATEWAYS: Final[dict[str, type[Gateway]]] = {
    Razorpay.name: Razorpay,
    Stripe.name: Stripe,
}
# Where new top-ups and withdrawals go.
DEFAULT: Final[str] = settings.DEFAULT_GATEWAY
if DEFAULT not in GATEWAYS:
    raise ImproperlyConfigured(f"WALLET_GATEWAY must be one of: {', '.join(GATEWAYS)}.")

_known: Final[dict[str, Gateway]] = {}


class UnknownGateway(LookupError):
    """There is no such gateway, or nobody has set it up here; the text says which setting is missing."""


def gateway_named(name: str) -> Gateway:
    """
    :raises UnknownGateway:
    """
    if name not in _known:
        if name not in GATEWAYS:
            raise UnknownGateway(f"There is no gateway {name!r}.")
        try:
            _known[name] = GATEWAYS[name].from_settings()
        except ImproperlyConfigured as error:
            raise UnknownGateway(str(error)) from error
    return _known[name]


def set_up_here() -> list[str]:
    """The names of those that somebody has set up here: whose books are to be kept up with."""
    names = []
    for name in GATEWAYS:
        try:
            gateway_named(name)
        except UnknownGateway:
            continue
        names.append(name)
    return names
