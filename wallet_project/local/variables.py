"""
The environment of one local run: every setting that the wallet's processes and any other command need.

It stands in `$WALLET_HOME/env` as KEY=value lines that both a shell and `leash.py` read. Keys are made once
and kept in the home's state; URLs follow the ports.
"""

import base64
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wallet_project.local import leash
from wallet_project.local.servers import HOST, Kafka, Postgres, Valkey
from wallet_project.local.state import State

# Names this very file, so that a value which came from sourcing it is not taken for somebody's own choice.
SOURCE: Final = "WALLET_ENV_FILE"
# They stand in the file for people and tests; no process of the wallet sees them.
FOR_PEOPLE: Final = ("DATABASE_SUPERUSER_URL",)
# What migrates sees it too; what serves does not, for its role could drop a trigger.
NOT_FOR_SERVING: Final = (*FOR_PEOPLE, "DATABASE_OWNER_URL")
_DATABASES: Final = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_AUDITOR_URL")
# What a person decides; everything else in the file belongs to the home that wrote it.
_CHOICES: Final = ("WALLET_", "EMAIL_", "SMS_")
# They look like choices, and yet each home has its own.
_OF_THE_HOME: Final = ("WALLET_DOCUMENTS_DIR",)
_NOT_FOR_OTHERS: Final = ("WALLET_HOME", "WALLET_FORBID_SKIPS", leash.MARK)


class VariableError(RuntimeError):
    """What the environment asks for cannot be; the text names the variable."""


def chosen_by_the_caller(environ: Mapping[str, str]) -> dict[str, str]:
    """
    The caller's own variables: empty ones count as unset, and so do servers and keys from a home's env file.

    A shell that has sourced one home's file would otherwise make another home join the first one's servers,
    or this home look for its own before they run.
    """
    given = {name: value for name, value in environ.items() if value}
    source = given.pop(SOURCE, None)
    if source and Path(source).is_file():
        for name, value in leash.read_environment(source).items():
            is_choice = name.startswith(_CHOICES) and name not in _OF_THE_HOME
            if given.get(name) == value and not is_choice:
                del given[name]
    return given


def port_of(environ: Mapping[str, str]) -> int:
    """
    The web's port, `PORT` or 8000; the sandbox listens on the next.

    :raises VariableError: it is no port.
    """
    text = environ.get("PORT") or "8000"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65534):
        raise VariableError(f"PORT must be a number from 1 to 65534, not {text!r}")
    return int(text)


def missing_servers(given: Mapping[str, str]) -> set[str]:
    """
    Which of `postgres`, `valkey`, `kafka` the runner has to start.

    :raises VariableError: a database is given without the URLs of all its roles.
    """
    if "DATABASE_URL" in given:
        absent = [name for name in _DATABASES if name not in given]
        if absent:
            raise VariableError(f"DATABASE_URL is set, so {' and '.join(absent)} must be set too")
    names = {"DATABASE_URL": "postgres", "REDIS_URL": "valkey", "KAFKA_BOOTSTRAP_SERVERS": "kafka"}
    return {server for name, server in names.items() if name not in given}


def server_urls(servers: Mapping[str, Postgres | Valkey | Kafka]) -> dict[str, str]:
    """How the wallet finds the servers that the runner starts."""
    urls: dict[str, str] = {}
    for server in servers.values():
        if isinstance(server, Postgres):
            urls |= {
                "DATABASE_URL": server.url("wallet_app"),
                "DATABASE_OWNER_URL": server.url("wallet_owner"),
                "DATABASE_AUDITOR_URL": server.url("wallet_auditor"),
                "DATABASE_SUPERUSER_URL": server.url(server.superuser),
            }
        elif isinstance(server, Valkey):
            urls["REDIS_URL"] = server.url()
        else:
            urls["KAFKA_BOOTSTRAP_SERVERS"] = server.bootstrap_servers
    return urls


def _thirty_two_bytes() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def settings_of(*, home: Path, port: int, state: State, given: Mapping[str, str]) -> dict[str, str]:
    """Every setting but the servers' URLs. What the caller chose stands; the rest follows home and port."""
    public_url = f"http://{HOST}:{port}"
    sandbox_url = f"http://{HOST}:{port + 1}"
    # Two, so that a rotation can be tried on the sandbox's page: the first signs, both are accepted.
    secrets_of_webhooks = [
        state.keep(f"razorpay.webhook_secret{place}", lambda: secrets.token_urlsafe(24)) for place in ("", ".next")
    ]
    ours = {
        "WALLET_DEMO": "1",
        # Nobody waits a minute in front of a demo.
        "WALLET_ASK_AFTER_SECONDS": "6",
        "WALLET_STOP_WAITING_SECONDS": "120",
        "WALLET_REFUNDS_BY_PERSON": "1",
        # The embedded broker keeps nothing over its end, so what it has lost is published again soon.
        "WALLET_REPUBLISH_SECONDS": "10",
        # One demo person tries every ending of an account's number, and more than once.
        "WALLET_MOST_BANK_ACCOUNTS": "100",
        "WALLET_MOST_BANK_ACCOUNTS_A_DAY": "1000",
        "SECRET_KEY": state.keep("secret_key", lambda: secrets.token_urlsafe(48)),
        "ALLOWED_HOSTS": f"{HOST},localhost",
        "TOKEN_SIGNING_KEYS": state.keep(
            "token_signing_keys", lambda: f"local-{secrets.token_hex(4)}:{_thirty_two_bytes()}"
        ),
        "CODE_PEPPER": state.keep("code_pepper", _thirty_two_bytes),
        "DATA_KEYS": state.keep("data_keys", _thirty_two_bytes),
        "DATA_INDEX_KEY": state.keep("data_index_key", _thirty_two_bytes),
        "RAZORPAY_API_URL": f"{sandbox_url}/v1",
        "RAZORPAY_CHECKOUT_URL": f"{sandbox_url}/checkout",
        "RAZORPAY_KEY_ID": state.keep("razorpay.key_id", lambda: f"rzp_test_{secrets.token_hex(7)}"),
        "RAZORPAY_KEY_SECRET": state.keep("razorpay.key_secret", lambda: secrets.token_urlsafe(24)),
        "RAZORPAY_WEBHOOK_SECRETS": ",".join(secrets_of_webhooks),
        "METRICS_TOKEN": state.keep("metrics_token", lambda: secrets.token_urlsafe(32)),
        "VAPID_PRIVATE_KEY": state.keep("vapid_private_key", _thirty_two_bytes),
        "EMAIL_URL": "inbox:",
        "SMS_URL": "inbox:",
        "STATIC_ROOT": str(home / "static"),
        "WALLET_DOCUMENTS_DIR": str(home / "documents"),
    }
    own_choice = {name: given[name] for name in ours if name in given}
    others = {
        name: value
        for name, value in given.items()
        if (name.startswith("WALLET_") and name not in _NOT_FOR_OTHERS) or name == "EMAIL_FROM"
    }
    return {
        **ours,
        **others,
        **own_choice,
        "WALLET_ENV": "local",
        "PUBLIC_URL": public_url,
        "SANDBOX_PORT": str(port + 1),
        "SANDBOX_WEBHOOK_URL": f"{public_url}/api/v1/webhooks/razorpay",
        "SANDBOX_CALLBACK_URL": f"{public_url}/payments/razorpay/callback",
        "SANDBOX_STATE": str(home / "sandbox.sqlite3"),
        SOURCE: str(home / "env"),
    }


def given_urls(given: Mapping[str, str]) -> dict[str, str]:
    """The servers that the caller brought along."""
    names = (*_DATABASES, *FOR_PEOPLE, "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS")
    return {name: given[name] for name in names if name in given}


def as_lines(variables: Mapping[str, str]) -> str:
    """KEY=value lines, quoted only where a shell needs it."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
