"""
The environment files of docker-compose.yml, with new keys and passwords: `python3 wallet_project/local/containers.py`.

They go to `.containers/`, which nobody but its owner can enter; inside, certificate and key can be read by everybody,
for the proxy runs as an account that the host does not know. `--demo` makes an environment with the demo's people and
the payment sandbox, without it production's, whose addresses and credentials of others are examples to be replaced.
What is there already is never made anew. It needs the standard library and `openssl`.
"""

import argparse
import os
import runpy
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

CHECKOUT: Final = Path(__file__).resolve().parents[2]
DIRECTORY: Final = CHECKOUT / ".containers"
# Where the certificate lies in the wallet's containers of the demo, whose gateway is signed by nobody else.
_TRUSTED: Final = "/etc/wallet/tls.crt"


class ContainersError(RuntimeError):
    """The text is one line for whoever typed the command."""


def environments(*, demo: bool) -> dict[str, dict[str, str]]:
    """
    What each of docker-compose.yml's `env_file`s holds, by its name.

    Services are called by the names that they have in that file.
    """
    # By its path: this file runs where nothing of the wallet is installed.
    wallet: dict[str, str] = runpy.run_path(str(Path(__file__).with_name("example.py")))["production"]()
    passwords = {role: secrets.token_urlsafe(24) for role in ("owner", "app", "auditor", "replication", "superuser")}
    redis = secrets.token_urlsafe(24)
    wallet |= {
        "DATABASE_URL": f"postgresql://wallet_app:{passwords['app']}@postgres:5432/wallet",
        "DATABASE_AUDITOR_URL": f"postgresql://wallet_auditor:{passwords['auditor']}@replica:5432/wallet",
        "REDIS_URL": f"redis://:{redis}@redis:6379/0",
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "WALLET_TRUSTED_PROXIES": "1",
    }
    if demo:
        wallet |= _demo(wallet)
    del wallet["DATABASE_OWNER_URL"]
    found = {
        "wallet": wallet,
        "owner": {"DATABASE_OWNER_URL": f"postgresql://wallet_owner:{passwords['owner']}@postgres:5432/wallet"},
        "postgres": {"POSTGRES_PASSWORD": passwords["superuser"], "PGPASSWORD": passwords["superuser"]},
        "roles": {f"{role.upper()}_PASSWORD": passwords[role] for role in ("owner", "app", "auditor", "replication")},
        "replica": {"PGPASSWORD": passwords["replication"]},
        "redis": {"REDISCLI_AUTH": redis},
    }
    return found | {"sandbox": _sandbox(wallet)} if demo else found


def _demo(wallet: Mapping[str, str]) -> dict[str, str]:
    return {
        "WALLET_ENV": "local",
        "WALLET_DEMO": "1",
        "WALLET_ASK_AFTER_SECONDS": "6",
        "WALLET_STOP_WAITING_SECONDS": "120",
        "WALLET_REFUNDS_BY_PERSON": "1",
        "PUBLIC_URL": "http://localhost:8080",
        "ALLOWED_HOSTS": "localhost,proxy",
        "EMAIL_URL": "inbox:",
        "SMS_URL": "inbox:",
        "EMAIL_FROM": "Wallet <no-reply@localhost>",
        "RAZORPAY_API_URL": "https://sandbox-door:8444/v1",
        "RAZORPAY_CHECKOUT_URL": "https://localhost:8444/checkout",
        "RAZORPAY_KEY_ID": wallet["RAZORPAY_KEY_ID"].replace("live", "test"),
        "REQUESTS_CA_BUNDLE": _TRUSTED,
    }


def _sandbox(wallet: Mapping[str, str]) -> dict[str, str]:
    shared = ("WALLET_ENV", "RAZORPAY_KEY_ID", "RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRETS")
    return {
        **{name: wallet[name] for name in shared},
        "SANDBOX_PORT": "8001",
        "SANDBOX_WEBHOOK_URL": "http://proxy:8080/api/v1/webhooks/razorpay",
        "SANDBOX_CALLBACK_URL": f"{wallet['PUBLIC_URL']}/payments/razorpay/callback",
        "SANDBOX_STATE": "/var/lib/sandbox/sandbox.sqlite3",
    }


def write(directory: Path, *, demo: bool) -> None:
    """
    Make `directory` with all of it, whole or not at all.

    :raises ContainersError: it is there already, or the certificate could not be made.
    """
    if directory.exists():
        raise ContainersError(f"{directory} is there already; its keys and passwords belong to what runs with them")
    found = environments(demo=demo)
    draft = Path(tempfile.mkdtemp(prefix=f"{directory.name}.", dir=directory.parent))
    for name, variables in found.items():
        text = "".join(f"{each}={shlex.quote(value)}\n" for each, value in variables.items())
        (draft / f"{name}.env").write_text(text, encoding="utf-8")
        (draft / f"{name}.env").chmod(0o600)
    (draft / "tls").mkdir()
    host = urlsplit(found["wallet"]["PUBLIC_URL"]).hostname or ""
    _sign(draft / "tls", names=[host, "sandbox-door"] if demo else [host, "localhost"])
    draft.rename(directory)


def _sign(directory: Path, *, names: list[str]) -> None:
    """A certificate that only its own maker trusts: enough to begin with, and for the demo."""
    subject = ["-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{it}" for it in names)]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365"]
    files = ["-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt")]
    try:
        subprocess.run(["openssl", "req", "-x509", *key, *subject, *files], check=True, capture_output=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        raise ContainersError(f"openssl made no certificate: {error}") from error
    for file in directory.iterdir():
        file.chmod(0o644)


def main() -> NoReturn:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", action="store_true", help="with the demo's people and the payment sandbox")
    parser.add_argument("directory", nargs="?", type=Path, default=DIRECTORY, help=".containers unless given")
    options = parser.parse_args()
    os.umask(0o077)
    try:
        write(options.directory, demo=options.demo)
    except (ContainersError, OSError) as error:
        sys.exit(f"containers: {error}")
    sys.exit(0)


if __name__ == "__main__":
    main()
