"""The one form of request that brings a file to the API: `multipart/form-data` (RFC 7578), bounded like every body."""

from collections.abc import Mapping
from typing import IO, Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from rest_framework.exceptions import ParseError
from rest_framework.parsers import DataAndFiles, MultiPartParser

from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.middleware import drain_if_too_large


class FormParser(MultiPartParser):
    """
    Fields as text and files in memory.

    :raises Refusal: `body_too_large`, `parse_error`.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> DataAndFiles:  # type: ignore[type-arg]  # generic in its stubs only
        drain_if_too_large((parser_context or {})["request"]._request)
        try:
            return super().parse(stream, media_type, dict(parser_context or {}))
        except RequestDataTooBig as error:
            raise Refusal("body_too_large", "The fields beside the file are too large.") from error
        except (ParseError, SuspiciousOperation) as error:
            raise Refusal("parse_error", "The body is not valid multipart/form-data.") from error
