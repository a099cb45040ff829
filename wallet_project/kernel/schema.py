"""How problem documents stand in the OpenAPI schema."""

from collections import defaultdict
from typing import Final

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

from wallet_project.kernel.errors import CODES
from wallet_project.kernel.problems import MEDIA_TYPE

# What any call with a body may be answered before it is looked at.
BODY_PROBLEMS: Final = ("invalid", "parse_error", "body_too_large", "unsupported_media_type")
# The same where no body is asked for, so that none can be invalid.
BODILESS_PROBLEMS: Final = BODY_PROBLEMS[1:]
# What any call with a token may be answered.
TOKEN_PROBLEMS: Final = ("not_authenticated", "token_invalid", "blocked")


class FieldError(serializers.Serializer[None]):
    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class Problem(serializers.Serializer[None]):
    """RFC 9457 `application/problem+json`. `code` is stable."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.ChoiceField(choices=sorted(CODES))
    request_id = serializers.CharField()
    # DRF takes declared fields off the class, so its own `errors` stays.
    errors = FieldError(many=True)  # type: ignore[assignment]
    transaction = serializers.CharField(
        required=False, help_text="Of a refusal that is kept: the FAILED transaction in your history."
    )


def problems(*codes: str) -> dict[tuple[int, str], OpenApiResponse]:
    """
    Problem responses for `extend_schema(responses=…)`: one a status, its codes in the description. Any call may be
    answered `too_many_requests` and `busy`, so they need not be named.

    :raises KeyError: a code that is not in `CODES`.
    """
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys((*codes, "too_many_requests", "busy")):
        by_status[CODES[code][0]].append(code)
    return {
        (status, MEDIA_TYPE): OpenApiResponse(Problem, description=", ".join(f"`{code}`" for code in found))
        for status, found in sorted(by_status.items())
    }
