"""Where we send requests to of our own accord: only to addresses that an operator set, and only over TLS."""

import ipaddress
from urllib.parse import urlsplit


def is_sound(address: str) -> bool:
    """
    https with a host and no login in it; plain http towards this machine alone, where a sandbox stands in.

    What is sent holds credentials, and what comes back is believed about money.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(host))


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
