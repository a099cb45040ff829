"""
Refusals and their codes, in one place.

A `Refusal` is expected: a door answers it as a problem document and it never alarms. Anything else that
is raised is a bug and crashes loudly.
"""

from typing import Any, Final

# code -> (HTTP status, title). Codes are stable for ever.
CODES: Final[dict[str, tuple[int, str]]] = {
    "invalid": (400, "The request is not valid"),
    "parse_error": (400, "The body cannot be read"),
    "idempotency_key_required": (400, "An Idempotency-Key is required"),
    "idempotency_key_invalid": (400, "The Idempotency-Key is malformed"),
    "signature_invalid": (400, "The signature is wrong"),
    "code_invalid": (400, "The code is wrong, used or expired"),
    "cursor_invalid": (400, "The cursor is malformed"),
    "not_authenticated": (401, "Sign in first"),
    "token_invalid": (401, "The token is not valid"),
    "credentials_invalid": (401, "Wrong address or password"),
    "otp_required": (401, "A second factor is needed"),
    "otp_invalid": (401, "The code of the second factor is wrong or used"),
    "permission_denied": (403, "Not allowed"),
    "step_up_required": (403, "Show once more that it is you"),
    "step_up_invalid": (403, "The code for this payment is wrong, used or expired"),
    "support_required": (403, "Ask support first"),
    "not_verified": (403, "The address is not verified yet"),
    "blocked": (403, "The account is blocked"),
    "not_found": (404, "Not found"),
    "payee_not_found": (404, "No such payee"),
    "method_not_allowed": (405, "Method not allowed"),
    "not_acceptable": (406, "Not acceptable"),
    "idempotency_key_in_progress": (409, "The first request is still in progress"),
    "proposal_exists": (409, "Another proposal for this waits for its decision"),
    "proposal_over": (409, "This was decided before, or nobody decided it in time"),
    "money_back_over": (409, "This request was answered before, or its time is over"),
    "unblock_first": (409, "You have blocked this person"),
    "kyc_pending": (409, "Your identity document is being looked at"),
    "kyc_complete": (409, "Your identity is confirmed already"),
    "kyc_over": (409, "This was decided before"),
    "webhook_disabled": (409, "The endpoint is switched off"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "Unsupported media type"),
    "idempotency_key_reused": (422, "The key was used for another request"),
    "insufficient_funds": (422, "Not enough money"),
    "limit_exceeded": (422, "Past a limit"),
    "wallet_frozen": (422, "The wallet is frozen"),
    "recipient_unavailable": (422, "The recipient cannot receive money"),
    "same_wallet": (422, "Sender and recipient are the same"),
    "currency_mismatch": (422, "The currencies differ"),
    "not_refundable": (422, "This cannot be refunded"),
    "refund_exceeds": (422, "More than is left to be refunded"),
    "account_not_empty": (422, "Something is left that keeps the account open"),
    "bank_account_invalid": (422, "The bank does not know this account"),
    "factor_already_on": (422, "There is a second factor of this kind already"),
    "last_address": (422, "The last verified address stays"),
    "preference_locked": (422, "This cannot be switched off"),
    "hold_expired": (422, "The hold is over"),
    "too_many_requests": (429, "Too many requests"),
    "too_many_tries": (429, "Too many tries"),
    "internal_error": (500, "Something went wrong on our side"),
    "busy": (503, "Busy, try again"),
    "gateway_unavailable": (503, "The payment gateway cannot be reached"),
}

# Why a transaction failed, where no request was refused for it. As stable as `CODES`.
FAILURES: Final[dict[str, str]] = {
    "order_expired": "It was not paid in time",
    "gateway_refused": "The payment gateway would not take it",
    "payout_failed": "The bank could not pay it, and the money is back in the wallet",
}


def sentence_of(code: str) -> str:
    """What people read of a failure's code."""
    title = FAILURES.get(code) or (CODES[code][1] if code in CODES else "It failed")
    return f"{title}."


class Refusal(Exception):
    """
    An expected no.

    :param code: one of `CODES`.
    :param detail: a sentence for people.
    :param errors: `[{"field", "code", "detail"}]`, for malformed input.
    :param extra: further members of the problem document (`transaction`, `challenge` …).
    :param retry_after_seconds: becomes the `Retry-After` header.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: list[dict[str, str]] | None = None,
        extra: dict[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        self.status, self.title = CODES[code]
        self.code = code
        self.detail = detail or f"{self.title}."
        self.errors = errors or []
        self.extra = extra or {}
        self.retry_after_seconds = retry_after_seconds
        super().__init__(code, self.detail)

    @classmethod
    def of_field(cls, field: str, detail: str, code: str = "invalid") -> "Refusal":
        """Malformed input in one field: 400."""
        return cls("invalid", detail, errors=[{"field": field, "code": code, "detail": detail}])


class GatewayError(Exception):
    """
    The payment gateway refused or could not be reached.

    :param http_status: None when there was no answer at all.
    :param may_have_happened: True when the request could have taken effect there.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        reason: str = "",
        http_status: int | None = None,
        may_have_happened: bool = False,
    ) -> None:
        self.code = code
        self.reason = reason
        self.http_status = http_status
        self.may_have_happened = may_have_happened
        super().__init__(message)
