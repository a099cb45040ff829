"""
Who is at the other end of a request: its network address and what its program calls itself.

`X-Forwarded-For` is believed only as far as our own proxies wrote it: `WALLET_TRUSTED_PROXIES` of them stand before us,
each appended the address that it saw, so the client's is that many from the end. With none it is never looked at.
"""

import ipaddress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.http import HttpRequest

LONGEST_AGENT: Final = 200
# Whoever has a /64 has all of its addresses (RFC 6177).
_IPV6_NETWORK: Final = 64


@dataclass(frozen=True, slots=True)
class Client:
    """
    :ivar address: an IP address in its shortest form, or empty where the server knows none.
    :ivar agent: the User-Agent, printable and cut to 200 characters.
    """

    address: str = ""
    agent: str = ""


_NOBODY: Final = Client()
# Empty outside of requests: in tasks and commands nobody is at the other end.
client: ContextVar[Client] = ContextVar("client", default=_NOBODY)


def client_of(request: HttpRequest) -> Client:
    agent = "".join(letter for letter in request.headers.get("User-Agent", "") if letter.isprintable())
    return Client(address=_address_of(request), agent=agent[:LONGEST_AGENT])


def _address_of(request: HttpRequest) -> str:
    seen = str(request.META.get("REMOTE_ADDR", ""))
    hops = settings.TRUSTED_PROXIES
    if hops:
        listed = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
        # Fewer than our proxies would have written: it did not come through them all.
        seen = listed[-hops] if len(listed) >= hops else seen
    found = _parsed(seen)
    return "" if found is None else str(found)


def network_of(address: str) -> str:
    """
    Whom to count: an IPv4 address, the /64 of an IPv6 address, or `unknown` for whatever is neither.

    :param address: as `Client` has it.
    """
    found = _parsed(address)
    if found is None:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.IPv6Network((int(found), _IPV6_NETWORK), strict=False))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address inside an IPv6 one is that; a scope id says something only to the machine that wrote it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return found
    return found.ipv4_mapped or ipaddress.IPv6Address(int(found))
