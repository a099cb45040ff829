"""
How a setting's text becomes its value: strictly, and with a message that never shows a secret.

`env` is what settings read the environment with.
"""

import base64
import binascii
import re
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import dj_database_url
import environs

from wallet_project.kernel.outgoing import is_sound
from wallet_project.kernel.rate_limits import PRODUCTION

env = environs.Env()

_GATEWAYS: Final = Path(__file__).resolve().parents[2] / "payments" / "gateways"
# What all gateways stand on.
_SHARED: Final = {"base", "documents", "http"}


@env.parser_for("database")
def _database(value: str) -> dict[str, object]:
    """A PostgreSQL URL as Django's dictionary; any other engine is refused."""
    try:
        parsed = dict(dj_database_url.parse(value))
    except ValueError:  # its text may hold the password
        parsed = {}
    if parsed.get("ENGINE") != "django.db.backends.postgresql" or not parsed.get("USER"):
        raise environs.EnvError("must be postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE")
    return parsed


@env.parser_for("key_bytes")
def key_bytes(value: str) -> bytes:
    """Thirty-two bytes, written in base64url."""
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError) as error:
        raise environs.EnvError("is not base64url") from error
    if len(raw) != 32:
        raise environs.EnvError("must hold exactly 32 bytes")
    return raw


@env.parser_for("text")
def _text(value: str) -> str:
    if not value.strip():
        raise environs.EnvError("must not be empty")
    return value.strip()


@env.parser_for("texts")
def _texts(value: str) -> list[str]:
    """Separated by commas; at least one, and none of them empty."""
    texts = [text.strip() for text in value.split(",")]
    if not all(texts):
        raise environs.EnvError("must hold at least one value, and no empty one")
    return texts


@env.parser_for("web_address")
def _web_address(value: str) -> str:
    parsed = urlsplit(value)
    if parsed.scheme not in ("http", "https") or not parsed.hostname:
        raise environs.EnvError("must begin with https:// (or http://) and name a host")
    return value.rstrip("/")


@env.parser_for("gateway_address")
def _gateway_address(value: str) -> str:
    address = value.rstrip("/")
    if not is_sound(address):
        raise environs.EnvError("must be https://HOST… (http:// only for this machine), without login or query")
    return address


@env.parser_for("redis_address")
def _redis_address(value: str) -> str:
    if urlsplit(value).scheme not in ("redis", "rediss"):
        raise environs.EnvError("must begin with redis:// or rediss://")
    return value


@env.parser_for("time_zone")
def _time_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise environs.EnvError("must be the name of a time zone, like Asia/Kolkata") from error
    return value


@env.parser_for("rate_limits")
def _rate_limits(value: str) -> dict[str, tuple[int, int]]:
    """`money=120/60,register=50/3600`: so many requests in so many seconds."""
    found: dict[str, tuple[int, int]] = {}
    for text in filter(None, value.split(",")):
        match = re.fullmatch(r"\s*([a-z_]+)=([1-9][0-9]{0,8})/([1-9][0-9]{0,5})\s*", text)
        if match is None or match[1] not in PRODUCTION or match[1] in found:
            raise environs.EnvError("must be CLASS=REQUESTS/SECONDS, separated by commas, each class once")
        found[match[1]] = (int(match[2]), int(match[3]))
    return found


@env.parser_for("account_number")
def _account_number(value: str) -> str:
    """A bank account's number, or nothing."""
    if value and not re.fullmatch(r"[A-Za-z0-9]{5,35}", value):
        raise environs.EnvError("must hold 5 to 35 letters and digits")
    return value


@env.parser_for("gateway")
def _gateway(value: str) -> str:
    """The name of a file of `payments/gateways`; whether that is a gateway, its registry knows."""
    if value not in _gateway_files():
        raise environs.EnvError("must be the name of a payment gateway")
    return value


def gateway_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those that begin with a gateway's name, as PROVIDER_SECRET_KEY would."""
    prefixes = tuple(f"{name.upper()}_" for name in _gateway_files())
    return {name: value for name, value in environ.items() if name.startswith(prefixes)}


def checkouts_of(variables: Mapping[str, str]) -> list[str]:
    """Where the gateways' own pages are, by variables such as PROVIDER_CHECKOUT_URL."""
    return [value for name, value in variables.items() if name.endswith("_CHECKOUT_URL")]


def _gateway_files() -> set[str]:
    return {path.stem for path in _GATEWAYS.glob("[a-z]*.py")} - _SHARED
