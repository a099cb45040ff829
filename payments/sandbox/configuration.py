"""What the sandbox is told by its environment, read once and strictly."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

# Real money never passes here, so nobody outside this machine may reach it.
HOST = "127.0.0.1"
# What payouts come from if nothing else is said.
ACCOUNT_NUMBER_USUAL = "2323230000000001"


class ConfigurationError(Exception):
    """A variable is missing or malformed; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """
    Keys and addresses of one sandbox.

    The first of `webhook_secrets` signs, unless the operator's page has chosen another. `state` is the path
    of the SQLite file that outlives the process.
    """

    key_id: str
    key_secret: str
    webhook_secrets: tuple[str, ...]
    port: int
    webhook_url: str
    callback_url: str
    state: Path
    merchant: str
    account_number: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Configuration":
        """
        :raises ConfigurationError: a variable is missing or malformed, or this is production.
        """
        if environment.get("WALLET_ENV", "production") != "local":
            raise ConfigurationError("WALLET_ENV must be 'local': the sandbox is refused in production.")
        return cls(
            key_id=_text(environment, "RAZORPAY_KEY_ID"),
            key_secret=_text(environment, "RAZORPAY_KEY_SECRET"),
            webhook_secrets=tuple(_secrets(environment, "RAZORPAY_WEBHOOK_SECRETS")),
            port=_port(environment, "SANDBOX_PORT"),
            webhook_url=_url(environment, "SANDBOX_WEBHOOK_URL"),
            callback_url=_url(environment, "SANDBOX_CALLBACK_URL"),
            state=Path(_text(environment, "SANDBOX_STATE")),
            merchant=environment.get("SANDBOX_MERCHANT", "").strip() or "Wallet",
            account_number=_account_number(environment, "RAZORPAYX_ACCOUNT_NUMBER"),
        )

    @property
    def callback_origin(self) -> str:
        """Scheme, host and port of the merchant's site."""
        parts = urlsplit(self.callback_url)
        return f"{parts.scheme}://{parts.netloc}"


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"{name} is not set.")
    return value


def _secrets(environment: Mapping[str, str], name: str) -> list[str]:
    secrets = [part.strip() for part in _text(environment, name).split(",")]
    if not all(secrets):
        raise ConfigurationError(f"{name} must be a comma-separated list without empty parts.")
    return secrets


def _port(environment: Mapping[str, str], name: str) -> int:
    value = _text(environment, name)
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 65535):
        raise ConfigurationError(f"{name} must be a port between 1 and 65535.")
    return int(value)


def _account_number(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip() or ACCOUNT_NUMBER_USUAL
    if not (value.isascii() and value.isalnum() and 5 <= len(value) <= 35):
        raise ConfigurationError(f"{name} must be 5 to 35 letters and digits.")
    return value


def _url(environment: Mapping[str, str], name: str) -> str:
    value = _text(environment, name)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or any(character in value for character in " ;,'\"\r\n"):
        raise ConfigurationError(f"{name} must be an http or https URL.")
    return value
