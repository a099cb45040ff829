"""The body of POST /v1/orders, checked as the gateway checks it."""

import json
from typing import Any, Literal

from payments.sandbox.errors import GatewayError
from payments.sandbox.orders import OrderRequest

AMOUNT_LEAST = 100
AMOUNT_LARGEST = 1_000_000_000_000
RECEIPT_LONGEST = 40
NOTES_MOST = 15
NOTE_LONGEST = 256
_FIELDS = {"amount", "currency", "receipt", "notes", "partial_payment", "payment", "payment_capture"}


def read_json(raw: bytes) -> dict[str, Any]:
    """
    The object in a request's body; an empty body is an empty object.

    :raises GatewayError: anything else. NaN, lone surrogates and bottomless nesting are anything else.
    """
    if not raw:
        return {}
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise GatewayError("The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise GatewayError("The request body must be a JSON object.")
    return body


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def order_request(body: dict[str, Any]) -> OrderRequest:
    """
    :raises GatewayError: names the first field that is wrong.
    """
    unknown = sorted(set(body) - _FIELDS)
    if unknown:
        raise GatewayError(f"{', '.join(unknown)[:200]} is/are not required and should not be sent", field=None)
    if not isinstance(body.get("partial_payment") or False, bool):
        raise GatewayError("The partial payment field must be true or false.", field="partial_payment")
    return OrderRequest(
        amount=amount_of(body),
        currency=currency_of(body),
        receipt=_receipt(body.get("receipt")),
        notes=notes_of(body.get("notes")),
        capture=_capture(body.get("payment")),
    )


def amount_of(body: dict[str, Any]) -> int:
    """Whole paise. A JSON 100.0 or "100" is refused: the gateway counts in integers."""
    amount = body.get("amount")
    if amount is None:
        raise GatewayError("The amount field is required.", field="amount")
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise GatewayError("The amount must be an integer.", field="amount")
    if amount < AMOUNT_LEAST:
        raise GatewayError("Order amount less than minimum amount allowed", field="amount")
    if amount > AMOUNT_LARGEST:
        raise GatewayError("Amount exceeds maximum amount allowed.", field="amount")
    return amount


def currency_of(body: dict[str, Any]) -> str:
    """Only the rupee is traded here."""
    if body.get("currency") is None:
        raise GatewayError("The currency field is required.", field="currency")
    if body["currency"] != "INR":
        raise GatewayError("The currency provided is not supported.", field="currency")
    return "INR"


def notes_of(notes: Any) -> dict[str, str]:
    """At most fifteen pairs of short strings; absent, null, {} and [] are all none."""
    if notes is None or notes == []:
        return {}
    if not isinstance(notes, dict):
        raise GatewayError("The notes must be an object.", field="notes")
    if len(notes) > NOTES_MOST:
        raise GatewayError(f"The number of notes may not be greater than {NOTES_MOST}.", field="notes")
    for name, value in notes.items():
        if not isinstance(value, str) or len(name) > NOTE_LONGEST or len(value) > NOTE_LONGEST:
            raise GatewayError(f"Notes must be strings of at most {NOTE_LONGEST} characters.", field="notes")
    return notes


def _receipt(receipt: Any) -> str | None:
    if receipt is None or receipt == "":
        return None
    if not isinstance(receipt, str):
        raise GatewayError("The receipt must be a string.", field="receipt")
    if len(receipt) > RECEIPT_LONGEST:
        raise GatewayError(f"The receipt may not be greater than {RECEIPT_LONGEST} characters.", field="receipt")
    return receipt


def _capture(payment: Any) -> Literal["automatic", "manual"]:
    if payment is None:
        return "automatic"
    capture = payment.get("capture") if isinstance(payment, dict) else None
    if capture not in ("automatic", "manual"):
        raise GatewayError("The payment.capture must be automatic or manual.", field="payment.capture")
    return "manual" if capture == "manual" else "automatic"
