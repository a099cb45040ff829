"""
Web push: a browser that its person let us wake (RFC 8030, 8291, 8292), by pywebpush.

The browser names the address that it is reached at, so it is asked for only at push services that are known
(WALLET_PUSH_SERVICES), over TLS, at a public address. What is sent is readable by that browser alone, says in a line
what happened, and never how much anybody has.
"""

import base64
import binascii
import hashlib
import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from py_vapid import Vapid02

from accounts import audit, known_devices
from accounts.envelopes import Envelope, NotSent, refused
from accounts.letters import Message
from accounts.models import PushSubscription, Session, User
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.ids import parse_public_id
from wallet_project.kernel.public_addresses import NotPublic, judge_url
from wallet_project.kernel.public_http import NoAnswer, post

MOST_BROWSERS: Final = 10
# The push service keeps it so long for a browser that is off.
KEPT_FOR: Final = timedelta(days=1)
LONGEST_TEXT: Final = 180
# What was clicked leads here (`page_urls`).
PAGE: Final = "/notifications"
_TOKEN_SECONDS: Final = 3600
_POINT_BYTES: Final = 65
_SECRET_BYTES: Final = 16


def is_on() -> bool:
    return bool(settings.VAPID_PRIVATE_KEY)


def public_key() -> str:
    """What browsers are told, so that nobody else can wake them."""
    return _encoded(
        _vapid(settings.VAPID_PRIVATE_KEY).public_key.public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
    )


def subscriptions_of(*, user: User) -> list[PushSubscription]:
    """The browsers that are woken, newest first."""
    return list(_live(user).order_by("-pk")[:MOST_BROWSERS])


def subscribe(
    *, user: User, session: Session, endpoint: str, p256dh: str, auth: str, label: str, now: datetime
) -> PushSubscription:
    """
    Wake this browser from now on. Whoever was woken there before is no more: it is a browser that somebody else uses.

    :param session: of the pages; when it is ended, so is this.
    :raises Refusal: `invalid`, also for another's browser by whoever has not its keys; `limit_exceeded` past
        `MOST_BROWSERS`.
    """
    _require_known(endpoint)
    _require_keys(p256dh, auth)
    digest = hashlib.sha256(endpoint.encode()).digest()
    with transaction.atomic():
        # One after another, so that the count holds.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        others = _live(user).exclude(digest=digest)
        if others.count() >= MOST_BROWSERS:
            raise Refusal("limit_exceeded", f"At most {MOST_BROWSERS} browsers are told. Turn one off first.")
        _take_over(PushSubscription.objects.exclude(user=user).filter(digest=digest).first(), p256dh, auth)
        subscription, _ = PushSubscription.objects.update_or_create(
            digest=digest,
            defaults={
                "user": user,
                "session": session,
                "endpoint": endpoint,
                "p256dh": p256dh,
                "auth": auth,
                "label": label[:100],
                "created_at": now,
            },
        )
        audit.record("push.on", now=now, actor=user, subject=user, object=subscription.public_id)
    return subscription


def _take_over(before: PushSubscription | None, p256dh: str, auth: str) -> None:
    """
    From whoever used this browser before. They lose it under its id: what still waits for them is not for others.

    :raises Refusal: whoever asks knows its address, but is not that browser.
    """
    if before is None:
        return
    if (before.p256dh, before.auth) != (p256dh, auth):
        raise Refusal.of_field("p256dh", "These are not the keys of this browser.", "invalid")
    before.delete()


def leave_to(*, user: User, device_tokens: Sequence[str]) -> None:
    """Somebody signs in with a browser: others who used it, as its `known_devices` tokens tell, are not told there."""
    if not device_tokens or not is_on():
        return
    digests = [known_devices.digest_of(token) for token in device_tokens]
    PushSubscription.objects.filter(session__device__digest__in=digests).exclude(user=user).delete()


def unsubscribe(*, user: User, subscription: str, now: datetime) -> None:
    """
    :param subscription: its public id.
    :raises Refusal: `not_found`, for unknown ids and other people's alike.
    """
    uuid = parse_public_id(PushSubscription.PREFIX, subscription)
    with transaction.atomic():
        gone, _ = PushSubscription.objects.filter(user=user, uuid=uuid).delete() if uuid else (0, {})
        if not gone:
            raise Refusal("not_found", "This browser is told nothing already.")
        audit.record("push.off", now=now, actor=user, subject=user, object=subscription)


class PushSender:
    """One POST to the push service that the browser named."""

    def send(self, *, envelope: Envelope, message: Message) -> str:
        from pywebpush import WebPusher  # it loads much that only a worker needs

        uuid = parse_public_id(PushSubscription.PREFIX, envelope.to)
        subscription = _alive().filter(uuid=uuid).first()
        if subscription is None or not is_on():
            raise NotSent("browser gone", is_final=True)
        keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
        pusher = WebPusher({"endpoint": subscription.endpoint, "keys": keys})
        body = bytes(pusher.encode(_payload(envelope, message))["body"])
        try:
            _require_known(subscription.endpoint)
            answer = post(subscription.endpoint, body=body, headers=_headers(envelope, subscription), loopback=_local())
        except Refusal as error:
            raise NotSent("not a known push service", is_final=True) from error
        except NotPublic as error:
            raise NotSent(error.code) from error
        except NoAnswer as error:
            raise NotSent(error.code, is_unknown=error.code != "not_connected") from error
        if answer.status in (404, 410):
            subscription.delete()
            raise NotSent("browser gone", is_final=True)
        if answer.status not in (200, 201, 202):
            raise refused(answer.status)
        return answer.headers.get("location", "")[-255:]


def _payload(envelope: Envelope, message: Message) -> bytes:
    text = message.pieces[0].text if message.pieces else message.text
    short = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    # By its tag a browser shows what came twice once.
    said = {"title": message.subject, "body": short, "tag": envelope.key, "url": PAGE}
    return json.dumps(said, ensure_ascii=False).encode()


def _headers(envelope: Envelope, subscription: PushSubscription) -> dict[str, str]:
    parts = urlsplit(subscription.endpoint)
    contact = settings.PUBLIC_URL if settings.PUBLIC_URL.startswith("https:") else "mailto:wallet@localhost"
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(time.time()) + _TOKEN_SECONDS,
        "sub": contact,
    }
    signed: dict[str, str] = _vapid(settings.VAPID_PRIVATE_KEY).sign(claims)
    return {
        **signed,
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(int(KEPT_FOR.total_seconds())),
        "Urgency": "high",
        # The service keeps one of each topic: what is sent twice to a browser that is off comes once.
        "Topic": envelope.key,
    }


def _live(user: User) -> Any:
    return _alive().filter(user=user)


def _alive() -> Any:
    return PushSubscription.objects.filter(Q(session=None) | Q(session__revoked_at=None))


def _require_known(endpoint: str) -> None:
    """
    :raises Refusal: no push service that we know.
    """
    try:
        host = judge_url(endpoint, loopback=_local()).host
    except NotPublic as error:
        raise Refusal.of_field("endpoint", str(error), error.code) from error
    if not any(host == name or (name.startswith(".") and host.endswith(name)) for name in settings.PUSH_SERVICES):
        raise Refusal.of_field("endpoint", "We know no such push service.", "unknown_service")


def _require_keys(p256dh: str, auth: str) -> None:
    try:
        point, secret = _decoded(p256dh), _decoded(auth)
        if len(point) != _POINT_BYTES or len(secret) != _SECRET_BYTES:
            raise ValueError("of another length")
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except (ValueError, binascii.Error) as error:
        raise Refusal.of_field("p256dh", "These are no keys of a browser.", "invalid") from error


def _local() -> bool:
    """Whether a push service may be played on this machine, if it is listed."""
    return bool(settings.WEBHOOK_LOOPBACK)


@lru_cache(maxsize=4)
def _vapid(key: bytes) -> Any:
    return Vapid02(ec.derive_private_key(int.from_bytes(key), ec.SECP256R1()))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
