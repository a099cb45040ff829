"""
An environment as production needs it, with fresh keys: `python -m wallet_project.local.example > production.env`.

Addresses and the gateway's credentials in it are examples, to be replaced. The checks run with it, so a setting
that is missing here turns `make check` red. It needs the standard library only.
"""

import base64
import secrets
import shlex
from typing import Final

_HOST: Final = "wallet.example.com"


def _thirty_two_bytes() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def production() -> dict[str, str]:
    """Every variable without a default, and those keys without which something is switched off; made anew each time."""
    return {
        "WALLET_ENV": "production",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": _HOST,
        "PUBLIC_URL": f"https://{_HOST}",
        "DATABASE_URL": f"postgresql://wallet_app:{secrets.token_urlsafe(18)}@127.0.0.1:5432/wallet",
        "DATABASE_OWNER_URL": f"postgresql://wallet_owner:{secrets.token_urlsafe(18)}@127.0.0.1:5432/wallet",
        "DATABASE_AUDITOR_URL": f"postgresql://wallet_auditor:{secrets.token_urlsafe(18)}@127.0.0.1:5432/wallet",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "TOKEN_SIGNING_KEYS": f"first:{_thirty_two_bytes()}",
        "CODE_PEPPER": _thirty_two_bytes(),
        "DATA_KEYS": _thirty_two_bytes(),
        "DATA_INDEX_KEY": _thirty_two_bytes(),
        "RAZORPAY_CHECKOUT_URL": f"https://checkout.{_HOST}",
        "RAZORPAY_KEY_ID": "rzp_live_example",
        "RAZORPAY_KEY_SECRET": secrets.token_urlsafe(18),
        "RAZORPAY_WEBHOOK_SECRETS": secrets.token_urlsafe(18),
        "METRICS_TOKEN": secrets.token_urlsafe(32),
        "VAPID_PRIVATE_KEY": _thirty_two_bytes(),
        "EMAIL_URL": f"submission://wallet:{secrets.token_urlsafe(18)}@mail.example.com:587",
        "EMAIL_FROM": f"Wallet <no-reply@{_HOST}>",
    }


def main() -> None:
    print("\n".join(f"{name}={shlex.quote(value)}" for name, value in production().items()))  # noqa: T201


if __name__ == "__main__":
    main()
