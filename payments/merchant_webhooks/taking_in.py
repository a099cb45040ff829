"""What the consumer group "webhooks" does with events: a message for each endpoint that chose to be told."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import transaction
from django.utils import timezone

from payments.merchant_webhooks.payloads import as_text, payload_of, transactions_of, type_of
from payments.models import WebhookEndpoint, WebhookMessage
from payments.tasks import send_merchant_webhooks
from payments.waking import wake
from wallet_project.kernel.database import require_transaction
from wallet_project.kernel.events.envelope import Event
from wallet_project.kernel.ids import parse_public_id
from wallets.models import Wallet


def take_in(events: Sequence[Event]) -> None:
    """
    Within the transaction that records them: one query where no merchant is concerned, else a few whatever their
    number. Told twice of an event, it has been written already.
    """
    for endpoint in register(events=events, now=timezone.now()):
        transaction.on_commit(partial(wake, send_merchant_webhooks, endpoint_id=endpoint))


def register(*, events: Sequence[Event], now: datetime) -> list[int]:
    """
    :returns: ids of the endpoints that have something to be sent.
    """
    require_transaction("default")
    of_interest = [event for event in events if type_of(event) is not None]
    endpoints = _listening({event.subject for event in of_interest})
    of_interest = [event for event in of_interest if event.subject in endpoints]
    if not of_interest:
        return []
    found = transactions_of(of_interest)
    messages = []
    for event in of_interest:
        theirs = endpoints[event.subject]
        # Not there: a bug or a lie, and worth the dead letters that it ends in.
        payload = payload_of(event, transaction=found[event.data["transaction"]], wallet=theirs[0].wallet)
        if payload is None:
            continue
        body = as_text(payload)
        messages += [
            WebhookMessage(
                endpoint=endpoint,
                event_id=event.id,
                type=payload["type"],
                body=body,
                next_attempt_at=now,
                created_at=now,
            )
            for endpoint in theirs
            if payload["type"] in endpoint.types
        ]
    WebhookMessage.objects.bulk_create(messages, ignore_conflicts=True)
    return list(dict.fromkeys(message.endpoint_id for message in messages))


def _listening(wallets: set[str]) -> dict[str, list[WebhookEndpoint]]:
    """By wallet, as events name them: those of merchants that are told anything at all."""
    uuids = [uuid for uuid in (parse_public_id(Wallet.PREFIX, each) for each in wallets) if uuid is not None]
    if not uuids:
        return {}
    rows = WebhookEndpoint.objects.filter(
        wallet__uuid__in=uuids, wallet__kind=Wallet.Kind.MERCHANT, state=WebhookEndpoint.State.ACTIVE
    ).select_related("wallet__merchant")
    found: dict[str, list[WebhookEndpoint]] = {}
    for row in rows.order_by("pk"):
        found.setdefault(row.wallet.public_id, []).append(row)
    return found
