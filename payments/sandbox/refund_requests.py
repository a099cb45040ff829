"""The body and the key of POST /v1/payments/:id/refund, checked as the gateway checks them."""

from typing import Any

from payments.sandbox.fields import amount_of, choice_of, notes_of, refuse_unknown, text_of
from payments.sandbox.refunds import RefundRequest

KEY_HEADER = "X-Refund-Idempotency"
# The documentation names no longest.
KEY_PATTERN = r"[A-Za-z0-9_-]{10,100}"
_FIELDS = {"amount", "currency", "speed", "notes", "receipt", "reverse_all"}


def refund_request(body: dict[str, Any]) -> RefundRequest:
    """
    :raises GatewayError: names the first field that is wrong.
    """
    refuse_unknown(body, _FIELDS)
    speed = choice_of(body, "speed", ("normal", "optimum")) if body.get("speed") is not None else "normal"
    return RefundRequest(
        amount=amount_of(body) if body.get("amount") is not None else None,
        speed="optimum" if speed == "optimum" else "normal",
        receipt=text_of(body, "receipt", longest=40),
        notes=notes_of(body.get("notes")),
    )
