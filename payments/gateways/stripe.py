"""
Stripe, over its public HTTP protocol (https://docs.stripe.com/api): PaymentIntents are orders, charges are payments.

A PaymentIntent succeeds at most once, so nobody pays an order twice here. Payouts go to external bank accounts of the
Stripe account in STRIPE_ACCOUNT_ID, each registered there first. What the browser brings back carries no signature:
the gateway is asked instead.

Its settings are the variables STRIPE_SECRET_KEY, STRIPE_PUBLISHABLE_KEY, STRIPE_WEBHOOK_SECRETS (separated by commas),
STRIPE_CHECKOUT_URL (the page with Stripe's payment element; the PaymentIntent's id is added), and optionally
STRIPE_ACCOUNT_ID and STRIPE_API_URL.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Any, Final, Self, TypeAlias

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from payments.gateways import stripe_entities as entities
from payments.gateways.base import (
    GatewayRefused,
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
from payments.gateways.documents import text, word
from payments.gateways.http import HttpClient, Told, readable

_SIGNATURE: Final = "Stripe-Signature"
_KEY: Final = "Idempotency-Key"
# A webhook that was signed longer ago is a replay; each retry is signed anew.
TOLERANCE_SECONDS: Final = 300
_PAGE: Final = 100
MOST_PAGES: Final = 1000
# An order is looked for among the newest only: made again under its receipt, it is the same one for a day.
_PAGES_OF_ORDERS: Final = 3
_LONGEST_DESCRIPTOR: Final = 22

_Form: TypeAlias = dict[str, str | int]


class Stripe:
    """One client serves a whole process; each thread has its own connections."""

    name = "stripe"
    least_minor = 50
    webhook_headers: Mapping[str, bool] = {_SIGNATURE: True}

    def __init__(
        self,
        *,
        api_url: str,
        checkout_url: str,
        secret_key: str,
        publishable_key: str,
        webhook_secrets: list[str],
        account_id: str,
        connect_seconds: float,
        read_seconds: float,
    ) -> None:
        self._checkout_url = checkout_url
        self._publishable_key = publishable_key
        self._webhook_secrets = webhook_secrets
        self._account_id = account_id
        self._http = HttpClient(
            gateway=self.name,
            api_url=api_url,
            credentials=(secret_key, ""),
            connect_seconds=connect_seconds,
            read_seconds=read_seconds,
            read_error=_told,
        )

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            api_url=settings.GATEWAY_VARIABLES.get("STRIPE_API_URL", "https://api.stripe.com").rstrip("/") + "/v1",
            checkout_url=_required("STRIPE_CHECKOUT_URL").rstrip("/"),
            secret_key=_required("STRIPE_SECRET_KEY"),
            publishable_key=_required("STRIPE_PUBLISHABLE_KEY"),
            webhook_secrets=[secret.strip() for secret in _required("STRIPE_WEBHOOK_SECRETS").split(",")],
            account_id=settings.GATEWAY_VARIABLES.get("STRIPE_ACCOUNT_ID", ""),
            connect_seconds=settings.GATEWAY_CONNECT_TIMEOUT_SECONDS,
            read_seconds=settings.GATEWAY_READ_TIMEOUT_SECONDS,
        )

    # Orders, and the payments of them.

    def create_order(self, *, amount_minor: int, currency: str, receipt: str) -> RemoteOrder:
        form: _Form = {"amount": amount_minor, "currency": currency.lower(), "metadata[receipt]": receipt}
        return entities.order_of(self._send("/payment_intents", form, key=f"order-{receipt}"))

    def find_order(self, *, receipt: str) -> RemoteOrder | None:
        for item in self._listed("/payment_intents", {}, most_pages=_PAGES_OF_ORDERS, may_stop=True):
            order = entities.order_of(item)
            if order.receipt == receipt:
                return order
        return None

    def payments_of(self, *, order_id: str) -> list[RemotePayment]:
        """The latest attempt: an order goes on to another only after a failure."""
        intent = self._http.get(f"/payment_intents/{order_id}", query={"expand[]": "latest_charge.balance_transaction"})
        charge = intent.get("latest_charge")
        return [entities.payment_of(charge)] if isinstance(charge, dict) else []

    def capture(self, *, payment_id: str, amount_minor: int, currency: str) -> RemotePayment:
        """Stripe would take a part of the money, too, and give the rest free."""
        payment = entities.payment_of(self._http.get(f"/charges/{payment_id}"))
        if (payment.amount_minor, payment.currency) != (amount_minor, currency):
            raise GatewayRefused("The amount is not the authorized one.")
        self._send(f"/payment_intents/{payment.order_id}/capture", {"amount_to_capture": amount_minor})
        return entities.payment_of(self._http.get(f"/charges/{payment_id}"))

    def checkout_of(self, order: RemoteOrder) -> dict[str, Any]:
        return {
            "provider": self.name,
            "order_id": order.id,
            "key_id": self._publishable_key,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "url": f"{self._checkout_url}/{order.id}",
        }

    # Giving payments back.

    def refund(self, *, payment_id: str, amount_minor: int, currency: str, key: str, reference: str) -> RemoteRefund:  # noqa: ARG002  (it is the payment's)
        form: _Form = {
            "charge": payment_id,
            "amount": amount_minor,
            "metadata[key]": key,
            "metadata[reference]": reference,
        }
        return entities.refund_of(self._send("/refunds", form, key=key))

    def refund_of(self, *, refund_id: str) -> RemoteRefund:
        return entities.refund_of(self._http.get(f"/refunds/{refund_id}"))

    def refunds_of(self, *, payment_id: str) -> list[RemoteRefund]:
        return [entities.refund_of(item) for item in self._listed("/refunds", {"charge": payment_id})]

    # Paying out to banks.

    def register_account(self, *, holder_name: str, ifsc: str, account_number: str, reference: str) -> str:
        form = {
            "external_account[object]": "bank_account",
            "external_account[country]": "IN",
            "external_account[currency]": "inr",
            "external_account[account_holder_name]": holder_name,
            "external_account[account_holder_type]": "individual",
            "external_account[routing_number]": ifsc,
            "external_account[account_number]": account_number,
            "metadata[reference]": reference,
        }
        made = self._send(f"/accounts/{self._our_account()}/external_accounts", form, key=f"account-{reference}")
        with readable("bank account"):
            return text(made, "id")

    def validate_account(self, *, fund_account_id: str, reference: str) -> RemoteValidation:  # noqa: ARG002  (there is none)
        raise NotOffered("validation of bank accounts")

    def validation_of(self, *, validation_id: str) -> RemoteValidation:  # noqa: ARG002  (there is none)
        raise NotOffered("validation of bank accounts")

    def pay_out(
        self, *, fund_account_id: str, amount_minor: int, currency: str, key: str, reference: str, narration: str
    ) -> RemotePayout:
        self._our_account()
        form: _Form = {
            "amount": amount_minor,
            "currency": currency.lower(),
            "destination": fund_account_id,
            "method": "standard",
            "statement_descriptor": narration[:_LONGEST_DESCRIPTOR],
            "metadata[reference]": reference,
        }
        return entities.payout_of(self._send("/payouts", form, key=key))

    def payout_of(self, *, payout_id: str) -> RemotePayout:
        return entities.payout_of(self._http.get(f"/payouts/{payout_id}"))

    def find_payout(self, *, reference: str) -> RemotePayout | None:
        for item in self._listed("/payouts", {}):
            payout = entities.payout_of(item)
            if payout.reference == reference:
                return payout
        return None

    # Disputes.

    def dispute_of(self, *, dispute_id: str) -> RemoteDispute:
        return entities.dispute_of(self._http.get(f"/disputes/{dispute_id}"))

    # The gateway's books.

    def payments_between(self, *, begin: datetime, end: datetime) -> Iterator[RemotePayment]:
        query = {**_window("created", begin, end), "expand[]": "data.balance_transaction"}
        return (entities.payment_of(item) for item in self._listed("/charges", query))

    def refunds_between(self, *, begin: datetime, end: datetime) -> Iterator[RemoteRefund]:
        return (entities.refund_of(item) for item in self._listed("/refunds", _window("created", begin, end)))

    def payouts_between(self, *, begin: datetime, end: datetime) -> Iterator[RemotePayout]:
        """Those that we asked for; the others are settlements."""
        found = self._listed("/payouts", _window("created", begin, end))
        return (entities.payout_of(item) for item in found if item.get("automatic") is not True)

    def disputes_between(self, *, begin: datetime, end: datetime) -> Iterator[RemoteDispute]:
        return (entities.dispute_of(item) for item in self._listed("/disputes", _window("created", begin, end)))

    def settled_on(self, *, day: date) -> Iterator[RemoteSettledItem]:
        """The balance transactions of each automatic payout that arrives on that day, which Stripe counts in UTC."""
        begin = datetime.combine(day, time_of_day.min, UTC)
        for payout in self._listed("/payouts", _window("arrival_date", begin, begin + timedelta(days=1))):
            if payout.get("automatic") is not True:
                continue
            query = {"payout": word(payout, "id"), "expand[]": "data.source"}
            for item in self._listed("/balance_transactions", query):
                if word(item, "type") != "payout":
                    yield entities.settled_item_of(item, payout, begin)

    # Words from outside.

    def read_return(self, fields: Mapping[str, str]) -> Return:
        return Return(order_id=fields.get("payment_intent", ""), payment_id="", signature="")

    def is_genuine_return(self, *, order_id: str, payment_id: str, signature: str) -> bool:  # noqa: ARG002  (nothing is signed)
        return False

    def is_genuine_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> bool:
        """`t=SECONDS,v1=HEX`, over `SECONDS.BODY` (https://docs.stripe.com/webhooks#verify-manually)."""
        parts = [part.strip().partition("=") for part in headers.get(_SIGNATURE, "").split(",")]
        signed_at = next((value for name, _, value in parts if name == "t"), "")
        if not (signed_at.isascii() and signed_at.isdigit() and len(signed_at) <= len("253370764800")):
            return False
        if abs(time.time() - int(signed_at)) > TOLERANCE_SECONDS:
            return False
        message = f"{signed_at}.".encode() + body
        expected = [hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in self._webhook_secrets]
        # All are tried, whichever fits: after a rotation Stripe signs with both secrets, each a `v1`.
        genuine = [
            hmac.compare_digest(each.encode(), value.encode("utf-8", "replace"))
            for each in expected
            for name, _, value in parts
            if name == "v1"
        ]
        return any(genuine)

    def webhook_id(self, *, body: bytes, headers: Mapping[str, str]) -> str:  # noqa: ARG002  (others' is in a header)
        try:
            return word(json.loads(body), "id")
        except (ValueError, TypeError, AttributeError, RecursionError):
            return ""

    def read_webhook(self, body: bytes) -> News:
        try:
            document = json.loads(body)
            return entities.news_of(word(document, "type"), document["data"]["object"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return News(name="")

    def _our_account(self) -> str:
        if not self._account_id:
            raise NotOffered("payouts before STRIPE_ACCOUNT_ID is set")
        return self._account_id

    def _send(self, path: str, form: Mapping[str, str | int], *, key: str = "") -> dict[str, Any]:
        return self._http.post(path, form=form, headers={_KEY: key} if key else None, repeatable=bool(key))

    def _listed(
        self, path: str, query: Mapping[str, str | int], *, most_pages: int = MOST_PAGES, may_stop: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Newest first; each page begins after the last entity of the one before."""
        after: dict[str, str] = {}
        for _ in range(most_pages):
            page = self._http.get(path, query={**query, "limit": _PAGE, **after})
            items = page.get("data")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise GatewayUnavailable("The gateway's list has no items.", http_status=200)
            yield from items
            if page.get("has_more") is not True or not items:
                return
            after = {"starting_after": word(items[-1], "id")}
        if not may_stop:
            raise GatewayUnavailable(f"The gateway's list at {path} does not come to an end.")


def _required(name: str) -> str:
    value: str = settings.GATEWAY_VARIABLES.get(name, "").strip()
    if not value:
        raise ImproperlyConfigured(f"{name} must be set before anything goes through Stripe.")
    return value


def _told(error: Mapping[str, Any]) -> Told:
    return Told(
        code=word(error, "code") or word(error, "type"),
        reason=word(error, "decline_code"),
        description=word(error, "message"),
    )


def _window(name: str, begin: datetime, end: datetime) -> dict[str, str | int]:
    """Whole seconds, as Stripe counts them."""
    return {f"{name}[gte]": int(begin.timestamp()), f"{name}[lt]": int(end.timestamp())}
