"""The payment gateways that the wallet knows. A new one is one new file and one line here."""

from collections.abc import Callable
from typing import Final

from payments.gateways.base import Gateway
from payments.gateways.razorpay import Razorpay

_REGISTRY: Final[dict[str, Callable[[], Gateway]]] = {
    Razorpay.name: Razorpay.from_settings,
}
# Where new top-ups go.
DEFAULT: Final = Razorpay.name

_known: Final[dict[str, Gateway]] = {}


def gateway_named(name: str) -> Gateway:
    """
    :raises KeyError: no such gateway.
    """
    if name not in _known:
        _known[name] = _REGISTRY[name]()
    return _known[name]
