"""
Razorpay and RazorpayX, over their public HTTP protocol (https://razorpay.com/docs/api).

Thin and our own: the vendor's SDK has no payouts, no default time-out, drops an error's code and HTTP status, and its
retry sends a POST again that carries no idempotency key.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol, Self, TypeVar

from django.conf import settings

from payments.gateways import razorpay_entities as entities
from payments.gateways.base import (
    GatewayUnavailable,
    News,
    NotOffered,
    RemoteDispute,
    RemoteOrder,
    RemotePayment,
    RemotePayout,
    RemoteRefund,
    RemoteSettledItem,
    RemoteValidation,
    Return,
)
from payments.gateways.documents import word
from payments.gateways.http import HttpClient, Told

_REFUND_KEY: Final = "X-Refund-Idempotency"
_PAYOUT_KEY: Final = "X-Payout-Idempotency"
_SIGNATURE: Final = "X-Razorpay-Signature"
_EVENT_ID: Final = "x-razorpay-event-id"

# A list that is longer than this many pages is not believed to end.
MOST_PAGES: Final = 1000
_PAGE: Final = 100
_SETTLEMENT_PAGE: Final = 1000
# Up to here IMPS carries it, at any hour; above, RTGS, which begins at ₹2,00,000.
MOST_BY_IMPS_MINOR: Final = 5_00_000_00
_LEAST_NAME: Final = 3
_LONGEST_NAME: Final = 50
_VALIDATED_WITH_MINOR: Final = 100


class _Known(Protocol):
    """Whatever has an id, and perhaps says when it was made."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime | None: ...


_Entity = TypeVar("_Entity", bound=_Known)


class Razorpay:
    """
    One client serves a whole process; each thread has its own connections.

    :ivar _account_number: our own account at RazorpayX, which payouts leave from; empty where there is none.
    """

    name = "razorpay"
    least_minor = 100
    webhook_headers: Mapping[str, bool] = {_SIGNATURE: True, _EVENT_ID: False}

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
        account_number: str = "",
    ) -> None:
        self._checkout_url = checkout_url
        self._key_id = key_id
        self._key_secret = key_secret
        self._webhook_secrets = webhook_secrets
        self._account_number = account_number
        self._http = HttpClient(
            gateway=self.name,
            api_url=api_url,
            credentials=(key_id, key_secret),
            connect_seconds=connect_seconds,
            read_seconds=read_seconds,
            read_error=_told,
        )

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            api_url=settings.RAZORPAY_API_URL,
            checkout_url=settings.RAZORPAY_CHECKOUT_URL,
            key_id=settings.RAZORPAY_KEY_ID,
            key_secret=settings.RAZORPAY_KEY_SECRET,
            webhook_secrets=settings.RAZORPAY_WEBHOOK_SECRETS,
            account_number=settings.RAZORPAYX_ACCOUNT_NUMBER,
            connect_seconds=settings.GATEWAY_CONNECT_TIMEOUT_SECONDS,
            read_seconds=settings.GATEWAY_READ_TIMEOUT_SECONDS,
        )

    # Orders, and the payments of them.

    def create_order(self, *, amount_minor: int, currency: str, receipt: str) -> RemoteOrder:
        body = {
            "amount": amount_minor,
            "currency": currency,
            "receipt": receipt,
            "partial_payment": False,
            "payment": {"capture": "automatic"},
        }
        return entities.order_of(self._http.post("/orders", body=body))

    def find_order(self, *, receipt: str) -> RemoteOrder | None:
        for item in _items(self._http.get("/orders", query={"receipt": receipt})):
            order = entities.order_of(item)
            if order.receipt == receipt:
                return order
        return None

    def payments_of(self, *, order_id: str) -> list[RemotePayment]:
        return [entities.payment_of(item) for item in _items(self._http.get(f"/orders/{order_id}/payments"))]

    def capture(self, *, payment_id: str, amount_minor: int, currency: str) -> RemotePayment:
        body = {"amount": amount_minor, "currency": currency}
        return entities.payment_of(self._http.post(f"/payments/{payment_id}/capture", body=body))

    def checkout_of(self, order: RemoteOrder) -> dict[str, Any]:
        return {
            "provider": self.name,
            "order_id": order.id,
            "key_id": self._key_id,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "url": f"{self._checkout_url}/{order.id}",
        }

    # Giving payments back.

    def refund(self, *, payment_id: str, amount_minor: int, currency: str, key: str, reference: str) -> RemoteRefund:  # noqa: ARG002  (it is the payment's)
        body = {
            "amount": amount_minor,
            "speed": "normal",
            "receipt": reference,
            "notes": {entities.KEY_NOTE: key},
        }
        path = f"/payments/{payment_id}/refund"
        return entities.refund_of(self._http.post(path, body=body, headers={_REFUND_KEY: key}, repeatable=True))

    def refund_of(self, *, refund_id: str) -> RemoteRefund:
        return entities.refund_of(self._http.get(f"/refunds/{refund_id}"))

    def refunds_of(self, *, payment_id: str) -> list[RemoteRefund]:
        return list(self._listed(f"/payments/{payment_id}/refunds", entities.refund_of))

    # Paying out to banks.

    def register_account(self, *, holder_name: str, ifsc: str, account_number: str, reference: str) -> str:
        """A contact and its fund account: both calls answer what they have if all fields are alike."""
        self._our_account()
        contact = {
            "name": holder_name[:_LONGEST_NAME].ljust(_LEAST_NAME, "."),
            "type": "customer",
            "reference_id": reference,
        }
        contact_id = word(self._http.post("/contacts", body=contact, repeatable=True), "id")
        bank_account = {"name": holder_name, "ifsc": ifsc, "account_number": account_number}
        fund_account = {"contact_id": contact_id, "account_type": "bank_account", "bank_account": bank_account}
        made = word(self._http.post("/fund_accounts", body=fund_account, repeatable=True), "id")
        if not made:
            raise GatewayUnavailable("The gateway's fund account cannot be read.", may_have_happened=True)
        return made

    def validate_account(self, *, fund_account_id: str, reference: str) -> RemoteValidation:
        """It sends one rupee, so it is not asked twice."""
        body = {
            "account_number": self._our_account(),
            "fund_account": {"id": fund_account_id},
            "amount": _VALIDATED_WITH_MINOR,
            "currency": "INR",
            "notes": {"reference": reference},
        }
        return entities.validation_of(self._http.post("/fund_accounts/validations", body=body))

    def validation_of(self, *, validation_id: str) -> RemoteValidation:
        return entities.validation_of(self._http.get(f"/fund_accounts/validations/{validation_id}"))

    def pay_out(
        self, *, fund_account_id: str, amount_minor: int, currency: str, key: str, reference: str, narration: str
    ) -> RemotePayout:
        body = {
            "account_number": self._our_account(),
            "fund_account_id": fund_account_id,
            "amount": amount_minor,
            "currency": currency,
            "mode": "IMPS" if amount_minor <= MOST_BY_IMPS_MINOR else "RTGS",
            "purpose": "payout",
            "queue_if_low_balance": True,
            "reference_id": reference,
            "narration": narration,
        }
        return entities.payout_of(self._http.post("/payouts", body=body, headers={_PAYOUT_KEY: key}, repeatable=True))

    def payout_of(self, *, payout_id: str) -> RemotePayout:
        return entities.payout_of(self._http.get(f"/payouts/{payout_id}"))

    def find_payout(self, *, reference: str) -> RemotePayout | None:
        query = {"account_number": self._our_account(), "reference_id": reference}
        for item in _items(self._http.get("/payouts", query=query)):
            payout = entities.payout_of(item)
            if payout.reference == reference:
                return payout
        return None

    # Disputes.

    def dispute_of(self, *, dispute_id: str) -> RemoteDispute:
        return entities.dispute_of(self._http.get(f"/disputes/{dispute_id}"))

    # The gateway's books.

    def payments_between(self, *, begin: datetime, end: datetime) -> Iterator[RemotePayment]:
        return self._between("/payments", entities.payment_of, begin, end)

    def refunds_between(self, *, begin: datetime, end: datetime) -> Iterator[RemoteRefund]:
        return self._between("/refunds", entities.refund_of, begin, end)

    def payouts_between(self, *, begin: datetime, end: datetime) -> Iterator[RemotePayout]:
        if not self._account_number:
            return iter(())
        return self._between("/payouts", entities.payout_of, begin, end, account_number=self._account_number)

    def disputes_between(self, *, begin: datetime, end: datetime) -> Iterator[RemoteDispute]:
        return self._between("/disputes", entities.dispute_of, begin, end)

    def settled_on(self, *, day: date) -> Iterator[RemoteSettledItem]:
        query = {"year": day.year, "month": day.month, "day": day.day}
        for item in self._pages("/settlements/recon/combined", query, page=_SETTLEMENT_PAGE):
            yield entities.settled_item_of(item)

    # Words from outside.

    def read_return(self, fields: Mapping[str, str]) -> Return:
        """A failure comes unsigned, and names its order in `error[metadata]`, a small JSON document."""
        return Return(
            order_id=fields.get("razorpay_order_id", "") or entities.failed_order_of(fields.get("error[metadata]", "")),
            payment_id=fields.get("razorpay_payment_id", ""),
            signature=fields.get("razorpay_signature", ""),
        )

    def is_genuine_return(self, *, order_id: str, payment_id: str, signature: str) -> bool:
        return _is_signature(self._key_secret, f"{order_id}|{payment_id}".encode(), signature)

    def is_genuine_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> bool:
        # After a rotation, retries of old events keep the old secret. All are tried, whichever fits.
        signature = headers.get(_SIGNATURE, "")
        genuine = [_is_signature(secret, body, signature) for secret in self._webhook_secrets]
        return any(genuine)

    def webhook_id(self, *, body: bytes, headers: Mapping[str, str]) -> str:  # noqa: ARG002  (others' is in the body)
        return headers.get(_EVENT_ID, "")

    def read_webhook(self, body: bytes) -> News:
        try:
            return entities.news_of(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return News(name="")

    def _our_account(self) -> str:
        if not self._account_number:
            raise NotOffered("payouts before RAZORPAYX_ACCOUNT_NUMBER is set")
        return self._account_number

    def _between(
        self,
        path: str,
        read: Callable[[Mapping[str, Any]], _Entity],
        begin: datetime,
        end: datetime,
        **query: str,
    ) -> Iterator[_Entity]:
        """The gateway counts whole seconds, and both ends belong to its window."""
        window = {"from": int(begin.timestamp()), "to": int(end.timestamp())}
        for entity in self._listed(path, read, **query, **window):
            if entity.created_at is None or begin <= entity.created_at < end:
                yield entity

    def _listed(self, path: str, read: Callable[[Mapping[str, Any]], _Entity], **query: str | int) -> Iterator[_Entity]:
        """Each once: the newest come first, so whatever is made meanwhile pushes others onto the next page."""
        seen: set[str] = set()
        for item in self._pages(path, query, page=_PAGE):
            entity = read(item)
            if entity.id not in seen:
                seen.add(entity.id)
                yield entity

    def _pages(self, path: str, query: Mapping[str, str | int], *, page: int) -> Iterator[dict[str, Any]]:
        for number in range(MOST_PAGES):
            items = _items(self._http.get(path, query={**query, "count": page, "skip": number * page}))
            yield from items
            if len(items) < page:
                return
        raise GatewayUnavailable(f"The gateway's list at {path} does not come to an end.")


def _told(error: Mapping[str, Any]) -> Told:
    """Unused fields are null, `"null"` or `"NA"`."""
    return Told(code=word(error, "code"), reason=word(error, "reason"), description=word(error, "description"))


def _items(document: dict[str, Any]) -> list[dict[str, Any]]:
    items = document.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise GatewayUnavailable("The gateway's list has no items.", http_status=HTTPStatus.OK)
    return items


def _is_signature(secret: str, message: bytes, signature: str) -> bool:
    expected = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    # Bytes: compare_digest takes no text outside of ASCII, which a stranger may send.
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
