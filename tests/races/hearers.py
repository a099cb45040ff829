"""A process of its own that hears of one payment in every way at once. Imported where Django is not set up yet."""

import os
import threading
import time
from collections.abc import Callable

from tests.payments.sandbox_process import Letter


def hear(
    url: str, begins_at: float, letter: Letter, fields: dict[str, str], access: str, copies: int
) -> tuple[int, list[str]]:
    """In a process of its own: its share of the copies, each from a thread, and one of everything else."""
    # Nothing of the project can be imported before its settings are known.
    os.environ["DJANGO_SETTINGS_MODULE"] = "wallet_project.settings"
    import django

    django.setup()
    from django.db import connections
    from django.test import Client
    from django.utils import timezone

    from payments.expiry import check_order
    from payments.models import GatewayOrder, WebhookEvent
    from payments.webhooks import process_event
    from tests.accounts.people import call
    from tests.payments.gateway import client, deliver, wallet_speaks_to

    order_id = fields["razorpay_order_id"]
    said: list[str] = []

    def tell() -> str:
        answer = deliver(letter)
        event = WebhookEvent.objects.get(event_id=letter.event_id)
        process_event(event_id=event.pk, now=timezone.now())
        return f"webhook {answer.status_code}"

    def confirm() -> str:
        answer = call("POST", "/wallet/add/confirm", fields, access=access)
        return f"confirm {answer.status_code} {answer.json()['status']}"

    def come_back() -> str:
        return f"return {Client().post('/payments/razorpay/callback', fields).status_code}"

    def sweep() -> str:
        check_order(order=GatewayOrder.objects.get(order_id=order_id), now=timezone.now())
        return "swept"

    def at_once(deed: Callable[[], str]) -> None:
        time.sleep(max(0.0, begins_at - time.time()))
        try:
            said.append(deed())
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
        finally:
            connections.close_all()

    deeds: list[Callable[[], str]] = [*[tell] * copies, confirm, come_back, sweep]
    with wallet_speaks_to(client(url)):
        threads = [threading.Thread(target=at_once, args=(deed,)) for deed in deeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
    return os.getpid(), said
