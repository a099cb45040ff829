"""localstripe as a process of its own, spoken to over HTTP. It is under the GPL: nothing here imports it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from payments.gateways.stripe import Stripe
from tests.payments.sandbox_process import free_port

SECRET_KEY: Final = "sk_test_wallet"
WEBHOOK_SECRET: Final = "whsec_current"
OLDER_WEBHOOK_SECRET: Final = "whsec_older"
VARIABLES: Final = {
    "STRIPE_SECRET_KEY": SECRET_KEY,
    "STRIPE_PUBLISHABLE_KEY": "pk_test_wallet",
    "STRIPE_WEBHOOK_SECRETS": f"{WEBHOOK_SECRET},{OLDER_WEBHOOK_SECRET}",
    "STRIPE_CHECKOUT_URL": "https://pay.example.com/stripe",
    "STRIPE_ACCOUNT_ID": "acct_wallet",
}


def stripe_client(url: str, *, account_id: str = "acct_wallet") -> Stripe:
    return Stripe(
        api_url=f"{url}/v1",
        checkout_url="https://pay.example.com/stripe",
        secret_key=SECRET_KEY,
        publishable_key="pk_test_wallet",
        webhook_secrets=[WEBHOOK_SECRET, OLDER_WEBHOOK_SECRET],
        account_id=account_id,
        connect_seconds=1.0,
        read_seconds=10.0,
    )


class LocalStripe:
    """What a payer's browser, and Stripe's own dashboard, do at it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, **form: Any) -> dict[str, Any]:
        answer = requests.request(method, self.url + path, data=form, auth=(SECRET_KEY, ""), timeout=20)
        document: dict[str, Any] = answer.json() if answer.content else {}
        return document | {"http_status": answer.status_code}

    def pay(self, order_id: str, card: str = "pm_card_visa") -> dict[str, Any]:
        self.call("POST", f"/v1/payment_intents/{order_id}", payment_method=card)
        return self.call("POST", f"/v1/payment_intents/{order_id}/confirm")

    def write_webhooks_to(self, url: str) -> None:
        self.call("POST", "/_config/webhooks/wallet", url=url, secret=WEBHOOK_SECRET)


@contextmanager
def localstripe(directory: Path) -> Iterator[LocalStripe]:
    port = free_port()
    command = [sys.executable, "-I", "-m", "localstripe", "--port", str(port), "--from-scratch"]
    with (directory / "localstripe.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    server = LocalStripe(f"http://127.0.0.1:{port}")
    try:
        began = time.monotonic()
        while True:
            assert process.poll() is None, (directory / "localstripe.log").read_text()
            assert time.monotonic() - began < 30
            try:
                server.call("GET", "/v1/balance")
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
