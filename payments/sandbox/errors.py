"""The gateway's error document."""

from typing import Any

BAD_REQUEST = "BAD_REQUEST_ERROR"
SERVER_ERROR = "SERVER_ERROR"


class GatewayError(Exception):
    """
    A request that the gateway refuses, with what it says about it.

    The gateway answers 400 to nearly everything, unknown ids included; bad credentials are 401.
    """

    def __init__(
        self,
        description: str,
        *,
        field: str | None = None,
        reason: str = "input_validation_failed",
        step: str = "payment_initiation",
        status: int = 400,
        code: str = BAD_REQUEST,
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.description = description
        self.field = field
        self.reason = reason
        self.step = step
        self.status = status
        self.code = code
        self.metadata = metadata or {}

    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "error": {
                "code": self.code,
                "description": self.description,
                "field": self.field,
                "source": "business",
                "step": self.step,
                "reason": self.reason,
                "metadata": self.metadata,
            }
        }


def unknown_id() -> GatewayError:
    """The same words for an id that was never given out and for one that cannot be an id."""
    return GatewayError("The id provided does not exist", field="id")
