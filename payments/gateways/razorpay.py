"""
Razorpay, over its public HTTP protocol (https://razorpay.com/docs/api).

Thin and our own: the vendor's SDK has no default time-out, drops an error's code and HTTP status, and its retry
sends a POST again that carries no idempotency key.
"""

import hashlib
import hmac
import json
import random
import threading
import time
from typing import Any, Final, Self

import requests
import structlog
from django.conf import settings

from payments.gateways.base import GatewayRefused, GatewayUnavailable, News, RemoteOrder, RemotePayment, word
from wallet_project.kernel.errors import GatewayError

log = structlog.get_logger("payments.razorpay")

_MOST_TRIES: Final = 3
_FIRST_PAUSE_SECONDS: Final = 0.2
# After that long no further try begins: somebody may be waiting for us.
_LONGEST_ASKING_SECONDS: Final = 5.0
_TOO_MANY: Final = 429


class Razorpay:
    """One client serves a whole process; each thread has its own connections."""

    name = "razorpay"
    least_minor = 100

    def __init__(
        self,
        *,
        api_url: str,
        checkout_url: str,
        key_id: str,
        key_secret: str,
        webhook_secrets: list[str],
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        self._api_url = api_url
        self._checkout_url = checkout_url
        self._key_id = key_id
        self._key_secret = key_secret
        self._webhook_secrets = webhook_secrets
        self._timeout = (connect_seconds, read_seconds)
        self._own = threading.local()

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            api_url=settings.RAZORPAY_API_URL,
            checkout_url=settings.RAZORPAY_CHECKOUT_URL,
            key_id=settings.RAZORPAY_KEY_ID,
            key_secret=settings.RAZORPAY_KEY_SECRET,
            webhook_secrets=settings.RAZORPAY_WEBHOOK_SECRETS,
            connect_seconds=settings.GATEWAY_CONNECT_TIMEOUT_SECONDS,
            read_seconds=settings.GATEWAY_READ_TIMEOUT_SECONDS,
        )

    def create_order(self, *, amount_minor: int, currency: str, receipt: str) -> RemoteOrder:
        body = {
            "amount": amount_minor,
            "currency": currency,
            "receipt": receipt,
            "partial_payment": False,
            "payment": {"capture": "automatic"},
        }
        return _order(self._ask("POST", "/orders", body=body))

    def find_order(self, *, receipt: str) -> RemoteOrder | None:
        for item in _items(self._ask("GET", "/orders", query={"receipt": receipt})):
            order = _order(item)
            if order.receipt == receipt:
                return order
        return None

    def payments_of(self, *, order_id: str) -> list[RemotePayment]:
        return [_payment(item) for item in _items(self._ask("GET", f"/orders/{order_id}/payments"))]

    def checkout_of(self, order: RemoteOrder) -> dict[str, Any]:
        return {
            "provider": self.name,
            "order_id": order.id,
            "key_id": self._key_id,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "url": f"{self._checkout_url}/{order.id}",
        }

    def is_genuine_return(self, *, order_id: str, payment_id: str, signature: str) -> bool:
        return _is_signature(self._key_secret, f"{order_id}|{payment_id}".encode(), signature)

    def is_genuine_webhook(self, *, body: bytes, signature: str) -> bool:
        # After a rotation, retries of old events keep the old secret. All are tried, whichever fits.
        genuine = [_is_signature(secret, body, signature) for secret in self._webhook_secrets]
        return any(genuine)

    def read_webhook(self, body: bytes) -> News:
        try:
            document = json.loads(body)
            name = word(document, "event")
            entities = {kind: part["entity"] for kind, part in document["payload"].items()}
            order_id = word(entities.get("payment", {}), "order_id") or word(entities.get("order", {}), "id")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return News(name="", order_id="")
        return News(name=name, order_id=order_id)

    def _ask(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: dict[str, Any] | None = None
    ) -> Any:
        """
        One question, asked again after a pause where asking twice changes nothing: reads always; writes only if the
        first certainly did not arrive (no connection), or was turned away (429).
        """
        began = time.monotonic()
        for left in reversed(range(_MOST_TRIES)):
            try:
                return self._ask_once(method, path, query, body)
            except GatewayUnavailable as error:
                late = time.monotonic() - began > _LONGEST_ASKING_SECONDS
                if not left or late or (error.may_have_happened and method != "GET"):
                    raise
                log.info("gateway.asking_again", method=method, http_status=error.http_status)
            pause = _FIRST_PAUSE_SECONDS * 2 ** (_MOST_TRIES - 1 - left)
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311  (jitter, not a secret)
        raise AssertionError("unreachable")

    def _ask_once(self, method: str, path: str, query: dict[str, str] | None, body: dict[str, Any] | None) -> Any:
        try:
            answer = self._session().request(
                method,
                self._api_url + path,
                params=query,
                json=body,
                auth=(self._key_id, self._key_secret),
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Refused or not connected in time: nothing was sent. Anything later may have arrived.
            unsent = isinstance(error, requests.ConnectTimeout) or _was_refused(error)
            raise GatewayUnavailable(
                f"No answer from the gateway ({type(error).__name__}).", may_have_happened=not unsent
            ) from error
        return _read(answer)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
        return session


def _was_refused(error: BaseException | None) -> bool:
    """requests and urllib3 wrap the system's own error several times over."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ConnectionRefusedError):
            return True
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return False


def _read(answer: requests.Response) -> Any:
    """
    The document of a 200; the error of anything else, which may be a proxy's HTML page.

    :raises GatewayError:
    """
    status = answer.status_code
    try:
        document = answer.json()
    except ValueError:
        document = None
    if status == requests.codes.ok and isinstance(document, dict):
        return document
    error = document.get("error") if isinstance(document, dict) else None
    told = error if isinstance(error, dict) else {}
    code, reason = word(told, "code"), word(told, "reason")
    description = word(told, "description") or "the answer cannot be read"
    kind: type[GatewayError] = GatewayRefused if 400 <= status < 500 and status != _TOO_MANY else GatewayUnavailable
    raise kind(
        f"The gateway answered {status}: {description}",
        code=code,
        reason=reason,
        http_status=status,
        may_have_happened=status != _TOO_MANY and kind is GatewayUnavailable,
    )


def _items(document: dict[str, Any]) -> list[dict[str, Any]]:
    items = document.get("items")
    if not isinstance(items, list):
        raise GatewayUnavailable("The gateway's list has no items.", http_status=200)
    return items


def _order(document: dict[str, Any]) -> RemoteOrder:
    try:
        return RemoteOrder(
            id=str(document["id"]),
            amount_minor=int(document["amount"]),
            currency=str(document["currency"]),
            receipt=word(document, "receipt"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GatewayUnavailable(
            "The gateway's order cannot be read.", http_status=200, may_have_happened=True
        ) from error


def _payment(document: dict[str, Any]) -> RemotePayment:
    try:
        return RemotePayment(
            id=str(document["id"]),
            order_id=word(document, "order_id"),
            amount_minor=int(document["amount"]),
            currency=str(document["currency"]),
            status=word(document, "status"),
            method=word(document, "method"),
            refunded_minor=int(document.get("amount_refunded") or 0),
            error_code=word(document, "error_code"),
            error_reason=word(document, "error_reason"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GatewayUnavailable("The gateway's payment cannot be read.", http_status=200) from error


def _is_signature(secret: str, message: bytes, signature: str) -> bool:
    expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    # Bytes: compare_digest takes no text outside of ASCII, which a stranger may send.
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
