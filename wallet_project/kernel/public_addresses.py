"""
Which addresses may be asked that somebody who uses the wallet names: those of the public internet, and no other.

Whoever has us send a request reaches from here what they cannot reach themselves: databases, the cloud's metadata, a
router's page (server-side request forgery). So a URL is judged by its form when it is saved, and every address that
its host has is judged whenever something is sent; `public_http` then connects to an address that was judged, and not
to whatever the name means a moment later (DNS rebinding).

Nothing here tells a host that is unknown from one that lies inside: both have no public address.
"""

import ipaddress
import re
import socket
import threading
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

LONGEST_URL: Final = 500
PORTS: Final = (443, 8443)
LONGEST_LOOKUP_SECONDS: Final = 5.0

# Visible ASCII without what parsers differ about: one that reads another host than the one that was judged is the hole.
_PLAIN: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# At least two labels, and the last no number: 127.1, 0x7f.1 and 2130706433 are spellings of an address.
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)+(?!0x)[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])\Z")
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")

# IANA's registries of special purposes, whatever a version of Python holds of them. Of IPv6 only 2000::/3 is given out
# as global unicast; outside of it lie all that hold an IPv4 address in another form (mapped, compatible, NAT64), too.
_NOT_PUBLIC_4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Public, and a cloud's own all the same: Azure's platform at the first, Alibaba's metadata lie in 100.64.0.0/10.
_CLOUDS_OWN: Final = (ipaddress.IPv4Address("168.63.129.16"),)
_UNICAST_6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


class NotPublic(Exception):
    """
    :ivar code: a word that stays the same: `malformed`, `not_https`, `port_refused` or `no_public_address`.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a URL leads, as far as its text says.

    :ivar is_this_machine: it names this machine, and that was allowed.
    """

    url: str
    host: str
    port: int
    is_this_machine: bool


def judge_url(url: str, *, loopback: bool = False) -> Place:
    """
    By its text alone; nothing is asked.

    :param loopback: whether this machine may be named, by plain http too: the demo's and the tests' receivers.
    :raises NotPublic:
    """
    if not url or len(url) > LONGEST_URL or not _PLAIN.match(url):
        raise NotPublic("malformed", f"Write an address of at most {LONGEST_URL} characters, without spaces.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise NotPublic("malformed", "This is no address.") from error
    if "@" in parts.netloc or parts.fragment or "#" in url:
        raise NotPublic("malformed", "Leave out the name, the password and whatever follows a #.")
    if loopback and host in _THIS_MACHINE and parts.scheme in ("http", "https"):
        return Place(url, host, port or (80 if parts.scheme == "http" else 443), is_this_machine=True)
    if parts.scheme != "https":
        raise NotPublic("not_https", "The address must begin with https://.")
    if not _NAME.match(host) or len(host) > 253:
        raise NotPublic("malformed", "Name a host such as shop.example, and no IP address.")
    port = 443 if port is None else port
    if port not in PORTS:
        raise NotPublic("port_refused", f"Only the ports {PORTS[0]} and {PORTS[1]} are asked.")
    return Place(url, host, port, is_this_machine=False)


def is_public(address: str) -> bool:
    """Whether an address of either family is global unicast: one machine somewhere on the internet."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed.is_global and parsed not in _CLOUDS_OWN and not any(parsed in net for net in _NOT_PUBLIC_4)
    return parsed.is_global and parsed in _UNICAST_6 and not any(parsed in net for net in _NOT_PUBLIC_6)


def public_address_of(host: str, port: int, *, loopback: bool = False) -> str:
    """
    Ask for the host's addresses now. All of them must be public, for whoever mixes others in means no good.

    :param loopback: whether `host`, where it names this machine, may have its address.
    :returns: the first, to be connected to as it is.
    :raises NotPublic:
    """
    addresses = look_up(host, port)
    if loopback and host in _THIS_MACHINE:
        sound = all(ipaddress.ip_address(address).is_loopback for address in addresses)
    else:
        sound = all(is_public(address) for address in addresses)
    if not addresses or not sound:
        raise NotPublic("no_public_address", "This host has no address on the public internet.")
    return addresses[0]


def require_public(url: str, *, loopback: bool = False) -> Place:
    """
    `judge_url`, and the host's addresses as they are now. What is sent later judges them again.

    :raises NotPublic:
    """
    place = judge_url(url, loopback=loopback)
    public_address_of(place.host, place.port, loopback=loopback)
    return place


def look_up(host: str, port: int) -> list[str]:
    """All addresses of a host, as this machine would connect to it; none where it has none, or nobody says in time."""
    found: list[str] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except (OSError, UnicodeError):
            return
        found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))

    # The system's own time-out is longer and cannot be set; whoever waits for an answer may go on before it.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LONGEST_LOOKUP_SECONDS)
    return list(found)
