"""
Devices that people have signed in with before: a browser or an app that keeps a random token.

A token belongs to one person, so that nobody's browser can be given one that is another's already; a browser that
several people use keeps one for each. Only digests are kept here: a token has 256 random bits, which no guess finds.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from accounts.models import KnownDevice, User
from wallet_project.kernel.clients import Client
from wallet_project.kernel.database import require_transaction

LIFETIME: Final = timedelta(days=400)
MOST_DEVICES: Final = 50
# A device that is seen again so much later is one that somebody keeps; one seen once, so long ago, is gone.
RETURNED: Final = timedelta(days=1)
GONE: Final = timedelta(days=30)
MOST_PEOPLE_OF_A_BROWSER: Final = 5
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")
# The first that is found names it: most call themselves by the names of those before them, too.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
# It may stand in a message to somebody whose password a stranger has: nothing that could be a link, a code or a number.
_PROGRAM: Final = re.compile(r"[A-Za-z][A-Za-z-]{1,29}(?=/|\Z)")


@dataclass(frozen=True, slots=True)
class Remembered:
    """
    :ivar tokens: what the device is to keep and to show next time; its own for this person comes first.
    :ivar is_new: this person was never seen with it.
    :ivar is_first: nor with any other.
    """

    device: KnownDevice
    tokens: tuple[str, ...]
    is_new: bool
    is_first: bool


def tokens_in(text: str) -> tuple[str, ...]:
    """The tokens that a device shows, in its cookie or its header; what is none of ours by its shape is left out."""
    return tuple(part for part in text.split(".", MOST_PEOPLE_OF_A_BROWSER) if _TOKEN.match(part))[
        :MOST_PEOPLE_OF_A_BROWSER
    ]


def device_of(*, user: User | None, tokens: Sequence[str], now: datetime) -> KnownDevice | None:
    """The device that shows these, if this person signed in with it before."""
    return KnownDevice.objects.filter(
        user_id=user.pk if user else 0,
        digest__in=[digest_of(token) for token in tokens],
        last_seen_at__gt=now - LIFETIME,
    ).first()


def remember(*, user: User, tokens: Sequence[str], client: Client, now: datetime) -> Remembered:
    """This person signs in with whatever shows `tokens`. A device that is not theirs yet gets a token of its own."""
    require_transaction("default")
    known = device_of(user=user, tokens=tokens, now=now)
    if known is not None:
        known.last_seen_at = now
        known.address = client.address or None
        known.save(update_fields=["last_seen_at", "address"])
        # By its digest, which is what was looked for: stable, for its own comes first.
        own_first = tuple(sorted(tokens, key=lambda token: digest_of(token) != bytes(known.digest)))
        return Remembered(known, own_first, is_new=False, is_first=False)
    is_first = not KnownDevice.objects.filter(user=user).exists()
    token = secrets.token_urlsafe(32)
    device = KnownDevice.objects.create(
        user=user,
        digest=digest_of(token),
        label=label_of(client.agent),
        address=client.address or None,
        first_seen_at=now,
        last_seen_at=now,
    )
    _forget_some(user, but=device, now=now)
    return Remembered(device, (token, *tokens)[:MOST_PEOPLE_OF_A_BROWSER], is_new=True, is_first=is_first)


def label_of(agent: str) -> str:
    """
    What a device says it is, in plain words: `Firefox on Linux`. A program that is no browser by the first word of its
    User-Agent, if that is letters.
    """
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    program = _PROGRAM.match(agent)
    return program.group() if program else "Unknown device"


def _forget_some(user: User, *, but: KnownDevice, now: datetime) -> None:
    """
    Past `MOST_DEVICES`: first those that came once and are long gone, then the newest that never came again, last those
    that did. So whoever knows the password and signs in any number of times pushes out devices of their own.
    """

    def worth(device: KnownDevice) -> tuple[int, float]:
        seen = device.last_seen_at.timestamp()
        if device.last_seen_at - device.first_seen_at >= RETURNED:
            return (2, seen)
        return (1, -seen) if device.last_seen_at > now - GONE else (0, seen)

    others = sorted(KnownDevice.objects.filter(user=user).exclude(pk=but.pk), key=worth, reverse=True)
    KnownDevice.objects.filter(pk__in=[device.pk for device in others[MOST_DEVICES - 1 :]]).delete()


def digest_of(token: str) -> bytes:
    return sha256(token.encode("ascii")).digest()
