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
    try:
        found = ipaddress.ip_address(seen)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
