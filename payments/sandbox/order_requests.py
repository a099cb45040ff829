"""The body of POST /v1/orders, checked as the gateway checks it."""

from typing import Any, Literal

from payments.sandbox.errors import GatewayError
from payments.sandbox.fields import amount_of, currency_of, flag_of, notes_of, refuse_unknown, text_of
from payments.sandbox.orders import OrderRequest

RECEIPT_LONGEST = 40
_READ = {"amount", "currency", "receipt", "notes", "partial_payment", "payment", "payment_capture"}
# The documentation lets a merchant send these too. They change nothing here, so they are borne unread.
_BORNE = {
    "account_number",
    "app_offer",
    "bank_account",
    "checkout_config_id",
    "cod_fee",
    "customer_additional_info",
    "customer_details",
    "customer_id",
    "discount",
    "first_payment_min_amount",
    "force_offer",
    "line_items",
    "line_items_total",
    "method",
    "offer_id",
    "offers",
    "phonepe_switch_context",
    "products",
    "shipping_fee",
    "token",
    "transfers",
}


def order_request(body: dict[str, Any]) -> OrderRequest:
    """
    :raises GatewayError: names the first field that is wrong.
    """
    refuse_unknown(body, _READ | _BORNE)
    flag_of(body, "partial_payment")
    return OrderRequest(
        amount=amount_of(body),
        currency=currency_of(body),
        receipt=text_of(body, "receipt", longest=RECEIPT_LONGEST),
        notes=notes_of(body.get("notes")),
        capture=_capture(body.get("payment"), body.get("payment_capture")),
    )


def _capture(payment: Any, payment_capture: Any) -> Literal["automatic", "manual"]:
    """`payment.capture`, or the older `payment_capture: 1`; automatic if neither is said."""
    if payment is None:
        if payment_capture not in (None, True, False, "0", "1"):
            raise GatewayError("The payment_capture must be 0 or 1.", field="payment_capture")
        return "manual" if payment_capture in (False, "0") else "automatic"
    capture = payment.get("capture") if isinstance(payment, dict) else None
    if capture not in ("automatic", "manual"):
        raise GatewayError("The payment.capture must be automatic or manual.", field="payment.capture")
    return "manual" if capture == "manual" else "automatic"
