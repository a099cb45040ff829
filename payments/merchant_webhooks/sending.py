"""
Sends what waits: one try at a time, each claimed first, so that no two workers make the same one.

A message that was not taken comes again by `schedule`. An endpoint that answers late or not at all is left alone for a
while, longer each time, and never has more than `MOST_AT_ONCE` workers busy: other merchants do not wait behind it.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery

from accounts import notifications
from payments.merchant_webhooks import schedule, signing
from payments.merchant_webhooks.endpoints import disable
from payments.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from wallet_project.kernel.database import give_back_connection
from wallet_project.kernel.public_addresses import NotPublic
from wallet_project.kernel.public_http import Answer, NoAnswer, post

log = structlog.get_logger("payments.merchant_webhooks")

USER_AGENT: Final = "Wallet-Webhooks/1.0"
MOST_AT_ONCE: Final = 4
# Longer than a try can take (`public_http`): whoever claimed it and is not back by then is dead.
CLAIM: Final = timedelta(seconds=60)
MOST_SWEPT: Final = 200
# What is kept of an answer's headers, and how much of each.
_KEPT_HEADERS: Final = ("content-type", "content-length", "date", "location", "retry-after", "server", "x-request-id")
_LONGEST_HEADER: Final = 200
_GONE: Final = 410
_HAS_NO_TIME: Final = (429, 503)
# An answer that took so long is late, whatever it says: a worker that waits for it sends nothing for anybody else.
LATE_MILLISECONDS: Final = 5_000

State = WebhookMessage.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """
    What came of a try.

    :ivar status: None where nobody answered.
    :ivar error: a word of ours, where nobody did.
    """

    at: datetime
    url: str
    headers: dict[str, str]
    milliseconds: int
    status: int | None = None
    error: str = ""
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_silent(self) -> bool:
        """Nobody answered, or had no time, or took too much of it: its other messages would meet the same."""
        return self.status is None or self.status in _HAS_NO_TIME or self.milliseconds >= LATE_MILLISECONDS

    @property
    def ended_at(self) -> datetime:
        return self.at + timedelta(milliseconds=self.milliseconds)


def due_endpoints(*, now: datetime) -> list[int]:
    """Those that have something to be sent now, the longest due first."""
    waiting = WebhookMessage.objects.filter(endpoint=OuterRef("pk"), state=State.WAITING)
    first = waiting.order_by("next_attempt_at").values("next_attempt_at")[:1]
    rows = _speakable(now).annotate(due_at=Subquery(first)).filter(due_at__lte=now).order_by("due_at", "pk")
    return list(rows.values_list("pk", flat=True)[:MOST_SWEPT])


def send_next(*, endpoint_id: int, now: datetime) -> list[int] | None:
    """
    Claim this endpoint's message that has waited longest, send it, and write down what came of it.

    :returns: ids of outgoing messages that now wait, mostly none; None where there was nothing to send, or as many
        workers as may are busy with it.
    """
    claimed = claim(endpoint_id=endpoint_id, now=now)
    if claimed is None:
        return None
    give_back_connection()
    message, endpoint = claimed
    return note(message_id=message.pk, tried=attempt(message=message, endpoint=endpoint, now=now))


def claim(*, endpoint_id: int, now: datetime) -> tuple[WebhookMessage, WebhookEndpoint] | None:
    """Whoever dies with it is followed by somebody else when the claim is over."""
    with transaction.atomic():
        # The endpoint first, by whoever writes either: so its claims are counted one at a time.
        endpoint = _speakable(now).select_for_update(no_key=True).filter(pk=endpoint_id).first()
        if endpoint is None:
            return None
        waiting = WebhookMessage.objects.filter(endpoint=endpoint, state=State.WAITING)
        if waiting.filter(claimed_until__gt=now).count() >= MOST_AT_ONCE:
            return None
        due = waiting.filter(Q(claimed_until=None) | Q(claimed_until__lte=now), next_attempt_at__lte=now)
        message = due.select_for_update(no_key=True, skip_locked=True).order_by("next_attempt_at", "pk").first()
        if message is None:
            return None
        message.claimed_until = now + CLAIM
        message.save(update_fields=["claimed_until"])
    return message, endpoint


def attempt(*, message: WebhookMessage, endpoint: WebhookEndpoint, now: datetime) -> Tried:
    """Outside of any transaction: a receiver that takes its time holds no lock."""
    body, timestamp = message.body.encode(), int(now.timestamp())
    signature = signing.signatures(
        endpoint=endpoint, message_id=message.public_id, timestamp=timestamp, body=body, now=now
    )
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message.public_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    began = time.monotonic()
    answer: Answer | None = None
    error = ""
    try:
        answer = post(endpoint.url, body=body, headers=headers, loopback=settings.WEBHOOK_LOOPBACK)
    except (NotPublic, NoAnswer) as failure:
        error = failure.code
    took: dict[str, Any] = {"at": now, "url": endpoint.url, "headers": headers}
    took["milliseconds"] = round((time.monotonic() - began) * 1000)
    if answer is None:
        return Tried(error=error, **took)
    return Tried(
        status=answer.status,
        response_headers={
            name: _plain(answer.headers[name])[:_LONGEST_HEADER] for name in _KEPT_HEADERS if name in answer.headers
        },
        response_body=_plain(answer.body.decode("utf-8", "replace")),
        **took,
    )


def note(*, message_id: int, tried: Tried) -> list[int]:
    """
    Write a try down, and what follows from it.

    :returns: ids of outgoing messages that now wait.
    """
    with transaction.atomic():
        endpoint = (
            WebhookEndpoint.objects.select_for_update(no_key=True, of=("self",))
            .select_related("wallet__merchant")
            .filter(messages=message_id)
            .first()
        )
        messages = WebhookMessage.objects.select_for_update(no_key=True)
        message = None if endpoint is None else messages.filter(pk=message_id).first()
        if endpoint is None or message is None:
            # Purged with its endpoint meanwhile.
            return []
        _write(message, tried)
        if endpoint.state == WebhookEndpoint.State.REMOVED:
            return []
        return _judge(endpoint, tried)


def _speakable(now: datetime) -> QuerySet[WebhookEndpoint]:
    active = WebhookEndpoint.objects.filter(state=WebhookEndpoint.State.ACTIVE)
    return active.filter(Q(paused_until=None) | Q(paused_until__lte=now))


def _write(message: WebhookMessage, tried: Tried) -> None:
    WebhookAttempt.objects.create(
        message=message,
        at=tried.at,
        url=tried.url,
        request_headers=tried.headers,
        status=tried.status,
        response_headers=tried.response_headers,
        response_body=tried.response_body,
        error=tried.error,
        milliseconds=tried.milliseconds,
    )
    log.info(
        "merchant_webhook.tried",
        message=message.public_id,
        http_status=tried.status,
        error=tried.error,
        milliseconds=tried.milliseconds,
    )
    message.claimed_until = None
    message.tries = min(message.tries + 1, schedule.MOST_TRIES)
    if tried.is_taken:
        message.state, message.next_attempt_at, message.ended_at = State.DELIVERED, None, tried.at
    # One whose claim was over, and that somebody else has delivered meanwhile, is delivered.
    elif message.state == State.WAITING:
        again = schedule.next_try(tries=message.tries, now=tried.at, retry_after=_retry_after(tried))
        message.next_attempt_at = again
        if again is None:
            message.state, message.ended_at = State.GIVEN_UP, tried.at
    message.save(update_fields=["claimed_until", "tries", "state", "next_attempt_at", "ended_at"])


def _judge(endpoint: WebhookEndpoint, tried: Tried) -> list[int]:
    """What the endpoint comes to: taken soon, and all is well; else how long it has failed, and when it is asked on."""
    endpoint.failing_since = None if tried.is_taken else endpoint.failing_since or tried.at
    if tried.is_silent:
        endpoint.silences = min(endpoint.silences + 1, 100)
        endpoint.paused_until = tried.ended_at + schedule.pause(silences=endpoint.silences)
    else:
        endpoint.silences = 0
        if tried.is_taken:
            endpoint.paused_until = None
    endpoint.save(update_fields=["failing_since", "silences", "paused_until"])
    if endpoint.state != WebhookEndpoint.State.ACTIVE or tried.is_taken:
        return []
    if tried.status == _GONE:
        reason, because = WebhookEndpoint.Reason.GONE, "It answered that it is gone (410)."
    elif endpoint.failing_since is not None and tried.at - endpoint.failing_since >= schedule.FAILING_FOR:
        days = schedule.FAILING_FOR.days
        reason, because = WebhookEndpoint.Reason.FAILING, f"It has taken none for {days} days."
    else:
        return []
    disable(endpoint=endpoint, reason=reason, now=tried.at)
    log.warning("webhook_endpoint.disabled", endpoint=endpoint.public_id, reason=reason)
    return _tell(endpoint, because, tried.at)


def _tell(endpoint: WebhookEndpoint, because: str, now: datetime) -> list[int]:
    # The host alone: what stands in the path may be long, or a secret.
    name = urlsplit(endpoint.url).hostname or ""
    details = {"name": name, "place": endpoint.wallet.merchant.display_name, "reason": because}
    owner = endpoint.wallet.owner_id
    if owner is None:
        return []
    new = notifications.New(user_id=owner, kind="webhook_disabled", details=details)
    return notifications.add(new=[new], now=now)


def _retry_after(tried: Tried) -> timedelta | None:
    """Of 429 and 503: seconds, or a date (RFC 9110, section 10.2.3). Nonsense is nothing."""
    text = tried.response_headers.get("retry-after", "") if tried.status in _HAS_NO_TIME else ""
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:9]))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) - tried.at


def _plain(text: str) -> str:
    """The database keeps no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
